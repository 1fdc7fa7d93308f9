"""What is decided without reading or writing anything: chunks, CRS, row accounting, sizes of rows."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyproj
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schema.errors import PermanentError
from services.crs import crs_label, parse_layer_crs
from services.vector.chunks import Chunk, FilePart
from services.vector.geometry.crs import Operation, area_of, choose_operation, project_with
from services.vector.load import row_accounting, row_size
from services.vector.load.chunker import Chunker
from services.vector.load.row_accounting import LoadTotals
from services.vector.load.stages import (
    PlannedLoad,
    PreprocessResult,
    PublishTask,
    StagedLoad,
    UploadResult,
    UploadTask,
)

WGS84 = pyproj.CRS("EPSG:4326")
ESRI_WGS84 = (
    'GEOGCS["GCS_WGS_1984",DATUM["D_WGS_1984",SPHEROID["WGS_1984",6378137.0,298.257223563]],'
    'PRIMEM["Greenwich",0.0],UNIT["Degree",0.0174532925199433]]'
)


@given(
    st.lists(st.lists(st.integers(0, 50), max_size=30), max_size=6),
    st.integers(1, 20),
    st.integers(1, 100),
)
def test_chunks_hold_every_row_once_and_keep_their_limits(batches: list[list[int]], rows: int, size: int) -> None:
    chunker = Chunker(rows, size)
    chunks: list[list[int]] = [[]]
    for batch in batches:
        covered = 0
        for piece in chunker.cut(np.array(batch, np.int64)):
            assert piece.start == covered
            covered += piece.rows
            chunks[-1] += batch[piece.start : covered]
            if piece.closes:
                chunks.append([])
        assert covered == len(batch)
    assert [number for chunk in chunks for number in chunk] == [number for batch in batches for number in batch]
    for chunk in chunks:
        assert len(chunk) <= rows
        assert sum(chunk[:-1]) < size


@pytest.mark.parametrize("definition", ["EPSG:4326", "OGC:CRS84", ESRI_WGS84, "EPSG:4979"])
def test_longitude_and_latitude_are_left_alone_in_whatever_order_the_crs_has_them(definition: str) -> None:
    assert choose_operation(parse_layer_crs(definition), WGS84, None).pipeline is None


@pytest.mark.parametrize("code", [32632, 3857, 2193, 3035, 31467, 27700, 5514])
def test_an_operation_survives_json_and_does_what_proj_does(code: int) -> None:
    source = parse_layer_crs(f"EPSG:{code}")
    area = source.area_of_use
    assert area is not None
    middle = ((area.west + area.east) / 2, (area.south + area.north) / 2)
    to_source = pyproj.Transformer.from_crs(WGS84, source, always_xy=True)
    point = to_source.transform(*middle)
    operation = choose_operation(source, WGS84, (point[0], point[1], point[0] + 1, point[1] + 1))
    project = project_with(Operation.from_json(operation.as_json()))
    assert project is not None
    # The best operation may be some metres from the one that PROJ took on the way there.
    assert project(np.array([point]))[0] == pytest.approx(middle, abs=2e-4)


@pytest.mark.parametrize("definition", [None, "", "nonsense", 'LOCAL_CS["plant grid",UNIT["metre",1]]'])
def test_a_layer_without_a_usable_crs_is_refused(definition: str | None) -> None:
    with pytest.raises(PermanentError) as caught:
        parse_layer_crs(definition)
    assert caught.value.error_code == "crs_missing"


def test_a_vertical_crs_is_left_out() -> None:
    assert crs_label(parse_layer_crs("EPSG:25832+7837")) == "EPSG:25832"


def test_the_area_of_use_is_compared_on_the_side_that_is_in_degrees() -> None:
    assert (area_of(WGS84, pyproj.CRS(3857)) or pytest.fail("no area")).of_source
    assert not (area_of(pyproj.CRS(32632), WGS84) or pytest.fail("no area")).of_source
    assert area_of(pyproj.CRS(32632), pyproj.CRS(3857)) is None


@pytest.mark.parametrize(
    ("rows", "limit", "allowed"), [(1000, 0, 0), (1000, 7, 7), (1000, "1%", 10), (99, "1%", 0), (300, "0.5%", 1)]
)
def test_rejected_rows_are_allowed_by_number_or_share(rows: int, limit: int | str, allowed: int) -> None:
    assert row_accounting.allowed_rejects(rows, limit) == allowed


def test_rows_that_are_not_accounted_for_stop_a_load() -> None:
    row_accounting.check_accounted(0, LoadTotals())
    for rows_in, wrong in ((0, LoadTotals(loaded=1)), (1, LoadTotals(rejected=1)), (2, LoadTotals(loaded=1))):
        with pytest.raises(row_accounting.RowsUnaccounted):
            row_accounting.check_accounted(rows_in, wrong)
    with pytest.raises(row_accounting.RowsUnaccounted):
        row_accounting.check_staged(9, 10)


def test_totals_of_tasks_are_added_up() -> None:
    one = LoadTotals(
        rows=3, loaded=2, rejected=1, multi=1, bounds=(0, 0, 1, 1), counts=Counter(repaired=1),
        reasons=Counter(null_geometry=1), source_types=Counter(Polygon=2), nulled=Counter(a=1),
        first_rejected=tuple((number, "a") for number in (1, 2, 5, 6, 7)),
    )  # fmt: skip
    other = replace(one, bounds=(-1, 0.5, 0.5, 2), reasons=Counter(empty_geometry=1), first_rejected=((3, "b"),))
    total = row_accounting.add_up([one, other, row_accounting.add_up([])])
    assert (total.rows, total.loaded, total.rejected, total.multi) == (6, 4, 2, 2)
    assert list(total.bounds or ()) == [-1, 0, 1, 2]
    assert total.reasons == {"null_geometry": 1, "empty_geometry": 1}
    assert total.first_rejected == ((1, "a"), (2, "a"), (3, "b"), (5, "a"), (6, "a"))
    assert row_accounting.type_changes(total.source_types, "MultiPolygon") == {"Polygon->MultiPolygon": 4}


def test_what_stages_hand_to_one_another_survives_json() -> None:
    chunk = Chunk(1, 3, 0, 2, part=FilePart(0, 99, 0))
    load = PlannedLoad("plan.json", 3, "roads", "EPSG:4326", {"Polygon": 3}, (chunk, replace(chunk, first_row=4)))
    totals = LoadTotals(rows=3, loaded=2, rejected=1, bounds=(0, 0, 1, 1), first_rejected=((2, "null_geometry"),))
    values: list[Any] = [
        PreprocessResult((load,)), PreprocessResult((load, load)), PreprocessResult(dry_run={"status": "dry_run"}),
        PreprocessResult((load, load)).without_chunks(), UploadTask("plan.json", chunk), UploadResult(totals, 0.5),
        UploadResult(LoadTotals(), 0.5), PublishTask([StagedLoad("plan.json", 2, totals)], "2024-01-01T00:00:00+00:00"),
    ]  # fmt: skip
    for value in values:
        assert type(value).from_json(json.loads(json.dumps(value.as_json()))) == value


def test_only_rows_that_postgresql_refuses_are_too_big() -> None:
    wide = pa.record_batch({f"c{n}": ["x" * 40, "x", "x" * 40, None] for n in range(600)})
    assert row_size.may_be_too_big(wide).tolist() == [True, False, True, False]
    tried: list[int] = []

    def accepts(rows: pa.RecordBatch) -> bool:
        tried.append(rows.num_rows)
        return rows.num_rows == 1 and len(tried) == 2

    assert row_size.find_too_big(wide, accepts).tolist() == [False, False, True, False]
    assert tried == [2, 1, 1]
    assert not row_size.find_too_big(pa.record_batch({"a": ["x" * 10**6]}), accepts).any()
