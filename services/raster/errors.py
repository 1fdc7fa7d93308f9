"""What can be wrong with a raster, and what its owner can do about it; and the seam to rasterio's errors."""

from __future__ import annotations

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from schema.clipping import clip
from schema.errors import PermanentError, TransientError
from services.file_kinds import GEOTIFF, kind_of_bytes, kind_of_name

GDAL_ERRORS = (RasterioError, CPLE_BaseError)
FULL_BYTES = 8_000_000
"""A failed write with less free space than this counts as a full disk, since errors of GDAL have no errno."""


_MORE_DISK = "Add temporary storage to the worker, or run fewer tasks at once on it."


class DiskFull(TransientError):
    """The worker has too little free disk; another one may have more."""

    code = "disk_full"
    category = "infrastructure"


class OutputFailed(TransientError):
    """An output could not be written, or did not pass its own validation."""

    code = "output_failed"
    category = "infrastructure"


def file_empty(*, label: str) -> PermanentError:
    return PermanentError(
        f"{label} is empty: it has no bytes.",
        remediation="Upload the file again.",
        code="file_empty",
    )


def not_a_geotiff(*, label: str, head: bytes) -> PermanentError:
    # The bytes count where they say something; a CSV is known by its name alone.
    named = kind_of_name(label)
    kind = kind_of_bytes(head, label) or (named if named and named.what != GEOTIFF.what else None)
    text = "text" if head.isascii() and b"\0" not in head else "an unknown binary format"
    return PermanentError(
        f"{label} is not a GeoTIFF: it looks like {kind.what if kind else text}.",
        remediation=kind.remedy if kind else "Convert it to GeoTIFF (gdal_translate -of GTiff) and upload that.",
        code="wrong_format",
    )


def unreadable(*, label: str, reason: str) -> PermanentError:
    return PermanentError(
        f"{label} cannot be read as a GeoTIFF: {reason}.",
        remediation="The file is damaged or cut off. Check it with gdalinfo, upload it again, and submit the new file.",
        code="raster_unreadable",
    )


def codec_not_supported(*, label: str, codec: str) -> PermanentError:
    return PermanentError(
        f"{label} is compressed with {codec}, which this GDAL cannot decode; the file may be whole.",
        remediation="Write it with another compression (gdal_translate -co COMPRESS=ZSTD), and upload that file.",
        code="codec_not_supported",
    )


def blocks_too_large(*, label: str, megabytes: float) -> PermanentError:
    return PermanentError(
        f"{label} cannot be read in bounded memory: its pixels are compressed in blocks of {megabytes:.0f} MB, and "
        "GDAL decodes a block as a whole.",
        remediation="Write it in tiles (gdal_translate -co TILED=YES), upload it again, and submit the new file.",
        code="raster_unreadable",
    )


def refers_elsewhere(*, label: str, domain: str) -> PermanentError:
    return PermanentError(
        f"{label} names another file in its metadata (domain {domain}); files that a file names are not opened.",
        remediation="Write it again without that metadata (gdal_translate -co PROFILE=GeoTIFF), and upload that file.",
        code="external_reference",
    )


_UPLOAD_AGAIN = (
    "Upload the file again; if the original is damaged too, restore or rebuild it. validate_raster lists the damaged "
    "blocks."
)


def damaged(*, label: str, count: int, first: str) -> PermanentError:
    return PermanentError(
        f"{label} is damaged or cut off: {count} of its blocks cannot be read; the first is {first}.",
        remediation=_UPLOAD_AGAIN,
        code="raster_damaged",
    )


def tile_damaged(*, label: str, tile_id: str, reason: str) -> PermanentError:
    return PermanentError(
        f"{label} is damaged or cut off: pixels that tile {tile_id} is made of cannot be read ({reason}).",
        remediation=_UPLOAD_AGAIN,
        code="raster_damaged",
    )


def crs_missing(*, label: str) -> PermanentError:
    return PermanentError(
        f"{label} has no coordinate reference system, so its place on Earth is not known.",
        remediation='Submit it with source_crs, for example "source_crs": "EPSG:32633".',
        code="crs_missing",
    )


def not_on_earth(*, label: str, crs: str) -> PermanentError:
    return PermanentError(
        f"{label} does not lie on Earth: the coordinates that its georeference gives do not exist in {crs}.",
        remediation="Correct its geotransform (gdal_edit.py -a_ullr) or its CRS (gdal_edit.py -a_srs), and upload "
        "it again.",
        code="not_on_earth",
    )


def not_georeferenced(*, label: str, world_file: str | None = None) -> PermanentError:
    beside = f" The world file {clip(world_file)} beside it is not read." if world_file else ""
    return PermanentError(
        f"{label} has neither a geotransform nor ground control points, so the position of its pixels is not known."
        f"{beside}",
        remediation="Write the position into the file and upload it again: gdal_translate IN.tif OUT.tif takes it from "
        "a world file beside IN.tif, or else from -a_ullr.",
        code="not_georeferenced",
    )


def longitudes_beyond_180(*, label: str, longitude: float) -> PermanentError:
    return PermanentError(
        f"{label} reaches longitude {longitude:g} and goes around the Earth more than once, so places have two pixels.",
        remediation='Submit it with target_crs "native", or cut it to one turn first: gdalwarp -te -180 -90 180 90.',
        code="longitudes_beyond_180",
    )


