"""sync_container: what is gone leaves the catalogue, and nothing else does."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from repositories.catalog import catalog
from repositories.storage.fake_blobs import FakeBlobs
from schema.jobs import Json
from services.handlers import sync
from services.stac.ids import source_item_id
from tests.fixtures.stac_schemas import validate
from tests.fixtures.world import CONTAINER
from tests.integration.containers.syncing import figures, happens_before, point
from tests.integration.containers.world import Containers


def test_items_whose_blob_has_gone_are_reported_and_removed_on_request(world: Containers) -> None:
    for name in ("a.geojson", "b.geojson"):
        world.put(name)
    world.sync()
    del world.blobs.containers[CONTAINER]["a.geojson"]
    reported = world.sync()
    assert figures(reported, "missing", "removed") == [1, 0]
    assert [entry["name"] for entry in reported["missing_items"]] == ["a.geojson"]
    assert set(world.items()) == {"a.geojson", "b.geojson"}
    removed = world.sync(remove_missing=True)
    assert figures(removed, "missing", "removed") == [1, 1]
    assert set(world.items()) == {"b.geojson"}
    assert figures(world.sync(remove_missing=True), "missing", "removed") == [0, 0]


def extent(world: Containers) -> Json:
    with world.database.connection() as conn:
        collection = catalog.get_collection(conn, CONTAINER)
    assert collection
    validate(collection)
    found: Json = collection["extent"]
    return found


def test_the_extent_follows_what_is_removed(world: Containers) -> None:
    world.handlers["sync_list"] = partial(sync.compare, page=1)
    for west in (170, 179, -179, -170, 60):
        world.put(f"{west}.geojson", point(west))
    world.sync()
    for left in ((170, 179, -179, -170), (179, -179), (179,)):
        for name in set(world.blobs.containers[CONTAINER]) - {f"{west}.geojson" for west in left}:
            del world.blobs.containers[CONTAINER][name]
        before = extent(world)
        world.sync()
        assert extent(world) == before, "nothing is removed unless that is asked for"
        world.sync(remove_missing=True)
        west, _, east, _ = extent(world)["spatial"]["bbox"][0]
        assert (west, east) == pytest.approx((left[0], left[-1]), abs=1e-5)
    last = world.items()["179.geojson"]["properties"]["datetime"]
    assert extent(world)["temporal"]["interval"] == [[last, last]]


def test_a_collection_whose_files_are_all_gone_stays_and_is_filled_again(world: Containers) -> None:
    world.put("a.geojson")
    world.sync()
    del world.blobs.containers[CONTAINER]["a.geojson"]
    assert figures(world.sync(remove_missing=True), "removed") == [1]
    assert extent(world) == {
        "spatial": {"bbox": [[-180, -90, 180, 90]], "geostage:unknown": True}, "temporal": {"interval": [[None, None]]}
    }  # fmt: skip
    (listed,) = world.result("list_collections")["collections"]
    assert (listed["id"], listed["extent"]) == (CONTAINER, extent(world))
    world.put("b.geojson", point(9))
    world.sync()
    assert extent(world)["spatial"]["bbox"][0] == pytest.approx([9, 51, 9, 51], abs=1e-5)


def test_a_file_that_moved_leaves_the_place_where_it_was(world: Containers) -> None:
    world.put("a.geojson", point(0))
    world.put("b.geojson", point(10))
    world.sync()
    world.put("a.geojson", point(8))
    world.sync()
    assert extent(world)["spatial"]["bbox"][0] == pytest.approx([8, 51, 10, 51], abs=1e-5)


def test_only_items_that_were_made_of_this_container_are_ever_removed(world: Containers) -> None:
    world.blobs.containers["other"] = {}
    world.put("theirs.geojson", container="other")
    world.sync(dataset_id="other", collection_id=CONTAINER)
    raster = world.put_raster("made.tif")
    made = world.result("process_raster", resource_id=raster)
    world.put("ours.geojson")
    world.sync()
    del world.blobs.containers[CONTAINER]["made.tif"]
    del world.blobs.containers[CONTAINER]["ours.geojson"]
    assert figures(world.sync(remove_missing=True), "removed") == [2]
    left = {row["id"] for row in world.sql("SELECT id FROM pgstac.items")}
    assert left == {made["stac_id"], source_item_id("other", "theirs.geojson")}


def test_an_item_that_was_made_anew_meanwhile_is_not_removed(
    world: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    def come_back() -> None:
        world.put("back.geojson")
        world.result("catalog_file", resource_id="back.geojson")

    world.put("back.geojson")
    world.sync()
    del world.blobs.containers[CONTAINER]["back.geojson"]
    happens_before(monkeypatch, sync, "summarize", come_back)
    assert figures(world.sync(remove_missing=True), "missing", "removed") == [1, 0]
    assert set(world.items()) == {"back.geojson"}


def test_what_is_gone_is_not_fetched_from_storage_while_the_catalogue_is_locked(
    world: Containers, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a.geojson", "b.geojson"):
        world.put(name)
    world.sync()
    world.blobs.containers[CONTAINER].clear()
    delete, read = catalog._delete, FakeBlobs.read
    done: list[str] = []

    def note_delete(*args: Any) -> int:
        done.append("delete")
        return delete(*args)

    def note_read(*args: Any) -> bytes:
        done.append("read")
        return read(*args)

    world.handlers["sync_list"] = partial(sync.compare, page=1)
    monkeypatch.setattr(catalog, "_delete", note_delete)
    monkeypatch.setattr(FakeBlobs, "read", note_read)
    assert figures(world.sync(remove_missing=True), "removed") == [2]
    assert done == ["read", "read", "delete", "delete"]
