"""Coordinate operations: the one that brings the coordinates of a layer to the target CRS."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from operator import itemgetter
from typing import Literal, TypeAlias

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
from services.vector.geometry.wkb import Coordinates, Flags, Integers

Bounds: TypeAlias = tuple[float, float, float, float]
Project: TypeAlias = Callable[[Coordinates], Coordinates]
"""Takes and returns an array of shape (n, 2), x before y; inf where PROJ has no answer."""
SLACK = 1e-9
"""Degrees; what rounding may add at an edge."""
_MOST_DEGREES = 540.0
"""Longitudes beyond a turn to either side of -180 to 180 are no longitudes."""
_WORLD = (-180.0, -90.0, 180.0, 90.0)


@dataclass(frozen=True)
class LocalOperation:
    """A coordinate operation for a part of the Earth."""

    pipeline: str
    """PROJ pipeline, x before y on both sides."""
    description: str
    accuracy: float
    """Metres."""
    bounds: Bounds
    """As in Operation."""


@dataclass(frozen=True)
class Operation:
    """A coordinate operation, the same for every chunk, with those that replace it where it is not meant to be used."""

    pipeline: str | None
    """PROJ pipeline, x before y on both sides; None when coordinates stay as they are."""
    description: str
    accuracy: float | None
    """Metres; None when PROJ does not know."""
    missing_grids: tuple[str, ...]
    """Grids of a better operation that are not installed."""
    bounds: Bounds | None = None
    """Where it is meant to be used: west, south, east, north in degrees, west greater than east across the
    antimeridian. None when that is everywhere, or not known."""
    others: tuple[LocalOperation, ...] = ()
    """Those for the land before those for the sea, the most accurate first, then the one of the smallest area."""
    is_preferred: bool = True
    """It comes before the others wherever it may be used: it was chosen for the bounds of the layer."""
    degrees: Literal["source", "target", "neither"] = "target"
    """The side whose coordinates are in degrees."""
    to_degrees: str | None = None
    """A pipeline to degrees, where neither side is in degrees."""

    def as_json(self) -> Json:
        """Return the operation as JSON."""
        return asdict(self)

    def report(self) -> Json:
        """Return what people want to know of it, as JSON."""
        names = ("pipeline", "description", "accuracy")
        about = {**{name: getattr(self, name) for name in names}, "missing_grids": list(self.missing_grids)}
        return {**about, "elsewhere": [other.description for other in self.others]} if self.others else about

    @classmethod
    def from_json(cls, data: Json) -> Operation:
        """Read what as_json returned."""
        others = ({**other, "bounds": tuple(other["bounds"])} for other in data.get("others", ()))
        parts = {
            "missing_grids": tuple(data["missing_grids"]),
            "bounds": tuple(data["bounds"]) if data.get("bounds") else None,
            "others": tuple(LocalOperation(**other) for other in others),
        }
        return cls(**{**data, **parts})

    @property
    def areas(self) -> tuple[Bounds, ...]:
        """Where any of the operations is meant to be used; empty when that is everywhere."""
        return (self.bounds, *(other.bounds for other in self.others)) if self.bounds else ()


def choose_operation(source: pyproj.CRS, target: pyproj.CRS, bounds: Bounds | None) -> Operation:
    """Choose the most accurate operation that works with the installed grids in the area of the layer.

    Other operations come along for what lies outside of its own area: one for the 48 states alone would put Alaska 24 m
    off. PROJ's `proj_create_crs_to_crs` chooses for each point, too; this choice is written down, and alike in every
    task.

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
    area = _area(source, bounds)
    try:
        with warnings.catch_warnings():
            # That a better operation needs a grid is reported in missing_grids instead.
            warnings.simplefilter("ignore", UserWarning)
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
    return Operation(
        pipeline=None if best.definition.startswith("proj=noop") else best.definition,
        description=best.description,
        accuracy=best.accuracy if best.accuracy >= 0 else None,
        missing_grids=grids,
        bounds=_bounds_of(best),
        others=_local(usable[1:]),
        is_preferred=area is not None,
        degrees="source" if source.is_geographic else "target" if target.is_geographic else "neither",
        to_degrees=None if source.is_geographic or target.is_geographic else _to_degrees(source).definition,
    )


def _bounds_of(transformer: Transformer) -> Bounds | None:
    used = transformer.area_of_use
    bounds = (used.west, used.south, used.east, used.north) if used else None
    return None if bounds == _WORLD else bounds


