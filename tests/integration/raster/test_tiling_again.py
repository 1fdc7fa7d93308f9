"""Versions that are tiled again: the new tiles take the place of the old ones, in storage and in the catalogue."""

from __future__ import annotations

from typing import Any

import pytest
from rasterio.transform import from_origin

from repositories import tiles
from repositories.catalog import catalog
from repositories.postgres import Connection
from repositories.storage.fake_blobs import FakeBlobs
from schema.errors import TransientError
from schema.jobs import Json
from tests.fixtures.rasters import ramp
from tests.integration.raster.tiling import SMALL, rows
from tests.integration.raster.world import World

pytestmark = pytest.mark.usefixtures("no_context_is_left_open")


def test_a_job_whose_version_a_later_job_made_is_not_resumed(world: World) -> None:
    name = world.put_raster("a.tif")
    first, second = (world.run("tile_raster", name, **SMALL)["plan_id"] for _ in range(2))
    with world.database.connection() as conn:
        assert [tiles.holds_plan(conn, plan, plan) for plan in (first, second)] == [False, True]


def test_a_version_that_is_tiled_again_has_the_new_items_and_blobs_alone(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(900, 800))
    for version in ("v1", "v2"):
        old = world.run("tile_raster", name, version_id=version, collection_id="tiled-again", **SMALL)
    deeper = "bronze/a/v1/tiles/other/r0c0.tif"
    world.blobs.write("silver", deeper, b"")
    new = world.run("tile_raster", name, version_id="v1", collection_id="tiled-again", target_tile_size_gb=1)
    assert (new["tiles_created"], old["tiles_created"] > 6) == (1, True)
    made = [*old["tiles"], *new["tiles"]]
    mosaics = {f"bronze/a/{version}/mosaic.{kind}" for version in ("v1", "v2") for kind in ("vrt", "json")}
    assert set(world.published()) == {
        deeper, *mosaics, *(tile["cog_path"].removeprefix("silver/") for tile in made)
    }  # fmt: skip
    items = rows(world, "SELECT id FROM pgstac.items WHERE collection = 'tiled-again'")
    assert sorted(item["id"] for item in items) == sorted(tile["stac_id"] for tile in made)


def extent_of(world: World, collection: str) -> Json:
    with world.database.connection() as conn:
        found = catalog.get_collection(conn, collection)
    assert found
    extent: Json = found["extent"]
    return extent


def items_of(world: World, collection: str) -> list[str]:
    found = rows(world, "SELECT id FROM pgstac.items WHERE collection = %s ORDER BY id", collection)
    return [row["id"] for row in found]


def test_a_version_that_is_tiled_again_smaller_shrinks_the_extent(world: World) -> None:
    place = from_origin(9, 47, 0.001, 0.001)
    for width, east in ((900, 9.9), (300, 9.3)):
        name = world.put_raster("shrinking.tif", pixels=ramp(width, 800), crs="EPSG:4326", transform=place)
        result = world.run("tile_raster", name, collection_id="shrinking", **SMALL)
        assert items_of(world, "shrinking") == sorted(tile["stac_id"] for tile in result["tiles"])
        assert extent_of(world, "shrinking")["spatial"]["bbox"][0] == pytest.approx([9, 46.2, east, 47])


def test_tiles_that_go_to_another_collection_leave_the_one_that_they_were_in(world: World) -> None:
    name = world.put_raster("moving.tif", pixels=ramp(900, 800))
    other = world.run("tile_raster", name, version_id="v2", collection_id="moved-from", **SMALL)
    world.run("tile_raster", name, collection_id="moved-from", **SMALL)
    new = world.run("tile_raster", name, collection_id="moved-to", **SMALL)
    assert items_of(world, "moved-to") == sorted(tile["stac_id"] for tile in new["tiles"])
    assert items_of(world, "moved-from") == sorted(tile["stac_id"] for tile in other["tiles"])
    world.run("tile_raster", name, version_id="v2", collection_id="moved-to", **SMALL)
    assert extent_of(world, "moved-from")["spatial"]["geostage:unknown"] is True
    assert set(world.published()) >= {tile["cog_path"].removeprefix("silver/") for tile in new["tiles"]}


def test_blobs_of_old_tiles_outlive_a_job_that_fails_while_it_collects(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> None:
        raise TransientError("The database went away.", remediation="Try again.")

    name = world.put_raster("outlives.tif", pixels=ramp(900, 800))
    old = world.run("tile_raster", name, collection_id="outlives", **SMALL)
    with monkeypatch.context() as patch:
        patch.setattr(tiles, "finish_plan", fail)
        with pytest.raises(TransientError):
            world.run("tile_raster", name, collection_id="outlives", target_tile_size_gb=1)
    blobs = {tile["cog_path"].removeprefix("silver/") for tile in old["tiles"]}
    assert items_of(world, "outlives") == sorted(tile["stac_id"] for tile in old["tiles"])
    assert blobs <= set(world.published())
    new = world.run("tile_raster", name, collection_id="outlives", target_tile_size_gb=1)
    assert [blob for blob in world.published() if "/tiles/" in blob] == [
        tile["cog_path"].removeprefix("silver/") for tile in new["tiles"]
    ]


def test_a_tile_that_another_job_has_written_meanwhile_is_not_removed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = world.put_raster("again.tif", pixels=ramp(900, 800))
    world.run("tile_raster", name, collection_id="written-meanwhile", **SMALL)
    finish_plan = tiles.finish_plan

    def written(conn: Connection, plan_id: str) -> None:
        world.blobs.write("silver", "bronze/again/v1/tiles/r0c1.tif", b"of another job")
        finish_plan(conn, plan_id)

    monkeypatch.setattr(tiles, "finish_plan", written)
    world.run("tile_raster", name, collection_id="written-meanwhile", target_tile_size_gb=1)
    left = [blob for blob in world.published() if "/tiles/" in blob]
    assert left == ["bronze/again/v1/tiles/r0c0.tif", "bronze/again/v1/tiles/r0c1.tif"]


def test_storage_is_asked_for_nothing_while_the_catalogue_is_locked(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = world.put_raster("locks.tif", pixels=ramp(900, 800))
    world.run("tile_raster", name, collection_id="locks", **SMALL)
    done: list[str] = []

    def note(owner: Any, method: str) -> None:
        act = getattr(owner, method)

        def noted(*args: Any, **more: Any) -> Any:
            done.append(method)
            return act(*args, **more)

        monkeypatch.setattr(owner, method, noted)

    for method in ("publish", "list_blobs", "has_container", "read", "write"):
        note(FakeBlobs, method)
    for method in ("upsert_items", "delete_items"):
        note(catalog, method)
    world.run("tile_raster", name, collection_id="locks", target_tile_size_gb=1)
    assert set(done[done.index("upsert_items") :]) == {"upsert_items", "delete_items"}
    assert done.count("publish") == 3
