"""Encodings of dBASE tables: what their bytes say beside what is declared."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.vector.readers import dbf
from services.vector.readers.encodings import Encoding


def table(values: list[bytes], *, width: int = 30, language: int = 0, field: bytes = b"NAME") -> bytes:
    """Write a dBASE table of one field of text."""
    descriptor = field.ljust(11, b"\0") + b"C" + bytes(4) + bytes([width, 0]) + bytes(14)
    header = bytearray(b"\x03\x7c\x01\x01" + len(values).to_bytes(4, "little"))
    header += (65).to_bytes(2, "little") + (width + 1).to_bytes(2, "little") + bytes(20)
    header[29] = language
    records = b"".join(b" " + value[:width].ljust(width) for value in values)
    return bytes(header) + descriptor + b"\r" + records + b"\x1a"


def found_in(
    values: list[bytes], *, width: int = 30, language: int = 0, cpg: bytes | None = None, cst: bytes | None = None
) -> Encoding:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.dbf"
        path.write_bytes(table(values, width=width, language=language))
        for suffix, text in ((".cpg", cpg), (".cst", cst)):
            if text is not None:
                path.with_suffix(suffix).write_bytes(text)
        return dbf.encoding_of(path)


@pytest.mark.parametrize(
    ("language", "declared", "text", "name", "place"),
    [
        (0, {"cpg": b"UTF-8\n"}, b"x", "utf-8", ".cpg file"),
        (0, {"cpg": b"\xef\xbb\xbfUTF-8"}, b"x", "utf-8", ".cpg file"),
        (0x57, {"cpg": b"1250"}, b"x", "cp1250", ".cpg file"),
        (0x57, {"cpg": b"no such thing"}, b"x", "cp1252", "language byte"),
        (0x57, {"cst": b"ISO-8859-2"}, b"x", "iso8859-2", ".cst file"),
        (0x57, {"cpg": b"", "cst": b"UTF-8"}, b"x", "utf-8", ".cst file"),
        (0x65, {}, b"x", "cp866", "language byte"),
        (0, {}, "Größe".encode(), "utf-8", "content"),
        (0, {}, "Größe".encode("cp1252"), "cp1252", "content"),
        (0, {}, b"x", "cp1252", "default"),
        (0, {"cpg": b"1252"}, "Táliga".encode(), "utf-8", "content"),
        (0x57, {}, "Táliga".encode(), "utf-8", "content"),
        (0, {"cst": b"ISO-8859-1"}, "Táliga".encode(), "utf-8", "content"),
        (0, {"cpg": b"UTF-8"}, "Táliga".encode("cp1252"), "cp1252", "content"),
        (0xC8, {"cpg": b"UTF-8"}, "Łódź".encode("cp1250"), "cp1250", "language byte"),
        (0, {"cpg": b"GBK"}, "联通".encode("gbk"), "gbk", ".cpg file"),
        (0, {"cpg": b"GBK"}, "联通".encode(), "utf-8", "content"),
        (0, {"cpg": b"1252"}, "«CLICHÉ»".encode("cp1252"), "cp1252", ".cpg file"),
    ],
)
def test_the_encoding_of_a_dbf_is_found(
    language: int, declared: dict[str, bytes], text: bytes, name: str, place: str
) -> None:
    assert found_in([text], language=language, cpg=declared.get("cpg"), cst=declared.get("cst")) == Encoding(
        name, place
    )


def test_the_name_of_a_field_counts_as_text(tmp_path: Path) -> None:
    (tmp_path / "a.dbf").write_bytes(table([b"x"], field="Größe".encode()))
    (tmp_path / "a.cpg").write_bytes(b"1252")
    assert dbf.encoding_of(tmp_path / "a.dbf") == Encoding("utf-8", "content")


def test_a_character_that_was_cut_at_the_width_of_its_field_is_left_out() -> None:
    texts = ["Māngere-Ōtāhuhu ü", "Māngere-Ōtāhuhx ü"]
    encoding = found_in([text.encode() for text in texts], width=20, cpg=b"UTF-8")
    assert encoding == Encoding("utf-8", ".cpg file", cut=(20,))
    raw = pa.array([text.encode()[:20].decode("latin-1") for text in texts])
    expected = [text.encode()[:20].decode(errors="ignore") for text in texts]
    assert dbf.decode_values(raw, encoding).to_pylist() == expected


letters = st.text(st.characters(categories=["L"], max_codepoint=0x17F), min_size=1, max_size=12)


def decoded(values: list[bytes], encoding: Encoding) -> list[str]:
    if not encoding.by_value:
        return [value.decode(encoding.name) for value in values]
    return list(dbf.decode_values(pa.array([value.decode("latin-1") for value in values]), encoding).to_pylist())


words = st.text(st.characters(min_codepoint=0x21, categories=["L"]), min_size=1, max_size=7)


@given(st.lists(words), st.sampled_from([b"1252", b"1251", b"ISO-8859-15", b"UTF-8", b"437"]))
def test_utf8_is_read_whatever_is_declared(texts: list[str], declared: bytes) -> None:
    # Alone, a letter of the phonetic alphabet is taken for two of Windows-1252.
    assume(not any("\u0240" <= char <= "\u02af" for text in texts for char in text))
    values = [text.encode() for text in texts]
    assert decoded(values, found_in(values, cpg=declared)) == texts


def is_ambiguous(value: bytes) -> bool:
    """Whether a value that was not written as UTF-8 is valid as such."""
    return not value.isascii() and dbf.read_utf8(value, full=False)[0] is not None


@given(st.lists(letters), st.sampled_from(["cp1250", "cp1252", "iso8859-2", "iso8859-15", "cp1254", "cp852"]))
def test_text_in_the_encoding_that_is_declared_is_read(texts: list[str], name: str) -> None:
    values = [text.encode(name, "ignore") for text in texts]
    assume(not any(map(is_ambiguous, values)))
    assert decoded(values, found_in(values, cpg=name.encode())) == [value.decode(name) for value in values]


@given(st.lists(letters), st.lists(letters))
def test_each_value_of_a_table_in_two_encodings_is_read_by_itself(modern: list[str], legacy: list[str]) -> None:
    old = [text.encode("cp1252", "ignore") for text in legacy]
    assume(not any(map(is_ambiguous, old)))
    values = [*(text.encode() for text in modern), *old]
    encoding = found_in(values)
    assert decoded(values, encoding) == [*modern, *(value.decode("cp1252") for value in old)]
    assert (encoding.others > 0) == (not all(map(str.isascii, modern)) and not all(map(bytes.isascii, old)))