def unsupported_dtype(*, label: str, dtype: str) -> PermanentError:
    return PermanentError(
        f"{label} has pixels of type {dtype}, which process_raster does not reproject.",
        remediation="Use cog_conversion, which keeps the pixels as they are, or split it into real bands.",
        code="unsupported_dtype",
    )


def raster_too_large(*, label: str, gigabytes: float, limit: float) -> PermanentError:
    return PermanentError(
        f"{label} has {gigabytes:.6g} GB of pixels; a single task processes at most {limit:g} GB.",
        remediation="Submit it as process_large_raster, which works in tiles.",
        code="raster_too_large",
    )


def raster_too_small(*, label: str, gigabytes: float, limit: float) -> PermanentError:
    return PermanentError(
        f"{label} has {gigabytes:.6g} GB of pixels; process_large_raster takes rasters of more than {limit:g} GB.",
        remediation="Submit it as process_raster, or as tile_raster, which makes tiles of a raster of any size.",
        code="raster_too_small",
    )


def plan_not_found(*, plan_id: str) -> PermanentError:
    return PermanentError(
        f"The tiling plan {plan_id} does not exist.",
        remediation="Submit the plan_id of a generate_tiling_plan job that has completed, or leave it out to make "
        "a new plan.",
        code="plan_not_found",
    )


def plan_of_another_source(*, plan_id: str, planned: str, label: str) -> PermanentError:
    return PermanentError(
        f"The tiling plan {plan_id} was made for {planned}, not for {label} as it is now.",
        remediation="Submit generate_tiling_plan for the file, or leave plan_id out.",
        code="plan_of_another_source",
    )


_WAIT_FOR_PLAN = "Wait until that job has ended, or leave plan_id out to make a plan of your own."


def plan_taken(*, plan_id: str, job_id: str) -> PermanentError:
    return PermanentError(
        f"The tiling plan {plan_id} is in use by job {job_id}, which is still running.",
        remediation=_WAIT_FOR_PLAN,
        code="plan_taken",
    )


def plan_lost(*, plan_id: str) -> PermanentError:
    return PermanentError(
        f"The tiling plan {plan_id}, or the output folder of its tiles, was taken over by another job.",
        remediation=_WAIT_FOR_PLAN,
        code="plan_taken",
    )


def output_taken(*, label: str, version: str, job_id: str) -> PermanentError:
    return PermanentError(
        f"The tiles of {label}, version {version}, are being made by job {job_id}, which is still running.",
        remediation="Wait until that job has ended, or choose another version_id.",
        code="output_taken",
    )


def output_too_large(*, crs: str, gigabytes: float, limit: float) -> PermanentError:
    return PermanentError(
        f"Reprojected to {crs}, the raster would have {gigabytes:.3g} GB of pixels, mostly empty; the limit is "
        f"{limit:.3g} GB.",
        remediation='Choose a target_crs that suits its place and shape, or "native".',
        code="output_too_large",
    )


def nodata_out_of_range(*, nodata: float, dtype: str) -> PermanentError:
    return PermanentError(
        f"The nodata value {nodata:g} is out of range for the raster's data type {dtype}.",
        remediation="Use a nodata value that a pixel of that type can have, or none.",
        code="nodata_out_of_range",
    )


def check_disk(folder: Path, needed_bytes: int) -> None:
    """Check that a folder's disk has room. Raises DiskFull."""
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise DiskFull(
            f"The task needs about {needed_bytes / 1e9:.2f} GB of disk; {free / 1e9:.2f} GB are free.",
            remediation=_MORE_DISK,
        )


@contextmanager
def reading(label: str) -> Iterator[None]:
    """Turn GDAL's errors within the block into raster_unreadable, which names the source."""
    try:
        yield
    except GDAL_ERRORS as exc:
        reason = first_line(exc)
        # GDAL knows codecs by name that it was built without; of others it says "of code 34712".
        codec = re.search(r"missing codec (?:of code )?(\S+)", reason)
        if codec:
            name = f"the method of TIFF's compression code {codec[1]}" if codec[1].isdigit() else codec[1]
            raise codec_not_supported(label=label, codec=name) from exc
        raise unreadable(label=label, reason=reason) from exc


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """Turn errors of writing within the block into DiskFull or OutputFailed."""
    try:
        yield
    except (*GDAL_ERRORS, OSError) as exc:
        if getattr(exc, "errno", None) == errno.ENOSPC or shutil.disk_usage(folder).free < FULL_BYTES:
            raise DiskFull(
                "The worker's disk is full.",
                remediation=_MORE_DISK,
            ) from exc
        raise OutputFailed(
            f"An output could not be written: {first_line(exc)}.",
            remediation="The task is retried; if it keeps failing, check the worker's disk and memory.",
        ) from exc


def first_line(exc: BaseException) -> str:
    """Return the first line of an error of GDAL, without a full stop."""
    # rasterio raises "Read failed. See previous exception for details." from the error of GDAL that has the reason.
    cause = exc.__cause__ or exc
    text = str(cause).strip().splitlines()
    return (text[0] if text else type(cause).__name__).rstrip(".")[:300]
