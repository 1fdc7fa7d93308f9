"""What a load tells people: the conservation report, warnings, a summary of the table, and the finds of a dry run."""

from __future__ import annotations

from typing import Any

import pyproj

from schema.jobs import Json
from services.vector.load.plan import Column, LoadPlan, type_name
from services.vector.load.row_accounting import type_changes
from services.vector.load.survey import Survey

_MESSAGES = {
    "rows_rejected": "Rows were not loaded; the table of rejected rows says which and why.",
    "values_nulled": "Values that PostgreSQL cannot hold became NULL.",
    "slivers_dropped": "Repairs dropped parts of lower dimension.",
    "outside_crs_area": "Rows lie outside of the area that their CRS is made for; is it the right one?",
    "missing_grids": "A more accurate transformation exists, but its grids are not installed.",
    "rows_replaced_in_place": "Rows were replaced one by one, because other objects depend on the table.",
}


def conservation(plan: LoadPlan, totals: Json, geometry_type: str, rejects: str) -> Json:
    """Account for every row of the source: rows_in = rows_loaded + rows_rejected."""
    counts = totals["counts"]
    return {
        "rows_in": plan.rows,
        "rows_loaded": totals["loaded"],
        "rows_rejected": totals["rejected"],
        "reasons": totals["reasons"],
        "rejects_table": rejects if totals["rejected"] else None,
        "repaired": counts.get("repaired", 0),
        "slivers_dropped": counts.get("slivers_dropped", 0),
        "z_m_removed": counts.get("z_m_removed", 0),
        "curves_linearised": counts.get("curves_linearised", 0),
        "antimeridian_cut": counts.get("antimeridian_cut", 0),
        "longitudes_wrapped": counts.get("longitudes_wrapped", 0),
        "types_promoted": type_changes(totals["source_kinds"], geometry_type),
        "null_geometries_kept": counts.get("null_geometry", 0),
        "outside_crs_area": counts.get("outside_crs_area", 0),
        "values_nulled": totals["nulled"],
        "columns_renamed": renamed(plan.columns),
    }


def renamed(columns: tuple[Column, ...]) -> dict[str, str]:
    """Give the columns that have another name in the table than in the source."""
    return {column.source: column.name for column in columns if column.source != column.name}


def warnings_of(plan: LoadPlan, totals: Json, dependents: list[str]) -> list[Json]:
    """List what people should know of a load that went well."""
    counts = totals["counts"]
    numbers = {
        "rows_rejected": totals["rejected"],
        "values_nulled": sum(totals["nulled"].values()),
        "slivers_dropped": counts.get("slivers_dropped", 0),
        "outside_crs_area": counts.get("outside_crs_area", 0),
        "missing_grids": len(plan.operation.missing_grids),
        "rows_replaced_in_place": len(dependents),
    }
    return [warning(code, number) for code, number in numbers.items() if number]


def warning(code: str, count: int) -> Json:
    """Word one warning."""
    return {"code": code, "message": _MESSAGES[code], "count": count}


def summarise(plan: LoadPlan, totals: Json, geometry_type: str) -> Json:
    """Describe the loaded rows as a STAC item would: bbox in longitude and latitude, count, type, columns."""
    columns = [("id", "bigint"), *((column.name, column.pg_type) for column in plan.columns)]
    columns.append(("geom", f"geometry({geometry_type},{plan.srid})"))
    return {
        "bbox": _in_degrees(totals["bounds"], plan.srid),
        "count": totals["loaded"],
        "geometry_type": geometry_type,
        "crs": plan.final_crs,
        "columns": [{"name": name, "type": kind} for name, kind in columns],
    }


def _in_degrees(bounds: list[float] | None, srid: int) -> list[float] | None:
    if bounds is None or srid == pyproj.CRS("EPSG:4326").to_epsg():
        return bounds
    to_degrees = pyproj.Transformer.from_crs(srid, "EPSG:4326", always_xy=True)
    west, south, east, north = bounds
    return list(to_degrees.transform_bounds(west, south, east, north))


def dry_run(plan: LoadPlan, found: Survey, rejects: str, *, exists: bool) -> Json:
    """Tell what a load would do, as far as the first pass can see it."""
    finds: dict[str, Any] = {
        "null_or_unknown_geometries": found.kinds.get("", 0),
        "z_m_values": found.z_m,
        "curves": found.curves,
        "missing_grids": list(plan.operation.missing_grids),
        "target_exists": exists,
    }
    return {
        "status": "dry_run",
        "table": plan.options.table,
        "rejects_table": rejects,
        "load_method": plan.options.load_method,
        "layers": [{"name": plan.layer, "features": found.rows, "geometry_types": dict(found.kinds)}],
        "original_crs": plan.original_crs,
        "final_crs": plan.final_crs,
        "operation": plan.operation.as_json(),
        "reading": plan.reading,
        "geometry_type": type_name(plan.family, multi=plan.promote),
        "columns": [{"source": c.source, "name": c.name, "type": c.pg_type} for c in plan.columns],
        "columns_renamed": renamed(plan.columns),
        "upload_chunks": len(found.chunks),
        "features_per_chunk": plan.options.chunk_size,
        "findings": finds,
    }
