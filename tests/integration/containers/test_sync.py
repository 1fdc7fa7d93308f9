"""sync_container: the catalogue follows the container, twice changes nothing, and a bad file is an entry."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from functools import partial

import pytest

from repositories.catalog import catalog
from repositories.storage.blobs import BlobFacts
from schema.jobs import Json
from services.containers import batches
from services.handlers import catalog as handlers
from services.handlers import items, sync
from services.stac.ids import source_item_id
from tests.fixtures.stac_schemas import validate
from tests.fixtures.world import CONTAINER
from tests.integration.containers.syncing import failures, figures, happens_before, point
from tests.integration.containers.world import POINT, Containers

MANY = 100_000


def contents(world: Containers, collection: str = CONTAINER) -> list[Json]:
    """The rows of a collection, to the last byte."""
    columns = "id, content, geometry::text, datetime::text, xmin::text"
    return world.sql(f"SELECT {columns} FROM pgstac.items WHERE collection = %s ORDER BY id", [collection])


def test_every_raster_and_vector_becomes_a_valid_item(world: Containers) -> None:
    world.put_raster("r/a.tif")
    world.put("v/a.geojson")
    world.put("readme.txt")
    result = world.sync()
    assert figures(result, "blobs", "rasters", "vectors", "ignored", "catalogued", "failed") == [3, 1, 1, 1, 2, 0]
    found = world.items()
    assert set(found) == {"r/a.tif", "v/a.geojson"}
    for blob, item in found.items():
        validate(item)
        assert item["properties"]["geostage:etag"] == world.blobs.head(CONTAINER, blob).etag
        assert item["assets"]["data"]["href"] == f"/{CONTAINER}/{blob}"
    with world.database.connection() as conn:
        collection = catalog.get_collection(conn, CONTAINER)
    assert collection
    validate(collection)
    west, south, east, north = collection["extent"]["spatial"]["bbox"][0]
    assert west <= 7 <= east
    assert south <= 51 <= north


def test_the_second_time_nothing_is_changed(world: Containers) -> None:
    world.put_raster("a.tif")
    world.put("a.geojson")
    world.sync()
    before = contents(world)
    job = world.run_job("sync_container")
    assert job.result_data
    assert figures(job.result_data, "new", "changed", "unchanged", "catalogued") == [0, 0, 2, 0]
    assert [entry["task_count"] for entry in job.stage_history] == [1, 0, 1]
    assert contents(world) == before


def test_a_file_of_which_only_the_blob_was_looked_at_is_catalogued(world: Containers) -> None:
    world.put("a.geojson")
    world.result("stac_item_quick", resource_id="a.geojson")
    assert figures(world.sync(), "new", "changed", "unchanged", "catalogued") == [0, 1, 0, 1]
    assert world.items()["a.geojson"]["geometry"]


def test_a_blob_that_was_replaced_is_catalogued_anew(world: Containers) -> None:
    world.put("a.geojson")
    world.put("b.geojson")
    world.sync()
    world.put("a.geojson", POINT.replace(b"7, 51", b"8, 52"))
    result = world.sync()
    assert figures(result, "new", "changed", "unchanged", "catalogued") == [0, 1, 1, 1]
    assert world.items()["a.geojson"]["bbox"] == pytest.approx([8, 52, 8, 52], abs=1e-5)
    assert len(world.items()) == 2


def test_files_that_differ_in_little_have_items_of_their_own(world: Containers) -> None:
    names = ["a.tif", "a.TIF", "a.tiff", "a.geojson", "a b.geojson", "a-b.geojson", "x/a.geojson", "x-a.geojson"]
    for name in names:
        if "tif" in name.lower():
            world.put_raster(name)
        else:
            world.put(name)
    world.sync()
    assert set(world.items()) == set(names)


def test_a_file_that_cannot_be_read_is_an_entry_with_what_to_do(world: Containers) -> None:
    world.put("good.geojson")
    world.put("broken.tif", b"II*\0garbage")
    world.put("empty.tif", b"")
    world.put_raster("nocrs.tif", crs=None)
    world.put("lonely.shp", b"\0\0\x27\x0a" + b"\0" * 96)
    world.put("nothing.csv", b"a,b\n1,2\n")
    world.put("object.json", b'{"a": 1}')
    world.put("bomb.zip", b"PK\x03\x04 no zip")
    world.put("empty.geojson", b'{"type": "FeatureCollection", "features": []}')
    world.put("nowhere.geojson", POINT.replace(b"7, 51", b"7, 151"))
    result = world.sync()
    assert set(world.items()) == {"good.geojson"}
    assert failures(result) == {
        "broken.tif": "raster_unreadable", "empty.tif": "file_empty", "nocrs.tif": "crs_missing",
        "lonely.shp": "shapefile_incomplete", "nothing.csv": "coordinates_missing", "object.json": "source_unreadable",
        "bomb.zip": "archive_damaged", "empty.geojson": "layer_empty", "nowhere.geojson": "coordinates_not_on_earth",
    }  # fmt: skip
    assert all(entry["remediation"] and str(world.folder) not in entry["message"] for entry in result["failed_files"])
    remedy = next(entry["remediation"] for entry in result["failed_files"] if entry["name"] == "nocrs.tif")
    assert "Submit it with source_crs" not in remedy, "there is no such parameter here"


def test_unreadable_files_are_a_warning_of_a_job_that_completed(world: Containers) -> None:
    world.put("broken.tif", b"II*\0garbage")
    job = world.run_job("sync_container")
    assert job.status == "completed"
    assert [(w["code"], w["count"]) for w in job.warnings] == [("files_not_catalogued", 1)]


def test_a_link_that_somebody_rewrote_does_not_keep_a_file_from_being_catalogued_again(world: Containers) -> None:
    world.put("a.geojson")
    world.sync()
    world.sql(
        "UPDATE pgstac.items SET content = jsonb_set(content, '{assets,data,href}', %s::jsonb) RETURNING id",
        ['"https://cdn.example.test/x"'],
    )
    world.put("a.geojson", point(3))
    assert figures(world.sync(), "catalogued", "failed") == [1, 0]
    assert world.items()["a.geojson"]["assets"]["data"]["href"] == f"/{CONTAINER}/a.geojson"


@pytest.mark.parametrize("seen", [True, False], ids=["before", "meanwhile"])
def test_an_id_that_is_taken_is_the_entry_of_its_file_alone(
    world: Containers, monkeypatch: pytest.MonkeyPatch, *, seen: bool
) -> None:
    for name in ("a.geojson", "b.geojson"):
        world.put(name)
    world.sync()
    world.sql(
        "UPDATE pgstac.items SET content = jsonb_set(content, '{properties,geostage:source}', %s::jsonb) "
        "WHERE id = %s RETURNING id",
        ['"other/a.geojson"', source_item_id(CONTAINER, "a.geojson")],
    )
    answers: list[Json] = [] if seen else [{}]
    look = items.taken_items
    monkeypatch.setattr(handlers, "taken_items", lambda *args: answers.pop() if answers else look(*args))
    for name in ("a.geojson", "b.geojson"):
        world.put(name, point(3))
    result = world.sync()
    assert failures(result) == {"a.geojson": "item_taken"}
    assert figures(result, "catalogued", "failed") == [1, 1]


def test_a_prefix_limits_what_is_catalogued_and_what_counts_as_gone(world: Containers) -> None:
    for name in ("a/1.geojson", "b/1.geojson"):
        world.put(name)
    assert figures(world.sync(resource_id="a/"), "blobs", "catalogued") == [1, 1]
    world.sync()
    del world.blobs.containers[CONTAINER]["b/1.geojson"]
    assert figures(world.sync(resource_id="a/", remove_missing=True), "missing", "removed") == [0, 0]
    assert set(world.items()) == {"a/1.geojson", "b/1.geojson"}


def test_a_collection_can_be_named(world: Containers) -> None:
    world.put("a.geojson")
    assert world.sync(collection_id="Mine-1")["collection_id"] == "Mine-1"
    assert set(world.items("Mine-1")) == {"a.geojson"}
    assert world.items() == {}


def test_files_go_in_batches_side_by_side(world: Containers) -> None:
    world.handlers["sync_list"] = partial(sync.compare, max_files=3)
    for number in range(10):
        world.put(f"{number}.geojson")
    job = world.run_job("sync_container")
    assert [entry["task_count"] for entry in job.stage_history] == [1, 4, 1]
    assert len(world.items()) == 10


def test_large_files_are_batches_by_themselves(world: Containers) -> None:
    world.handlers["sync_list"] = partial(sync.compare, max_bytes=2 * len(POINT))
    for number in range(5):
        world.put(f"{number}.geojson")
    job = world.run_job("sync_container")
    assert [entry["task_count"] for entry in job.stage_history] == [1, 3, 1]


def test_a_long_report_is_a_blob_whose_beginning_stands_in_the_result(world: Containers) -> None:
    world.handlers["sync_list"] = partial(sync.compare, max_files=3)
    world.handlers["sync_summarise"] = partial(sync.summarize, shown=2)
    for number in range(7):
        world.put(f"{number}.tif", b"no raster")
    result = world.sync()
    lines = [json.loads(line) for line in world.read(result["report_path"]).splitlines()]
    assert [line["name"] for line in lines] == [f"{number}.tif" for number in range(7)]
    assert result["failed_files"] == lines[:2]
    assert figures(result, "failed") == [7]


def test_the_work_area_is_gone_when_the_job_has_ended(world: Containers) -> None:
    world.put("a.geojson")
    world.put("b.tif", b"no raster")
    job = world.run_job("sync_container")
    assert world.blobs.containers.get("geostage-work", {}) == {}
    tables = "SELECT relname FROM pg_class WHERE starts_with(relname, %s)"
    assert world.sql(tables, [f"s_{job.job_id}"]) == []


def test_a_blob_that_changes_while_it_is_catalogued_is_an_entry(
    world: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def change() -> None:
        world.put("a.geojson", POINT + b" ")
        del world.blobs.containers[CONTAINER]["b.geojson"]

    world.put("a.geojson")
    world.put("b.geojson")
    happens_before(monkeypatch, handlers, "catalog_batch", change)
    assert failures(world.sync()) == {"a.geojson": "source_changed", "b.geojson": "source_changed"}


def test_an_item_says_nothing_of_where_geostage_runs(world: Containers) -> None:
    world.put_raster("a.tif")
    world.sync()
    text = json.dumps(world.items())
    assert str(world.folder.parent) not in text
    assert "postgres" not in text


def test_a_hundred_thousand_blobs_are_compared_in_bounded_memory(
    world: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = datetime(2026, 1, 1, tzinfo=UTC)
    names = [f"{number:06d}.tif" for number in range(MANY)]
    world.blobs.containers[CONTAINER] = {name: (b"", BlobFacts(name, 10, '"1"', at, None)) for name in names}
    job = world.start_job("sync_container")
    written: list[int] = []

    def stop() -> None:
        blobs = world.blobs.containers["geostage-work"].values()
        written.extend(len(data) for data, _ in blobs)
        world.engine.cancel(job.job_id)

    happens_before(monkeypatch, handlers, "catalog_batch", stop)
    tracemalloc.start()
    world.run_all()
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(written) == MANY / batches.MAX_FILES
    # The blobs in memory keep what is written to them.
    assert peak - sum(written) < 30e6


def test_of_the_output_container_the_outputs_alone_are_catalogued(world: Containers) -> None:
    world.put_raster("a.tif")
    tiled = world.result("tile_raster", resource_id="a.tif", target_tile_size_gb=0.0001)
    for kind in ("json", "parquet", "geojson", "csv"):
        world.result("export_metadata", format=kind)
    world.put("_results/own.geojson", container="silver")
    result = world.result("sync_container", dataset_id="silver")
    tiles = {tile["cog_path"].removeprefix("silver/") for tile in tiled["tiles"]}
    assert len(tiles) > 1
    assert failures(result) == {}
    assert figures(result, "blobs", "rasters", "vectors", "ignored", "catalogued") == [
        len(tiles) + 2, len(tiles), 0, 2, len(tiles),
    ]  # fmt: skip
    assert set(world.items("silver")) == tiles
    for prefix in ("_exports/", "_results/own"):
        assert figures(world.result("sync_container", dataset_id="silver", resource_id=prefix), "blobs") == [0]


def test_such_names_and_mosaics_of_others_are_data_in_any_other_container(world: Containers) -> None:
    names = {"_exports/a.geojson", "_results/b.geojson", "x/mosaic.json"}
    for name in names:
        world.put(name)
    assert figures(world.sync(), "vectors", "catalogued") == [3, 3]
    assert set(world.items()) == names
