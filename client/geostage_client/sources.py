"""The files that a command line names: each of them one upload, a shapefile with all of its parts.

What would fail after the upload of gigabytes is refused here, before the first byte is sent.
"""

from __future__ import annotations

import difflib
import glob
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from geostage_client.errors import ClientError, UsageError

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg", ".cst")
_REQUIRED_PARTS = (".shp", ".shx", ".dbf")
_GLOB = re.compile(r"[*?[]")
MAX_BLOB_NAME = 1024


@dataclass(frozen=True)
class Kind:
    """Files of one kind, and the job type that takes them."""

    job_type: str
    noun: str
    extensions: tuple[str, ...]


VECTOR = Kind(
    "process_vector",
    "vector file",
    (
        *(".zip", ".shp", ".gpkg", ".geojson", ".json", ".geojsonl", ".ndjson", ".kml", ".kmz"),
        *(".csv", ".tsv", ".fgb", ".parquet", ".geoparquet"),
    ),
)
RASTER = Kind("process_raster", "GeoTIFF", (".tif", ".tiff"))


@dataclass(frozen=True)
class Source:
    """A file that becomes one blob."""

    path: Path
    blob: str
    size: int
    """Bytes that are read; a shapefile's parts are zipped on the way, which makes fewer of them."""
    parts: Mapping[str, Path] = field(default_factory=dict)
    """Names in the zip archive, and the files; empty for a file that is sent as it is."""
    warning: str = ""


def find_sources(arguments: Sequence[str], kind: Kind) -> list[Source]:
    """Return what is meant by files, folders and patterns, each source once, in the order of the arguments.

    Raises
    ------
    ClientError
        A file is missing, empty, not readable, of another kind, or an incomplete shapefile; or two sources would
        become one table.
    """
    named = [path for argument in arguments for path in _expand(argument, kind)]
    unique = {path.resolve(): path for path in reversed(named)}
    paths = [path for path in dict.fromkeys(named) if unique[path.resolve()] is path]
    shapes = [path for path in paths if path.suffix.lower() == ".shp"]
    sources = [_source(path) for path in paths if not _belongs_to(path, shapes)]
    _refuse_twins(sources, kind)
    return sources


def _expand(argument: str, kind: Kind) -> list[Path]:
    """Return the files that one argument names; of a folder and of a pattern only those of the kind."""
    path = Path(argument)
    if path.is_dir():
        return _of_folder(path, kind)
    if path.exists():
        return [_checked_name(path, kind)]
    if not _GLOB.search(argument):
        near = [other.name for other in path.parent.iterdir()] if path.parent.is_dir() else []
        like = difflib.get_close_matches(path.name, near, n=3)
        remedy = f"Is it {' or '.join(like)}?" if like else "Check the name, and the folder that you are in."
        raise ClientError(f"There is no file {path}.", remedy=remedy, code="file_not_found")
    found = [Path(name) for name in sorted(glob.glob(argument, recursive=True))]  # noqa: PTH207 - may be absolute
    kept = [file for file in found if file.is_file() and _is_of(file, kind)]
    if kept:
        return kept
    said = (
        f"{len(found)} names match {argument}, none of them a {kind.noun}" if found else f"Nothing matches {argument}"
    )
    raise ClientError(f"{said}.", remedy=_taken(kind), code="file_not_found")


def _of_folder(folder: Path, kind: Kind) -> list[Path]:
    if folder.suffix.lower() == ".gdb":
        raise ClientError(
            f"{folder} is a file geodatabase, which Geostage does not read.",
            remedy=f"Convert it first: ogr2ogr {folder.stem}.gpkg {folder}",
            code="unsupported_format",
        )
    found = [path for path in sorted(folder.iterdir()) if path.is_file() and _is_of(path, kind)]
    if found:
        return found
    raise ClientError(
        f"There is no {kind.noun} in the folder {folder}; folders below it are not searched.",
        remedy=f"{_taken(kind)} A quoted pattern such as '{folder}/**/*{kind.extensions[-1]}' goes deeper.",
        code="file_not_found",
    )


def _is_of(path: Path, kind: Kind) -> bool:
    return path.suffix.lower() in kind.extensions and not path.name.startswith(".")


def _checked_name(path: Path, kind: Kind) -> Path:
    suffix = path.suffix.lower()
    if suffix in kind.extensions or (kind is VECTOR and suffix in SHAPEFILE_PARTS):
        return path
    other = next((one for one in (VECTOR, RASTER) if suffix in one.extensions), None)
    command = "load" if other is VECTOR else "raster"
    remedy = f"It is a {other.noun}: geostage {command} takes it." if other else _taken(kind)
    raise ClientError(f"{path} does not have the extension of a {kind.noun}.", remedy=remedy, code="unsupported_format")


