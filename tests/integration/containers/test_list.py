"""list_container: everything is listed once, however the container is shared out, in bounded memory."""

from __future__ import annotations

import json
import tracemalloc
from datetime import UTC, datetime
from functools import partial

import pytest

from repositories.storage.blobs import BlobFacts
from schema.errors import InvalidRequest, NotFound
from schema.jobs import Json
from services.handlers import containers
from tests.fixtures.world import CONTAINER
from tests.integration.containers.world import Containers

MANY = 100_000


def every_file(world: Containers, result: Json) -> list[Json]:
    """The whole list: what stands in the result, and what was written to blobs."""
    more = [file for part in result["more_files"] for file in json.loads(world.read(part["path"]))]
    return [*result["files"], *more]


def put_many(world: Containers, names: list[str]) -> None:
    """Put blobs that share their bytes."""
    at = datetime(2026, 1, 1, tzinfo=UTC)
    facts = {name: (b"", BlobFacts(name, 10, f'"{name}"', at, "image/tiff")) for name in names}
    world.blobs.containers[CONTAINER] = facts


def test_a_container_is_added_up_and_listed(world: Containers) -> None:
    world.put("readme.txt", b"x" * 5)
    world.put("a/one.TIF", b"x" * 1_000_000)
    world.put("a/b/two.tif", b"x" * 500_000)
    world.put("c/three.gpkg", b"x")
    result = world.result("list_container")
    assert result["summary"]["total_files"] == 4
    assert result["summary"]["total_size_mb"] == 1.5
    assert result["summary"]["file_extensions"] == {".txt": 1, ".tif": 2, ".gpkg": 1}
    assert result["summary"]["largest_file"] == {"name": "a/one.TIF", "size": 1_000_000}
    assert result["summary"]["newest_file"]["name"] == "c/three.gpkg"
    assert [file["name"] for file in result["files"]] == ["a/b/two.tif", "a/one.TIF", "c/three.gpkg", "readme.txt"]
    head = world.blobs.head(CONTAINER, "c/three.gpkg")
    assert result["files"][2] == {
        "name": "c/three.gpkg", "size": 1, "etag": head.etag, "last_modified": head.last_modified,
        "content_type": "application/octet-stream", "kind": "vector",
    }  # fmt: skip
    assert result["more_files"] == []


def test_each_folder_and_the_root_are_a_task(world: Containers) -> None:
    for name in ("root.tif", "a/1.tif", "a/x/2.tif", "b/3.tif"):
        world.put(name)
    job = world.run_job("list_container")
    assert [entry["task_count"] for entry in job.stage_history] == [1, 3]
    assert [task.parameters["prefix"] for task in world.tasks(job, 2)] == ["", "a/", "b/"]


def test_a_flat_container_is_one_task(world: Containers) -> None:
    for number in range(20):
        world.put(f"{number}.tif")
    job = world.run_job("list_container")
    assert [entry["task_count"] for entry in job.stage_history] == [1, 1]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"prefix": "a/"}, ["a/1.tif", "a/b/2.gpkg", "a/b/3.TIF"]),
        ({"prefix": "a"}, ["a/1.tif", "a/b/2.gpkg", "a/b/3.TIF", "ab.tif"]),
        ({"prefix": "a/b/2.gpkg"}, ["a/b/2.gpkg"]),
        ({"suffix": ".tif"}, ["a/1.tif", "a/b/3.TIF", "ab.tif"]),
        ({"suffix": ".TIF", "prefix": "a/b"}, ["a/b/3.TIF"]),
        ({"limit": 2}, ["a/1.tif", "a/b/2.gpkg"]),
        ({"limit": 1, "suffix": ".tif", "prefix": "a/b/"}, ["a/b/3.TIF"]),
        ({"limit": 50}, ["a/1.tif", "a/b/2.gpkg", "a/b/3.TIF", "ab.tif", "z.csv"]),
        ({"prefix": "nothing"}, []),
        ({"prefix": "100%_\\"}, []),
    ],
)
def test_what_is_listed_can_be_narrowed(world: Containers, given: Json, expected: list[str]) -> None:
    for name in ("a/1.tif", "a/b/2.gpkg", "a/b/3.TIF", "ab.tif", "z.csv"):
        world.put(name)
    result = world.result("list_container", **given)
    assert [file["name"] for file in result["files"]] == expected
    assert result["summary"]["total_files"] == len(expected)


