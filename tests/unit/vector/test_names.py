"""Names of tables and columns."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from repositories.identifiers import MAX_NAME_BYTES, fit_name
from services.vector.load.names import OWN_COLUMNS, TABLE_PATTERN, column_names, table_name_of


@pytest.mark.parametrize(
    ("blob", "name"),
    [
        ("counties_usa.zip", "counties_usa"),
        ("a/b/Roads 2024.shp.zip", "roads_2024"),
        ("Größe & Straßen.gpkg", "grosse_strassen"),
        ("2020.geojson", "t_2020"),
        ("日本.geojson", None),
        ("---.geojson", None),
        ("x" * 80 + ".gpkg", "x" * 50),
        ("parcels__rejects.gpkg", "parcels_rejects"),
    ],
)
def test_a_table_is_named_after_its_file(blob: str, name: str | None) -> None:
    assert table_name_of(blob) == name


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("NAME", "name"),
        ("Größe (m²)", "größe_m2"),
        ("id", "source_id"),
        ("GEOM", "source_geom"),
        ("fid", "source_fid"),
        ("ctid", "source_ctid"),
        ("order", "order"),
        ("2020", "_2020"),
        ("नाम", "नाम"),
        ("", "column"),
        ('a"; DROP TABLE x; --', "a_drop_table_x"),
        ("ж" * 40, "ж" * 31),
    ],
)
def test_columns_get_readable_names(source: str, name: str) -> None:
    assert column_names([source]) == [name]


def test_names_that_become_equal_are_numbered() -> None:
    assert column_names(["Name", "NAME", "name", "name_2"]) == ["name", "name_2", "name_3", "name_2_2"]
    long = "x" * 70
    assert column_names([long, long]) == ["x" * 63, "x" * 61 + "_2"]


@given(st.lists(st.text(max_size=90), max_size=12))
def test_every_set_of_columns_can_be_made(sources: list[str]) -> None:
    names = column_names(sources)
    assert len(set(names)) == len(names) == len(sources)
    assert not set(names) & OWN_COLUMNS
    for name in names:
        assert 0 < len(name.encode()) <= MAX_NAME_BYTES
        assert name == name.lower()
        assert not re.search(r'["\'; \x00]', name)
    assert column_names(names) == names


@given(st.text(max_size=200))
def test_every_file_gives_a_plain_table_name(blob: str) -> None:
    name = table_name_of(blob)
    if name is None:
        assert not re.search("[A-Za-z0-9]", blob.rpartition("/")[2].split(".")[0])
        return
    assert re.match(TABLE_PATTERN, name)
    assert len(name.encode()) <= 50
    assert not name.endswith("__rejects")


def test_a_derived_name_that_is_too_long_is_cut_and_hashed() -> None:
    assert fit_name("parcels", "_pkey") == "parcels_pkey"
    long = fit_name("x" * 60, "_geom_idx")
    assert len(long) == 63
    assert re.match(r"^x{54}_[0-9a-f]{8}$", long)
    assert long != fit_name("x" * 61, "_geom_idx")
