"""How the plan of a load is made of what the first pass found: columns, geometry type, CRS. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa

from repositories.target_table.inspection import Relation
from schema.clipping import clip
from schema.errors import PermanentError
from services.crs import crs_label, parse_layer_crs, parse_target_crs
from services.vector.geometry import wkb
from services.vector.geometry.crs import Project, area_of, choose_operation, project_with, wrap_of
from services.vector.geometry.earth import Limits, Place, guess_crs, limits_of, rows_outside
from services.vector.geometry.repair import LINES, POINTS, POLYGONS
from services.vector.load import pg_types
from services.vector.load.names import column_names
from services.vector.load.plan import Column, LoadPlan
from services.vector.load.row_accounting import allowed_rejects, check_on_earth
from services.vector.load.stages import Options
from services.vector.load.survey import Survey
from services.vector.origin import Origin
from services.vector.readers.source_layer import SourceLayer

_COMMON_KEYS = frozenset(("fid", "id", "ogc_fid"))
"""Names that programs give to a key that nobody asked for."""
MAX_COLUMNS = 1_598
"""PostgreSQL allows 1,600; id and geom are two of them."""

_WORDS = {POINTS: "points", LINES: "lines", POLYGONS: "polygons"}
_DIMENSION_OF_WORD = {"point": POINTS, "line": LINES, "polygon": POLYGONS}


def plan_columns(fields: Sequence[tuple[str, pa.DataType]], decisive: Sequence[str] = ()) -> tuple[Column, ...]:
    """Return the columns with their names and types. Raises PermanentError for more than a table can have."""
    if len(fields) > MAX_COLUMNS:
        raise PermanentError(
            f"The layer has {len(fields)} columns; a PostgreSQL table can have {MAX_COLUMNS} beside id and geom.",
            remediation="Split the file into several with fewer columns each.",
            code="too_many_columns",
        )
    names = column_names(name for name, _ in fields)
    return tuple(
        Column(source, name, pg_types.pg_type_of(kind), because)
        for (source, kind), name, because in zip(fields, names, decisive or [""] * len(names), strict=True)
    )


def types_of_target(layer: SourceLayer, target: Relation | None) -> dict[int, str]:
    """Return which fields a reader of text should read as the table's column is, and as which type.

    Text takes every value as it is written, and a column without values has any type.
    """
    existing = {column.name: column.type for column in target.columns} if target else {}
    names = column_names(name for name, _ in layer.fields)
    has_values = [bool(value) for value in layer.decisive]
    return {
        i: "text" if existing[name] in pg_types.TEXTS else existing[name]
        for i, (name, known) in enumerate(zip(names, has_values, strict=False))
        if name in existing and (existing[name] in pg_types.TEXTS or not known)
    }


def choose_dimension(found: Survey, geometry_type: str | None, allowed: int) -> int:
    """Return the dimension of the geometries that the table holds.

    Parameters
    ----------
    geometry_type
        The one that the user wants, if any.
    allowed
        Rows that may be rejected.

    Raises
    ------
    PermanentError
        mixed_geometries, geometry_type_missing or surface_geometries: there is none, or it is not clear which.
    """
    every = found.dimensions + found.mixed_dimensions
    kinds = ", ".join(f"{number} {_WORDS[dimension]}" for dimension, number in sorted(every.items()))
    if geometry_type:
        wanted = _DIMENSION_OF_WORD[geometry_type]
        if every and wanted not in every:
            raise PermanentError(
                f"The layer has no {_WORDS[wanted]}. It has: {kinds}.",
                remediation='Choose another "geometry_type", or leave it out.',
                code="geometry_type_missing",
            )
        return wanted
    # Single rows that mix kinds are rejected rows; where they are more, or all, the user has to choose.
    mixes_within = found.mixed > (allowed if found.dimensions else 0)
    if len(found.dimensions) > 1 or mixes_within:
        within = f" within its rows ({found.mixed} are collections of several)" if mixes_within else ""
        raise PermanentError(
            f"The layer mixes geometries of different kinds{within}: {kinds}.",
            remediation='Choose one with "geometry_type": "point", "line" or "polygon"; the others are left out.',
            code="mixed_geometries",
        )
    surfaces = {kind: number for kind, number in found.geometry_types.items() if kind in wkb.SURFACES}
    if surfaces and not found.dimensions:
        listed = ", ".join(f"{number} {kind}" for kind, number in sorted(surfaces.items()))
        raise PermanentError(
            f"The layer holds only surfaces of faces ({listed}), whose faces would lie upon each other on a map.",
            remediation="Turn them into polygons, for instance with ogr2ogr -nlt MULTIPOLYGON, and upload these.",
            code="surface_geometries",
        )
    return next(iter(found.dimensions), POINTS)


def make_plan(
    source: str,
    origin: Origin,
    layer: SourceLayer,
    found: Survey,
    options: Options,
    target: Relation | None,
    find_place: Callable[[], Place | None],
) -> LoadPlan:
    """Return the plan.

    Parameters
    ----------
    target
        The table whose columns must stay as they are, if there is one.
    find_place
        Called when most rows lie nowhere on Earth: finds a row that says by other columns where it lies.
    """
    if not found.rows:
        raise PermanentError(
            f"The layer {clip(layer.name)!r} is empty: it has no features.",
            remediation="Upload a file with features.",
            code="layer_empty",
        )
    original = parse_layer_crs(layer.crs, f"The layer {clip(layer.name)!r}")
    final = parse_target_crs(options.target_crs)
    operation, wrap = choose_operation(original, final, layer.bounds), wrap_of(original, final)
    project = project_with(operation)
    source_limits = limits_of(original, wraps=wrap != "no" or project is not None)
    target_limits = limits_of(final, wraps=wrap != "no") if project else None
    guess = _check_place(found, project, source_limits, target_limits, crs_label(original), find_place)
    allowed = allowed_rejects(found.rows, options.max_rejected)
    dimension = choose_dimension(found, options.geometry_type, allowed)
    promote, guessed = _choose_promotion(found, dimension, target, allowed)
    has_key = _keeps_key(layer, found, target)
    key = [(layer.key, pa.int64())] if has_key and layer.key else []
    return LoadPlan(
        options=options,
        source=source,
        layer=layer.name,
        rows=found.rows,
        counts=found.counts,
        columns=plan_columns((*key, *layer.fields), layer.decisive),
        dimension=dimension,
        promote=promote,
        guessed=guessed,
        srid=int(options.target_crs.removeprefix("EPSG:")),
        original_crs=crs_label(original),
        final_crs=options.target_crs,
        operation=operation,
        area=area_of(original, final),
        wrap=wrap,
        source_limits=source_limits,
        target_limits=target_limits,
        guess=guess,
        origin=origin,
        has_key=has_key,
        staging=origin.staging,
        reading=layer.reading,
        reader_state=layer.reader_state,
    )


def _keeps_key(layer: SourceLayer, found: Survey, target: Relation | None) -> bool:
    """Whether the key that GDAL takes for the number of a row becomes a column."""
    if layer.key is None or layer.key.lower() not in _COMMON_KEYS:
        return layer.key is not None
    if target:
        # A gap, where somebody deleted a row, does not make the columns of a table that stays differ.
        return column_names([layer.key])[0] in {column.name for column in target.columns}
    # Numbers from 1 are those of the table's own id.
    return not found.numbered


def _check_place(
    found: Survey,
    project: Project | None,
    source_limits: Limits | None,
    target_limits: Limits | None,
    crs: str,
    find_place: Callable[[], Place | None],
) -> str:
    """Check that most rows of the sample are on Earth, and return a sentence on what the others look like.

    Here and not only when all rows were loaded, which may take an hour.
    """
    points = np.concatenate([np.empty((0, 2)), *found.sample])
    rows = np.arange(len(points))
    outside = np.zeros(len(points), np.bool_)
    if source_limits:
        outside |= rows_outside(points, rows, len(points), source_limits)
    if project:
        moved = project(points)
        outside |= ~np.isfinite(moved).all(axis=1)
        if target_limits:
            outside |= rows_outside(moved, rows, len(points), target_limits)
    number = int(outside.sum())
    if not number:
        return ""
    guess = guess_crs(points[outside], find_place() if 2 * number > len(points) else None)
    x, y = points[outside][0].tolist()
    check_on_earth(number, len(points), crs, guess, described=f"most rows, such as {x:.10g}, {y:.10g},")
    return guess


def _choose_promotion(found: Survey, dimension: int, target: Relation | None, allowed: int) -> tuple[bool, bool]:
    """Return whether singles become multis, and whether that is a guess.

    A guess from a sample of the polygons gives the table the right type from the start; a wrong one costs one rewrite
    in publish, never a wrong type.

    A target of single geometries takes `allowed` multi ones, as rejected rows; with more the columns differ.
    """
    single = wkb.NAMES[dimension + 1]
    multi = wkb.NAMES[dimension + 1 + wkb.MULTI_OFFSET]
    if target:
        # The column of a table that stays cannot be changed, so the rows follow it.
        kind = next((column.type for column in target.columns if column.name == "geom"), "")
        if f"({single}," in kind or f"({multi}," in kind:
            return f"({multi}," in kind or found.geometry_types[multi] > allowed, False
    # A collection becomes one multi geometry of its parts.
    if found.geometry_types[multi] or found.geometry_types[wkb.NAMES[wkb.COLLECTION]]:
        return True, False
    if dimension == POINTS:
        # Points are never repaired, so none becomes a multipoint.
        return False, False
    return found.splits, True
