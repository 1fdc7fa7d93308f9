"""Parts of a GeoJSON file: ranges of bytes that hold whole features, so that each can be read by itself.

A part of a collection is cut where a feature seems to end, near the end of a block of some MB:

    ... "geometry": {...}}, {"type": "Feature", ...
                         ^ here: the comma may as well stand in a text, or in a list of objects

That is a guess until [part] has been parsed. If it is JSON, the part holds whole elements of `features` and nothing
else, since it began where an element does; the next part begins behind the comma. Otherwise, as at the end of the list,
or in a part with NaN, brackets and commas outside of texts are followed from the part's beginning, at a fifth of
the speed. Either way every byte belongs to exactly one part, and each part is parsed: no feature can be passed over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from schema.errors import PermanentError
from services.vector.chunks import FilePart
from services.vector.readers.geojson.decode import AnyFeature, NotJson, find_places, read_elements, read_features
from services.vector.readers.geojson.layout import not_json, read_range
from services.vector.readers.geojson.scan import find_separators


@dataclass(frozen=True)
class PartSize:
    """Where parts end."""

    bytes: int = 2**20
    """What is made of a larger part no longer fits into the processor's cache, nor into memory that the process already
    has: parts of 4 MB took half as long again."""
    rows: int = 10_000
    """A part ends with a multiple of it, the default size of a chunk: a task then parses the rows of its chunk only."""


PART_SIZE = PartSize()
_LARGEST_FEATURE = 512 * 2**20
_CUT = re.compile(rb"\}\s*(,)\s*\{")
_TAIL = 2**16
"""A cut is first looked for in so many bytes at the end of a block."""


@dataclass(frozen=True)
class FeaturePart:
    """The features between two places of a file."""

    range: FilePart
    features: list[AnyFeature]


def collection_parts(
    path: Path,
    begin: int,
    row: int,
    check: Callable[[], None],
    *,
    end: int | None = None,
    bare: bool = False,
    part_size: PartSize = PART_SIZE,
) -> Iterator[FeaturePart]:
    """Yield the parts of a list of features from a place on, at which the feature of number `row` begins.

    Parameters
    ----------
    end
        Where a feature ends behind which nothing is read; otherwise the parts go on to the end of the list. The last
        of them, which may have no feature, ends with the offset of the bracket that closes it.
    bare
        Whether attributes are left out.

    Raises
    ------
    PermanentError
        The list of features is not JSON, or ends in the middle.
    """
    first, size, ended = begin, part_size.bytes, False
    while not ended:
        check()
        block = read_range(path, begin, size if end is None else min(size, end - begin))
        if begin + len(block) == end:
            found: _Cut | None = _Cut(len(block), read_features(block, bare=bare), True)
        else:
            found = _cut(block, bare=bare)
        if found is None:
            if len(block) < size:
                raise _ends_early(path, row)
            if size >= _LARGEST_FEATURE:
                raise _too_large(row)
            size *= 2
            continue
        features = found.features
        if features is None:
            features = _read_odd(block[: found.end], begin, bare=bare)
        # A list may be empty, but something must stand behind a comma.
        if not features and begin > first:
            raise not_json(begin, "a feature is missing behind a comma")
        yield from _in_rows(block[: found.end], begin, row, features, part_size.rows)
        row, begin, ended, size = row + len(features), begin + found.end + 1, found.is_last, part_size.bytes


@dataclass(frozen=True)
class _Cut:
    """Where a part ends."""

    end: int
    features: list[AnyFeature] | None
    """None when they have not been read."""
    is_last: bool


def _in_rows(text: bytes, begin: int, row: int, features: list[AnyFeature], rows: int) -> Iterator[FeaturePart]:
    """Yield a part in pieces that end with a multiple of `rows`."""
    first = rows - row % rows
    if len(features) <= first:
        yield FeaturePart(FilePart(begin, begin + len(text), row), features)
        return
    places = find_places(text)
    for start, stop in pairwise([0, *range(first, len(features), rows), len(features)]):
        piece = FilePart(begin + places[start][0], begin + places[stop - 1][1], row + start)
        yield FeaturePart(piece, features[start:stop])


def _cut(block: bytes, *, bare: bool) -> _Cut | None:
    """Return where a part ends that begins with the block; None when the block holds no whole feature."""
    for start in (max(0, len(block) - _TAIL), 0):
        cuts = [found.start(1) for found in _CUT.finditer(block, start)]
        if cuts:
            features = read_features(memoryview(block)[: cuts[-1]], bare=bare)
            if features is not None:
                return _Cut(cuts[-1], features, False)
            break
    commas, close = find_separators(block)
    if close is not None:
        return _Cut(close, None, True)
    return _Cut(commas[-1], None, False) if commas else None


def _read_odd(text: bytes, offset: int, *, bare: bool) -> list[AnyFeature]:
    """Return the features of a text whose brackets say that it holds whole ones."""
    features = read_features(text, bare=bare)
    if features is not None:
        return features
    try:
        return read_elements(text, bare=bare)
    except NotJson as exc:
        raise not_json(offset + exc.place, exc.words) from exc


def _ends_early(path: Path, rows: int) -> PermanentError:
    return PermanentError(
        f"The file ends within its list of features, at byte {path.stat().st_size}, after {rows} or more of them: it "
        "was cut off, or a quotation mark or bracket is missing.",
        remediation="Upload the whole file again, or correct it.",
        code="source_unreadable",
    )


def _too_large(row: int) -> PermanentError:
    return PermanentError(
        f"Feature {row + 1} has more than {_LARGEST_FEATURE // 2**20} MB, or a quotation mark or bracket in it is "
        "missing.",
        remediation="Correct or split the feature, and upload the file again.",
        code="source_unreadable",
    )
