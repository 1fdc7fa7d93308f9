"""Coordinate operations: the one that brings the coordinates of a layer to the target CRS."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pyproj
from pyproj.aoi import AreaOfInterest
from pyproj.enums import TransformDirection
from pyproj.exceptions import ProjError
from pyproj.transformer import Transformer, TransformerGroup

from schema.errors import PermanentError
from schema.jobs import Json
from services.crs import crs_label
from services.vector.geometry.antimeridian import Wrap
from services.vector.geometry.wkb import Coordinates

Bounds: TypeAlias = tuple[float, float, float, float]
Project: TypeAlias = Callable[[Coordinates], Coordinates]
"""Takes and returns an array of shape (n, 2), x before y; inf where PROJ has no answer."""


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
        """Return the operation as JSON."""
        return {**self.__dict__, "missing_grids": list(self.missing_grids)}

    @classmethod
    def from_json(cls, data: Json) -> Operation:
        """Read what as_json returned."""
        return cls(**{**data, "missing_grids": tuple(data["missing_grids"])})


def choose_operation(source: pyproj.CRS, target: pyproj.CRS, bounds: Bounds | None) -> Operation:
    """Choose the most accurate operation that works with the installed grids in the area of the layer.

    Parameters
    ----------
    bounds
        The layer's xmin, ymin, xmax, ymax in its own CRS; None when they are not known.

    Raises
    ------
    PermanentError
        crs_not_transformable: PROJ has no operation between the two.
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
    # An operation without a definition needs a grid that is not installed.
    usable = [found for found in group.transformers if found.definition]
    if not usable:
        raise _no_operation(source, target)
    best = usable[0]
    better = () if group.best_available else group.unavailable_operations[:1]
    grids = tuple(grid.short_name for operation in better for grid in operation.grids if not grid.available)
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
    """Return the source CRS's area of use; None when the coordinates are in degrees on neither side."""
    used = source.area_of_use
    if used is None or not (source.is_geographic or target.is_geographic):
        return None
    return Area((used.west, used.south, used.east, used.north), source.is_geographic)


def wrap_of(source: pyproj.CRS, target: pyproj.CRS) -> Wrap:
    """Return what is done about longitudes beyond 180 degrees, which only a target in degrees can have."""
    unit = target.axis_info[0].unit_name if target.axis_info else ""
    if not target.is_geographic or unit != "degree":
        return "no"
    used = source.area_of_use
    # Coordinates of a CRS made for both sides of the antimeridian (EPSG:3832, say) hold no line around the Earth, so
    # one that jumps in degrees crosses.
    over = source.is_projected and used is not None and used.west > used.east
    return "lines" if over else "degrees"


def project_with(operation: Operation) -> Project | None:
    """Return the function that applies an operation to coordinates; None when they stay as they are."""
    if operation.pipeline is None:
        return None
    transformer = Transformer.from_pipeline(operation.pipeline)

    def project(coordinates: Coordinates) -> Coordinates:
        x, y = transformer.transform(coordinates[:, 0], coordinates[:, 1], direction=TransformDirection.FORWARD)
        return np.stack((x, y), axis=1)

    return project


def _no_operation(source: pyproj.CRS, target: pyproj.CRS) -> PermanentError:
    return PermanentError(
        f"PROJ has no transformation from {crs_label(source)} to {crs_label(target)}.",
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
    # Bounds may be wrong, or reach where the CRS has no answer: PROJ chooses for the CRS's own area then.
    if not np.isfinite((west, south, east, north)).all() or not -90 <= south <= north <= 90:
        return None
    return AreaOfInterest(west, south, east, north)
