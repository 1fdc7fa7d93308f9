"""Text of dBASE tables: the encoding by which its bytes are valid, whatever is declared, and values that need another.

Declarations are often wrong: a program writes UTF-8 beside the .cpg of the file that it began with, or adds rows to a
table in another encoding. Text that is valid UTF-8 beyond ASCII is hardly ever anything else, so it comes first.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.vector.readers.encodings import LANGUAGE_BYTES, MULTI_BYTE, UTF8, WINDOWS, Encoding, known_name

_DECLARED = ((".cpg", ".cpg file"), (".cst", ".cst file"))
_DECLARED_BYTES = 64
_HEADER, _DESCRIPTOR, _END_OF_HEADER = 32, 32, 0x0D
_BLOCK = 8 * 2**20
# A character of UTF-8 may look like one or two of an East Asian encoding; from this number on it is no accident.
_SURE = 4
RAW = "iso8859-1"
"""By this encoding GDAL gives every byte as the character of the same number, so that bytes can be had back."""


@dataclass
class _Text:
    """Values beyond ASCII, by what their bytes can be."""

    utf8: int = 0
    cut: set[int] = field(default_factory=set)
    """Widths of the fields in which one's last character was cut off."""
    letters: int = 0
    """Characters in them beyond ASCII; of those beyond two bytes, which no accident makes, each counts as many."""
    other: int = 0


def encoding_of(dbf: Path) -> Encoding:
    """Find the encoding of a table's text: UTF-8 if its bytes are, else what is declared, else Windows-1252.

    What is declared is the .cpg file, the .cst file, or the language byte of the header, in this order. Reads the whole
    table once, and remembers what it found.
    """
    facts = dbf.stat()
    return _encoding_of(dbf, facts.st_size, facts.st_mtime_ns)


@lru_cache(maxsize=16)
def _encoding_of(dbf: Path, size: int, changed: int) -> Encoding:
    del size, changed
    declared, text = list(_declared(dbf)), _look_at(dbf)
    first = declared[0] if declared else None
    other = next((one for one in declared if one.name != UTF8), None)
    if not (text.utf8 or text.other):
        return first or Encoding(WINDOWS, "default")
    if text.utf8 and other and other.name in MULTI_BYTE and text.letters < _SURE:
        return other
    found = first if first and first.name == UTF8 else Encoding(UTF8, "content")
    if not text.utf8:
        return other or Encoding(WINDOWS, "content")
    found = replace(found, cut=tuple(sorted(text.cut)))
    # Rows of two origins, if there are others: each value is read by itself.
    return replace(found, other=other.name if other else WINDOWS, others=text.other) if text.other else found


def _declared(dbf: Path) -> Iterator[Encoding]:
    for suffix, place in _DECLARED:
        path = dbf.with_suffix(suffix)
        if path.exists():
            name = known_name(path.read_bytes()[:_DECLARED_BYTES].decode("utf-8-sig", "replace"))
            if name:
                yield Encoding(name, place)
    with dbf.open("rb") as file:
        header = file.read(_HEADER)
    if len(header) == _HEADER and header[29] in LANGUAGE_BYTES:
        yield Encoding(LANGUAGE_BYTES[header[29]], "language byte")


def _look_at(dbf: Path) -> _Text:
    """Count the values of a table's text fields, and their names, that have bytes beyond ASCII."""
    text = _Text()
    with dbf.open("rb") as file:
        header = file.read(_HEADER)
        start, length = int.from_bytes(header[8:10], "little"), int.from_bytes(header[10:12], "little")
        fields, offset = [], 1
        for descriptor in _descriptors(file.read(max(0, start - _HEADER))):
            width = descriptor[16]
            _count(text, {descriptor[:11].split(b"\0")[0]}, 10)
            if descriptor[11:12] == b"C":
                fields.append((offset, width))
            offset += width
        file.seek(start)
        rows = max(1, _BLOCK // max(length, 1))
        while length and len(block := file.read(rows * length)) >= length:
            records = np.frombuffer(block[: len(block) // length * length], np.uint8).reshape(-1, length)
            for begin, width in fields:
                _count(text, _beyond_ascii(records[:, begin : begin + width]), width)
    return text


def _descriptors(header: bytes) -> Iterator[bytes]:
    for begin in range(0, len(header) - _DESCRIPTOR + 1, _DESCRIPTOR):
        if header[begin] == _END_OF_HEADER:
            return
        yield header[begin : begin + _DESCRIPTOR]


def _beyond_ascii(column: npt.NDArray[np.uint8]) -> set[bytes]:
    chosen = np.ascontiguousarray(column[(column >= 0x80).any(axis=1)])
    return set(chosen.view(f"S{column.shape[1]}").ravel().tolist()) if chosen.size else set()


def _count(text: _Text, values: set[bytes], width: int) -> None:
    for value in values:
        if value.isascii():
            continue
        read, was_cut = read_utf8(value, full=len(value) >= width)
        if read is None:
            text.other += 1
        else:
            beyond = [char for char in read if ord(char) > 0x7F]
            text.utf8 += 1
            text.cut |= {width} if was_cut else set()
            text.letters += sum(_SURE if ord(char) > 0x7FF else 1 for char in beyond)


def read_utf8(value: bytes, *, full: bool) -> tuple[str | None, bool]:
    """Return a value read as UTF-8, None if it is not, and whether its last character was cut off.

    A value that is `full`, as long as its field, may end within a character: programs cut it there.
    """
    decoder = codecs.getincrementaldecoder(UTF8)()
    try:
        text = decoder.decode(value.rstrip(b" "), final=not full)
    except UnicodeDecodeError:
        return None, False
    was_cut, beyond = bool(decoder.getstate()[0]), [char for char in text if ord(char) > 0x7F]
    # Alone, the beginning of a character is as likely a letter of another encoding; and É before a quotation mark of
    # Windows-1252 would be a letter of the phonetic alphabet.
    by_accident = (was_cut and not beyond) or (len(beyond) == 1 and "\u0240" <= beyond[0] <= "\u02af")
    return (None, False) if by_accident else (text, was_cut)


def decode_values(values: pa.Array, encoding: Encoding) -> pa.Array:
    """Return text that was read by RAW as it is by its encoding, value by value; shape (n,).

    A value that is valid in neither encoding keeps its bytes, so that it counts as one that cannot be stored.
    """
    plain = pc.or_kleene(pc.string_is_ascii(values), pc.is_null(values)).to_numpy(zero_copy_only=False)
    if plain.all():
        return values
    texts = values.view(pa.binary()).to_pylist()
    for row in np.flatnonzero(~plain).tolist():
        texts[row] = _decode(texts[row].decode().encode("latin-1"), encoding)
    return pa.array(texts, pa.binary()).view(pa.string())


def decode_name(name: str, encoding: Encoding) -> str:
    """Return the name of a field that was read by RAW as it is by its encoding."""
    return name if name.isascii() else _decode(name.encode("latin-1"), encoding).decode(errors="replace")


def _decode(value: bytes, encoding: Encoding) -> bytes:
    # GDAL takes blanks at the end away, and a value that was cut has none.
    text, _ = read_utf8(value, full=len(value) in encoding.cut)
    if text is not None:
        return text.encode()
    try:
        return value.decode(encoding.other or UTF8).encode()
    except UnicodeDecodeError:
        return value
