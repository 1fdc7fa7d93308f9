"""Sources whose names make the same outputs or items: the second is refused, and nothing of the first is touched."""

from __future__ import annotations

import pytest

from schema.errors import PermanentError
from schema.jobs import Json
from services.handlers import raster
from services.raster.output.outputs import Outputs
from tests.integration.raster.refusals import refused
from tests.integration.raster.tiling import SMALL
from tests.integration.raster.world import World

JOB_TYPES = ["process_raster", "cog_conversion", "tile_raster", "process_large_raster"]


def more_for(job_type: str) -> Json:
    limit = {"max_raster_size_gb": 1e-9} if job_type == "process_large_raster" else {}
    return {**limit, **(SMALL if "raster" in job_type and job_type != "process_raster" else {})}


@pytest.mark.parametrize("job_type", JOB_TYPES)
@pytest.mark.parametrize("other", ["s.tiff", "s.TIF", "s.geotiff", "s"])
def test_a_file_of_another_extension_does_not_replace_the_outputs_of_the_first(
    world: World, job_type: str, other: str
) -> None:
    more = {} if job_type == "cog_conversion" else {"collection_id": f"one-{job_type}"}
    first = world.run(job_type, world.put_raster("s.tif"), **more_for(job_type), **more)
    # In a collection of its own its items would not be in the way of each other: its blobs would.
    apart = {} if job_type == "cog_conversion" else {"collection_id": f"two-{job_type}"}
    error = refused(world, job_type, world.put_raster(other), "output_of_another_source", **more_for(job_type), **apart)
    assert "bronze/s.tif" in error.message
    assert f"bronze/{other}" in error.message
    again = world.run(job_type, "s.tif", **more_for(job_type), **more)
    assert again.get("cog_path") == first.get("cog_path")


@pytest.mark.parametrize("job_type", JOB_TYPES)
def test_with_a_version_of_its_own_the_second_file_has_a_name_of_its_own(world: World, job_type: str) -> None:
    world.run(job_type, world.put_raster("s.tif"), **more_for(job_type))
    before = set(world.published())
    world.run(job_type, world.put_raster("s.tiff"), version_id="tiff", **more_for(job_type))
    assert before
    assert set(world.published()) - before == {name for name in world.published() if "/s/tiff" in name}


def test_a_plan_that_is_made_of_another_file_takes_no_folder_of_the_first(world: World) -> None:
    world.run("tile_raster", world.put_raster("s.tif"), **SMALL)
    plan = world.run("generate_tiling_plan", world.put_raster("s.tiff"), **SMALL)["plan_id"]
    refused(world, "tile_raster", "s.tiff", "output_of_another_source", plan_id=plan)


def test_tiles_of_two_files_whose_names_make_one_id(world: World) -> None:
    world.run("tile_raster", world.put_raster("t b.tif"), collection_id="tile-ids", **SMALL)
    error = refused(world, "tile_raster", world.put_raster("t-b.tif"), "item_taken", collection_id="tile-ids", **SMALL)
    assert "bronze/t b.tif" in error.message
    other = world.run("tile_raster", "t-b.tif", collection_id="tile-ids-2", **SMALL)
    assert other["tiles_created"] > 1


def test_a_version_that_makes_the_id_of_a_tile(world: World) -> None:
    world.run("tile_raster", world.put_raster("u.tif"), collection_id="version-ids", **SMALL)
    error = refused(world, "process_raster", "u.tif", "item_taken", collection_id="version-ids", version_id="v1-r0c0")
    assert "/silver/bronze/u/v1/tiles/r0c0.tif" in error.message


def test_two_versions_whose_names_make_one_id(world: World) -> None:
    name = world.put_raster("v.tif")
    world.run("process_raster", name, collection_id="two-versions", version_id="A")
    error = refused(world, "process_raster", name, "item_taken", collection_id="two-versions", version_id="a")
    assert "/silver/bronze/v/A.tif" in error.message


def test_an_item_stays_its_own_when_the_base_of_links_changes(world: World) -> None:
    name = world.put_raster("w.tif")
    world.run("process_raster", name, collection_id="moved")
    world.configure(asset_base_url="https://example.test/data")
    for _ in range(2):
        assert world.run("process_raster", name, collection_id="moved")["stac_id"] == "w-v1"


def test_an_item_that_came_meanwhile_is_not_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.run("process_raster", world.put_raster("x y.tif"), collection_id="meanwhile")
    name = world.put_raster("x-y.tif")
    with monkeypatch.context() as patch:
        # As if the other's item were not there yet when this job looks for it.
        patch.setattr(raster, "check_items", lambda *_: None)
        # The file is published before the item is written, so this is not as if nothing had happened.
        with pytest.raises(PermanentError) as raised:
            world.run("process_raster", name, collection_id="meanwhile")
    assert raised.value.error_code == "item_taken"


def test_an_output_that_came_meanwhile_is_not_replaced(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    first = world.run("cog_conversion", world.put_raster("s.tif"))
    monkeypatch.setattr(Outputs, "_check", lambda *_: None)
    refused(world, "cog_conversion", world.put_raster("s.tiff"), "output_of_another_source")
    assert first["source"] == "bronze/s.tif"


def test_a_tile_that_is_gone_leaves_an_output_of_another_file_that_looks_like_one(world: World) -> None:
    world.run("tile_raster", world.put_raster("a.tif"), **SMALL)
    other = world.run("cog_conversion", world.put_raster("a/v1/tiles.tif"), version_id="r99c99")["cog_path"]
    assert other == "silver/bronze/a/v1/tiles/r99c99.tif"
    refused(world, "tile_raster", "a.tif", "output_of_another_source", **SMALL)
    assert other.removeprefix("silver/") in world.published()


def test_an_output_without_a_mark_is_replaced(world: World) -> None:
    name = world.put_raster("a.tif")
    world.blobs.write("silver", "bronze/a/v1.tif", b"put there by hand")
    world.run("cog_conversion", name)
    assert [facts.mark for facts in world.blobs.list_blobs("silver")] == ["bronze/a.tif"]
