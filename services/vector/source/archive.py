"""Zip archives from users: their entries are checked before anything is unpacked."""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from schema.clipping import clip, listed
from schema.errors import PermanentError
from services.content_encoding import HARMLESS_BYTES, MAX_RATIO, MAX_UNPACKED_BYTES
from services.file_kinds import GEOTIFF, kind_of_name
from services.vector.formats import ARCHIVES, INSIDE_ARCHIVES, KML, SHAPEFILE, Format, format_of

MAX_ENTRIES = 10_000
MAX_DIRECTORY_BYTES = 4 * 2**20

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg", ".cst")
REQUIRED_PARTS = (".shp", ".shx", ".dbf")
_END_BYTES = 22 + 65_535
"""The last record of an archive, with the longest comment that it can have."""
_FEWER = "Upload an archive with only the files of the layers."


@dataclass(frozen=True)
class Member:
    """A file of a source, by the name that people know it by."""

    name: str
    file: str
    """Path below the folder of the unpacked source."""
    entry: str = ""
    """Its name in the archive."""
    fault: tuple[str, str, str] | None = None
    """Error code, message and remedy, if it cannot be loaded: an error only when this member is chosen."""


@dataclass(frozen=True)
class _Found:
    name: str
    known: Format
    parts: dict[str, zipfile.ZipInfo]
    fault: tuple[str, str, str] | None

    def member(self, number: int) -> Member:
        entry = self.parts[self.known.extensions[0]].filename
        return Member(self.name, f"{number}/data{self.known.extensions[0]}", entry, self.fault)


def unpack(archive: Path, folder: Path, max_bytes: int = MAX_UNPACKED_BYTES) -> list[Member]:
    """Unpack the layers of an archive, each into a folder of its own below the given one.

    Raises PermanentError when the archive is damaged, refused, or has no layer.
    """
    with _opened(archive) as opened:
        found = _choose(_check_entries(opened.infolist(), max_bytes))
        for number, one in enumerate(found):
            (folder / str(number)).mkdir()
            for suffix, entry in one.parts.items():
                _extract(opened, entry, folder / str(number) / f"data{suffix}")
        return [one.member(number) for number, one in enumerate(found)]


def unpack_kmz(archive: Path, into: Path) -> str:
    """Unpack the document of a KMZ, which is doc.kml or else its first .kml, and return its name.

    Raises PermanentError.
    """
    with _opened(archive) as opened:
        entries = [entry for entry in _check_entries(opened.infolist()) if format_of(entry.filename) is KML]
        if not entries:
            raise PermanentError(
                "The KMZ contains no KML document.",
                remediation="Export it again, and upload that.",
                code="layer_missing",
            )
        main = next((entry for entry in entries if entry.filename.lower() == "doc.kml"), entries[0])
        _extract(opened, main, into)
        return main.filename


@contextmanager
def _opened(archive: Path) -> Iterator[zipfile.ZipFile]:
    _check_directory(archive)
    try:
        with zipfile.ZipFile(archive) as opened:
            yield opened
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, NotImplementedError, OSError) as exc:
        raise PermanentError(
            f"The zip archive is damaged, cut off, or uses an unsupported compression: {exc}.",
            remediation="Create the archive again, check that it opens, and upload it.",
            code="archive_damaged",
        ) from exc


def _check_directory(archive: Path) -> None:
    """Refuse a central directory that would take long to read, by its size in the archive's last record.

    `zipfile` reads all of it when it opens the archive.
    """
    size = archive.stat().st_size
    with archive.open("rb") as file:
        file.seek(max(0, size - _END_BYTES))
        tail = file.read()
    record = tail[tail.rfind(b"PK\x05\x06") :]
    if len(record) < 22 or not record.startswith(b"PK"):
        return
    entries, length = int.from_bytes(record[10:12], "little"), int.from_bytes(record[12:16], "little")
    if length > MAX_DIRECTORY_BYTES:
        # 65,535 stands for that many or more.
        at_least = "at least " if entries == 0xFFFF else ""
        raise _refused(f"The archive has {at_least}{entries} entries; {MAX_ENTRIES} are allowed.", _FEWER)


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, into: Path) -> None:
    with opened.open(entry) as packed, into.open("wb") as file:
        shutil.copyfileobj(packed, file, 1024 * 1024)


