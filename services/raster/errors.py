"""What can be wrong with a raster, and what its owner can do about it; and the seam to rasterio's errors."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from schema.errors import PermanentError, TransientError

GDAL_ERRORS = (RasterioError, CPLE_BaseError)
FULL_BYTES = 8_000_000
"""With less free space than this a failed write is put down to a full disk."""


class DiskFull(TransientError):
    """The worker has too little free disk; another one may have more."""

    code = "disk_full"
    category = "infrastructure"


class OutputFailed(TransientError):
    """An output could not be written, or did not pass its own validation."""

    code = "output_failed"
    category = "infrastructure"


def file_empty(label: str) -> PermanentError:
    """Make the error for a blob without bytes."""
    return PermanentError(
        f"{label} is empty: it has no bytes.", remediation="Upload the file again.", code="file_empty"
    )


def not_a_geotiff(label: str, looks_like: str) -> PermanentError:
    """Make the error for a blob that does not begin as a TIFF does."""
    return PermanentError(
        f"{label} is no GeoTIFF, whatever its name says: it looks like {looks_like}.",
        remediation="Convert it to GeoTIFF (gdal_translate -of GTiff) and upload that.",
        code="wrong_format",
    )


def unreadable(label: str, reason: str) -> PermanentError:
    """Make the error for a TIFF that GDAL cannot open."""
    return PermanentError(
        f"{label} cannot be read as a GeoTIFF: {reason}.",
        remediation="The file is damaged or cut off. Check it with gdalinfo, upload it again, and submit the new file.",
        code="raster_unreadable",
    )


def damaged(label: str, count: int, first: str) -> PermanentError:
    """Make the error for blocks of pixels that cannot be read."""
    return PermanentError(
        f"{label} is damaged or cut off: {count} of its blocks cannot be read; the first is {first}.",
        remediation="Upload the file again; if it is damaged at its origin, make it anew. validate_raster lists the "
        "damaged blocks.",
        code="raster_damaged",
    )


def crs_missing(label: str) -> PermanentError:
    """Make the error for a raster without a CRS."""
    return PermanentError(
        f"{label} has no coordinate reference system, so its place on Earth is not known.",
        remediation='Submit it with source_crs, for example "source_crs": "EPSG:32633".',
        code="crs_missing",
    )


def crs_unknown(definition: str) -> PermanentError:
    """Make the error for a CRS code that PROJ does not know."""
    return PermanentError(
        f"{definition!r} is no coordinate reference system that PROJ knows.",
        remediation="Use an authority's code such as EPSG:32633; https://epsg.org lists them.",
        code="crs_unknown",
    )


def crs_not_transformable(label: str, crs: str, target: str) -> PermanentError:
    """Make the error for a CRS that has no way to the target."""
    return PermanentError(
        f"{label} is in {crs}, from which no transformation leads to {target}.",
        remediation="If the raster really is in another CRS, submit it with source_crs.",
        code="crs_not_transformable",
    )


def not_georeferenced(label: str) -> PermanentError:
    """Make the error for a raster that says in which CRS it is, but not where."""
    return PermanentError(
        f"{label} has neither a geotransform nor ground control points: nothing says where its pixels lie.",
        remediation="Give it a position, for example with gdal_translate -a_ullr, and upload it again.",
        code="not_georeferenced",
    )


def longitudes_beyond_180(label: str, longitude: float) -> PermanentError:
    """Make the error for a raster that counts longitudes from 0 to 360 and is to be reprojected."""
    return PermanentError(
        f"{label} reaches longitude {longitude:g}; reprojection finds pixels up to 180 degrees only.",
        remediation='Submit it with target_crs "native", or turn it first: gdalwarp -te -180 -90 180 90.',
        code="longitudes_beyond_180",
    )


def unsupported_dtype(label: str, dtype: str) -> PermanentError:
    """Make the error for pixels that cannot be reprojected."""
    return PermanentError(
        f"{label} has pixels of type {dtype}, which process_raster does not reproject.",
        remediation="Use cog_conversion, which keeps the pixels as they are, or split it into real bands.",
        code="unsupported_dtype",
    )


def raster_too_large(label: str, size_gb: float, limit_gb: float) -> PermanentError:
    """Make the error for a raster over the limit for one task. Sizes are 1e9 bytes of uncompressed pixels."""
    return PermanentError(
        f"{label} has {size_gb:.6g} GB of pixels; a single task processes at most {limit_gb:g} GB.",
        remediation="Submit it as process_large_raster, which works in tiles.",
        code="raster_too_large",
    )


def output_too_large(size_gb: float, limit_gb: float, target: str) -> PermanentError:
    """Make the error for a grid that grows beyond reason when it is reprojected."""
    return PermanentError(
        f"Reprojected to {target}, the raster would have {size_gb:.3g} GB of pixels, mostly empty; the limit is "
        f"{limit_gb:.3g} GB.",
        remediation='Choose a target_crs that suits its place and shape, or "native".',
        code="output_too_large",
    )


def nodata_out_of_range(nodata: float, dtype: str) -> PermanentError:
    """Make the error for a nodata value that no pixel can have."""
    return PermanentError(
        f"nodata {nodata:g} is no value of {dtype}, the raster's data type.",
        remediation="Give a nodata value that a pixel can have, or none.",
        code="nodata_out_of_range",
    )


def check_disk(folder: Path, needed_bytes: int) -> None:
    """See that a folder's disk has room. Raises DiskFull."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskFull(
            f"The task needs about {needed_bytes / 1e9:.2f} GB of disk; {free / 1e9:.2f} GB are free.",
            remediation="Give the worker more temporary storage, or run fewer tasks at once on it.",
        )


@contextmanager
def reading(label: str) -> Iterator[None]:
    """Turn GDAL's errors into one for the source's owner."""
    try:
        yield
    except GDAL_ERRORS as exc:
        raise unreadable(label, _first_line(exc)) from exc


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn errors of writing into DiskFull or OutputFailed: the source was read before, so they are not its own."""
    try:
        yield
    except (*GDAL_ERRORS, OSError) as exc:
        if getattr(exc, "errno", None) == errno.ENOSPC or shutil.disk_usage(folder).free < FULL_BYTES:
            raise DiskFull(
                "The worker's disk is full.",
                remediation="Give the worker more temporary storage, or run fewer tasks at once on it.",
            ) from exc
        raise OutputFailed(
            f"An output could not be written: {_first_line(exc)}.",
            remediation="It is tried again; if it keeps happening, look at the worker's disk and memory.",
        ) from exc


def _first_line(exc: BaseException) -> str:
    # Paths of the work folder say nothing to the reader.
    cause = exc.__cause__ or exc
    text = str(cause).strip().splitlines()
    return (text[0] if text else type(cause).__name__).rstrip(".")[:300]
