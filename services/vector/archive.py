"""Zip archives from users: what is inside is judged before anything is unpacked."""

from __future__ import annotations

import shutil
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from schema.errors import PermanentError

MAX_ENTRIES = 10_000
MAX_UNPACKED_BYTES = 20 * 2**30
MAX_RATIO = 200
"""Unpacked to packed; deflate of real shapefiles stays below 50."""

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
_REQUIRED_PARTS = (".shp", ".shx", ".dbf")


def unpack_shapefile(archive: Path, folder: Path) -> Path:
    """Unpack the one shapefile of an archive into a folder, and give the path of its .shp. Raises PermanentError."""
    try:
        with zipfile.ZipFile(archive) as opened:
            entries = _judge(opened.infolist())
            parts = _choose_shapefile(entries)
            for suffix, entry in parts.items():
                with opened.open(entry) as packed, (folder / f"layer{suffix}").open("wb") as file:
                    shutil.copyfileobj(packed, file, 1024 * 1024)
    except (zipfile.BadZipFile, zlib.error, EOFError) as exc:
        raise PermanentError(
            f"The zip archive is damaged or was cut off: {exc}.",
            remediation="Make the archive again, check that it opens, and upload it anew.",
            code="archive_damaged",
        ) from exc
    return folder / "layer.shp"


def _judge(entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Refuse what is no honest archive, and leave out folders and what file managers add."""
    if len(entries) > MAX_ENTRIES:
        raise _refused(f"The archive has {len(entries)} entries; {MAX_ENTRIES} are allowed.")
    packed, unpacked = sum(e.compress_size for e in entries), sum(e.file_size for e in entries)
    if unpacked > MAX_UNPACKED_BYTES or unpacked > MAX_RATIO * max(packed, 2**20):
        raise _refused(f"The archive would unpack from {packed} to {unpacked} bytes.")
    for entry in entries:
        path = PurePosixPath(entry.filename.replace("\\", "/"))
        if path.is_absolute() or ".." in path.parts or ":" in path.parts[0] if path.parts else True:
            raise _refused(f"The archive's entry {entry.filename!r} points outside of it.")
        if entry.flag_bits & 1:
            raise _refused(f"The archive's entry {entry.filename!r} is encrypted.")
    return [entry for entry in entries if not entry.is_dir() and not _is_clutter(entry.filename)]


def _is_clutter(name: str) -> bool:
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith(".")


def _choose_shapefile(entries: list[zipfile.ZipInfo]) -> dict[str, zipfile.ZipInfo]:
    shapes = [entry for entry in entries if entry.filename.lower().endswith(".shp")]
    if not shapes:
        found = ", ".join(entry.filename for entry in entries[:10]) or "nothing"
        raise PermanentError(
            f"The zip archive holds no .shp file. It holds: {found}.",
            remediation="Zip the shapefile's .shp, .shx, .dbf and .prj together, and upload the archive anew.",
            code="shapefile_missing",
        )
    if len(shapes) > 1:
        found = ", ".join(entry.filename for entry in shapes[:20])
        raise PermanentError(
            f"The zip archive holds {len(shapes)} shapefiles: {found}.",
            remediation="Upload an archive for each shapefile.",
            code="several_layers",
        )
    stem = shapes[0].filename[:-4]
    parts = {
        entry.filename[-4:].lower(): entry
        for entry in entries
        if entry.filename[:-4] == stem and entry.filename[-4:].lower() in SHAPEFILE_PARTS
    }
    missing = [f"{stem}{suffix}" for suffix in _REQUIRED_PARTS if suffix not in parts]
    if missing:
        raise PermanentError(
            f"The shapefile is not complete: the archive has no {' and no '.join(missing)}.",
            remediation="Zip all parts of the shapefile together, and upload the archive anew.",
            code="shapefile_incomplete",
        )
    return parts


def _refused(message: str) -> PermanentError:
    return PermanentError(
        message,
        remediation="Upload an archive that holds nothing but the parts of one shapefile.",
        code="archive_refused",
    )