def _taken(kind: Kind) -> str:
    return f"Supported extensions: {', '.join(kind.extensions)}."


def _belongs_to(path: Path, shapes: Iterable[Path]) -> bool:
    """Whether a file is a part of one of the shapefiles; a shell makes .shp, .dbf and .shx out of `roads.*`."""
    suffix = path.suffix.lower()
    if suffix not in SHAPEFILE_PARTS or suffix == ".shp":
        return False
    if any(shape.with_suffix("") == path.with_suffix("") for shape in shapes):
        return True
    raise ClientError(
        f"{path} is one part of a shapefile.",
        remedy="Name the .shp file; its other parts are found beside it.",
        code="unsupported_format",
    )


def _source(path: Path) -> Source:
    shapefile = path.suffix.lower() == ".shp"
    parts = _parts(path) if shapefile else {}
    blob = f"{path.stem}.shp.zip" if shapefile else path.name
    size = sum(_size(part) for part in (parts.values() or [path]))
    # Bytes of a Linux name that are not UTF-8 become lone surrogates.
    if any(unicodedata.category(char) == "Cs" for char in blob):
        raise ClientError(
            f"The name of {path} is not valid Unicode, which a blob's name must be.",
            remedy="Rename the file.",
            code="bad_name",
        )
    warning = ""
    # SQLite keeps rows that are not in the file itself; its write-ahead log is not sent.
    log = path.with_name(f"{path.name}-wal")
    if path.suffix.lower() == ".gpkg" and log.is_file() and log.stat().st_size:
        warning = f"{log.name} may hold changes that are not in {path.name} yet: close the program that has it open."
    return Source(path, blob, size, parts, warning)


def _parts(shape: Path) -> dict[str, Path]:
    """Return the parts beside a .shp by the names that they get in the archive. Raises ClientError for missing ones."""
    beside: dict[str, Path] = {}
    stem = shape.stem.lower()
    # ROADS.SHP may lie beside roads.dbf; where both roads.dbf and ROADS.dbf exist, the same spelling wins.
    for path in sorted(shape.parent.iterdir(), key=lambda other: other.stem == shape.stem):
        if path.stem.lower() == stem and path.suffix.lower() in SHAPEFILE_PARTS:
            beside[path.suffix.lower()] = path
    beside[".shp"] = shape
    missing = [f"{shape.stem}{suffix}" for suffix in _REQUIRED_PARTS if suffix not in beside]
    if missing:
        raise ClientError(
            f"The shapefile {shape} is not complete: {' and '.join(missing)} must lie beside it.",
            remedy="Copy all parts of the shapefile into one folder.",
            code="shapefile_incomplete",
        )
    return {f"{shape.stem}{suffix}": beside[suffix] for suffix in SHAPEFILE_PARTS if suffix in beside}


def _size(path: Path) -> int:
    """Return the size of a file that can be read and has bytes. Raises ClientError."""
    if not path.is_file():
        raise ClientError(
            f"{path} is not a regular file.", remedy="Save the data to a file first.", code="file_unreadable"
        )
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
    except OSError as exc:
        raise ClientError(
            f"{path} cannot be read: {exc.strerror}.", remedy="Check its permissions.", code="file_unreadable"
        ) from exc
    # A .cpg or .prj without a byte says nothing, and does no harm.
    if not size and path.suffix.lower() not in (".cpg", ".cst", ".prj"):
        raise ClientError(f"{path} is empty: it has 0 bytes.", remedy="Write the file again.", code="file_empty")
    return size


def _refuse_twins(sources: Sequence[Source], kind: Kind) -> None:
    """Refuse sources of one name: one blob, or one table, would be written over by the other."""
    counts = Counter(_table_like(source.blob) if kind is VECTOR else source.blob for source in sources)
    twins = [source for source in sources if counts[_table_like(source.blob) if kind is VECTOR else source.blob] > 1]
    if not twins:
        return
    one = "table" if kind is VECTOR else "blob"
    raise UsageError(
        f"{twins[0].path} and {twins[1].path} would become one {one}.",
        remedy="Load them one at a time, with --table and --blob."
        if kind is VECTOR
        else "Send one at a time, with --blob.",
    )


def _table_like(blob: str) -> str:
    """Return what two names have in common when their tables would be called alike; the server makes the real name."""
    stem = Path(blob).stem
    stem = Path(stem).stem if Path(stem).suffix.lower() in VECTOR.extensions else stem
    plain = unicodedata.normalize("NFKD", stem.replace("ß", "ss")).encode("ascii", "ignore").decode().lower()
    return re.sub(r"[^a-z0-9]+", "_", plain).strip("_")
