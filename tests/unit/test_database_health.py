"""What of a database needs attention, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from services.handlers.database_health import judge_bloat, judge_connections, judge_locks, judge_migrations, judge_sweep
from services.names import near_names

CALM = {"server_total": 10, "longest_transaction_seconds": 1.0}
TABLE = {"schema": "app", "table": "tasks", "dead_rows": 50_000, "dead_percent": 60.0, "vacuumed_at": None}


@pytest.mark.parametrize(
    ("judged", "said"),
    [
        (judge_connections(CALM, 100), None),
        (judge_connections({**CALM, "server_total": 90}, 100), "90 of 100 connections"),
        (judge_connections({**CALM, "longest_transaction_seconds": 400.0}, 100), "open for 400 s"),
        (judge_locks([]), None),
        (judge_locks([{"pid": 7, "seconds": 2.0}]), None),
        (judge_locks([{"pid": 7, "seconds": 60.0}]), "Process 7 has waited 60 s"),
        (judge_bloat([], 100), None),
        (judge_bloat([{**TABLE, "dead_rows": 100}], 100), None),
        (judge_bloat([{**TABLE, "dead_percent": 5.0}], 100), None),
        (judge_bloat([TABLE], 100), "app.tasks has 50,000 dead rows, 60 % of all"),
        (judge_bloat([], 900_000_000), "900,000,000 transactions old"),
        (judge_migrations(["1", "2"], ["1", "2"]), None),
        (judge_migrations(["1", "9"], ["1"]), None),
        (judge_migrations(["1"], ["1", "2"]), "Missing: 2. Run python -m repositories.migrate."),
        (judge_sweep(30.0), None),
        (judge_sweep(600.0), "has not run for a while"),
    ],
)
def test_each_part_says_whether_it_needs_attention(judged: dict[str, Any], said: str | None) -> None:
    assert judged["status"] == ("attention" if said else "ok")
    assert said is None or said in judged["why"][0]


@pytest.mark.parametrize(
    ("name", "near"), [("COUNTIES", "counties"), ("countie", "counties"), ("zzz", ""), ("", ""), ("'; --", "")]
)
def test_names_that_were_meant_are_found(name: str, near: str) -> None:
    assert near_names(name, ["counties", "roads", "dem"]) == near
