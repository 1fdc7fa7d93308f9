"""Parts of a CSV file: each can be read by itself, and together they are the whole."""

from __future__ import annotations

import tempfile
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import PermanentError
from services.vector.chunks import Chunk, FilePart
from services.vector.read_options import ReadOptions
from services.vector.readers.csv.dialect import Dialect, read_dialect
from services.vector.readers.csv.layer import open_csv, open_csv_chunk
from services.vector.readers.csv.rows import rows_of
from services.vector.readers.csv.split import PART_BYTES, PART_ROWS, CsvSplit, SplitLimits, is_open_after, split_csv
from services.vector.readers.encodings import Encoding

Rows = list[tuple[Any, ...]]


def look(
    path: Path, size: int = PART_BYTES, rows: int = 1, *, encoding: str = "utf-8", skip: int = 0, **limits: int
) -> tuple[Dialect, CsvSplit]:
    """Split a file into parts of a size, and of a multiple of rows."""
    dialect = Dialect(Encoding(encoding, "parameter"), ",", ("a", "b", "c"), skip)
    return dialect, split_csv(path, dialect, SplitLimits(part_bytes=size, part_rows=rows, **limits))


def rows_in(path: Path, size: int, multiple: int = 1) -> tuple[Rows, int]:
    """Read a file of three columns in parts of a size, ragged rows as their text; also return the number of parts."""
    dialect, found = look(path, size, multiple)
    rows: Rows = []
    for part in rows_of(path, dialect, found):
        assert part.first == len(rows)
        values = [column.to_pylist() for column in part.values.columns]
        rows += [(part.ragged[n],) if n in part.ragged else row for n, row in enumerate(zip(*values, strict=True))]
    return rows, len(found.starts)


lines = st.lists(st.text('a",\n\r', max_size=8), max_size=12).map("\n".join)


