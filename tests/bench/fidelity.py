"""Random tables through every format: each is loaded by process_vector, and PostgreSQL compared with what was written.

./dev bench fidelity [LOADS [FIRST_SEED]]; 2,000 loads by default. It prints the loads and differences of each format
after every seed, and what differs with its seed; Ctrl-C ends it with the sums so far. A seed gives the same tables
again: ./dev bench fidelity 1 SEED.
"""

import itertools
import sys
import time
from collections import Counter

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings

from local.stack import Stack
from tests.fidelity.formats import FORMATS
from tests.fidelity.round_trips import RoundTrips, round_trips
from tests.fidelity.tables import RandomTable, tables

LOADS = 2_000
TABLES_OF_A_SEED = 5


def main(stack: Stack, arguments: list[str]) -> int:
    """Run it; gives 1 when a table came back otherwise than it was written."""
    loads, first = (*map(int, arguments), *(LOADS, 1)[len(arguments) :])
    done, wrong = Counter[str](), Counter[str]()
    began = time.monotonic()
    try:
        with round_trips(stack, stack.start_host(workers=2)) as trips:
            for seed in itertools.count(first):
                run_seed(trips, seed, done, wrong)
                counts = ", ".join(f"{one.name} {done[one.name]}/{wrong[one.name]}" for one in FORMATS)
                print(f"seed {seed}: {done.total()} loads, {time.monotonic() - began:.0f} s: {counts}", flush=True)
                if done.total() >= loads:
                    break
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
    print(f"{done.total()} loads, {wrong.total()} of them differ")
    return min(wrong.total(), 1)


def run_seed(trips: RoundTrips, seed: int, done: Counter[str], wrong: Counter[str]) -> None:
    """Load the tables of a seed in every format that can hold them, and count loads and differences by format."""

    @hypothesis.seed(seed)
    @settings(
        max_examples=TABLES_OF_A_SEED,
        phases=(Phase.generate,),
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(table=tables())
    def load(table: RandomTable) -> None:
        found = trips.run(table, tuple(one for one in FORMATS if one.holds(table)))
        for name, differences in found.items():
            done[name] += 1
            wrong[name] += bool(differences)
            for difference in differences[:3]:
                print(f"  seed {seed}, {name}: {difference}", flush=True)

    load()
