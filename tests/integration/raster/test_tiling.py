"""Plans of tiles, what is recorded of them, and what they are collected into."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from cogeo_mosaic.backends import MosaicBackend
from cogeo_mosaic.mosaic import MosaicJSON
from rasterio.transform import from_origin

from repositories import tiles
from repositories.catalog import catalog
from schema.jobs import Json
from tests.fixtures import gdal
from tests.fixtures.rasters import ramp
from tests.fixtures.stac_schemas import validate
from tests.fixtures.stored import get_item
from tests.integration.raster.mosaics import download, tiled_and_whole
from tests.integration.raster.tiling import SMALL, nominal, rows
from tests.integration.raster.world import World

pytestmark = pytest.mark.usefixtures("no_context_is_left_open")


def test_a_raster_of_31_gb_is_planned_from_its_header(world: World) -> None:
    name = nominal(world)
    result = world.run("generate_tiling_plan", name)
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


def test_each_tile_is_an_item_and_the_collection_covers_them(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(900, 800))
    result = world.run("tile_raster", name, collection_id="of_tiles", **SMALL)
    with world.database.connection() as conn:
        items = [get_item(conn, "of_tiles", tile["stac_id"]) for tile in result["tiles"]]
        collection = catalog.get_collection(conn, "of_tiles")
        batches = list(tiles.list_items(conn, result["plan_id"], at_once=3))
    assert all(len(batch) == 3 for batch in batches[:-1])
    assert [item["id"] for batch in batches for item in batch] == [tile["stac_id"] for tile in result["tiles"]]
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
        world.configure(asset_base_url=base)
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


def test_a_target_larger_than_the_raster_makes_one_tile(world: World) -> None:
    result = tiled_and_whole(world, world.put_raster("a.tif", nodata=0), target=500)
    assert [tile["tile_id"] for tile in result["tiles"]] == ["r0c0"]


def test_longitudes_from_0_to_360_are_tiled_where_they_are(world: World) -> None:
    name = world.put_raster("a.tif", pixels=ramp(720, 360), crs="EPSG:4326", transform=from_origin(0, 90, 0.5, 0.5))
    result = tiled_and_whole(world, name, target=0.0001, target_crs="native")
    assert result["tiles_created"] >= 3


def test_ground_control_points_alone_place_the_tiles(world: World) -> None:
    points = [rasterio.control.GroundControlPoint(r, c, 500_000 + c * 10, 5_200_000 - r * 10)
              for r, c in ((0, 0), (0, 700), (600, 0), (600, 700))]  # fmt: skip
    name = world.put_raster("a.tif", gcps=points, nodata=0)
    assert tiled_and_whole(world, name, target=0.0001)["tiles_created"] > 2
