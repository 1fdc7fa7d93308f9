"""The reader of CSV files."""

from __future__ import annotations

import csv
import io
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.vector.geometry import reasons
from services.vector.read_options import ReadOptions
from services.vector.readers.csv.dialect import read_dialect
from services.vector.readers.csv.layer import open_csv
from services.vector.readers.csv.rows import block_bytes
from services.vector.readers.csv.split import CsvSplit


def read(data: bytes, **read_options: Any) -> tuple[list[str], list[tuple[Any, ...]], list[str | None], dict[str, Any]]:
    """Return names, rows, faults and what was chosen."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(data)
        with open_csv(path, "a", ReadOptions(**read_options), lambda: None) as (layer, batches):
            rows: list[tuple[Any, ...]] = []
            faults: list[str | None] = []
            for batch in batches:
                assert batch.fids.tolist() == list(range(len(rows), len(rows) + len(batch.fids)))
                columns = [column.to_pylist() for column in batch.attributes.columns]
                rows += list(zip(*columns, strict=True)) if columns else [()] * len(batch.fids)
                found = batch.faults.to_pylist() if batch.faults is not None else [None] * len(batch.fids)
                faults += [fault and fault["reason"] for fault in found]
            return [name for name, _ in layer.fields], rows, faults, layer.reading


def test_quoted_values_may_hold_everything() -> None:
    names, rows, faults, _ = read(b'lat,lon,"a ""b"""\n1,2,"x,\n""y"""\n3,4,\n5,6,""\n')
    assert names == ["lat", "lon", 'a "b"']
    assert [row[2] for row in rows] == ['x,\n"y"', None, ""]
    assert faults == [None] * 3


def test_a_lone_quotation_mark_within_a_value_is_part_of_it() -> None:
    assert [row[2] for row in read(b'lat,lon,t\n1,2,5" pipe\n3,4,x\n')[1]] == ['5" pipe', "x"]


def test_blank_lines_are_no_rows() -> None:
    assert len(read(b"lat,lon\n\n1,2\n\n\n3,4\n\n")[1]) == 2


def test_a_row_longer_than_a_block_is_read() -> None:
    assert block_bytes(CsvSplit((0,), longest_line=20_000_000, open_quote=False)) > 20_000_000
    long = "x" * 100_000
    _, rows, _, _ = read(f"lat,lon,t\n1,2,a\n1,2,{long}\n1,2,b\n".encode())
    assert [len(row[2]) for row in rows] == [1, 100_000, 1]


@pytest.mark.parametrize("rows", [0, 1, 4_999, 5_000, 5_001, 12_000])
@pytest.mark.parametrize("every", [1, 2, 7])
def test_ragged_rows_keep_their_place(rows: int, every: int) -> None:
    lines = [f"1,2,{n}" if n % every or every == 1 else f"{n}" for n in range(rows)]
    _, found, faults, _ = read(("lat,lon,n\n" + "\n".join(lines)).encode())
    assert len(found) == rows
    for n, (row, fault) in enumerate(zip(found, faults, strict=True)):
        ragged = every > 1 and n % every == 0
        assert (row[2], fault) == ((None, reasons.RAGGED) if ragged else (n, None))


def test_the_delimiter_is_the_one_that_most_rows_agree_on(tmp_path: Path) -> None:
    for text, delimiter in (
        ("a;b,c;d\n1;2,5;3\n1;2,5;3\n", ";"),
        ("a,b\n1,x;y;z\n", ","),
        ("a\tb\n1\t2,3\n", "\t"),
        ("latlon\n1,2\n", "\x1f"),
        ("lat:lon\n1:2\n", ":"),
    ):
        (tmp_path / "a.csv").write_text(text)
        assert read_dialect(tmp_path / "a.csv", ReadOptions()).delimiter == delimiter, text


def test_a_crs_that_only_later_shapes_name_is_theirs(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,wkt\n" + "1,\n" * 300 + '2,"SRID=25832;POINT(500000 5000000)"\n' * 3)
    with open_csv(tmp_path / "a.csv", "a", ReadOptions(), lambda: None) as (layer, batches):
        assert layer.crs == "EPSG:25832"
        assert sum(len(batch.fids) for batch in batches) == 303


def test_a_shape_may_be_longer_than_what_the_dialect_is_judged_by(tmp_path: Path) -> None:
    corners = ", ".join(f"{n / 100_000} 1" for n in range(50_000))
    (tmp_path / "a.csv").write_text(f'id,wkt\n1,"LINESTRING ({corners})"\n')
    with open_csv(tmp_path / "a.csv", "a", ReadOptions(), lambda: None) as (_, batches):
        assert [len(batch.fids) for batch in batches] == [1]


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=10)
numbers = st.floats(-60, 60).map(lambda n: round(n, 3))


@given(st.lists(st.tuples(numbers, numbers, texts), min_size=1, max_size=30), st.sampled_from(",;\t|"))
def test_what_is_written_is_read(rows: list[tuple[float, float, str]], delimiter: str) -> None:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=delimiter, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([("lat", "lon", "text"), *((y, x, f"t {text}") for x, y, text in rows)])
    names, found, faults, reading = read(out.getvalue().encode())
    assert (names, reading["delimiter"]) == (["lat", "lon", "text"], "tab" if delimiter == "\t" else delimiter)
    assert faults == [None] * len(rows)
    assert [(float(y), float(x), text) for y, x, text in found] == [(y, x, f"t {text}") for x, y, text in rows]


@given(st.lists(st.lists(st.text("ab1.,;\" '\t", max_size=6), max_size=5), max_size=20))
def test_no_row_of_any_text_is_lost(rows: list[list[str]]) -> None:
    lines = [",".join(f'"{value.replace(chr(34), chr(34) * 2)}"' for value in row) for row in rows]
    whole = [line for line in lines if line]
    _, found, faults, _ = read(("lat,lon,text\n" + "\n".join(whole)).encode(), wkt_column="text")
    assert len(found) == len(whole)
    expected = [len(row) != 3 for row in rows if row]
    assert [fault == reasons.RAGGED for fault in faults] == expected
