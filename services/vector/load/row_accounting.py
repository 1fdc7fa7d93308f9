"""The books of a load: what upload tasks counted is added up, and every row is accounted for. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from schema.errors import GeostageError, PermanentError
from schema.jobs import Json

_COUNTERS = ("counts", "reasons", "source_kinds", "nulled")
FIRST = 5
"""Rejected rows that an error names."""


class BooksDoNotBalance(GeostageError):
    """Rows were lost or doubled: a fault of Geostage, which must not be published."""

    code = "books_do_not_balance"


def add_up(results: Iterable[Json]) -> Json:
    """Add the results of upload tasks: numbers, counters, and the box around their bounds."""
    totals: dict[str, Any] = {"rows": 0, "loaded": 0, "rejected": 0, "multi": 0, "bounds": None, "first_rejected": []}
    counters: dict[str, Counter[str]] = {name: Counter() for name in _COUNTERS}
    for result in results:
        for name in ("rows", "loaded", "rejected", "multi"):
            totals[name] += result[name]
        for name, counter in counters.items():
            counter.update(result[name])
        totals["bounds"] = _join(totals["bounds"], result["bounds"])
        totals["first_rejected"] = sorted([*totals["first_rejected"], *result.get("first_rejected", [])])[:FIRST]
    return {**totals, **{name: dict(counter) for name, counter in counters.items()}}


def _join(one: list[float] | None, other: list[float] | None) -> list[float] | None:
    if one is None or other is None:
        return one or other
    return [min(one[0], other[0]), min(one[1], other[1]), max(one[2], other[2]), max(one[3], other[3])]


def join_tables(results: list[Json]) -> Json:
    """Make one result of those of several tables."""
    warnings = [
        {**warning, "message": f"{result['table']}: {warning['message']}"}
        for result in results
        for warning in result.pop("warnings")
    ]
    return {
        "status": "success",
        "tables": results,
        "total_features_loaded": sum(result["total_features_loaded"] for result in results),
        "upload_chunks": sum(result["upload_chunks"] for result in results),
        "failed_chunks": 0,
        "processing_time_seconds": max(result["processing_time_seconds"] for result in results),
        "warnings": warnings,
    }


def check_books(rows_in: int, totals: Json) -> None:
    """Check that every row of the source was either loaded or rejected. Raises BooksDoNotBalance."""
    if rows_in != totals["loaded"] + totals["rejected"] or totals["rejected"] != sum(totals["reasons"].values()):
        raise BooksDoNotBalance(
            f"The source has {rows_in} rows, but {totals['loaded']} were loaded and {totals['rejected']} rejected.",
            remediation="Report this with the job's id; the table was left as it was.",
        )


def check_staged(staged: int, loaded: int) -> None:
    """Check that the staging table holds the rows that the tasks counted. Raises BooksDoNotBalance."""
    if staged != loaded:
        raise BooksDoNotBalance(
            f"The upload tasks loaded {loaded} rows, but {staged} are there.",
            remediation="Report this with the job's id; the table was left as it was.",
        )


def check_rejected(rows_in: int, totals: Json, max_rejected: int | str) -> None:
    """Check that no more rows were rejected than the job allows. Raises PermanentError with the reasons."""
    allowed = allowed_rejects(rows_in, max_rejected)
    if totals["rejected"] <= allowed:
        return
    reasons = ", ".join(f"{number} {reason}" for reason, number in sorted(totals["reasons"].items()))
    first = ", ".join(f"row {number} ({reason})" for number, reason in totals["first_rejected"])
    raise PermanentError(
        f"{totals['rejected']} of {rows_in} rows were rejected ({reasons}); {allowed} are allowed "
        f"(max_rejected {max_rejected}). The first: {first}. The table was left as it was.",
        remediation="Correct these rows in the file, or submit the job again with a higher max_rejected.",
        code="too_many_rejected",
    )


def allowed_rejects(rows_in: int, max_rejected: int | str) -> int:
    """Give the number of rows that may be rejected: an integer as it is, a percentage of all rows rounded down."""
    if isinstance(max_rejected, int):
        return max_rejected
    return int(rows_in * float(max_rejected.rstrip("%")) / 100)


def type_changes(source_kinds: dict[str, int], final: str) -> dict[str, int]:
    """Count the rows whose geometry has another type in the table than in the source, as "Polygon->MultiPolygon"."""
    return {f"{kind}->{final}": number for kind, number in sorted(source_kinds.items()) if kind != final}
