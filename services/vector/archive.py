"""Zip archives from users: what is inside is judged before anything is unpacked."""

from __future__ import annotations

import lzma
import shutil
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from schema.errors import PermanentError
from schema.words import clip, listed
from services.content_encoding import HARMLESS_BYTES, MAX_RATIO, MAX_UNPACKED_BYTES
from services.vector.formats import ARCHIVES, INSIDE_ARCHIVES, KML, SHAPEFILE, Format, format_of

MAX_ENTRIES = 10_000
MAX_DIRECTORY_BYTES = 4 * 2**20

SHAPEFILE_PARTS = (".shp", ".shx", ".dbf", ".prj", ".cpg")
REQUIRED_PARTS = (".shp", ".shx", ".dbf")
_END_BYTES = 22 + 65_535
_FEWER = "Upload an archive that holds nothing but the files of the layers."


@dataclass(frozen=True)
class Member:
    """A file of a source, by the name that people know it by."""

    name: str
    file: str
    """Path below the folder of the unpacked source."""
    entry: str = ""
    """Where it stood in its archive."""
    fault: tuple[str, str, str] | None = None
    """Error code, message and remedy, when it cannot be loaded; it matters only if this member is chosen."""


@dataclass(frozen=True)
class _Found:
    name: str
    known: Format
    parts: dict[str, zipfile.ZipInfo]
    fault: tuple[str, str, str] | None

    def member(self, number: int) -> Member:
        entry = self.parts[self.known.extensions[0]].filename
        return Member(self.name, f"{number}/data{self.known.extensions[0]}", entry, self.fault)


def unpack(archive: Path, folder: Path) -> list[Member]:
    """Unpack the layers of an archive, each into a folder of its own below the given one. Raises PermanentError."""
    with _opened(archive) as opened:
        found = _choose(_judge(opened.infolist()))
        for number, one in enumerate(found):
            (folder / str(number)).mkdir()
            for suffix, entry in one.parts.items():
                _extract(opened, entry, folder / str(number) / f"data{suffix}")
        return [one.member(number) for number, one in enumerate(found)]


def unpack_kmz(archive: Path, into: Path) -> str:
    """Take the document out of a KMZ: doc.kml, else its first .kml; gives its name. Raises PermanentError."""
    with _opened(archive) as opened:
        entries = [entry for entry in _judge(opened.infolist()) if format_of(entry.filename) is KML]
        if not entries:
            raise PermanentError(
                "The KMZ holds no KML document.", remediation="Export it anew, and upload that.", code="layer_missing"
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
            f"The zip archive is damaged, was cut off, or is packed in an unusual way: {exc}.",
            remediation="Make the archive again, check that it opens, and upload it anew.",
            code="archive_damaged",
        ) from exc


def _check_directory(archive: Path) -> None:
    """Refuse a table of contents that would take long to read, by its size in the archive's last record."""
    size = archive.stat().st_size
    with archive.open("rb") as file:
        file.seek(max(0, size - _END_BYTES))
        tail = file.read()
    record = tail[tail.rfind(b"PK\x05\x06") :]
    if len(record) < 22 or not record.startswith(b"PK"):
        return
    entries, length = int.from_bytes(record[10:12], "little"), int.from_bytes(record[12:16], "little")
    if length > MAX_DIRECTORY_BYTES:
        # Of more than 65,535 entries this record says only that there are as many.
        at_least = "at least " if entries == 0xFFFF else ""
        raise _refused(
            f"The archive's table of contents names {at_least}{entries} entries; {MAX_ENTRIES} are allowed.", _FEWER
        )


def _extract(opened: zipfile.ZipFile, entry: zipfile.ZipInfo, into: Path) -> None:
    with opened.open(entry) as packed, into.open("wb") as file:
        shutil.copyfileobj(packed, file, 1024 * 1024)


