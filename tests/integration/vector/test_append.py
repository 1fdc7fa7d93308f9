"""Rows are added to tables whole, or not at all."""

from __future__ import annotations

from typing import Any

import pytest
from shapely.geometry import MultiPolygon, Point, box

from repositories.target_table import staging
from repositories.target_table.inspection import TargetState
from schema.errors import PermanentError
from services.vector.load import publish
from tests.fixtures.vector import BOWTIE, features
from tests.integration.vector.loading import Loader
from tests.integration.vector.tables import do, load_boxes


def test_append_matches_columns_by_name(loader: Loader) -> None:
    do(
        loader,
        "CREATE TABLE geo.a (geom geometry(MultiPolygon, 4326), extra text DEFAULT 'none', name varchar, size bigint,"
        " id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY)",
        "INSERT INTO geo.a (name) VALUES ('old')",
    )
    loader.put("a.json", features((box(0, 0, 1, 1), {"size": 7}), (BOWTIE, {"size": 8})))
    assert loader.load("a.json", load_method="append")["geometry_type"] == "MultiPolygon"
    assert loader.rows("SELECT id, name, size, extra FROM geo.a ORDER BY id") == [
        (1, "old", None, "none"), (2, None, 7, "none"), (3, None, 8, "none"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("properties", "shape", "fault"),
    [
        ({"name": "x", "new": 1}, box(0, 0, 1, 1), "new integer is not in the table"),
        ({"name": 5.5}, box(0, 0, 1, 1), "name is double precision in the file and text in the table"),
        ({"name": "x"}, Point(0, 0), r"geom is geometry\(Point,4326\) in the file"),
    ],
)
def test_append_refuses_other_columns_before_a_row_is_written(
    loader: Loader, properties: dict[str, object], shape: object, fault: str
) -> None:
    load_boxes(loader, 3)
    loader.put("a.json", features((shape, properties)))
    with pytest.raises(PermanentError, match=rf"{fault}.*The file has \(.*the table has \(id bigint, name text, "):
        loader.load("a.json", load_method="append")
    assert loader.value("SELECT count(*) FROM geo.a") == 3


def test_a_multi_geometry_is_a_rejected_row_where_the_table_holds_single_ones(loader: Loader) -> None:
    load_boxes(loader, 3)
    multi = MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)])
    loader.put("a.json", features((multi, {"name": "m"}), (box(0, 0, 1, 1), {"name": "s"}), (BOWTIE, {"name": "b"})))
    result = loader.load("a.json", load_method="append", max_rejected=2)
    assert result["conservation"]["reasons"] == {"multi_geometry_in_table_of_single_ones": 2}
    assert loader.value("SELECT count(*) FROM geo.a") == 4


def test_multi_geometries_for_a_table_of_single_ones_are_refused_before_a_row_is_written(loader: Loader) -> None:
    load_boxes(loader, 3)
    multi = MultiPolygon([box(0, 0, 1, 1), box(2, 2, 3, 3)])
    loader.put("a.json", features((multi, {"name": "m"}), (box(0, 0, 1, 1), {"name": "s"})))
    with pytest.raises(PermanentError, match=r"geom is geometry\(MultiPolygon,4326\) in the file") as caught:
        loader.load("a.json", load_method="append", dry_run=True)
    assert caught.value.error_code == "columns_differ"


def test_a_polygon_that_a_repair_splits_is_a_rejected_row_where_the_table_holds_single_ones(loader: Loader) -> None:
    load_boxes(loader, 3)
    loader.put("a.json", features((BOWTIE, {"name": "b"}), (box(0, 0, 1, 1), {"name": "s"})))
    with pytest.raises(PermanentError, match="1 multi_geometry_in_table_of_single_ones"):
        loader.load("a.json", load_method="append")
    assert loader.value("SELECT count(*) FROM geo.a") == 3


def test_rows_that_are_added_to_a_table_are_not_indexed_before(loader: Loader, monkeypatch: pytest.MonkeyPatch) -> None:
    load_boxes(loader, 2)
    built: list[str] = []
    monkeypatch.setattr(staging, "build_index", lambda *_, statement, **__: built.append(statement))
    load_boxes(loader, 3, load_method="append")
    assert not built
    assert loader.rows("SELECT count(*), max(id) FROM geo.a") == [(5, 5)]


def test_a_table_that_goes_before_rows_are_added_is_created_again_with_its_indexes(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    load_boxes(loader, 2)
    lock_targets = publish.lock_targets

    def lock_what_is_left(*arguments: Any) -> list[TargetState]:
        do(loader, "DROP TABLE geo.a")
        return lock_targets(*arguments)

    monkeypatch.setattr(publish, "lock_targets", lock_what_is_left)
    load_boxes(loader, 3, load_method="append")
    assert loader.rows("SELECT count(*), max(id) FROM geo.a") == [(3, 3)]
    indexes = "SELECT indexname FROM pg_indexes WHERE schemaname = 'geo' AND tablename = 'a' ORDER BY 1"
    assert loader.rows(indexes) == [("a_geom_idx",), ("a_pkey",)]
