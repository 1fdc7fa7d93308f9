"""Encodings of text: the names that users may write, and what is found in text files and DBF files."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass
from pathlib import Path

from schema.errors import PermanentError
from schema.jobs import Json
from services.vector.readers.code_pages import guess_code_page

UTF8, UTF16, WINDOWS = "utf-8", "utf-16", "cp1252"

_LEGACY = (
    "utf-8", "utf-16", "ascii", *(f"cp{page}" for page in (437, 850, 852, 857, 860, 861, 863, 865, 866, 869, 874, 932)),
    *(f"cp{page}" for page in (936, 949, 950, 1250, 1251, 1252, 1253, 1254, 1255, 1256, 1257, 1258)),
    *(f"iso8859-{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 14, 15, 16)),
    "koi8-r", "koi8-u", "mac-roman", "big5", "gb2312", "gbk", "gb18030", "shift_jis", "euc_jp", "euc_kr",
)  # fmt: skip
NAMES = frozenset(codecs.lookup(name).name for name in _LEGACY)
"""Python's names of the supported encodings. Python has codecs that no text file has, such as zip, idna or hex."""

_BLOCK = 2**20
_HEAD = 64
_ESCAPED = re.compile("[\udc80-\udcff]+")
_NOT_ASCII = re.compile("[^\x00-\x7f\udc80-\udcff]")
_UNDEFINED = frozenset("\udc81\udc8d\udc8f\udc90\udc9d")
"""Bytes that Windows-1252 leaves undefined, escaped."""

LANGUAGE_BYTES = {
    0x01: "cp437", 0x02: "cp850", 0x03: "cp1252", 0x04: "mac-roman", 0x08: "cp865", 0x09: "cp437", 0x0A: "cp850",
    0x0B: "cp437", 0x0D: "cp437", 0x0E: "cp850", 0x0F: "cp437", 0x10: "cp850", 0x11: "cp437", 0x12: "cp850",
    0x13: "cp932", 0x14: "cp850", 0x15: "cp437", 0x16: "cp850", 0x17: "cp865", 0x18: "cp437", 0x19: "cp437",
    0x1A: "cp850", 0x1B: "cp437", 0x1C: "cp863", 0x1D: "cp850", 0x1F: "cp852", 0x22: "cp852", 0x23: "cp852",
    0x24: "cp860", 0x25: "cp850", 0x26: "cp866", 0x37: "cp850", 0x40: "cp852", 0x4D: "cp936", 0x4E: "cp949",
    0x4F: "cp950", 0x50: "cp874", 0x57: "cp1252", 0x58: "cp1252", 0x59: "cp1252", 0x64: "cp852", 0x65: "cp866",
    0x66: "cp865", 0x67: "cp861", 0x6B: "cp857", 0x78: "cp950", 0x79: "cp949", 0x7A: "cp936", 0x7B: "cp932",
    0x7C: "cp874", 0x86: "cp737", 0x87: "cp852", 0x88: "cp857", 0xC8: "cp1250", 0xC9: "cp1251", 0xCA: "cp1254",
    0xCB: "cp1253", 0xCC: "cp1257",
}  # fmt: skip
"""Language driver byte of a DBF header, as in the table of shapelib and GDAL (ogrshapelayer.cpp)."""

MULTI_BYTE = frozenset(
    ("cp932", "cp936", "cp949", "cp950", "big5", "gb2312", "gbk", "gb18030", "shift_jis", "euc_jp", "euc_kr")
)
"""Encodings in which a byte may be a part of a character."""


@dataclass(frozen=True)
class Encoding:
    """An encoding, and where it was found."""

    name: str
    """Python's name."""
    found_in: str
    """parameter, byte order mark, .cpg file, .cst file, language byte, content, or default."""
    cut: tuple[int, ...] = ()
    """Widths in bytes of the fields in which a value was cut within its last character."""
    other: str | None = None
    """The encoding of values that are not in the first one."""
    others: int = 0
    """Values in the other encoding."""

    @property
    def by_value(self) -> bool:
        """Whether each value is read by itself."""
        return bool(self.cut or self.other)

    def reading(self) -> Json:
        """Return what users see of it."""
        found: Json = {"encoding": self.name, "encoding_from": self.found_in}
        return {**found, "other_encoding": self.other, "values_in_other_encoding": self.others} if self.other else found


