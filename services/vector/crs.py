"""Coordinate reference systems: which one a layer has, and the one operation that takes it to the target."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyproj
from pyproj.aoi import AreaOfInterest
from pyproj.enums import TransformDirection
from pyproj.exceptions import CRSError, ProjError
from pyproj.transformer import Transformer, TransformerGroup

from schema.errors import PermanentError
from schema.jobs import Json
from schema.words import clip
from services.references import check_crs
from services.vector.antimeridian import Wrap
from services.vector.wkb import Coordinates

Bounds: TypeAlias = tuple[float, float, float, float]
Project: TypeAlias = Callable[[Coordinates], Coordinates]
"""Takes and gives an array of shape (n, 2), x before y; inf where there is no answer."""

_SURE = 70
"""Confidence in percent from which an authority's code is shown for a CRS."""


@dataclass(frozen=True)
class Operation:
    """A coordinate operation, the same for every chunk."""

    pipeline: str | None
    """PROJ pipeline, x before y on both sides; None when coordinates stay as they are."""
    description: str
    accuracy: float | None
    """Metres; None when PROJ does not know."""
    missing_grids: tuple[str, ...]
    """Grids of a better operation that are not installed."""

    def as_json(self) -> Json:
        """Give the operation as JSON."""
        return {**self.__dict__, "missing_grids": list(self.missing_grids)}

    @classmethod
    def from_json(cls, data: Json) -> Operation:
        """Read what as_json gave."""
        return cls(**{**data, "missing_grids": tuple(data["missing_grids"])})


def parse_crs(definition: str | None, layer: str = "The layer") -> pyproj.CRS:
    """Read a layer's CRS, without its vertical part.

    Raises
    ------
    PermanentError
        It is missing, is not to be transformed, or names a file.
    """
    if not definition:
        raise _missing(f"{layer} has no coordinate reference system.")
    # PROJ opens what +init names while it reads the definition, and grids when it has been read.
    check_crs(definition, layer)
    try:
        crs = pyproj.CRS.from_user_input(definition)
    except CRSError as exc:
        what = clip(str(exc), 200)
        raise _missing(f"{layer} has a coordinate reference system that cannot be read: {what}.") from exc
    check_crs(crs.to_wkt(), layer)
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    if crs.name.lower().startswith(("undefined", "unknown engineering")) or crs.is_engineering:
        raise _missing(f"{layer} has the coordinate reference system {clip(crs.name)!r}, which has no place on Earth.")
    if not (crs.is_geographic or crs.is_projected):
        raise _missing(f"{layer} has the coordinate reference system {clip(crs.name)!r}, which is no plane one.")
    return crs.to_2d()


def parse_target(definition: str) -> pyproj.CRS:
    """Read the CRS that a job asks for. Raises PermanentError unless PROJ knows it, and it has two axes on Earth."""
    try:
        crs = pyproj.CRS.from_user_input(definition)
    except CRSError as exc:
        raise _no_target(f"The target_crs {definition} is not known.") from exc
    if len(crs.axis_info) != 2 or not (crs.is_geographic or crs.is_projected):
        raise _no_target(f"The target_crs {definition} ({crs.name}) is a {crs.type_name}: tables hold x and y alone.")
    return crs


def _no_target(message: str) -> PermanentError:
    return PermanentError(
        message,
        remediation="Choose the code of a two-dimensional CRS in the EPSG registry, such as EPSG:4326.",
        code="target_crs_unknown",
    )


def _missing(message: str) -> PermanentError:
    return PermanentError(
        message,
        remediation='Name the CRS with "source_crs", such as "EPSG:25832", or write it into the file '
        "(for a shapefile: add the .prj file).",
        code="crs_missing",
    )


def label_of(crs: pyproj.CRS) -> str:
    """Give a CRS's authority code, such as EPSG:25832, or its name when it has none."""
    authority = crs.to_authority(min_confidence=_SURE)
    return ":".join(authority) if authority else str(crs.name)


