"""The report of a load: its result with conservation, summary and warnings, and what a dry run would do."""

from __future__ import annotations

from collections.abc import Sequence

import pyproj

from schema.errors import PermanentError
from schema.jobs import Json
from services.vector.load.load_warnings import warnings_of_failure, warnings_of_load
from services.vector.load.plan import LoadPlan, type_name
from services.vector.load.row_accounting import LoadTotals, type_changes
from services.vector.load.survey import Survey


def report(
    plan: LoadPlan,
    totals: LoadTotals,
    geometry_type: str,
    *,
    rows_in_table: int | None,
    chunks: int,
    seconds: float,
    dependents: Sequence[str],
) -> Json:
    """Return the result of a load, as the job shows it.

    Parameters
    ----------
    rows_in_table
        Rows of the table after the load, those of earlier loads among them; None when it cannot be read.
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
        "summary": _summarize(plan, totals, geometry_type, rows_in_table),
        "operation": plan.operation.report(),
        "reading": plan.reading,
        "warnings": warnings_of_load(plan, totals, dependents),
    }


def _conservation(plan: LoadPlan, totals: LoadTotals, geometry_type: str) -> Json:
    """Account for every row of the source: rows_in = rows_loaded + rows_rejected."""
    counts = totals.counts
    return {
        "rows_in": plan.rows,
        "rows_counted": [{"rows": count.rows, "by": count.by} for count in plan.counts],
        "rows_loaded": totals.loaded,
        "rows_rejected": totals.rejected,
        "reasons": dict(totals.reasons),
        "rejects_table": str(plan.rejects) if totals.rejected else None,
        "repaired": counts["repaired"],
        "parts_left_out": counts["parts_left_out"],
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
        "columns_renamed": plan.renamed,
    }


def _summarize(plan: LoadPlan, totals: LoadTotals, geometry_type: str, rows_in_table: int | None) -> Json:
    """Describe the rows that were loaded, and the table that they are in now."""
    degrees = list(totals.bounds) if totals.bounds else None
    if totals.bounds and plan.srid != 4326:
        # With points along the edges: the corners alone would miss where a projected edge bulges.
        to_degrees = pyproj.Transformer.from_crs(plan.srid, "EPSG:4326", always_xy=True)
        degrees = list(to_degrees.transform_bounds(*totals.bounds))
    columns = [("id", "bigint"), *((column.name, column.pg_type) for column in plan.columns)]
    columns.append(("geom", f"geometry({geometry_type},{plan.srid})"))
    return {
        "bbox": list(totals.bounds) if totals.bounds else None,
        "bbox_wgs84": degrees,
        "crs": plan.final_crs,
        "rows_added": totals.loaded,
        "count": rows_in_table,
        "geometry_type": geometry_type,
        "columns": [{"name": name, "type": kind} for name, kind in columns],
    }


def dry_run(plan: LoadPlan, found: Survey, totals: LoadTotals, *, exists: bool, failure: PermanentError | None) -> Json:
    """Return what a load would do.

    Parameters
    ----------
    totals
        What would become of the rows.
    exists
        Whether the target does.
    failure
        The error with which the load would end.
    """
    geometry_type = type_name(plan.dimension, multi=totals.multi > 0 if plan.guessed else plan.promote)
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
        "geometry_type": geometry_type,
        "conservation": _conservation(plan, totals, geometry_type),
        "columns": [{"source": c.source, "name": c.name, "type": c.pg_type} for c in plan.columns],
        "columns_renamed": plan.renamed,
        "upload_chunks": len(found.chunks),
        "features_per_chunk": plan.options.chunk_size,
        "findings": findings,
        "warnings": [*warnings_of_load(plan, totals, ()), *(warnings_of_failure(failure) if failure else ())],
    }


def join_tables(results: list[Json]) -> Json:
    """Make one result of those of several tables."""
    return {
        "status": "success",
        "warnings": _join_warnings(results),
        "tables": results,
        "total_features_loaded": sum(result["total_features_loaded"] for result in results),
        "upload_chunks": sum(result["upload_chunks"] for result in results),
        "failed_chunks": 0,
        "processing_time_seconds": max(result["processing_time_seconds"] for result in results),
    }


def join_dry_runs(reports: list[Json]) -> Json:
    """Make one report of those of several tables; that of a single one stays as it is."""
    if len(reports) == 1:
        return reports[0]
    return {"status": "dry_run", "warnings": _join_warnings(reports), "tables": reports}


def _join_warnings(results: list[Json]) -> list[Json]:
    """Take the warnings out of results, and name the table in each."""
    return [
        {**warning, "message": f"{result['table']}: {warning['message']}"}
        for result in results
        for warning in result.pop("warnings")
    ]
