"""What can be wrong with a raster, and what its owner can do about it; and the seam to rasterio's errors."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError

from schema.errors import PermanentError, TransientError
from services.references import EXTERNAL_REFERENCE

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


@dataclass(frozen=True)
class Fault:
    """A kind of fault that a raster may have. Called with what fills the places of its sentence, it makes the error."""

    code: str
    sentence: str
    remediation: str

    def __call__(self, *parts: object) -> PermanentError:
        """Make the error."""
        return PermanentError(self.sentence.format(*parts), remediation=self.remediation, code=self.code)


file_empty = Fault("file_empty", "{} is empty: it has no bytes.", "Upload the file again.")
not_a_geotiff = Fault(
    "wrong_format",
    "{} is no GeoTIFF, whatever its name says: it looks like {}.",
    "Convert it to GeoTIFF (gdal_translate -of GTiff) and upload that.",
)
unreadable = Fault(
    "raster_unreadable",
    "{} cannot be read as a GeoTIFF: {}.",
    "The file is damaged or cut off. Check it with gdalinfo, upload it again, and submit the new file.",
)
refers_elsewhere = Fault(
    EXTERNAL_REFERENCE,
    "{} names another file in its metadata (domain {}); files that a file names are not opened.",
    "Write it again without that metadata (gdal_translate -co PROFILE=GeoTIFF), and upload the new file.",
)
damaged = Fault(
    "raster_damaged",
    "{} is damaged or cut off: {} of its blocks cannot be read; the first is {}.",
    "Upload the file again; if it is damaged at its origin, make it anew. validate_raster lists the damaged blocks.",
)
tile_damaged = Fault(
    "raster_damaged",
    "{} is damaged or cut off: pixels that tile {} is made of cannot be read ({}).",
    "Upload the file again; if it is damaged at its origin, make it anew. validate_raster lists the damaged blocks.",
)
crs_missing = Fault(
    "crs_missing",
    "{} has no coordinate reference system, so its place on Earth is not known.",
    'Submit it with source_crs, for example "source_crs": "EPSG:32633".',
)
crs_unknown = Fault(
    "crs_unknown",
    "{!r} is no coordinate reference system that PROJ knows.",
    "Use an authority's code such as EPSG:32633; https://epsg.org lists them.",
)
crs_not_transformable = Fault(
    "crs_not_transformable",
    "{} is in {}, from which no transformation leads to {}.",
    "If the raster really is in another CRS, submit it with source_crs.",
)
crs_not_plane = Fault(
    "crs_not_plane",
    "{} has no plane coordinates: it is {}.",
    "Name a geographic or projected CRS, such as EPSG:4326 or EPSG:32633.",
)
not_on_earth = Fault(
    "not_on_earth",
    "{} lies nowhere on Earth by its georeference, which is in {}.",
    "Correct its geotransform (gdal_edit.py -a_ullr) or its CRS (gdal_edit.py -a_srs), and upload it anew.",
)
item_taken = Fault(
    "item_taken",
    "The item {} of the collection {} is that of {}: the names of both make the same id.",
    "Submit it with another version_id or collection_id, or rename the file.",
)
not_georeferenced = Fault(
    "not_georeferenced",
    "{} has neither a geotransform nor ground control points: nothing says where its pixels lie.",
    "Give it a position, for example with gdal_translate -a_ullr, and upload it again.",
)
longitudes_beyond_180 = Fault(
    "longitudes_beyond_180",
    "{} reaches longitude {:g}; reprojection finds pixels up to 180 degrees only.",
    'Submit it with target_crs "native", or turn it first: gdalwarp -te -180 -90 180 90.',
)
unsupported_dtype = Fault(
    "unsupported_dtype",
    "{} has pixels of type {}, which process_raster does not reproject.",
    "Use cog_conversion, which keeps the pixels as they are, or split it into real bands.",
)
raster_too_large = Fault(
    "raster_too_large",
    "{} has {:.6g} GB of pixels; a single task processes at most {:g} GB.",
    "Submit it as process_large_raster, which works in tiles.",
)
raster_too_small = Fault(
    "raster_too_small",
    "{} has {:.6g} GB of pixels; process_large_raster is for those of more than {:g} GB.",
    "Submit it as process_raster, or as tile_raster, which makes tiles of a raster of any size.",
)
plan_not_found = Fault(
    "plan_not_found",
    "There is no tiling plan {}.",
    "Give the plan_id of a generate_tiling_plan job that has completed, or none to make a new plan.",
)
plan_of_another_source = Fault(
    "plan_of_another_source",
    "The tiling plan {} was not made for {} as it is now, but for {}.",
    "Submit generate_tiling_plan for the file, or leave plan_id out.",
)
plan_taken = Fault(
    "plan_taken",
    "The tiling plan {} was taken by {}.",
    "Wait until that job has ended, or leave plan_id out to make a plan of your own.",
)
output_taken = Fault(
    "output_taken",
    "The tiles of {}, version {}, are being made by job {}, which still runs.",
    "Wait until that job has ended, or choose another version_id.",
)
output_too_large = Fault(
    "output_too_large",
    "Reprojected to {}, the raster would have {:.3g} GB of pixels, mostly empty; the limit is {:.3g} GB.",
    'Choose a target_crs that suits its place and shape, or "native".',
)
nodata_out_of_range = Fault(
    "nodata_out_of_range",
    "nodata {:g} is no value of {}, the raster's data type.",
    "Give a nodata value that a pixel can have, or none.",
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
        raise unreadable(label, first_line(exc)) from exc


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
            f"An output could not be written: {first_line(exc)}.",
            remediation="It is tried again; if it keeps happening, look at the worker's disk and memory.",
        ) from exc


def first_line(exc: BaseException) -> str:
    """Give the first line of what GDAL said."""
    # Paths of the work folder say nothing to the reader.
    cause = exc.__cause__ or exc
    text = str(cause).strip().splitlines()
    return (text[0] if text else type(cause).__name__).rstrip(".")[:300]
