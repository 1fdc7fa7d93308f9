"""catalog_file and its forms, and extract_metadata: one file, looked at as thoroughly as it was asked for."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import from_origin
from shapely.geometry import box

from repositories.storage.fake_blobs import FakeBlobs
from schema.jobs import Json
from services.handlers.catalog import catalog_file
from services.stac.ids import source_item_id
from tests.fixtures import vector
from tests.fixtures.stac_schemas import validate
from tests.fixtures.world import CONTAINER
from tests.integration.containers.world import POINT, Containers


def catalogue(world: Containers, name: str, form: str = "catalog_file") -> Json:
    """The item of a file, as the catalogue has it."""
    result = world.result(form, resource_id=name)
    item = world.item(result["stac_id"])
    assert item
    validate(item)
    return item


def failure(world: Containers, name: str, form: str = "catalog_file") -> Json:
    """The error of a job that fails, and leaves no item."""
    job = world.run_job(form, resource_id=name)
    assert job.status == "failed"
    assert job.error
    assert world.item(source_item_id(CONTAINER, name)) is None
    return job.error


def points_raster(folder: Path) -> bytes:
    path = folder / "points.tif"
    corners = [(0, 0, 9, 48), (0, 64, 10, 48), (64, 0, 9, 47), (64, 64, 10, 47)]
    gcps = [GroundControlPoint(row, col, x, y) for row, col, x, y in corners]
    shape = {"width": 64, "height": 64, "count": 1, "dtype": "uint8"}
    with rasterio.open(path, "w", "GTiff", gcps=gcps, crs="EPSG:4326", **shape) as file:
        file.write(np.ones((1, 64, 64), np.uint8))
    return path.read_bytes()


def test_a_raster_with_control_points_lies_where_they_say(world: Containers) -> None:
    world.put("points.tif", points_raster(world.folder))
    item = catalogue(world, "points.tif")
    assert item["bbox"] == pytest.approx([9, 47, 10, 48], abs=0.05)
    assert "proj:transform" not in item["properties"]


def test_a_raster_over_the_antimeridian_lies_on_both_sides(world: Containers) -> None:
    world.put_raster("fiji.tif", crs="EPSG:32660", transform=from_origin(650_000, 6_000_000, 800, 800))
    item = catalogue(world, "fiji.tif")
    assert item["geometry"]["type"] == "MultiPolygon"
    assert item["bbox"][0] > 170
    assert item["bbox"][2] < -170


@pytest.mark.parametrize("form", ["catalog_file", "stac_item_full", "stac_item_smart"])
def test_a_raster_without_a_crs_never_becomes_an_item(world: Containers, form: str) -> None:
    world.put_raster("nocrs.tif", crs=None)
    error = failure(world, "nocrs.tif", form)
    assert error["code"] == "crs_missing"
    assert "process_raster" in error["remediation"]


def test_a_large_raster_is_not_read_for_a_smart_item(world: Containers, monkeypatch: pytest.MonkeyPatch) -> None:
    world.put_raster("a.tif")
    world.handlers["catalog_file"] = partial(catalog_file, smart_bytes=1_000)
    # It would fail if it was fetched.
    monkeypatch.delattr(FakeBlobs, "download")
    item = catalogue(world, "a.tif", "stac_item_smart")
    assert item["properties"]["geostage:detail"] == "header"


def test_a_damaged_raster_has_a_header_but_no_full_item(world: Containers) -> None:
    name = world.put_raster("cut.tif")
    whole = world.blobs.read(CONTAINER, name)
    world.put(name, whole[: len(whole) // 2])
    error = failure(world, name, "stac_item_full")
    assert error["code"] in ("raster_damaged", "raster_unreadable")


def test_a_raster_over_the_limit_is_told_what_reads_its_header(world: Containers) -> None:
    world.put_raster("a.tif")
    world.configure(max_raster_size_gb=1e-6)
    error = failure(world, "a.tif", "stac_item_full")
    assert error["code"] == "raster_too_large"
    assert "stac_item_smart" in error["remediation"]
    assert catalogue(world, "a.tif")["properties"]["proj:shape"] == [600, 700]


def test_what_an_earlier_look_found_is_kept_while_the_bytes_are_the_same(world: Containers) -> None:
    name = world.put_raster("a.tif")
    full = catalogue(world, name, "stac_item_full")
    for form in ("stac_item_quick", "catalog_file"):
        assert world.result(form, resource_id=name)["status"] == "unchanged"
    assert world.item(full["id"]) == full
    world.put_raster("a.tif", crs="EPSG:32633")
    changed = catalogue(world, name)
    assert (changed["properties"]["geostage:detail"], changed["properties"]["proj:code"]) == ("header", "EPSG:32633")
    assert len(world.items()) == 1


def test_a_quick_item_gets_its_place_later(world: Containers) -> None:
    world.put("a.geojson")
    quick = catalogue(world, "a.geojson", "stac_item_quick")
    assert (quick["geometry"], "bbox" in quick) == (None, False)
    assert quick["properties"]["geostage:content_type"] == "application/octet-stream"
    assert catalogue(world, "a.geojson")["geometry"]["type"] == "Polygon"


def test_a_quick_item_is_made_of_a_file_that_nobody_can_read(world: Containers) -> None:
    world.put("broken.tif", b"no raster")
    assert catalogue(world, "broken.tif", "stac_item_quick")["geometry"] is None


def test_every_layer_of_a_file_is_told_of(world: Containers) -> None:
    path = world.folder / "two.gpkg"
    vector.boxes(3).to_file(path, layer="one")
    vector.frame([box(500_000, 0, 600_000, 1e5)], "EPSG:32633").to_file(path, layer="two")
    world.put("two.gpkg", path.read_bytes())
    item = catalogue(world, "two.gpkg")
    assert [layer["crs"] for layer in item["properties"]["geostage:layers"]] == ["EPSG:4326", "EPSG:32633"]
    assert item["properties"]["table:row_count"] == 4
    assert item["bbox"] == pytest.approx([0, 0, 15.9, 0.904], abs=0.05)


def test_a_zip_is_read_whatever_layers_are_in_it(world: Containers) -> None:
    data = vector.zipped({"a/x.geojson": POINT, "b/y.geojson": POINT.replace(b"7, 51", b"8, 52")})
    world.put("both.zip", data)
    item = catalogue(world, "both.zip", "stac_item_full")
    assert len(item["properties"]["geostage:layers"]) == 2
    assert item["bbox"] == pytest.approx([7, 51, 8, 52], abs=1e-5)


def test_metadata_tell_everything_though_nothing_says_where_it_lies(world: Containers) -> None:
    world.put("points.tif", points_raster(world.folder))
    world.put_raster("nowhere.tif", crs=None, transform=None)
    parts = vector.shapefile_parts(vector.boxes(3), world.folder)
    world.put("nocrs.zip", vector.zipped({f"a{suffix}": data for suffix, data in parts.items() if suffix != ".prj"}))
    points = world.result("extract_metadata", resource_id="points.tif")
    assert (points["raster"]["control_points"], points["place"]["known"]) == (4, True)
    nowhere = world.result("extract_metadata", resource_id="nowhere.tif")
    assert (nowhere["raster"]["dtype"], nowhere["place"]["known"]) == ("uint8", False)
    layers = world.result("extract_metadata", resource_id="nocrs.zip")
    assert (layers["vector"]["layers"][0]["row_count"], layers["place"]["code"]) == (3, "crs_missing")
    assert world.items() == {}


def test_metadata_say_whether_the_catalogue_is_up_to_date(world: Containers) -> None:
    world.put("a.geojson")
    known = [world.result("extract_metadata", resource_id="a.geojson")["catalogue"]]
    catalogue(world, "a.geojson")
    known.append(world.result("extract_metadata", resource_id="a.geojson")["catalogue"])
    world.put("a.geojson")
    known.append(world.result("extract_metadata", resource_id="a.geojson")["catalogue"])
    assert [(one["catalogued"], one["up_to_date"]) for one in known] == [(False, False), (True, True), (True, False)]


def test_a_raster_is_reprojected_as_process_raster_does_it(world: Containers) -> None:
    name = world.put_raster("a.tif")
    one = world.result("reproject_raster", resource_id=name, target_crs="EPSG:3857", version_id="a")
    other = world.result("process_raster", resource_id=name, target_crs="EPSG:3857", version_id="b")
    assert one["report"] == other["report"]
    assert world.read(one["cog_path"]) == world.read(other["cog_path"])


def test_the_catalogue_answers_about_items_of_every_kind(world: Containers) -> None:
    world.put("point.geojson")
    world.put_raster("a.tif")
    world.sync()
    world.put("quick.geojson")
    catalogue(world, "quick.geojson", "stac_item_quick")
    listed = world.result("list_items", collection_id=CONTAINER)
    assert len(listed["items"]) == 3
    near = world.result("query_spatial", point=[7, 51], distance_m=1000)
    assert len(near["items"]) == 1
    assert world.result("get_statistics", collection_id=CONTAINER)
    for kind in ("json", "geojson", "csv", "parquet"):
        assert world.read(world.result("export_metadata", format=kind)["export_path"])