def _local(transformers: Sequence[Transformer]) -> tuple[LocalOperation, ...]:
    """Return the operations that are made for a part of the Earth, those to prefer first."""
    ranked = []
    for found in transformers:
        if found.accuracy >= 0 and found.area_of_use and (bounds := _bounds_of(found)):
            west, south, east, north = bounds
            # Bounds do not tell where the coast is: as for PROJ, an operation for the sea comes after those for the
            # land.
            rank = ("- offshore" in found.area_of_use.name, found.accuracy, ((east - west) % 360.0) * (north - south))
            ranked.append((rank, LocalOperation(found.definition, found.description, found.accuracy, bounds)))
    return tuple(operation for _, operation in sorted(ranked, key=itemgetter(0)))


def is_within(coordinates: Coordinates, bounds: Bounds) -> Flags:
    """Return which points lie within bounds in degrees, with some slack; shape (n,).

    Longitudes may be a turn around the Earth to either side. Bounds cross the antimeridian where west is greater than
    east.
    """
    west, south, east, north = bounds
    x, y = coordinates[:, 0], coordinates[:, 1]
    # Degrees east of the western edge: an edge at 180 is one at -180. Points without an answer are infinite, and within
    # nothing.
    with np.errstate(invalid="ignore"):
        east_of_west = (x - west + SLACK) % 360.0
    within = east_of_west <= (east - west) % 360.0 + 2 * SLACK if east - west < 360 else np.isfinite(x)
    return np.asarray(within & (np.abs(x) <= _MOST_DEGREES) & (y >= south - SLACK) & (y <= north + SLACK))


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
    apply = partial(_apply, lru_cache(Transformer.from_pipeline))
    if operation.bounds is None or not operation.others:
        return partial(apply, operation.pipeline) if operation.pipeline else None

    def project(coordinates: Coordinates) -> Coordinates:
        result = apply(operation.pipeline, coordinates)
        places = {"source": coordinates, "target": result}.get(operation.degrees)
        chosen = _choose(operation, apply(operation.to_degrees, coordinates) if places is None else places)
        for number in np.unique(chosen[chosen >= 0]).tolist():
            points = chosen == number
            result[points] = apply(operation.others[number].pipeline, coordinates[points])
        return result

    return project


def _apply(transformer_of: Callable[[str], Transformer], pipeline: str | None, coordinates: Coordinates) -> Coordinates:
    if pipeline is None:
        return coordinates.copy()
    x, y = coordinates[:, 0], coordinates[:, 1]
    return np.stack(transformer_of(pipeline).transform(x, y, direction=TransformDirection.FORWARD), axis=1)


def _choose(operation: Operation, places: Coordinates) -> Integers:
    """Return the number of the operation in `others` for each point; -1 for the first one, and where none is for it."""
    assert operation.bounds is not None
    chosen = np.full(len(places), -1)
    within = is_within(places, operation.bounds)
    left = ~within if operation.is_preferred else np.ones_like(within)
    for number, other in enumerate(operation.others):
        if not left.any():
            break
        if not operation.is_preferred and operation.accuracy is not None and other.accuracy >= operation.accuracy:
            left &= ~within
        found = left & is_within(places, other.bounds)
        chosen[found] = number
        left &= ~found
    return chosen


def _no_operation(source: pyproj.CRS, target: pyproj.CRS) -> PermanentError:
    return PermanentError(
        f"PROJ has no transformation from {crs_label(source)} to {crs_label(target)}.",
        remediation="Reproject the file to a common CRS such as EPSG:4326 first, and submit the new file.",
        code="crs_not_transformable",
    )


def _area(source: pyproj.CRS, bounds: Bounds | None) -> AreaOfInterest | None:
    if bounds is None or not np.isfinite(bounds).all():
        return None
    try:
        west, south, east, north = _to_degrees(source).transform_bounds(*bounds)
    except ProjError:
        return None
    # Bounds may be wrong, or reach where the CRS has no answer: PROJ chooses for the CRS's own area then.
    if not np.isfinite((west, south, east, north)).all() or not -90 <= south <= north <= 90:
        return None
    return AreaOfInterest(west, south, east, north)


def _to_degrees(source: pyproj.CRS) -> Transformer:
    return Transformer.from_crs(source, source.geodetic_crs or "EPSG:4326", always_xy=True)
