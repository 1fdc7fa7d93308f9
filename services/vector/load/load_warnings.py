"""The warnings of a load: what users should know although it succeeded."""

from __future__ import annotations

from collections.abc import Sequence

from schema.clipping import listed
from schema.errors import PermanentError
from schema.jobs import Json
from services.vector.load.names import OWN_COLUMNS
from services.vector.load.plan import LoadPlan
from services.vector.load.row_accounting import LoadTotals

_MESSAGES = {
    "rows_rejected": "Rows were not loaded; the table of rejected rows says which and why.",
    "rows_left_out": "Rows of other kinds than geometry_type were left out; the table of rejected rows has them.",
    "parts_left_out": "Parts of collections of other kinds than geometry_type were left out.",
    "z_m_dropped": "Rows lost the Z or M of their coordinates: the table is two-dimensional.",
    "values_nulled": "Values that PostgreSQL cannot hold became NULL.",
    "slivers_dropped": "Repairs dropped parts of lower dimension.",
    "outside_crs_area": "Rows lie outside of the area that their CRS is made for: check that it is the right one.",
    "outside_operation_area": "Rows lie outside of the areas that PROJ's transformations are made for, and may be tens "
    "of metres off.",
    "missing_grids": "A more accurate transformation exists, but its grids are not installed.",
    "rows_replaced_in_place": "Rows were replaced one by one, because other objects depend on the table.",
}


def warnings_of_load(plan: LoadPlan, totals: LoadTotals, dependents: Sequence[str]) -> list[Json]:
    """Return the warnings of a load, each with a code, a message and a count."""
    numbers = {
        "rows_rejected": totals.rejected - totals.reasons[plan.left_out],
        "rows_left_out": totals.reasons[plan.left_out],
        "parts_left_out": totals.counts["parts_left_out"],
        "z_m_dropped": totals.counts["z_m_removed"],
        "values_nulled": totals.nulled.total(),
        "slivers_dropped": totals.counts["slivers_dropped"],
        "outside_crs_area": totals.counts["outside_crs_area"],
        "outside_operation_area": totals.counts["outside_operation_area"],
        "missing_grids": len(plan.operation.missing_grids),
        "rows_replaced_in_place": len(dependents),
    }
    known = [warning(code, _MESSAGES[code], number) for code, number in numbers.items() if number]
    return [*_warnings_of_plan(plan), *known]


def _warnings_of_plan(plan: LoadPlan) -> list[Json]:
    """Return what the first pass over the source shows already."""
    found = [
        warning(
            "row_count_differs",
            f"By {count.by}, the layer has {count.rows} features, but {plan.rows} were read. The number may be out of "
            "date; if it is not, the file has lost features.",
            abs(count.rows - plan.rows),
        )
        for count in plan.counts
        if count.rows != plan.rows
    ]
    taken = {source: name for source, name in plan.renamed.items() if source.strip().lower() in OWN_COLUMNS}
    if taken:
        renamed = listed(f"{source!r} is {name}" for source, name in taken.items())
        found.append(
            warning(
                "own_columns_renamed",
                f"Columns of the file have names that Geostage gives to columns of its own, and have others in the "
                f"table: {renamed}. The table's id is the number of the row in the file.",
                len(taken),
            )
        )
    lists = {
        "layers_without_geometry": ("Layers without geometries were not loaded", plan.origin.without_geometry),
        "layers_empty": (
            "Layers without features were not loaded, and their tables were left as they were",
            plan.empty_layers,
        ),
        "links_not_followed": (
            "The KML links to other documents, which were not read",
            plan.reading.get("links_not_followed", ()),
        ),
    }
    for code, (message, names) in lists.items():
        if names:
            found.append(warning(code, f"{message}: {listed(names, 10)}.", len(names)))
    return found


def warnings_of_failure(error: PermanentError) -> list[Json]:
    """Return the warning of a dry run that the load would fail."""
    return [warning("load_would_fail", f"{error.error_code}: {error.message} {error.remediation}", 1)]


def warning(code: str, message: str, count: int) -> Json:
    """Return a warning as the job shows it."""
    return {"code": code, "message": message, "count": count}