@given(lines, st.integers(1, 20), st.integers(1, 4))
def test_the_parts_of_any_text_have_the_rows_of_the_whole(text: str, size: int, multiple: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(f"a,b,c\n{text}\n".encode())
        assert rows_in(path, size, multiple)[0] == rows_in(path, 2**20)[0]


values = st.one_of(st.just(""), st.text('é",\n ', max_size=5).map(lambda text: f"t{text}"))
tables = st.lists(st.tuples(st.integers(-80, 80), values, st.booleans()), min_size=1, max_size=25)


@given(tables, st.integers(1, 60), st.integers(1, 4), st.data())
def test_any_rows_are_read_again_as_they_were_read_first(
    table: list[tuple[int, str, bool]], size: int, multiple: int, data: st.DataObject
) -> None:
    doubled = ((y, text.replace('"', '""'), whole) for y, text, whole in table)
    written = "".join(f'{y},{y},"{text}"\n' if whole else f"{y}\n" for y, text, whole in doubled)
    first = data.draw(st.integers(0, len(table) - 1))
    number = data.draw(st.integers(1, len(table) - first))
    limits = SplitLimits(part_bytes=size, part_rows=multiple)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.csv"
        path.write_bytes(f"lat,lon,text\n{written}".encode())
        with open_csv(path, "a", ReadOptions(), lambda: None, limits=limits) as (layer, batches):
            whole: Rows = []
            parts: dict[int, FilePart] = {}
            for batch in batches:
                parts |= dict.fromkeys(batch.fids.tolist(), batch.part or FilePart(0, 0, 0))
                whole += as_rows(batch)
        part = replace(parts[first], end=parts[first + number - 1].end)
        chunk = Chunk(first + 1, number, first, first + number - 1, part=part)
        with open_csv_chunk(path, "a", layer.reader_state, chunk, lambda: None) as (again, batches):
            assert again.fields == layer.fields
            assert [row for batch in batches for row in as_rows(batch)] == whole[first : first + number]


def as_rows(batch: Any) -> Rows:
    columns = [batch.fids.tolist(), batch.geometry.to_pylist(), *(one.to_pylist() for one in batch.attributes.columns)]
    faults = batch.faults.to_pylist() if batch.faults is not None else [None] * len(batch.fids)
    return list(zip(*columns, faults, strict=True))


def test_a_file_is_parted_where_rows_begin_and_not_within_a_value(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b,c\n1,2,"x\ny\nz"\n3,4,5" pipe\n5,6,7\n')
    rows, parts = rows_in(path, 1)
    assert rows == [("1", "2", "x\ny\nz"), ("3", "4", '5" pipe'), ("5", "6", "7")]
    assert parts == 3


def test_a_part_of_plain_lines_holds_as_many_rows_as_a_chunk(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"sep=,\na,b,c\n" + b"1,2,3\n" * 35)
    assert look(path, 40, 10, skip=1)[1].starts == (0, 12 + 60, 12 + 120, 12 + 180)


def test_a_part_that_has_grown_too_large_ends_with_any_line(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b,c\n" + b"1,2,3\n" * 35)
    assert look(path, 7, 1_000, largest_part=60)[1].starts == (0, 60, 120, 180)


def test_a_mark_that_is_no_more_than_text_does_not_keep_a_file_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b,c\n" + b'1,5" pipe,3\n' * 1_000)
    assert len(look(path, 1_000)[1].starts) == 12


@pytest.mark.parametrize(
    ("block", "is_open", "after"),
    [
        (b'a,"b\n', False, True),
        (b'b",c\n', True, False),
        (b'"a ""b"" c"\n', False, False),
        (b'a ""b\n', False, False),
        (b'"a"b"c\n', False, False),
        (b'""\n', True, True),
        (b'""","\n', False, False),
        (b'\n"\n', True, False),
    ],
)
def test_a_value_goes_on_behind_a_block_as_pyarrow_reads_it(block: bytes, is_open: bool, after: bool) -> None:
    assert is_open_after(block, ord(","), is_open=is_open) is after


@pytest.mark.parametrize(("encoding", "parts"), [("utf-8", 100), ("cp1252", 100), ("utf-16", 1), ("gbk", 1)])
def test_only_text_whose_bytes_are_characters_is_parted(tmp_path: Path, encoding: str, parts: int) -> None:
    path = tmp_path / "a.csv"
    path.write_text("a,b,c\n" + "1,2,3\n" * 100, encoding=encoding)
    assert len(look(path, 1, encoding=encoding)[1].starts) == parts


def test_lines_are_measured_over_the_pieces_that_they_are_read_in(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b,c\n1,2,3\n" + b"x" * 1_000 + b"\n1,2,3\n")
    found = look(path, 10, largest_line=30)[1]
    assert found.longest_line == 1_000
    # Within the long line nobody knows any more where values begin.
    assert found.starts == (0, 12)


def test_a_long_line_takes_no_more_than_a_few_times_its_size(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b'a,b,c\n1,2,"' + b"x" * 20_000_000 + b'"\n')
    tracemalloc.start()
    look(path, rows=PART_ROWS)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 100_000_000


@pytest.mark.parametrize("head", ["sep=;\n", "sep=;\n\n\n", "\n\n\n"])
def test_no_part_begins_before_the_row_of_names_has_ended(tmp_path: Path, head: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(head + "lat;lon;t\n1;2;a\n3;4;b\n")
    with open_csv(path, "a", ReadOptions(), lambda: None, limits=SplitLimits(1, 1)) as (layer, batches):
        assert [name for name, _ in layer.fields] == ["lat", "lon", "t"]
        assert [value for batch in batches for value in batch.attributes.column(2).to_pylist()] == ["a", "b"]


@pytest.mark.parametrize("head", ["", "sep=;\n", "sep=;\n\n\n", "\n\n\n", "sep=;\r\n"])
@pytest.mark.parametrize("size", [1, 2**20])
def test_ragged_rows_keep_their_place_whatever_stands_before_the_names(tmp_path: Path, head: str, size: int) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(f"{head}lat;lon;t\n1;2\n3;4;b\n5;6\n\n7;8\n9;10;e\n11;12\n".encode())
    with open_csv(path, "a", ReadOptions(), lambda: None, limits=SplitLimits(size, 1)) as (_, batches):
        rows = [row for batch in batches for row in as_rows(batch)]
    assert [(row[0], row[4], row[5] is not None) for row in rows] == [
        *((0, None, True), (1, "b", False), (2, None, True), (3, None, True), (4, "e", False), (5, None, True)),
    ]


def test_a_file_may_have_nothing_but_ragged_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"a,b,c\n" + b"1\n" * 100_000)
    assert rows_in(path, 2**20, 10**6)[0] == [("1",)] * 100_000


def test_a_file_that_is_cut_off_within_a_value_is_refused_in_parts_too(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(b"lat,lon,t\n" + b"1,2,a\n" * 50 + b'1,2,"b\n' + b"1,2,c\n" * 50)
    limits = SplitLimits(20, 1)
    assert len(split_csv(path, read_dialect(path, ReadOptions()), limits).starts) > 10
    with pytest.raises(PermanentError, match="row 51 is not closed"):
        open_csv(path, "a", ReadOptions(), lambda: None, limits=limits).__enter__()
