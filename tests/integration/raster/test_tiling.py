"""Plans of tiles, what is recorded of them, what they are collected into, and what is refused."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
import rasterio
from cogeo_mosaic.backends import MosaicBackend
from cogeo_mosaic.mosaic import MosaicJSON
from psycopg.types.json import Jsonb
from pydantic import ValidationError
from rasterio.transform import from_origin

from repositories import catalog, tiles
from repositories.fake_blobs import FakeBlobs
from repositories.postgres import Connection
from schema.errors import PermanentError, SourceChanged, TaskInterrupted, TransientError
from schema.jobs import Json, Source, new_job_id
from services.context import TaskContext
from services.raster import errors
from tests.integration.raster import gdal
from tests.integration.raster.mosaics import download, tiled_and_whole
from tests.integration.raster.world import World
from tests.stored import get_item
from tests.unit.raster.rasters import ramp
from tests.unit.stac.schemas import validate

SMALL = {"target_tile_size_gb": 0.0001}
TILE_TYPES = ["process_large_raster", "tile_raster"]


def rows(world: World, statement: str, *params: Any) -> list[dict[str, Any]]:
    with world.database.connection() as conn:
        return conn.execute(statement.encode(), params).fetchall()


def refused(world: World, job_type: str, name: str, code: str, **parameters: Any) -> PermanentError:
    with pytest.raises(PermanentError) as raised:
        world.run(job_type, name, **parameters)
    assert raised.value.error_code == code
    assert raised.value.remediation
    assert world.published() == []
    return raised.value


def queue(world: World, job_id: str) -> None:
    """Have a job that has not ended."""
    with world.database.connection() as conn:
        conn.execute(
            "INSERT INTO app.jobs (job_id, job_type, parameters, stages, stage_sequence, dedup_key, resend_at,"
            " deadline_at) VALUES (%s, 'tile_raster', '{}', 3, %s, %s, now(), now())",
            [job_id, Jsonb({"1": "plan"}), job_id],
        )


def nominal(world: World, name: str = "large.tif") -> str:
    """Put a raster of 31.8 GB of which nothing is stored."""
    path = world.folder / name
    size = {"width": 103_000, "height": 102_914, "count": 3, "dtype": "uint8"}
    place = {"crs": "EPSG:32632", "transform": from_origin(300_000, 5_600_000, 5, 5)}
    layout = {"tiled": True, "blockxsize": 512, "blockysize": 512, "interleave": "pixel"}
    with rasterio.open(path, "w", driver="GTiff", nodata=0, SPARSE_OK=True, BIGTIFF="YES", **size, **place, **layout):
        pass
    return world.put(name, path.read_bytes())


def test_a_raster_of_31_gb_is_planned_from_its_header(world: World) -> None:
    name = nominal(world)
    began = time.perf_counter()
    result = world.run("generate_tiling_plan", name)
    assert time.perf_counter() - began < 5
    assert result["size_gb"] == pytest.approx(31.8, rel=0.05)
    assert result["tile_count"] == len(result["tiles"]) == pytest.approx(32, abs=8)
    largest = max(tile["window"]["width"] * tile["window"]["height"] * 3 / 1e9 for tile in result["tiles"])
    assert 0.8 < largest <= 1


def test_the_grid_of_a_plan_covers_the_raster_without_gap_or_overlap(world: World) -> None:
    result = world.run("generate_tiling_plan", world.put_raster("a.tif", pixels=ramp(900, 800)), **SMALL)
    (found,) = rows(world, """
        SELECT count(*) AS tiles, sum(ST_Area(bounds)) AS areas, ST_Area(ST_Union(bounds)) AS area,
               ST_Extent(bounds)::text AS extent, min(ST_SRID(bounds)) AS srid, bool_and(status = 'planned') AS planned,
               sum(t.width::bigint * t.height) AS pixels
        FROM geo.tiles AS t WHERE plan_id = %s""", result["plan_id"])  # fmt: skip
    assert found["tiles"] == result["tile_count"] == result["rows"] * result["cols"] > 6
    west, south, east, north = result["bounds"]
    assert found["areas"] == pytest.approx((east - west) * (north - south), rel=1e-12)
    assert found["area"] == pytest.approx(found["areas"], rel=1e-12)
    assert (found["srid"], found["planned"]) == (4326, True)
    assert found["pixels"] == result["width"] * result["height"]
    tile = result["tiles"][-1]
    assert tile["tile_id"] == f"r{result['rows'] - 1}c{result['cols'] - 1}"
    assert tile["bounds"][1:3] == pytest.approx([south, east], rel=1e-12)


def test_the_bounds_of_a_crs_that_postgis_does_not_know_have_no_srid(world: World) -> None:
    name = world.put_raster("a.tif", crs=rasterio.CRS.from_proj4("+proj=laea +lat_0=46 +lon_0=9 +ellps=GRS80"))
    result = world.run("generate_tiling_plan", name, target_crs="native", **SMALL)
    found = rows(world, "SELECT DISTINCT ST_SRID(bounds) AS n FROM geo.tiles WHERE plan_id = %s", result["plan_id"])
    assert found == [{"n": 0}]


def test_an_existing_plan_is_used_and_its_rows_are_marked_done(world: World) -> None:
    name = world.put_raster("a.tif", nodata=0)
    plan = world.run("generate_tiling_plan", name, target_crs="EPSG:3035", resampling="cubic", **SMALL)
    result = world.run("tile_raster", name, plan_id=plan["plan_id"])
    assert result["plan_id"] == plan["plan_id"]
    assert result["tiles_created"] + result["tiles_skipped"] == plan["tile_count"]
    assert [tile["bounds"] for tile in result["tiles"]] == [
        tile["bounds"] for tile in plan["tiles"] if tile["tile_id"] in {made["tile_id"] for made in result["tiles"]}
    ]
    assert rows(world, "SELECT status::text, done_at IS NOT NULL AS done FROM geo.tiling_plans WHERE plan_id = %s",
                plan["plan_id"]) == [{"status": "done", "done": True}]  # fmt: skip
    assert rows(world, "SELECT DISTINCT status::text FROM geo.tiles WHERE plan_id = %s", plan["plan_id"]) == [
        {"status": "done"}
    ]
    with rasterio.open(download(world, result)) as dataset:
        assert dataset.crs.to_epsg() == 3035


def test_a_plan_can_be_used_again(world: World) -> None:
    name = world.put_raster("a.tif", nodata=0)
    plan = world.run("generate_tiling_plan", name, **SMALL)["plan_id"]
    first = world.run("tile_raster", name, plan_id=plan)
    second = world.run("tile_raster", name, plan_id=plan, version_id="v2")
    assert second["tiles_created"] == first["tiles_created"]
    assert second["tiles"][0]["cog_path"] == "silver/bronze/a/v2/tiles/r0c0.tif"


def test_tiles_of_nothing_but_nodata_are_skipped_and_recorded(world: World) -> None:
    pixels = ramp(700, 600)
    pixels[:, :, 350:] = 0
    name = world.put_raster("a.tif", pixels=pixels, nodata=0)
    result = world.run("tile_raster", name, target_crs="native", **SMALL)
    found = rows(world, "SELECT skipped, count(*) AS n FROM geo.tiles WHERE plan_id = %s GROUP BY 1 ORDER BY 1",
                 result["plan_id"])  # fmt: skip
    assert found == [{"skipped": False, "n": result["tiles_created"]}, {"skipped": True, "n": result["tiles_skipped"]}]
    assert len(result["tiles"]) == result["tiles_created"] > 0
    assert (gdal.pixels(download(world, result)) == pixels).all()


def test_a_raster_of_nothing_but_nodata_completes_without_tiles(world: World) -> None:
    name = world.put_raster("a.tif", pixels=np.zeros((1, 600, 700), "uint8"), nodata=0)
    result = world.run("tile_raster", name, collection_id="nothing", **SMALL)
    assert (result["tiles_created"], result["tiles"], result["collection_id"]) == (0, [], None)
    assert [warning["code"] for warning in result["warnings"]] == ["no_valid_pixels"]
    with rasterio.open(download(world, result)) as dataset:
        assert not dataset.read().any()


def test_a_result_says_all_that_was_made(world: World) -> None:
    result = world.run("tile_raster", world.put_raster("x/a.tif"), version_id="2020", **SMALL)
    assert set(result) >= {
        *("status", "plan_id", "tiles_created", "tiles_skipped", "tiles", "collection_id", "vrt_path", "mosaic_path"),
        "processing_stats",
    }
    assert set(result["tiles"][0]) == {
        *("tile_id", "row", "col", "bounds", "cog_path", "stac_id", "tile_size_gb", "processing_time_seconds"),
    }
    assert result["status"] == "completed"
    assert result["vrt_path"] == "silver/bronze/x/a/2020/mosaic.vrt"
    assert result["mosaic_path"] == "silver/bronze/x/a/2020/mosaic.json"
    assert set(result["processing_stats"]) == {"plan", "tiles", "collect"}
    names = {f"bronze/x/a/2020/tiles/{tile['tile_id']}.tif" for tile in result["tiles"]}
    assert names | {"bronze/x/a/2020/mosaic.vrt", "bronze/x/a/2020/mosaic.json"} == set(world.published())


def test_each_tile_is_an_item_and_the_collection_covers_them(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("repositories.tiles.ITEMS_AT_ONCE", 3)
    name = world.put_raster("a.tif", pixels=ramp(900, 800))
    result = world.run("tile_raster", name, collection_id="of_tiles", **SMALL)
    with world.database.connection() as conn:
        items = [get_item(conn, "of_tiles", tile["stac_id"]) for tile in result["tiles"]]
        collection = catalog.get_collection(conn, "of_tiles")
    assert collection
    validate(collection)
    (west, south, east, north), boxes = collection["extent"]["spatial"]["bbox"][0], []
    for item, tile in zip(items, result["tiles"], strict=True):
        assert item
        validate(item)
        assert item["bbox"] == pytest.approx(tile["bounds"])
        assert item["assets"]["data"]["href"] == f"/{tile['cog_path']}"
        boxes.append(item["bbox"])
    edges = [min(b[0] for b in boxes), min(b[1] for b in boxes), max(b[2] for b in boxes), max(b[3] for b in boxes)]
    assert [west, south, east, north] == edges


def local_mosaic(world: World, result: Json) -> str:
    """Point the MosaicJSON of a result at local copies of its tiles."""
    folder = download(world, result).parent
    document = MosaicJSON.model_validate_json((folder / "mosaic.json").read_bytes())
    (folder / "local.json").write_text(
        document.model_copy(update={"asset_prefix": f"{folder}/"}).model_dump_json(exclude_none=True)
    )
    return str(folder / "local.json")


def test_the_mosaic_opens_all_tiles_as_one(world: World) -> None:
    result = world.run("tile_raster", world.put_raster("a.tif", pixels=ramp(900, 800), nodata=0), **SMALL)
    with MosaicBackend(local_mosaic(world, result)) as mosaic:
        document = mosaic.mosaic_def
        west, south, east, north = mosaic.bounds
        middle = (west + east) / 2, (south + north) / 2
        used = {asset for assets in document.tiles.values() for asset in assets}
        x, y, z = mosaic.tms.tile(*middle, document.maxzoom)
        image, assets = mosaic.tile(x, y, z)
        point = mosaic.point(*middle)
    assert used == {f"tiles/{tile['tile_id']}.tif" for tile in result["tiles"]}
    assert image.mask.any()
    assert assets
    with rasterio.open(download(world, result)) as vrt:
        (expected,) = vrt.sample([middle])
        assert (west, south, east, north) == pytest.approx(vrt.bounds)
    assert int(point[0][1].data[0]) == expected[0]


def test_a_mosaic_names_tiles_as_gdal_finds_them_in_the_account_or_below_its_public_address(world: World) -> None:
    name = world.put_raster("ä b.tif")
    found = []
    for base in ("", "https://example.org/data"):
        world.settings = world.settings.model_copy(update={"asset_base_url": base})
        result = world.run("tile_raster", name, **SMALL)
        text = world.blobs.read("silver", result["mosaic_path"].removeprefix("silver/"))
        found.append(MosaicJSON.model_validate_json(text).asset_prefix)
    assert found == ["/vsiaz/silver/bronze/ä b/v1/", "https://example.org/data/silver/bronze/%C3%A4%20b/v1/"]


def test_a_raster_over_the_antimeridian_stays_in_one_piece(world: World) -> None:
    place = from_origin(650_000, 6_000_000, 200, 200)
    name = world.put_raster("a.tif", pixels=ramp(900, 500), crs="EPSG:32660", transform=place, nodata=0)
    result = tiled_and_whole(world, name, target=0.0001, collection_id="dateline")
    with world.database.connection() as conn:
        boxes = [(get_item(conn, "dateline", tile["stac_id"]) or {})["bbox"] for tile in result["tiles"]]
        collection = catalog.get_collection(conn, "dateline") or {}
    assert any(box[0] > box[2] for box in boxes) or {box[0] > 0 for box in boxes} == {True, False}
    west, _, east, _ = collection["extent"]["spatial"]["bbox"][0]
    assert west > 170
    assert east < -170
    document = MosaicJSON.model_validate_json(world.blobs.read("silver", result["mosaic_path"].removeprefix("silver/")))
    assert {asset for assets in document.tiles.values() for asset in assets} == {
        f"tiles/{tile['tile_id']}.tif" for tile in result["tiles"]
    }


def test_a_mosaic_of_a_pole_leaves_out_what_the_web_map_does_not_show(world: World) -> None:
    place = from_origin(-100_000, 100_000, 1000, 1000)
    name = world.put_raster("a.tif", pixels=ramp(200, 200), crs="EPSG:3031", transform=place, nodata=0)
    result = world.run("tile_raster", name, target_crs="native", **SMALL)
    document = MosaicJSON.model_validate_json(world.blobs.read("silver", result["mosaic_path"].removeprefix("silver/")))
    assert (result["tiles_created"], document.tiles) == (1, {})


def test_a_raster_that_one_task_can_process_is_no_large_one(world: World) -> None:
    error = refused(world, "process_large_raster", world.put_raster("a.tif"), "raster_too_small")
    assert "process_raster" in error.remediation


def test_a_plan_of_a_small_raster_makes_no_large_one(world: World) -> None:
    name = world.put_raster("a.tif")
    plan = world.run("generate_tiling_plan", name)["plan_id"]
    refused(world, "process_large_raster", name, "raster_too_small", plan_id=plan)


def test_a_large_raster_is_what_process_raster_refuses(world: World) -> None:
    name = world.put_raster("a.tif", nodata=0)
    refused(world, "process_raster", name, "raster_too_large", max_raster_size_gb=0.0004)
    assert world.run("process_large_raster", name, max_raster_size_gb=0.0004, **SMALL)["tiles_created"] > 2


@pytest.mark.parametrize("size", [0, -1, 1001, "nan"])
def test_a_target_of_no_size_is_refused_at_the_post(world: World, size: Any) -> None:
    with pytest.raises(ValidationError, match="target_tile_size_gb"):
        world.run("tile_raster", world.put_raster("a.tif"), target_tile_size_gb=size)


def test_a_target_larger_than_the_raster_makes_one_tile(world: World) -> None:
    result = tiled_and_whole(world, world.put_raster("a.tif", nodata=0), target=500)
    assert [tile["tile_id"] for tile in result["tiles"]] == ["r0c0"]


def test_more_tiles_than_a_plan_may_have_are_refused_with_the_smallest_size_that_fits(world: World) -> None:
    name = nominal(world)
    error = refused(world, "generate_tiling_plan", name, "too_many_tiles", target_tile_size_gb=0.001)
    smallest = float(error.remediation.split()[-3])
    assert world.run("generate_tiling_plan", name, target_tile_size_gb=smallest)["tile_count"] <= 10_000
    refused(world, "generate_tiling_plan", name, "too_many_tiles", target_tile_size_gb=smallest * 0.9)


@pytest.mark.parametrize("job_type", TILE_TYPES)
def test_a_plan_that_nobody_made(world: World, job_type: str) -> None:
    refused(world, job_type, world.put_raster("a.tif"), "plan_not_found", plan_id=new_job_id())


def test_a_plan_of_another_source(world: World) -> None:
    plan = world.run("generate_tiling_plan", world.put_raster("a.tif"))["plan_id"]
    error = refused(world, "tile_raster", world.put_raster("b.tif"), "plan_of_another_source", plan_id=plan)
    assert "bronze/a.tif" in error.message


def test_a_plan_of_the_file_before_it_was_replaced(world: World) -> None:
    plan = world.run("generate_tiling_plan", world.put_raster("a.tif"))["plan_id"]
    world.put_raster("a.tif", pixels=ramp(20, 20))
    error = refused(world, "tile_raster", "a.tif", "plan_of_another_source", plan_id=plan)
    assert "replaced" in error.message


def test_a_plan_that_another_job_is_working_on(world: World) -> None:
    name = world.put_raster("a.tif")
    plan, other = world.run("generate_tiling_plan", name)["plan_id"], new_job_id()
    with world.database.connection() as conn:
        conn.execute("UPDATE geo.tiling_plans SET job_id = %s WHERE plan_id = %s", [other, plan])
    queue(world, other)
    assert other in refused(world, "tile_raster", name, "plan_taken", plan_id=plan).message


@pytest.mark.parametrize("planned", [False, True])
def test_a_version_that_another_job_is_making_is_refused_and_another_version_is_not(
    world: World, planned: bool
) -> None:
    # The database is that of all tests: no other one makes this version.
    name = world.put_raster(f"taken-{planned}.tif")
    more = {"plan_id": world.run("generate_tiling_plan", name)["plan_id"]} if planned else {}
    other = world.run("tile_raster", name, **SMALL)["plan_id"]
    queue(world, other)
    before = {facts.name: facts.etag for facts in world.blobs.list_blobs("silver")}
    with pytest.raises(PermanentError) as raised:
        world.run("tile_raster", name, **more)
    assert raised.value.error_code == "output_taken"
    assert other in raised.value.message
    assert {facts.name: facts.etag for facts in world.blobs.list_blobs("silver")} == before
    assert world.run("generate_tiling_plan", name)["tile_count"] == 1
    assert world.run("tile_raster", name, version_id="v2", **more)["tiles_created"] == 1


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


def test_a_task_of_a_job_that_lost_its_plan_writes_nothing(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    name = world.put_raster("a.tif")
    plan = world.run("generate_tiling_plan", name)["plan_id"]
    publish = FakeBlobs.publish

    def taken(blobs: FakeBlobs, *args: Any, **more: Any) -> None:
        publish(blobs, *args, **more)
        rows(world, "UPDATE geo.tiling_plans SET job_id = %s RETURNING 1 AS n", new_job_id())

    monkeypatch.setattr(FakeBlobs, "publish", taken)
    with pytest.raises(PermanentError) as raised:
        world.run("tile_raster", name, plan_id=plan)
    assert raised.value.error_code == "plan_taken"
    assert rows(world, "SELECT status::text FROM geo.tiles WHERE plan_id = %s", plan) == [{"status": "planned"}]


@pytest.mark.parametrize("more", [{"target_crs": "EPSG:3857"}, {"target_tile_size_gb": 1}, {"resampling": "cubic"}])
def test_what_a_plan_decides_cannot_be_asked_for_beside_it(world: World, more: dict[str, Any]) -> None:
    with pytest.raises(ValidationError, match=f"plan_id decides {next(iter(more))}"):
        world.run("tile_raster", world.put_raster("a.tif"), plan_id=new_job_id(), **more)


def test_lossless_is_refused_because_all_tiles_have_one_type(world: World) -> None:
    with pytest.raises(ValidationError, match="optimize"):
        world.run("tile_raster", world.put_raster("a.tif"), optimize="lossless")


@pytest.mark.parametrize("fate", ["replaced", "removed"])
@pytest.mark.parametrize("after", ["raster_plan_tiles", "raster_tile"])
def test_a_source_that_disappears_on_the_way(
    world: World, monkeypatch: pytest.MonkeyPatch, fate: str, after: str
) -> None:
    name = world.put_raster("a.tif", nodata=0)
    run_task = World.run_task

    def then_gone(self: World, job: Any, number: int, spec: Any, source: Source) -> Any:
        result = run_task(self, job, number, spec, source)
        if spec.task_type == after:
            world.blobs.containers["bronze"].pop(name, None)
            if fate == "replaced":
                world.put_raster(name, pixels=ramp(20, 20))
        return result

    monkeypatch.setattr(World, "run_task", then_gone)
    with pytest.raises(PermanentError) as raised:
        world.run("tile_raster", name, collection_id=f"{fate}-{after}", **SMALL)
    assert raised.value.error_code == "source_changed"
    assert not [blob for blob in world.published() if blob.endswith(("mosaic.vrt", "mosaic.json"))]


def test_a_source_that_is_replaced_in_the_middle_of_a_tile(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.raster.spool.PIECE_BYTES", 4096)
    monkeypatch.setattr("services.raster.spool.PIECES_AT_ONCE", 1)
    name = world.put_raster("a.tif", pixels=ramp(700, 600), tiled=True, blockxsize=256, blockysize=256)
    read_range, reads = FakeBlobs.read_range, list[int]()

    def replaced(blobs: FakeBlobs, source: Source, offset: int, length: int) -> bytes:
        reads.append(offset)
        if len(reads) == 12:
            blobs.write(source.container, source.blob, b"another")
        return read_range(blobs, source, offset, length)

    monkeypatch.setattr(FakeBlobs, "read_range", replaced)
    with pytest.raises(SourceChanged):
        world.run("tile_raster", name, **SMALL)
    assert not [blob for blob in world.published() if blob.endswith("mosaic.vrt")]


def test_a_damaged_block_fails_the_tile_that_needs_it(world: World) -> None:
    noise = np.random.default_rng(1).integers(0, 255, (1, 700, 700)).astype("uint8")
    name = world.put_raster("a.tif", pixels=noise, compress="deflate", tiled=True, blockxsize=256, blockysize=256)
    data = bytearray(world.blobs.read("bronze", name))
    data[len(data) // 2 : len(data) // 2 + 3000] = bytes(3000)
    world.put(name, bytes(data))
    with pytest.raises(PermanentError, match=r"tile r[01]c[01]") as raised:
        world.run("tile_raster", name, target_crs="native", **SMALL)
    assert raised.value.error_code == "raster_damaged"


def test_a_cancelled_tile_stops_at_the_next_block_and_leaves_nothing(world: World) -> None:
    looks = iter([False] * 2)
    world.lost = lambda: next(looks, True)
    name = world.put_raster("a.tif", pixels=ramp(1500, 1500))
    with pytest.raises(TaskInterrupted):
        world.run("tile_raster", name)
    assert world.published() == []
    assert rows(world, "SELECT 1 FROM geo.tiles AS t JOIN geo.tiling_plans AS p USING (plan_id) "
                       "WHERE t.status <> 'planned' AND blob = 'a.tif' AND p.width = 1500") == []  # fmt: skip


def test_a_disk_that_is_full_is_noticed_before_a_tile_is_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise errors.DiskFull("The task needs more.", remediation="Give it more.")

    monkeypatch.setattr("services.raster.cut.check_disk", full)
    with pytest.raises(TransientError):
        world.run("tile_raster", world.put_raster("a.tif"))
    assert world.published() == []


def test_longitudes_from_0_to_360_are_tiled_where_they_are(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(720, 360), crs="EPSG:4326", transform=from_origin(0, 90, 0.5, 0.5))
    result = tiled_and_whole(world, name, target=0.0001, target_crs="native")
    assert result["tiles_created"] >= 3


def test_ground_control_points_alone_place_the_tiles(world: World) -> None:
    points = [rasterio.control.GroundControlPoint(r, c, 500_000 + c * 10, 5_200_000 - r * 10)
              for r, c in ((0, 0), (0, 700), (600, 0), (600, 700))]  # fmt: skip
    name = world.put_raster("a.tif", gcps=points, nodata=0)
    assert tiled_and_whole(world, name, target=0.0001)["tiles_created"] > 2


@pytest.fixture(autouse=True)
def no_context_is_left_open(monkeypatch: pytest.MonkeyPatch) -> None:
    """See that a folder of a task is gone when the task is."""
    leave = TaskContext.__exit__

    def left(self: TaskContext, *exc: Any) -> bool | None:
        folder = self.__dict__.get("work_folder")
        result = leave(self, *exc)
        assert folder is None or not folder.exists()
        return result

    monkeypatch.setattr(TaskContext, "__exit__", left)