def _check_entries(entries: list[zipfile.ZipInfo], max_bytes: int = MAX_UNPACKED_BYTES) -> list[zipfile.ZipInfo]:
    """Refuse archives made to do harm; return the entries without folders and without what file managers add."""
    if len(entries) > MAX_ENTRIES:
        raise _refused(f"The archive has {len(entries)} entries; {MAX_ENTRIES} are allowed.", _FEWER)
    # By the directory, which may lie: zipfile stops at the size that it states, and fails on the checksum.
    packed, unpacked = sum(e.compress_size for e in entries), sum(e.file_size for e in entries)
    if unpacked > max_bytes or unpacked > max(HARMLESS_BYTES, MAX_RATIO * packed):
        raise _refused(
            f"The archive would unpack from {packed} to {unpacked} bytes.",
            f"Leave out files that are not layers, or split the archive: up to {max_bytes} bytes are allowed, "
            f"and {MAX_RATIO} times its packed size.",
        )
    for entry in entries:
        _check_entry(entry)
    kept = []
    for entry in entries:
        path = PurePosixPath(entry.filename)
        # macOS adds a folder __MACOSX, and ._a.shp beside a.shp.
        if not (entry.is_dir() or "__MACOSX" in path.parts or path.name.startswith(".")):
            kept.append(entry)
    # Of entries with the same name the last one counts, as for programs that unpack archives.
    return list({entry.filename: entry for entry in kept}.values())


def _check_entry(entry: zipfile.ZipInfo) -> None:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    # A colon is a drive in the path of a file that is unpacked; in other names it does no harm.
    is_unpacked = format_of(path.name) is not None or path.suffix.lower() in SHAPEFILE_PARTS
    has_drive = is_unpacked and ":" in path.parts[0]
    if not path.parts or path.is_absolute() or ".." in path.parts or has_drive:
        raise _refused(
            f"The archive's entry {clip(entry.filename)!r} has a path outside of it.",
            "Create the archive from within the folder, so that paths are relative and without '..'.",
        )
    if entry.flag_bits & 1:
        raise _refused(
            f"The archive's entry {clip(entry.filename)!r} is encrypted.", "Create the archive without a password."
        )
    if path.suffix.lower() in ARCHIVES:
        raise _refused(
            f"The archive's entry {clip(entry.filename)!r} is an archive.",
            "Upload that archive by itself, or put its files directly into this one.",
        )


def _choose(entries: list[zipfile.ZipInfo]) -> list[_Found]:
    """Return the layers: all files of the first of INSIDE_ARCHIVES that is found."""
    for known in INSIDE_ARCHIVES:
        main = [entry for entry in entries if format_of(entry.filename) is known]
        if not main:
            continue
        paths = [PurePosixPath(entry.filename) for entry in main]
        stems = [path.stem for path in paths]
        # Layers are named by their files' stems, with the folder where stems are equal.
        names = [path.stem if stems.count(path.stem) == 1 else str(path.with_suffix("")) for path in paths]
        return [_find_parts(name, entry, known, entries) for name, entry in zip(names, main, strict=True)]
    raise _without_layers([entry.filename for entry in entries])


def _without_layers(names: list[str]) -> PermanentError:
    """Return the error of an archive without layers; it names what is there instead, and what to do with that."""
    # A geodatabase is a folder of many files.
    folders = [part for name in names for part in PurePosixPath(name).parts[:-1] if part.lower().endswith(".gdb")]
    kinds = {name: kind for name in [*folders, *names] if (kind := kind_of_name(name))}
    main = next((name for name, kind in kinds.items() if kind.what == GEOTIFF.what), next(iter(kinds), None))
    instead, remedy = "", "Zip the shapefile's .shp, .shx, .dbf and .prj together, and upload the archive again."
    if main and main.lower()[-4:] not in SHAPEFILE_PARTS:
        stem = main.rpartition(".")[0]
        beside = [] if main in folders else [name for name in names if name != main and name.startswith(stem)]
        instead = f" {clip(main)} is {kinds[main].what}{f', with {listed(beside, 5)} beside it' if beside else ''}."
        remedy = kinds[main].remedy
        if kinds[main].what == GEOTIFF.what:
            remedy = f"Unpack the archive, and upload the raster by itself. {remedy}"
    return PermanentError(
        f"The zip archive contains no shapefile and no other layer.{instead} It contains: "
        f"{listed(names, 10) or 'nothing'}.",
        remediation=remedy,
        code="shapefile_missing",
    )


def _find_parts(name: str, main: zipfile.ZipInfo, known: Format, entries: list[zipfile.ZipInfo]) -> _Found:
    if known is not SHAPEFILE:
        return _Found(name, known, {known.extensions[0]: main}, None)
    # Windows writes ROADS.SHP beside roads.dbf.
    stem = main.filename[:-4].lower()
    parts = {
        entry.filename[-4:].lower(): entry
        for entry in entries
        if entry.filename[:-4].lower() == stem and entry.filename[-4:].lower() in SHAPEFILE_PARTS
    }
    missing = [f"{main.filename[:-4]}{suffix}" for suffix in REQUIRED_PARTS if suffix not in parts]
    text = f"The shapefile is not complete: the archive lacks {' and '.join(map(clip, missing))}."
    remedy = "Zip all parts of the shapefile together (.shp, .shx, .dbf, .prj), and upload the archive again."
    return _Found(name, known, parts, ("shapefile_incomplete", text, remedy) if missing else None)


def _refused(message: str, remedy: str) -> PermanentError:
    return PermanentError(message, remediation=remedy, code="archive_refused")
