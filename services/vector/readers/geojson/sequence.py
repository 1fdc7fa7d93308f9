"""Texts of JSON one after the other: GeoJSON lines, RFC 8142 sequences, and the file that is a single object."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path

from schema.errors import PermanentError
from services.vector.chunks import FilePart
from services.vector.geometry import reasons
from services.vector.readers.geojson.decode import AnyFeature, NotJson, OddFeature, read_feature, read_json
from services.vector.readers.geojson.layout import SEPARATOR, Kind, check_single, not_json, read_range
from services.vector.readers.geojson.parts import PART_SIZE, FeaturePart, PartSize
from services.vector.readers.geojson.scan import Scanner

_AROUND = SEPARATOR + b" \t\r\n"
_LARGEST_TEXT = 512 * 2**20
_SPANNING = 2**20
"""Bytes in which a text that spans lines is followed, only to name the fault."""


def sequence_parts(
    path: Path,
    kind: Kind,
    begin: int,
    row: int,
    check: Callable[[], None],
    *,
    end: int | None = None,
    bare: bool = False,
    part_size: PartSize = PART_SIZE,
) -> Iterator[FeaturePart]:
    """Yield the parts of a file of texts from a place on, at which the text of number `row` begins.

    Parameters
    ----------
    end
        Where a text ends behind which nothing is read; otherwise the parts go on to the end of the file.
    bare
        Whether attributes are left out.

    Raises
    ------
    PermanentError
        A text is not JSON, or is a FeatureCollection; the message names its line.
    """
    line = 1
    while block := _read_block(path, kind, begin, end, part_size.bytes):
        check()
        features, starts = [], []
        for place, text in _split(block, kind):
            features.append(_read_text(path, text, kind, begin + place, line + block.count(b"\n", 0, place), bare=bare))
            starts.append(begin + place)
        yield from _in_rows(features, [*starts, begin + len(block)], row, part_size.rows)
        row, line, begin = row + len(features), line + block.count(b"\n"), begin + len(block)


def _in_rows(features: list[AnyFeature], places: list[int], row: int, rows: int) -> Iterator[FeaturePart]:
    """Yield a part in pieces that end with a multiple of `rows`."""
    first = rows - row % rows
    for start, stop in pairwise([0, *range(first, len(features), rows), len(features)]):
        yield FeaturePart(FilePart(places[start], places[stop], row + start), features[start:stop])


def _read_block(path: Path, kind: Kind, begin: int, end: int | None, part_bytes: int) -> bytes:
    """Return whole texts from an offset on; nothing at the end."""
    size = _LARGEST_TEXT if kind == "single" else part_bytes
    while True:
        wanted = size if end is None else min(size, end - begin)
        block = read_range(path, begin, wanted)
        if len(block) < size:
            return block
        cut = block.rfind(b"\n") + 1 if kind == "lines" else block.rfind(SEPARATOR)
        if kind != "single" and cut > 0:
            return block[:cut]
        if size >= _LARGEST_TEXT:
            raise PermanentError(
                f"The text at byte {begin} has more than {_LARGEST_TEXT // 2**20} MB.",
                remediation="Write one feature a line, and split one that is larger.",
                code="source_unreadable",
            )
        size *= 2


def _split(block: bytes, kind: Kind) -> Iterator[tuple[int, bytes]]:
    """Yield the texts of a block that are not blank, each with its offset."""
    place = 0
    for text in [block] if kind == "single" else block.split(b"\n" if kind == "lines" else SEPARATOR):
        if text.strip(_AROUND):
            yield place, text.strip(_AROUND)
        place += len(text) + 1


def _read_text(path: Path, text: bytes, kind: Kind, begin: int, line: int, *, bare: bool) -> AnyFeature:
    try:
        feature = read_feature(text, bare=bare, alone=True)
    except NotJson as exc:
        raise _explain(path, kind, begin, line, exc) from exc
    if isinstance(feature, OddFeature) and feature.fault == reasons.NOT_A_FEATURE:
        if kind == "single":
            check_single(text)
        if feature.type == "FeatureCollection":
            raise _collection(line)
    return feature


def _explain(path: Path, kind: Kind, begin: int, line: int, exc: NotJson) -> PermanentError:
    if kind == "lines" and _spans_lines(read_range(path, begin, _SPANNING)):
        return PermanentError(
            f"The JSON that begins in line {line} spans several lines, but a file of GeoJSON lines has one Feature on "
            "each line.",
            remediation="Write each Feature on one line, or write one FeatureCollection into a file whose name ends in "
            ".geojson, and upload that.",
            code="source_unreadable",
        )
    if kind == "lines":
        return PermanentError(
            f"Line {line} of the file cannot be read as JSON: {exc.words}.",
            remediation="Correct or complete the file, so that each line is one GeoJSON Feature, and upload it again.",
            code="source_unreadable",
        )
    return not_json(begin + exc.place, exc.words)


def _spans_lines(text: bytes) -> bool:
    """Whether a text goes on behind its first line, and is JSON as far as can be seen."""
    scanner = Scanner()
    end = 0
    for line in text.splitlines(keepends=True):
        scanner.feed(line)
        end += len(line)
        if scanner.depth == 0 and text[:end].strip():
            try:
                read_json(text[:end].strip(_AROUND))
            except NotJson:
                return False
            return b"\n" in text[:end].strip()
    return len(text) == _SPANNING and scanner.depth > 0


def _collection(line: int) -> PermanentError:
    return PermanentError(
        f"Line {line} of the file is a FeatureCollection.",
        remediation="Write one Feature on each line, or name the file .geojson if it is one collection, and upload it "
        "again.",
        code="source_unreadable",
    )