def choose_operation(source: pyproj.CRS, target: pyproj.CRS, bounds: Bounds | None) -> Operation:
    """Choose the most accurate operation that works with the grids at hand in the area of the layer.

    `bounds` are the layer's, in its own CRS; None when they are not known.
    """
    if source.equals(target, ignore_axis_order=True):
        return Operation(None, "none: the coordinates are in the target CRS", 0.0, ())
    try:
        with warnings.catch_warnings():
            # That a better operation needs a grid is reported in missing_grids instead.
            warnings.simplefilter("ignore", UserWarning)
            area = _area(source, bounds)
            group = TransformerGroup(source, target, always_xy=True, area_of_interest=area)  # type: ignore[arg-type]
    except ProjError as exc:
        raise _no_operation(source, target) from exc
    usable = [found for found in group.transformers if found.definition]
    if not usable:
        raise _no_operation(source, target)
    best = usable[0]
    grids = () if group.best_available else _missing_grids(group)
    pipeline = None if best.definition.startswith("proj=noop") else best.definition
    accuracy = best.accuracy if best.accuracy >= 0 else None
    return Operation(pipeline, best.description, accuracy, grids)


@dataclass(frozen=True)
class Area:
    """Where a CRS is meant to be used, in degrees."""

    bounds: Bounds
    """West, south, east, north; west is greater than east where it crosses the antimeridian."""
    of_source: bool
    """The coordinates to compare with are those before the operation."""


def area_of(source: pyproj.CRS, target: pyproj.CRS) -> Area | None:
    """Give the source CRS's area of use, if the coordinates are in degrees before or after the operation."""
    used = source.area_of_use
    if used is None or not (source.is_geographic or target.is_geographic):
        return None
    return Area((used.west, used.south, used.east, used.north), source.is_geographic)


def wrap_of(source: pyproj.CRS, target: pyproj.CRS) -> Wrap:
    """Tell what is done about longitudes beyond 180 degrees."""
    unit = target.axis_info[0].unit_name if target.axis_info else ""
    if not target.is_geographic or unit != "degree":
        return "no"
    used = source.area_of_use
    # A CRS that is made for both sides of the antimeridian knows no line around the Earth.
    over = source.is_projected and used is not None and used.west > used.east
    return "lines" if over else "degrees"


def project_with(operation: Operation) -> Project | None:
    """Make the function that applies an operation to an array of shape (n, 2); None when there is nothing to do."""
    if operation.pipeline is None:
        return None
    transformer = Transformer.from_pipeline(operation.pipeline)

    def project(coordinates: Coordinates) -> Coordinates:
        x, y = transformer.transform(coordinates[:, 0], coordinates[:, 1], direction=TransformDirection.FORWARD)
        return np.stack((x, y), axis=1)

    return project


def _no_operation(source: pyproj.CRS, target: pyproj.CRS) -> PermanentError:
    return PermanentError(
        f"There is no way known from {label_of(source)} to {label_of(target)}.",
        remediation="Reproject the file to a common CRS such as EPSG:4326 first, and submit the new file.",
        code="crs_not_transformable",
    )


def _area(source: pyproj.CRS, bounds: Bounds | None) -> AreaOfInterest | None:
    if bounds is None or not np.isfinite(bounds).all():
        return None
    to_degrees = Transformer.from_crs(source, source.geodetic_crs or "EPSG:4326", always_xy=True)
    try:
        west, south, east, north = to_degrees.transform_bounds(*bounds)
    except ProjError:
        return None
    if not np.isfinite((west, south, east, north)).all() or not -90 <= south <= north <= 90:
        return None
    return AreaOfInterest(west, south, east, north)


def _missing_grids(group: TransformerGroup) -> tuple[str, ...]:
    best = group.unavailable_operations[:1]
    return tuple(grid.short_name for operation in best for grid in operation.grids if not grid.available)
