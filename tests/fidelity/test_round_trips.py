"""Random tables come back from PostgreSQL as they were written, whatever the format of the file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import Phase, given, settings

from local.hosts import Host
from local.stack import Stack
from tests.fidelity.formats import FORMATS
from tests.fidelity.round_trips import RoundTrips, round_trips
from tests.fidelity.tables import RandomTable, tables

TABLES = 6
"""About fifty loads: a table goes through each format that can hold it."""


@pytest.fixture(scope="module")
def trips(stack: Stack, host: Host) -> Iterator[RoundTrips]:
    with round_trips(stack, host) as found:
        yield found


# Without shrinking, which would take hundreds of loads: ./dev bench fidelity goes on past the first difference.
@settings(max_examples=TABLES, phases=(Phase.explicit, Phase.generate), database=None)
@given(table=tables())
def test_a_table_comes_back_from_every_format_as_it_was_written(trips: RoundTrips, table: RandomTable) -> None:
    found = trips.run(table, tuple(one for one in FORMATS if one.holds(table)))
    assert {name: differences for name, differences in found.items() if differences} == {}
