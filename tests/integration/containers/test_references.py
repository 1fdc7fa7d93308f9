"""Files that name other files and addresses: every job type refuses them, asks nobody, and looks at nothing else."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pyproj
import pytest
import rasterio
import shapely

from schema.jobs import Job, Json
from services.vector.gdal import pyogrio
from tests.fixtures import vector
from tests.fixtures.crs import BOUND, GEOGCS
from tests.fixtures.job_types import FILE_JOBS, RASTER_JOBS
from tests.fixtures.listener import Listener, listening
from tests.fixtures.rasters import write_bytes, write_raster
from tests.fixtures.world import CONTAINER
from tests.integration.containers.world import Containers

POINT: Json = {"type": "Point", "coordinates": [7, 51]}
MORE: dict[str, Json] = {
    "reproject_raster": {"target_crs": "EPSG:3857"},
    "process_large_raster": {"max_raster_size_gb": 1e-6, "target_tile_size_gb": 0.1},
    "tile_raster": {"target_tile_size_gb": 0.1},
    "process_vector": {"target_table": "referring"},
}


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[Listener]:
    """A server that nothing may ask."""
    with listening(tmp_path) as made:
        yield made
        assert made.requests == []


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sources are cached apart from those of any other process on this machine."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("sources")))


def run(world: Containers, job_type: str, name: str) -> Job:
    return world.run_job(job_type, resource_id=name, **MORE.get(job_type, {}))


def error(world: Containers, job_type: str, name: str) -> tuple[str, str]:
    """Code and message of a job that fails at its first try."""
    job = run(world, job_type, name)
    assert job.status == "failed", job.result_data
    assert job.error
    assert job.error["attempt"] == 1
    return job.error["code"], job.error["message"]


def referring_rasters(folder: Path, url: str) -> dict[str, bytes]:
    """GeoTIFFs whose metadata name what GDAL would open, by what that is."""
    there = write_raster(folder / "there.tif", pixels=None, crs=None)
    inline = (
        '<VRTDataset rasterXSize="350" rasterYSize="300"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        "<SourceFilename>{}</SourceFilename><SourceBand>1</SourceBand></SimpleSource></VRTRasterBand></VRTDataset>"
    )
    named = {
        "curl": ("OVERVIEWS", {"OVERVIEW_FILE": f"/vsicurl/{url}vsicurl.tif"}),
        "http": ("OVERVIEWS", {"OVERVIEW_FILE": f"{url}http.tif"}),
        "vrt": ("OVERVIEWS", {"OVERVIEW_FILE": inline.format(f"/vsicurl/{url}inline.tif")}),
        "vrt-there": ("OVERVIEWS", {"OVERVIEW_FILE": inline.format(there)}),
        "there": ("OVERVIEWS", {"OVERVIEW_FILE": str(there)}),
        "absent": ("OVERVIEWS", {"OVERVIEW_FILE": str(folder / "absent.tif")}),
        "base": ("OVERVIEWS", {"OVERVIEW_FILE": f":::BASE:::{there}"}),
        "lower": ("overviews", {"OVERVIEW_FILE": f"{url}lower.tif"}),
        "xml": ("xml:VRT", {"xml:VRT": inline.format(f"/vsicurl/{url}xml.tif")}),
        "mask": ("MASK", {"MASK_FILE": f"/vsicurl/{url}mask.tif"}),
    }
    return {name: _with_domain(folder, domain, tags) for name, (domain, tags) in named.items()}


def _with_domain(folder: Path, domain: str, tags: dict[str, str]) -> bytes:
    path = write_raster(folder / "referring.tif")
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(ns=domain, **tags)
    return path.read_bytes()


@pytest.mark.parametrize("job_type", [*RASTER_JOBS, *FILE_JOBS])
def test_a_raster_that_names_other_files_is_refused(world: Containers, listener: Listener, job_type: str) -> None:
    said = {}
    for name, data in referring_rasters(world.folder, listener.url).items():
        world.put(f"{name}.tif", data)
        said[name] = error(world, job_type, f"{name}.tif")
    assert {code for code, _ in said.values()} == {"external_reference"}
    assert said["there"][1].replace("there", "") == said["absent"][1].replace("absent", "")
    assert all(f"{CONTAINER}/{name}.tif" in message for name, (_, message) in said.items())


def referring_geojson(url: str) -> dict[str, tuple[Any, str]]:
    """GeoJSON files, and the code of the error that each is refused with."""
    link = {"type": "link", "properties": {"href": f"{url}link", "type": "ogcwkt"}}
    tops = {
        "link": (link, "external_reference"),
        "url": ({"type": "url", "properties": {"url": f"{url}url"}}, "external_reference"),
        "file": ({"type": "link", "properties": {"href": "file:///etc/hostname"}}, "external_reference"),
        "name": ({"type": "name", "properties": {"name": f"{url}name"}}, "crs_unknown"),
        "grid": ({"type": "name", "properties": {"name": "+proj=longlat +nadgrids=/etc/hostname"}}, "crs_unknown"),
        "ogc": ({"type": "OGC", "properties": {"urn": f"{url}ogc"}}, "crs_unknown"),
    }
    features = [{"type": "Feature", "properties": {}, "geometry": POINT}]
    made = {name: ({"type": "FeatureCollection", "crs": crs, "features": features}, code)
            for name, (crs, code) in tops.items()}  # fmt: skip
    inside = {"type": "Feature", "properties": {}, "geometry": {**POINT, "crs": link}}
    return {**made, "inside": (inside, "external_reference")}


@pytest.mark.parametrize("job_type", ["process_vector", *FILE_JOBS])
@pytest.mark.parametrize("suffix", ["geojson", "geojsonl"])
def test_a_geojson_whose_crs_is_elsewhere_is_refused(
    world: Containers, listener: Listener, job_type: str, suffix: str
) -> None:
    for name, (data, code) in referring_geojson(listener.url).items():
        if suffix == "geojsonl" and name != "inside":
            continue
        blob = world.put(f"{name}.{suffix}", json.dumps(data).encode())
        assert error(world, job_type, blob)[0] == code, name


def test_a_link_is_not_fetched_when_the_job_names_the_crs_itself(world: Containers, listener: Listener) -> None:
    link = {"type": "link", "properties": {"href": f"{listener.url}link"}}
    name = world.put("a.geojson", json.dumps({**POINT, "crs": link}).encode())
    job = world.run_job("process_vector", resource_id=name, target_table="referring", source_crs="EPSG:25832")
    assert job.error
    assert job.error["code"] == "external_reference"


def test_a_batch_has_one_entry_for_each_file_that_names_others(world: Containers, listener: Listener) -> None:
    expected = {}
    for name, data in referring_rasters(world.folder, listener.url).items():
        expected[world.put(f"{name}.tif", data)] = "external_reference"
    for name, (data, code) in referring_geojson(listener.url).items():
        expected[world.put(f"{name}.geojson", json.dumps(data).encode())] = code
    world.put_raster("good.tif")
    summary = world.sync()
    assert {entry["name"]: entry["code"] for entry in summary["failed_files"]} == expected
    assert set(world.items()) == {"good.tif"}


def files_with_grid(folder: Path, place: Path) -> dict[str, bytes]:
    """Vector files whose CRS names a grid, by extension."""
    # Whoever writes such a file opens the grid as well, so another name stands in it at first.
    name = "x" * len(str(place))
    bound, boxes = BOUND.format(name), vector.boxes(3, crs="EPSG:25832")
    parts = vector.shapefile_parts(boxes, folder)
    parts[".prj"] = GEOGCS.format(f',EXTENSION["PROJ4_GRIDS","{name}"]', "").encode()
    gpkg, flat, parquet = (folder / f"grid.{suffix}" for suffix in ("gpkg", "fgb", "parquet"))
    gpkg.write_bytes(vector.gpkg(boxes, folder))
    with closing(sqlite3.connect(gpkg)) as db, db:
        change = "UPDATE gpkg_spatial_ref_sys SET definition = ?, organization = 'NONE' WHERE srs_id = 25832"
        db.execute(change, [bound])
    pyogrio.write_dataframe(boxes.set_crs(bound, allow_override=True), flat)
    geo = {"encoding": "WKB", "geometry_types": [], "crs": pyproj.CRS.from_wkt(bound).to_json_dict()}
    text = json.dumps({"version": "1.0.0", "primary_column": "geometry", "columns": {"geometry": geo}})
    table = pa.table({"geometry": shapely.to_wkb(boxes.geometry.to_numpy())})
    pq.write_table(table.replace_schema_metadata({b"geo": text.encode()}), parquet)
    files = {path.suffix[1:]: path.read_bytes() for path in (gpkg, flat, parquet)}
    files["zip"] = vector.zipped({f"grid{suffix}": data.replace(name.encode(), str(place).encode())
                                  for suffix, data in parts.items()})  # fmt: skip
    assert all(name.encode() in files[suffix] for suffix in ("gpkg", "fgb", "parquet"))
    return {suffix: data.replace(name.encode(), str(place).encode()) for suffix, data in files.items()}


@pytest.mark.parametrize("job_type", ["process_vector", "catalog_file"])
def test_a_crs_that_names_a_grid_by_its_path_is_refused_before_the_path_is_opened(
    world: Containers, job_type: str
) -> None:
    # Who opens a pipe that nobody writes to waits for ever.
    pipe = world.folder / "pipe.gsb"
    os.mkfifo(pipe)
    for suffix, data in files_with_grid(world.folder, pipe).items():
        code, message = error(world, job_type, world.put(f"a.{suffix}", data))
        assert (code, str(pipe) in message) == ("external_reference", True), suffix


def put_sidecars(world: Containers, url: str) -> None:
    """Put blobs beside a.tif and a.shp that GDAL would look at if they were files beside it."""
    other = write_bytes(world.folder / "other.tif", pixels=None, crs=None)
    referring = f'<MDI key="OVERVIEW_FILE">/vsicurl/{url}aux.tif</MDI>'
    aux = f'<PAMDataset><Metadata domain="OVERVIEWS">{referring}</Metadata></PAMDataset>'.encode()
    for suffix in (".ovr", ".msk"):
        world.put(f"a.tif{suffix}", other)
    for name in ("a.tif.aux.xml", "a.aux.xml", "a.shp.xml", "a.geojson.aux.xml", "a.gpkg.aux.xml"):
        world.put(name, aux)
    for suffix in (".tfw", ".wld", ".tab", ".aux", ".qix", ".sbn", ".idm", ".RPB", "_rpc.txt", ".IMD"):
        world.put(f"a{suffix}", b"1\n0\n0\n1\n0\n0\n")


@pytest.mark.parametrize("job_type", [*RASTER_JOBS, *FILE_JOBS])
def test_sidecars_beside_a_raster_change_nothing(world: Containers, listener: Listener, job_type: str) -> None:
    world.put_raster("a.tif", compress="deflate")
    world.put("b.tif", world.blobs.read(CONTAINER, "a.tif"))
    put_sidecars(world, listener.url)
    with_sidecars, alone = (run(world, job_type, name) for name in ("a.tif", "b.tif"))
    assert with_sidecars.status == alone.status == "completed", with_sidecars.error
    assert shape_of(with_sidecars) == shape_of(alone)


def shape_of(job: Job) -> Json:
    """What a result says of the pixels and the place of a raster."""
    result: Json = job.result_data or {}
    names = ("report", "overviews", "mask", "transform", "statistics", "size_gb", "tiles_created", "raster")
    return {name: result[name] for name in names if name in result}


@pytest.mark.parametrize("suffix", ["geojson", "gpkg", "shp"])
def test_sidecars_beside_a_vector_file_change_nothing(world: Containers, listener: Listener, suffix: str) -> None:
    boxes = vector.boxes(5, crs="EPSG:25832")
    if suffix == "shp":
        for part, data in vector.shapefile_parts(boxes, world.folder).items():
            world.put(f"a{part}", data)
    else:
        world.put(f"a.{suffix}", (vector.gpkg if suffix == "gpkg" else vector.geojson)(boxes, world.folder))
    put_sidecars(world, listener.url)
    result = world.result("process_vector", resource_id=f"a.{suffix}", target_table="referring")
    assert (result["total_features_loaded"], result["original_crs"]) == (5, "EPSG:25832")
