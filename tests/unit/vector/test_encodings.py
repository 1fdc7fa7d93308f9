"""Encodings: what names mean, and what is found in files."""

from __future__ import annotations

from pathlib import Path

import pytest

from schema.errors import PermanentError
from services.vector.readers import encodings


@pytest.mark.parametrize(
    ("written", "name"),
    [
        ("UTF-8", "utf-8"), ("utf8", "utf-8"), ("65001", "utf-8"), ("UTF-8-SIG", "utf-8"), ("1252", "cp1252"),
        ("ANSI 1252", "cp1252"), ("windows-1250", "cp1250"), ("CP437", "cp437"), ("ISO 8859-1", "iso8859-1"),
        ("latin1", "iso8859-1"), ("ISO-8859-15", "iso8859-15"), ("GBK", "gbk"), ("Big5", "big5"),
        ("8859_1", "iso8859-1"), ("ISO 88591", "iso8859-1"), ("ISO-8859-2\r\n", "iso8859-2"), ("88591", "iso8859-1"),
        ("LDID/87", "cp1252"), ("OEM 852", "cp852"), ("\ufeffUTF-8", "utf-8"), ("x-windows-949", "cp949"),
        ("MS932", "cp932"), ("Windows-31J", "cp932"),
        ("zip", None), ("idna", None), ("unicode_escape", None), ("", None), ("x\x00y", None), ("../etc", None),
    ],
)  # fmt: skip
def test_names_of_encodings_are_known_however_they_are_written(written: str, name: str | None) -> None:
    assert encodings.known_name(written) == name


@pytest.mark.parametrize(
    ("data", "name", "found_in"),
    [
        (b"a,b\n1,2\n", "utf-8", "default"),
        ("a,Größe\n".encode(), "utf-8", "content"),
        (b"\xef\xbb\xbfa,b\n", "utf-8", "byte order mark"),
        ("a,Größe\n".encode("utf-16"), "utf-16", "byte order mark"),
        ("a,Größe\n".encode("cp1252"), "cp1252", "content"),
        ("a,Größe\n".encode() * 90_000, "utf-8", "content"),
    ],
    ids=["ascii", "letters", "mark of utf-8", "mark of utf-16", "cp1252", "more than a block"],
)
def test_the_encoding_of_a_text_is_found(tmp_path: Path, data: bytes, name: str, found_in: str) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    assert encodings.detect(tmp_path / "a.csv") == encodings.Encoding(name, found_in)


@pytest.mark.parametrize("data", ["a\nGröße\n".encode() + b"\xff\n", b"\xef\xbb\xbfa\nb\n\xe4\n", b"a\nb\n\x81\x8d\n"])
def test_bytes_of_no_encoding_are_refused_with_their_line(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "a.csv").write_bytes(data)
    with pytest.raises(PermanentError, match="Line 3 of the file is not valid UTF-8") as raised:
        encodings.detect(tmp_path / "a.csv")
    assert raised.value.error_code == "encoding_invalid"


def test_a_named_encoding_is_checked(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("a\nГород\n".encode("cp1251") + b"\x98\n")
    with pytest.raises(PermanentError, match="Line 3 of the file is not valid CP1251"):
        encodings.check(tmp_path / "a.csv", "cp1251")
    encodings.check(tmp_path / "a.csv", "iso8859-1")