def test_an_empty_container_has_no_files(world: Containers) -> None:
    result = world.result("list_container")
    assert result["files"] == []
    assert (result["summary"]["total_files"], result["summary"]["largest_file"]) == (0, None)


@pytest.mark.parametrize("folders", [1, 7, 300])
def test_a_list_that_is_too_long_for_a_result_is_continued_in_blobs(world: Containers, folders: int) -> None:
    names = [f"f{number % folders:03d}/{number:05d}.tif" for number in range(5_000)]
    put_many(world, names)
    result = world.result("list_container")
    found = [file["name"] for file in every_file(world, result)]
    assert sorted(found) == sorted(names)
    assert len(json.dumps(result)) < 256 * 1024
    assert result["summary"]["total_files"] == 5_000
    assert sum(part["files"] for part in result["more_files"]) == 5_000 - len(result["files"])


def test_more_folders_than_tasks_are_listed_by_one(world: Containers) -> None:
    world.handlers["container_prefixes"] = partial(containers.prefixes, max_folders=10)
    names = [f"f{number:02d}/a.tif" for number in range(11)]
    put_many(world, names)
    job = world.run_job("list_container")
    assert [entry["task_count"] for entry in job.stage_history] == [1, 1]
    assert job.result_data
    assert [file["name"] for file in job.result_data["files"]] == names


@pytest.mark.parametrize("shape", ["flat", "folders", "a folder each"])
def test_a_hundred_thousand_blobs_are_listed_in_bounded_memory(world: Containers, shape: str) -> None:
    width = {"flat": "", "folders": "f{folder:02d}/", "a folder each": "f{number:06d}/"}[shape]
    put_many(world, [width.format(number=n, folder=n % 40) + f"{n:06d}.tif" for n in range(MANY)])
    tracemalloc.start()
    result = world.result("list_container")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    listed = sum(len(world.read(part["path"])) for part in result["more_files"])
    assert result["summary"]["total_files"] == MANY
    assert sum(part["files"] for part in result["more_files"]) + len(result["files"]) == MANY
    # The blobs in memory keep what is written to them; what was held beside that is one part of the list.
    assert peak - listed < 30e6
    assert len({file["name"] for file in every_file(world, result)}) == MANY


def test_an_unknown_container_is_refused_when_the_job_is_posted(world: Containers) -> None:
    with pytest.raises(NotFound, match="no container 'nowhere'"):
        world.start_job("list_container", dataset_id="nowhere")


def test_the_work_container_is_never_listed(world: Containers) -> None:
    world.put("a", container="geostage-work")
    with pytest.raises(InvalidRequest, match="reserved"):
        world.start_job("list_container", dataset_id="geostage-work")
    with pytest.raises(InvalidRequest, match="reserved"):
        world.start_job("sync_container", dataset_id="azure-webjobs-hosts")


def test_a_container_that_goes_away_fails_the_job_with_its_name(world: Containers) -> None:
    job = world.start_job("list_container")
    del world.blobs.containers[CONTAINER]
    world.run_all()
    ended = world.job(job)
    assert ended.error
    assert (ended.status, ended.error["code"]) == ("failed", "container_not_found")


@pytest.mark.parametrize("limit", [None, 100], ids=["by folders", "in one go"])
def test_of_the_output_container_large_results_and_exports_are_listed_where_they_are_asked_for(
    world: Containers, limit: int | None
) -> None:
    world.put_raster("a.tif")
    world.result("tile_raster", resource_id="a.tif", target_tile_size_gb=1)
    export = world.result("export_metadata", format="geojson")["export_path"].removeprefix("silver/")
    world.put("_results/a.json", container="silver")
    result = world.result("list_container", dataset_id="silver", limit=limit)
    assert [(file["name"], file["kind"]) for file in result["files"]] == [
        ("bronze/a/v1/mosaic.json", "sidecar"), ("bronze/a/v1/mosaic.vrt", "sidecar"),
        ("bronze/a/v1/tiles/r0c0.tif", "raster"),
    ]  # fmt: skip
    asked = world.result("list_container", dataset_id="silver", prefix="_exports/", limit=limit)
    assert [file["name"] for file in asked["files"]] == [export]