def known_name(name: str) -> str | None:
    """Return Python's name of an encoding, however it is written; None when it is not supported."""
    text = name.strip("\ufeff\0 \t\r\n").lower()
    # As ArcGIS, GDAL, Java and Windows write them: ANSI 1252, 8859_15, ISO 88591, MS932, x-windows-949.
    latin = re.fullmatch(r"(?:iso)?[ _-]*8859[ _-]*(\d{1,2})", text)
    page = re.fullmatch(r"(?:ansi|x-windows|windows|oem|cp|ibm|ms)?[ _-]?(\d{3,5})", text)
    language = re.fullmatch(r"ldid/(\d{1,3})", text)
    if latin:
        text = f"iso8859-{latin[1]}"
    elif language:
        text = LANGUAGE_BYTES.get(int(language[1]), "")
    elif page:
        text = {"65001": "utf-8", "1200": "utf-16", "28591": "iso8859-1"}.get(page[1], f"cp{page[1]}")
    else:
        text = {"windows-31j": "cp932", "ks_c_5601-1987": "cp949", "macintosh": "mac-roman"}.get(text, text)
    try:
        found = codecs.lookup(text).name
    except (LookupError, ValueError):
        return None
    return {"utf-8-sig": UTF8}.get(found, found) if found in NAMES | {"utf-8-sig"} else None


def from_parameter(name: str) -> Encoding:
    """Return the encoding that the user has named."""
    return Encoding(known_name(name) or name, "parameter")


def detect(path: Path) -> Encoding:
    """Find the encoding of a text file: UTF-8, UTF-16 with a byte order mark, or a code page of Windows. Reads it all.

    Raises PermanentError when it is none of these; the message names the first line that is not valid UTF-8.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if head.startswith(codecs.BOM_UTF8):
        found = _count(path)
        if found.wrong:
            raise _invalid(found.first_wrong_line)
        return Encoding(UTF8, "byte order mark")
    # The byte order mark of UTF-32, which is not supported, begins with that of UTF-16.
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)) and not head.startswith(codecs.BOM_UTF32_LE):
        return Encoding(UTF16, "byte order mark")
    found = _count(path)
    if not found.wrong:
        return Encoding(UTF8, "content" if found.right else "default")
    # Valid UTF-8 beside invalid bytes means two encodings or a damaged file, and hardly a code page of Windows.
    page = WINDOWS if found.right else guess_code_page(path)
    if page == WINDOWS and (found.right or found.undefined):
        raise _invalid(found.first_wrong_line)
    if page != WINDOWS:
        check(path, page)
    return Encoding(page, "content")


def check(path: Path, name: str) -> None:
    """Check that a text file is valid in an encoding. Raises PermanentError naming the first line that is not."""
    decoder = codecs.getincrementaldecoder(name)()
    line = 1
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            try:
                text = decoder.decode(block, final=not block)
            except UnicodeDecodeError as exc:
                line += exc.object.count(b"\n", 0, exc.start)
                raise _invalid(line, name) from exc
            if not block:
                return
            line += text.count("\n")


@dataclass
class _Counts:
    right: int = 0
    """Characters beyond ASCII that are valid UTF-8."""
    wrong: int = 0
    """Runs of bytes that are not."""
    undefined: bool = False
    """One of them has a byte that Windows-1252 leaves undefined."""
    first_wrong_line: int = 0


def _count(path: Path) -> _Counts:
    decoder = codecs.getincrementaldecoder(UTF8)("surrogateescape")
    counts, lines = _Counts(), 1
    with path.open("rb") as file:
        while True:
            block = file.read(_BLOCK)
            text = decoder.decode(block, final=not block)
            if not text.isascii():
                # surrogateescape turns a byte that is not valid into U+DC00 and the byte.
                wrong = list(_ESCAPED.finditer(text))
                if wrong and not counts.wrong:
                    counts.first_wrong_line = lines + text.count("\n", 0, wrong[0].start())
                counts.right += len(_NOT_ASCII.findall(text))
                counts.wrong += len(wrong)
                counts.undefined |= bool(_UNDEFINED & {char for run in wrong for char in run[0]})
            if not block:
                return counts
            lines += text.count("\n")


def _invalid(line: int, name: str = UTF8) -> PermanentError:
    return PermanentError(
        f"Line {line} of the file is not valid {name.upper()}.",
        remediation='Write the file as UTF-8, or name its encoding with "encoding", such as "cp1250".',
        code="encoding_invalid",
    )
