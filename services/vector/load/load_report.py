"""The report of a load: its result with conservation, summary and warnings, and what a dry run would do."""

from __future__ import annotations

from collections.abc import Sequence

import pyproj

from schema.clipping import listed
from schema.jobs import Json
from services.vector.load.plan import Column, LoadPlan, type_name
from services.vector.load.row_accounting import LoadTotals, type_changes
from services.vector.load.survey import Survey

_MESSAGES = {
    "rows_rejected": "Rows were not loaded; the table of rejected rows says which and why.",
    "values_nulled": "Values that PostgreSQL cannot hold became NULL.",
    "slivers_dropped": "Repairs dropped parts of lower dimension.",
    "outside_crs_area": "Rows lie outside of the area that their CRS is made for: check that it is the right one.",
    "outside_operation_area": "Rows lie outside of the areas that PROJ's transformations are made for, and may be tens "
    "of metres off.",
    "layers_empty": "Layers without features were not loaded, and their tables were left as they were: {}.",
    "links_not_followed": "The KML links to other documents, which were not read: {}.",
    "missing_grids": "A more accurate transformation exists, but its grids are not installed.",
    "rows_replaced_in_place": "Rows were replaced one by one, because other objects depend on the table.",
}


def report(
    plan: LoadPlan, totals: LoadTotals, geometry_type: str, *, chunks: int, seconds: float, dependents: Sequence[str]
) -> Json:
    """Return the result of a load, as the job shows it.

    Parameters
    ----------
    chunks
        Upload tasks.
    seconds
        Since the job started.
    dependents
        What depends on the table, if its rows were replaced one by one for that reason.
    """
    return {
        "status": "success",
        "table": str(plan.target),
        "total_features_loaded": totals.loaded,
        "upload_chunks": chunks,
        "failed_chunks": 0,
        "geometry_type": geometry_type,
        "original_crs": plan.original_crs,
        "features_per_chunk": plan.options.chunk_size,
        "processing_time_seconds": seconds,
        "preprocessing_stats": {
            "original_feature_count": plan.rows,
            "final_feature_count": totals.loaded,
            "original_crs": plan.original_crs,
            "final_crs": plan.final_crs,
            "geometry_type_changes": type_changes(totals.source_types, geometry_type),
            "z_m_values_removed": totals.counts["z_m_removed"],
            "repaired": totals.counts["repaired"],
        },
        "conservation": _conservation(plan, totals, geometry_type),
        "summary": _summarize(plan, totals, geometry_type),
        "operation": plan.operation.report(),
        "reading": plan.reading,
        "warnings": _warnings(plan, totals, dependents),
    }


def _conservation(plan: LoadPlan, totals: LoadTotals, geometry_type: str) -> Json:
    """Account for every row of the source: rows_in = rows_loaded + rows_rejected."""
    counts = totals.counts
    return {
        "rows_in": plan.rows,
        "rows_loaded": totals.loaded,
        "rows_rejected": totals.rejected,
        "reasons": dict(totals.reasons),
        "rejects_table": str(plan.rejects) if totals.rejected else None,
        "repaired": counts["repaired"],
        "slivers_dropped": counts["slivers_dropped"],
        "z_m_removed": counts["z_m_removed"],
        "curves_linearised": counts["curves_linearised"],
        "antimeridian_cut": counts["antimeridian_cut"],
        "longitudes_wrapped": counts["longitudes_wrapped"],
        "types_promoted": type_changes(totals.source_types, geometry_type),
        "null_geometries_kept": counts["null_geometry"],
        "outside_crs_area": counts["outside_crs_area"],
        "outside_operation_area": counts["outside_operation_area"],
        "values_nulled": dict(totals.nulled),
        "columns_renamed": _renamed(plan.columns),
    }


def _renamed(columns: tuple[Column, ...]) -> dict[str, str]:
    return {column.source: column.name for column in columns if column.source != column.name}


def _warnings(plan: LoadPlan, totals: LoadTotals, dependents: Sequence[str]) -> list[Json]:
    numbers = {
        "rows_rejected": totals.rejected,
        "values_nulled": totals.nulled.total(),
        "slivers_dropped": totals.counts["slivers_dropped"],
        "outside_crs_area": totals.counts["outside_crs_area"],
        "outside_operation_area": totals.counts["outside_operation_area"],
        "missing_grids": len(plan.operation.missing_grids),
        "rows_replaced_in_place": len(dependents),
        "layers_empty": len(plan.empty_layers),
        "links_not_followed": len(links := plan.reading.get("links_not_followed", [])),
    }
    named = {"layers_empty": listed(plan.empty_layers), "links_not_followed": listed(links, 10)}
    return [
        {"code": code, "message": _MESSAGES[code].format(named.get(code)), "count": number}
        for code, number in numbers.items()
        if number
    ]


def _summarize(plan: LoadPlan, totals: LoadTotals, geometry_type: str) -> Json:
    """Describe the loaded rows as a STAC item would: bbox in longitude and latitude, count, type, columns."""
    bbox = list(totals.bounds) if totals.bounds else None
    if totals.bounds and plan.srid != 4326:
        # With points along the edges: the corners alone would miss where a projected edge bulges.
        to_degrees = pyproj.Transformer.from_crs(plan.srid, "EPSG:4326", always_xy=True)
        bbox = list(to_degrees.transform_bounds(*totals.bounds))
    columns = [("id", "bigint"), *((column.name, column.pg_type) for column in plan.columns)]
    columns.append(("geom", f"geometry({geometry_type},{plan.srid})"))
    return {
        "bbox": bbox,
        "count": totals.loaded,
        "geometry_type": geometry_type,
        "crs": plan.final_crs,
        "columns": [{"name": name, "type": kind} for name, kind in columns],
    }


def dry_run(plan: LoadPlan, found: Survey, *, exists: bool) -> Json:
    """Return what a load would do, as far as the first pass can see it. `exists`: whether the target does."""
    findings = {
        "null_or_unknown_geometries": found.geometry_types.get("", 0),
        "z_m_values": found.z_m,
        "curves": found.curves,
        "missing_grids": list(plan.operation.missing_grids),
        "target_exists": exists,
        "empty_layers": list(plan.empty_layers),
    }
    return {
        "status": "dry_run",
        "table": str(plan.target),
        "rejects_table": str(plan.rejects),
        "load_method": plan.options.load_method,
        "layers": [{"name": plan.layer, "features": found.rows, "geometry_types": dict(found.geometry_types)}],
        "original_crs": plan.original_crs,
        "final_crs": plan.final_crs,
        "operation": plan.operation.report(),
        "reading": plan.reading,
        "geometry_type": type_name(plan.dimension, multi=plan.promote),
        "columns": [{"source": c.source, "name": c.name, "type": c.pg_type} for c in plan.columns],
        "columns_renamed": _renamed(plan.columns),
        "upload_chunks": len(found.chunks),
        "features_per_chunk": plan.options.chunk_size,
        "findings": findings,
    }
