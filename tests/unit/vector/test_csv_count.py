"""Lines counted in the bytes of a CSV are the rows that the parser returns, whatever stands in the values."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.vector.readers.csv import count
from services.vector.readers.csv.dialect import Dialect
from services.vector.readers.csv.rows import rows_of
from services.vector.readers.csv.split import split_csv
from services.vector.readers.encodings import Encoding

VALUES = st.text('a",;\n\r é', max_size=5)
CHECKS = (HealthCheck.function_scoped_fixture,)


def parsed(path: Path, dialect: Dialect) -> int:
    return sum(rows.values.num_rows for rows in rows_of(path, dialect, split_csv(path, dialect)))


def written(value: str, *, quoted: bool) -> str:
    return f'"{value.replace(chr(34), chr(34) * 2)}"' if quoted or set(value) & set('",\n\r') else value


@given(
    rows=st.lists(st.lists(st.tuples(VALUES, st.booleans()), min_size=1, max_size=3), max_size=6),
    line_end=st.sampled_from(["\n", "\r\n"]),
    blank=st.booleans(),
    encoding=st.sampled_from(["utf-8", "utf-16", "gbk"]),
    block=st.integers(1, 40),
)
@settings(suppress_health_check=CHECKS, deadline=None)
def test_the_count_is_that_of_the_parser(
    tmp_path: Path, rows: list[list[tuple[str, bool]]], line_end: str, blank: bool, encoding: str, block: int
) -> None:
    lines = [",".join(written(value, quoted=quoted) for value, quoted in row) for row in rows]
    text = line_end.join(["a,b", *lines, *([""] * (1 + blank))])
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode(encoding, errors="replace"))
    dialect = Dialect(Encoding(encoding, "test"), ",", ("a", "b"), 0)
    (found,) = count.count_rows(path, dialect, 0, block_bytes=block)
    assert found.rows == parsed(path, dialect)


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('a,b\n1,5" pipe\n2,x\n', 2),
        ('a,b\n1,"never closed\n2,x\n3,y', 1),
        ("a,b\r1,2\r3,4\r", 2),
        ('a,b\r"1\r",2\r3,4', 2),
        ('sep=,\na,b\n"1",2\n\n3,4\n', 2),
        ("a,b", 0),
        ("a,b\n\n", 0),
    ],
)
def test_difficult_files_are_counted_as_they_are_parsed(tmp_path: Path, text: str, rows: int) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(text.encode())
    dialect = Dialect(Encoding("utf-8", "test"), ",", ("a", "b"), int(text.startswith("sep=")))
    assert (count.count_rows(path, dialect, 0)[0].rows, parsed(path, dialect)) == (rows, rows)