def _judge(entries: list[zipfile.ZipInfo]) -> list[zipfile.ZipInfo]:
    """Refuse what is no honest archive, and leave out folders and what file managers add."""
    if len(entries) > MAX_ENTRIES:
        raise _refused(f"The archive has {len(entries)} entries; {MAX_ENTRIES} are allowed.", _FEWER)
    packed, unpacked = sum(e.compress_size for e in entries), sum(e.file_size for e in entries)
    if unpacked > MAX_UNPACKED_BYTES or unpacked > max(HARMLESS_BYTES, MAX_RATIO * packed):
        raise _refused(
            f"The archive would unpack from {packed} to {unpacked} bytes.",
            f"Leave out what is no layer, or split it: {MAX_UNPACKED_BYTES} bytes are allowed, {MAX_RATIO} times what "
            "is packed.",
        )
    for entry in entries:
        _judge_entry(entry)
    kept = [entry for entry in entries if not entry.is_dir() and not _is_clutter(entry.filename)]
    # Of entries of one name the last one counts, as for every program that unpacks archives.
    return list({entry.filename: entry for entry in kept}.values())


def _judge_entry(entry: zipfile.ZipInfo) -> None:
    path = PurePosixPath(entry.filename.replace("\\", "/"))
    if not path.parts or path.is_absolute() or ".." in path.parts or _has_drive(path):
        raise _refused(
            f"The archive's entry {clip(entry.filename)!r} points outside of it.",
            "Make the archive again from within the folder, so that names are relative and without '..'.",
        )
    if entry.flag_bits & 1:
        raise _refused(
            f"The archive's entry {clip(entry.filename)!r} is encrypted.", "Make the archive again without a password."
        )
    if path.suffix.lower() in ARCHIVES:
        raise _refused(
            f"The archive's entry {clip(entry.filename)!r} is an archive itself.",
            "Upload that archive by itself, or put its files in its place.",
        )


def _has_drive(path: PurePosixPath) -> bool:
    """Tell whether a layer's file is given with a drive; a colon in other files' names does no harm."""
    return ":" in path.parts[0] and (format_of(path.name) is not None or path.suffix.lower() in SHAPEFILE_PARTS)


def _is_clutter(name: str) -> bool:
    path = PurePosixPath(name)
    return "__MACOSX" in path.parts or path.name.startswith(".")


def _choose(entries: list[zipfile.ZipInfo]) -> list[_Found]:
    """Find the layers: all files of the first format that is there."""
    for known in INSIDE_ARCHIVES:
        main = [entry for entry in entries if format_of(entry.filename) is known]
        if main:
            names = _names([entry.filename for entry in main])
            pairs = zip(names, main, strict=True)
            return [_find_parts(name, entry, known, entries) for name, entry in pairs]
    found = listed((entry.filename for entry in entries), 10) or "nothing"
    raise PermanentError(
        f"The zip archive holds no shapefile and no other layer. It holds: {found}.",
        remediation="Zip the shapefile's .shp, .shx, .dbf and .prj together, and upload the archive anew.",
        code="shapefile_missing",
    )


def _names(files: list[str]) -> list[str]:
    """Name layers by their files' stems, with the folder where stems are alike."""
    stems = [PurePosixPath(file).stem for file in files]
    return [
        stem if stems.count(stem) == 1 else str(PurePosixPath(file).with_suffix(""))
        for stem, file in zip(stems, files, strict=True)
    ]


def _find_parts(name: str, main: zipfile.ZipInfo, known: Format, entries: list[zipfile.ZipInfo]) -> _Found:
    if known is not SHAPEFILE:
        return _Found(name, known, {known.extensions[0]: main}, None)
    stem = main.filename[:-4].lower()
    parts = {
        entry.filename[-4:].lower(): entry
        for entry in entries
        if entry.filename[:-4].lower() == stem and entry.filename[-4:].lower() in SHAPEFILE_PARTS
    }
    missing = [f"{main.filename[:-4]}{suffix}" for suffix in REQUIRED_PARTS if suffix not in parts]
    text = f"The shapefile is not complete: the archive has no {' and no '.join(map(clip, missing))}."
    remedy = "Zip all parts of the shapefile together (.shp, .shx, .dbf, .prj), and upload the archive anew."
    return _Found(name, known, parts, ("shapefile_incomplete", text, remedy) if missing else None)


def _refused(message: str, remedy: str) -> PermanentError:
    return PermanentError(message, remediation=remedy, code="archive_refused")
