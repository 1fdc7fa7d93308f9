"""Coordinate reference systems: the one place where they are parsed, named, compared and joined by a transformation."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt
from pyproj import CRS, Transformer
from pyproj.aoi import AreaOfInterest
from pyproj.exceptions import CRSError, ProjError
from pyproj.transformer import TransformerGroup

from schema.clipping import clip
from schema.errors import PermanentError
from services.references import check_crs

WGS84 = CRS("EPSG:4326")
_MIN_CONFIDENCE = 70
"""Percent. From 70 on PROJ has compared datum, axes and projection and found them equivalent, whatever the names; at 50
only the ellipsoid matches, and the datum may lie hundreds of metres away (proj_identify in PROJ's C API)."""


Values = npt.NDArray[np.float64]
Bounds = tuple[float, float, float, float]
"""West, south, east, north."""


@dataclass(frozen=True)
class Operation:
    """One way from a CRS to another, the same for all places; x before y in both, without heights.

    A CRS may have many operations to another, each for an area of its own. PROJ chooses by place, so a raster over two
    areas would have a fault where they meet, and one outside all of them other places there than back.
    """

    transformer: Transformer
    pipeline: str | None
    """The same for GDAL, in the CRSs' own order of axes; None between CRSs that place coordinates alike."""
    center_longitude: float | None = None
    """Degrees; of a geographic source whose longitudes are not those from -180 to 180."""

    def forward(self, x: Values, y: Values) -> tuple[Values, Values]:
        """Return coordinates of the source in the target; infinite where the operation is not defined."""
        found_x, found_y = self.transformer.transform(x, y)
        return np.asarray(found_x), np.asarray(found_y)

    def inverse(self, x: Values, y: Values) -> tuple[Values, Values]:
        """Return coordinates of the target in the source; infinite where the operation is not defined."""
        found_x, found_y = (np.asarray(v) for v in self.transformer.transform(x, y, direction="INVERSE"))
        if self.center_longitude is not None:
            found_x = found_x - 360.0 * np.round((found_x - self.center_longitude) / 360.0)
        return found_x, found_y


def authority_of(crs: CRS) -> tuple[str, str] | None:
    """Return the authority and code of a CRS, such as ("EPSG", "25832"); None when no registry has it."""
    found = crs.to_authority(min_confidence=_MIN_CONFIDENCE)
    return (str(found[0]), str(found[1])) if found else None


def crs_label(crs: CRS) -> str:
    """Return the code of a CRS as messages show it, such as EPSG:25832, or its name when it has none."""
    authority = authority_of(crs)
    return ":".join(authority) if authority else str(crs.name)


def horizontal(crs: CRS) -> CRS:
    """Return a CRS without its vertical part."""
    return crs.sub_crs_list[0] if crs.is_compound else crs.to_2d()


def same_crs(one: CRS, other: CRS) -> bool:
    """Whether two CRSs place coordinates alike, x before y; heights and the order of axes do not matter.

    WGS 84 and ETRS89 are two, although they differ by less than a metre.
    """
    one, other = horizontal(one), horizontal(other)
    # WKT 1 as GeoTIFF and .prj files have it leaves out what PROJ compares (axes, extents, ensembles); the code decides
    # there.
    return bool(one.equals(other, ignore_axis_order=True)) or crs_label(one) == crs_label(other)


def parse_crs(definition: str) -> CRS:
    """Return the CRS of an authority's code or a WKT.

    Raises
    ------
    PermanentError
        crs_unknown: PROJ does not know it.
    """
    try:
        return CRS.from_user_input(definition)
    except CRSError as exc:
        raise PermanentError(
            f"The coordinate reference system {definition!r} is not known to PROJ.",
            remediation="Use an authority's code such as EPSG:32633; https://epsg.org lists them.",
            code="crs_unknown",
        ) from exc


def parse_layer_crs(definition: str | None, layer: str = "The layer") -> CRS:
    """Return the CRS of a vector layer without its vertical part; `layer` begins the sentences of errors.

    Raises
    ------
    PermanentError
        crs_missing: there is none, or none whose coordinates can be placed on Earth. external_reference: it names a
        file.
    """
    if not definition:
        raise _missing(f"{layer} has no coordinate reference system.")
    # PROJ opens what +init names while it reads the definition, and grids when it has been read.
    check_crs(definition, layer)
    try:
        crs = CRS.from_user_input(definition)
    except CRSError as exc:
        what = clip(str(exc), 200)
        raise _missing(f"{layer} has a coordinate reference system that cannot be read: {what}.") from exc
    check_crs(crs.to_wkt(), layer)
    if crs.is_compound:
        crs = crs.sub_crs_list[0]
    name = clip(crs.name)
    # Drivers write a placeholder where a format requires a CRS and the data have none.
    if crs.name.lower().startswith(("undefined", "unknown engineering")) or crs.is_engineering:
        raise _missing(f"{layer} has the coordinate reference system {name!r}, which is not tied to the Earth.")
    if not (crs.is_geographic or crs.is_projected):
        raise _missing(
            f"{layer} has the coordinate reference system {name!r}, which is neither geographic nor projected."
        )
    return crs.to_2d()


def parse_target_crs(definition: str) -> CRS:
    """Return the CRS that a table of vectors shall have.

    Raises
    ------
    PermanentError
        target_crs_unknown: PROJ does not know it, or it does not have exactly the axes x and y.
    """
    remediation = "Choose the code of a two-dimensional CRS in the EPSG registry, such as EPSG:4326."
    try:
        crs = CRS.from_user_input(definition)
    except CRSError as exc:
        message = f"The target_crs {definition} is not known to PROJ."
        raise PermanentError(message, remediation=remediation, code="target_crs_unknown") from exc
    if len(crs.axis_info) != 2 or not (crs.is_geographic or crs.is_projected):
        message = f"The target_crs {definition} ({crs.name}) is a {crs.type_name}: tables hold x and y alone."
        raise PermanentError(message, remediation=remediation, code="target_crs_unknown")
    return crs


def check_geographic_or_projected(crs: CRS) -> None:
    """Check that a CRS has two axes on the Earth's surface: not heights alone, not a place from the Earth's centre.

    Raises
    ------
    PermanentError
        crs_not_plane
    """
    if not (horizontal(crs).is_geographic or horizontal(crs).is_projected):
        raise PermanentError(
            f"{crs_label(crs)} is a {crs.type_name}: its coordinates do not place pixels on a map.",
            remediation="Name a geographic or projected CRS, such as EPSG:4326 or EPSG:32633.",
            code="crs_not_plane",
        )


def transformer_between(label: str, source: CRS, target: CRS) -> Transformer:
    """Return PROJ's transformation between the horizontal parts of two CRSs, x before y in both.

    Where PROJ knows several operations it chooses by place, so two neighbors may be moved differently, by up to some
    hundred metres; operation_between returns one for all places.

    Parameters
    ----------
    label
        Names the file in the error.
    source, target
        Geographic or projected; coordinates are in their units.

    Raises
    ------
    PermanentError
        crs_not_transformable
    """
    # An engineering CRS, of a building site for example, is not tied to the Earth, whatever operation PROJ may find.
    if not (source.is_engineering or horizontal(source).is_engineering):
        try:
            return Transformer.from_crs(horizontal(source), horizontal(target), always_xy=True)
        except ProjError:
            pass
    raise crs_not_transformable(label, source, target)


# PROJ takes 0.1 s to compare operations, and each tile of a raster asks for the same one.
@lru_cache(maxsize=32)
def operation_between(
    label: str, source: CRS, target: CRS, area: Bounds | None, center_longitude: float | None = None
) -> Operation:
    """Return the operation that PROJ holds for the best one in an area.

    Parameters
    ----------
    label
        Names the file in the error.
    source, target
        Only their horizontal parts count.
    area
        Longitudes and latitudes of the file, in degrees; None when they are not known.
    center_longitude
        Of the file; see Operation.

    Raises
    ------
    PermanentError
        crs_not_transformable
    """
    # Checked first: this refuses what is not tied to the Earth.
    anywhere = transformer_between(label, source, target)
    source, target = horizontal(source), horizontal(target)
    if same_crs(source, target):
        return Operation(anywhere, None)
    options: dict[str, Any] = {"area_of_interest": AreaOfInterest(*area) if area else None}
    with warnings.catch_warnings():
        # pyproj warns when a better operation needs a grid file that is not there; PROJ then takes the next one.
        warnings.simplefilter("ignore", UserWarning)
        found = TransformerGroup(source, target, always_xy=True, **options).transformers
        plain = TransformerGroup(source, target, **options).transformers
    if not found or len(found) != len(plain):
        raise crs_not_transformable(label, source, target)
    pipeline = " ".join(str(plain[0].to_proj4()).split())
    return Operation(found[0], pipeline, center_longitude)


def crs_not_transformable(label: str, source: CRS, target: CRS) -> PermanentError:
    """Return the error of a file whose coordinates cannot be brought from one CRS to another."""
    return PermanentError(
        f"{label} is in {crs_label(source)}, which cannot be transformed to {crs_label(target)}.",
        remediation="If the file really is in another CRS, submit it with source_crs.",
        code="crs_not_transformable",
    )


def _missing(message: str) -> PermanentError:
    return PermanentError(
        message,
        remediation='Name the CRS with "source_crs", such as "EPSG:25832", or write it into the file '
        "(for a shapefile: add the .prj file).",
        code="crs_missing",
    )
