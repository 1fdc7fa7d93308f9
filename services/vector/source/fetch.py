"""The source of a load: fetched to this instance, looked at, unpacked, and ready to be read."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path, PurePosixPath

from repositories.storage.blobs import Blobs
from schema.errors import PermanentError
from schema.jobs import Source
from services.content_encoding import MAX_UNPACKED_BYTES, check_encoding, decode
from services.file_kinds import kind_of_bytes, kind_of_name
from services.vector.definitions import check_definitions
from services.vector.formats import (
    CSV,
    EXTENSIONS,
    HEAD_BYTES,
    KML,
    KMZ,
    PARQUET,
    SHAPEFILE,
    TSV,
    ZIP,
    Format,
    format_of,
    looks_right,
)
from services.vector.readers import geoparquet, shapefile
from services.vector.readers.kml import prologue as kml_prologue
from services.vector.source import archive, cache
from services.vector.source.archive import Member

_MEMBERS = "members.json"
_FETCHED = "fetched"
CONVERTED = ".arrow"
"""Suffix of what a GeoParquet file is turned into, beside it."""


@contextmanager
def fetched(blobs: Blobs, source: Source, parts: Sequence[Source], check: Callable[[], None]) -> Iterator[Path]:
    """Return the folder of a fetched source; it stays there while the block runs. `parts` are those of a shapefile.

    `check` is called between steps, and may raise to stop them.

    Raises
    ------
    SourceChanged
        A blob is not the one that was accepted.
    PermanentError
        The file is not what its extension or its Content-Encoding says, or a damaged archive.
    """
    fill = partial(fetch_to, blobs, source, parts, check=check)
    with cache.cached(blobs.identity, (source, *parts), fill, check) as folder:
        yield folder


def members_of(folder: Path) -> list[Member]:
    """List the files that a source consists of."""
    rows = json.loads((folder / _MEMBERS).read_text())
    return [Member(**{**row, "fault": row["fault"] and tuple(row["fault"])}) for row in rows]


def format_of_source(source: Source) -> Format:
    """Return the format of a source by its extension. Raises PermanentError for an extension of no format."""
    known = format_of(source.blob)
    if known is None:
        kind = kind_of_name(source.blob)
        raise PermanentError(
            f"{source.blob} is {kind.what}." if kind else f"{source.blob} has none of the supported extensions.",
            remediation=kind.remedy if kind else f"Upload one of: {', '.join(EXTENSIONS)}.",
            code="unsupported_format",
        )
    return known


def find_parts(blobs: Blobs, source: Source) -> tuple[Source, ...]:
    """Return the blobs that belong to a lone .shp, as they are now. Raises PermanentError naming what is missing."""
    if format_of_source(source) is not SHAPEFILE:
        return ()
    stem = source.blob[: -len(".shp")]
    beside = [facts.name for facts in blobs.list_blobs(source.container, f"{stem}.")]
    found = {name[len(stem) :].lower(): name for name in beside if name[len(stem) :].lower() in archive.SHAPEFILE_PARTS}
    missing = [f"{stem}{suffix}" for suffix in archive.REQUIRED_PARTS if suffix not in found]
    if missing:
        raise PermanentError(
            f"The shapefile is not complete: beside {source.blob} there is no {' and no '.join(missing)}.",
            remediation="Upload all parts of the shapefile into one folder, or zip them together.",
            code="shapefile_incomplete",
        )
    return tuple(blobs.head(source.container, name) for suffix, name in sorted(found.items()) if suffix != ".shp")


def fetch_to(
    blobs: Blobs,
    source: Source,
    parts: Sequence[Source],
    folder: Path,
    *,
    check: Callable[[], None],
    look: Callable[[Path], None] = lambda _: None,
) -> None:
    """Fetch a source and its parts into a folder, decoded and unpacked; `look` is called with the bytes as stored.

    Raises what `fetched` raises.
    """
    known = format_of_source(source)
    path = folder / _FETCHED
    _download(blobs, source, path, check, look)
    _check_head(source.blob, known, path)
    name = PurePosixPath(source.blob).stem
    if known is ZIP:
        members = archive.unpack(path, folder)
        path.unlink()
    else:
        members = [Member(name, f"0/data{(KML if known is KMZ else known).extensions[0]}")]
        (folder / "0").mkdir()
        if known is KMZ:
            members = [replace(members[0], entry=archive.unpack_kmz(path, folder / members[0].file))]
            path.unlink()
        else:
            path.rename(folder / members[0].file)
    for part in parts:
        _download(blobs, part, folder / "0" / f"data{PurePosixPath(part.blob).suffix.lower()}", check)
    ready = [_prepare(source.blob, folder, member, check) for member in members]
    (folder / _MEMBERS).write_text(json.dumps([asdict(member) for member in ready]))


def _download(
    blobs: Blobs, blob: Source, path: Path, check: Callable[[], None], look: Callable[[Path], None] = lambda _: None
) -> None:
    check_encoding(blob)
    blobs.download(blob, path)
    check()
    look(path)
    decode(blob, path, check)


def _check_head(name: str, known: Format, path: Path) -> None:
    with path.open("rb") as file:
        head = file.read(HEAD_BYTES)
    if not head:
        raise PermanentError(
            f"{name} is empty: it has no bytes.", remediation="Upload the file again.", code="file_empty"
        )
    if known in (CSV, TSV) and b"\x00" in head and not (looks_right(known, head) or kind_of_bytes(head, name)):
        line = head[: head.index(0)].count(b"\n") + 1
        raise PermanentError(
            f"{name} has a NUL byte in line {line}: it is not text in UTF-8, Windows-1252 or UTF-16 with a byte order "
            "mark.",
            remediation="Write the file as UTF-8 (from UTF-16 without a byte order mark too), and upload it again.",
            code="wrong_format",
        )
    if not looks_right(known, head):
        kind = kind_of_bytes(head, name)
        raise PermanentError(
            f"{name} is not in the format {known.name}, although its extension says so"
            f"{f': it is {kind.what}' if kind else ''}.",
            remediation=kind.remedy if kind else "Give the file the extension of its real format, and upload it again.",
            code="wrong_format",
        )


def _prepare(blob: str, folder: Path, member: Member, check: Callable[[], None]) -> Member:
    """Check a file, and turn it into what can be read in pieces; what is wrong with it is noted."""
    known, path = format_of(member.file), folder / member.file
    if member.fault or known is None:
        return member
    try:
        name = member.entry or blob
        _check_head(name, known, path)
        check_definitions(path, known, name)
        if known is SHAPEFILE:
            shapefile.check_parts(path, name)
        elif known is KML:
            kml_prologue.check_safe(path)
        elif known is PARQUET:
            geoparquet.convert(path, path.with_suffix(CONVERTED), check, MAX_UNPACKED_BYTES)
    except PermanentError as exc:
        message = exc.message if member.entry in exc.message else f"{member.entry}: {exc.message}"
        return replace(member, fault=(exc.error_code, message, exc.remediation))
    return member
