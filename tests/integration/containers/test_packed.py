"""Blobs with a Content-Encoding, on real storage: all of their rows are loaded, or the POST says why none can be."""

from __future__ import annotations

import gzip
import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob import BlobServiceClient, ContentSettings
from pydantic import SecretStr

from local.stack import Stack
from repositories.storage.blobs import AzureBlobs
from schema.errors import InvalidRequest
from schema.jobs import Job
from schema.settings import Settings
from services.vector.gdal import pyogrio
from tests.fixtures import vector
from tests.fixtures.job_types import FILE_JOBS, RASTER_JOBS
from tests.fixtures.packed import TEXT_FORMATS, raster_file, upload_packed, vector_file
from tests.fixtures.proxy import Proxy, proxied
from tests.integration.containers.world import Containers

SMALL_RANGES = 64 * 1024
ROWS = 500


@dataclass
class Packed:
    """A deployment that reads a container of packed blobs."""

    world: Containers
    settings: Settings
    service: BlobServiceClient
    container: str
    sizes: dict[str, int] = field(default_factory=dict)
    """Stored bytes, by blob."""

    def read(self, settings: Settings | None = None, **options: Any) -> None:
        """Read the blobs from now on with these settings, or in ranges of another size."""
        self.world.blobs = AzureBlobs(settings or self.settings, **options)  # type: ignore[assignment]
        self.world.engine = self.world.new_engine(self.world.settings)

    def upload(self, name: str, data: bytes, encoding: str = "gzip") -> str:
        self.sizes[name] = upload_packed(self.service, self.container, name, data, encoding)
        return name

    def run(self, job_type: str, **parameters: Any) -> Job:
        return self.world.run_job(job_type, dataset_id=self.container, **parameters)

    def load(self, name: str) -> Job:
        return self.run("process_vector", resource_id=name, target_table="packed")

    def rows(self) -> int:
        return int(self.world.sql("SELECT count(*) AS rows FROM geo.packed")[0]["rows"])

    def refusal(self, job_type: str, name: str) -> InvalidRequest:
        with pytest.raises(InvalidRequest) as refused:
            self.run(job_type, resource_id=name)
        return refused.value


@pytest.fixture
def packed(
    world: Containers, stack: Stack, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Packed]:
    """An empty container on Azurite, whose blobs are read in many ranges, and no table."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path_factory.mktemp("sources")))
    world.sql("DROP TABLE IF EXISTS geo.packed, geo.packed__rejects")
    secret = SecretStr(stack.storage_connection_string)
    settings = world.settings.model_copy(update={"storage_connection_string": secret})
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        name = f"t{uuid4().hex[:12]}"
        service.create_container(name)
        made = Packed(world, settings, service, name)
        made.read(range_bytes=SMALL_RANGES)
        yield made
        service.delete_container(name)


@pytest.fixture
def proxy(packed: Packed) -> Iterator[Proxy]:
    """A proxy that the blobs are read through."""
    with proxied(packed.settings) as made:
        packed.read(made.through(packed.settings))
        yield made


def loaded(job: Job) -> int:
    assert job.status == "completed", job.error
    assert job.result_data
    return int(job.result_data["total_features_loaded"])


@pytest.mark.parametrize("suffix", TEXT_FORMATS)
def test_all_rows_of_a_packed_file_are_loaded(packed: Packed, suffix: str) -> None:
    name = packed.upload(f"a.{suffix}", vector_file(suffix, ROWS, 10**6))
    assert packed.sizes[name] > 10 * SMALL_RANGES
    assert loaded(packed.load(name)) == packed.rows() == ROWS


@pytest.mark.parametrize("suffix", ["gpkg", "shp.zip", "kmz", "fgb", "parquet"])
def test_all_rows_of_a_packed_file_of_the_other_formats_are_loaded(packed: Packed, suffix: str) -> None:
    folder, boxes = packed.world.folder, vector.boxes(ROWS)
    path = folder / f"a.{suffix}"
    if suffix == "gpkg":
        data = vector.gpkg(boxes, folder)
    elif suffix == "shp.zip":
        data = vector.shapefile(boxes, folder)
    elif suffix == "kmz":
        data = vector.zipped({"doc.kml": vector_file("kml", ROWS, 10**5)})
    else:
        boxes.to_parquet(path) if suffix == "parquet" else pyogrio.write_dataframe(boxes, path)
        data = path.read_bytes()
    assert loaded(packed.load(packed.upload(f"a.{suffix}", data))) == ROWS


def test_a_file_beyond_the_first_request_of_the_sdk_keeps_its_rows(packed: Packed) -> None:
    packed.read()
    name = packed.upload("a.csv", vector_file("csv", 30_000, 35_000_000))
    assert packed.sizes[name] > 32 * 2**20
    assert loaded(packed.load(name)) == packed.rows() == 30_000


def test_parts_of_a_shapefile_may_be_packed_each_for_itself(packed: Packed) -> None:
    parts = vector.shapefile_parts(vector.boxes(ROWS), packed.world.folder)
    for suffix, data in parts.items():
        packed.upload(f"a{suffix}", data, "identity" if suffix == ".prj" else "gzip")
    assert loaded(packed.load("a.shp")) == ROWS
    packed.upload("a.dbf", zlib.compress(parts[".dbf"]), "deflate")
    failed = packed.load("a.shp")
    assert failed.error
    assert (failed.error["code"], "a.dbf" in failed.error["message"]) == ("content_encoding_unsupported", True)


@pytest.mark.parametrize("encoding", ["deflate", "br"])
@pytest.mark.parametrize("job_type", ["process_vector", *FILE_JOBS])
def test_what_cannot_be_decoded_is_refused_by_the_post(packed: Packed, job_type: str, encoding: str) -> None:
    refused = packed.refusal(job_type, packed.upload("a.csv", b"id\n1\n", encoding))
    assert refused.error_code == "content_encoding_unsupported"
    assert f"{packed.container}/a.csv has the Content-Encoding '{encoding}'" in refused.message


@pytest.mark.parametrize("job_type", [*RASTER_JOBS, *FILE_JOBS])
def test_a_packed_raster_is_refused_by_the_post(packed: Packed, job_type: str) -> None:
    more = {"target_crs": "EPSG:4326"} if job_type == "reproject_raster" else {}
    name = packed.upload("a.tif", raster_file(packed.world.folder, 10**5))
    with pytest.raises(InvalidRequest) as refused:
        packed.run(job_type, resource_id=name, **more)
    assert refused.value.error_code == "content_encoding_unsupported"
    assert "'gzip'" in refused.value.message


def test_a_batch_has_one_entry_for_each_blob_that_cannot_be_decoded(packed: Packed) -> None:
    tif = raster_file(packed.world.folder, 10**5)
    packed.upload("good.csv", vector_file("csv", ROWS, 10**5))
    packed.upload("good.tif", tif, "identity")
    packed.upload("bad.csv", b"id\n1\n", "br")
    packed.upload("bad.tif", tif)
    packed.upload("cut.csv", gzip.compress(vector_file("csv", ROWS, 10**5))[:-1000], "identity")
    settings = ContentSettings(content_encoding="gzip")
    packed.service.get_blob_client(packed.container, "cut.csv").set_http_headers(settings)
    job = packed.run("sync_container")
    assert job.status == "completed", job.error
    assert job.result_data
    assert {entry["name"]: entry["code"] for entry in job.result_data["failed_files"]} == {
        "bad.csv": "content_encoding_unsupported",
        "bad.tif": "content_encoding_unsupported",
        "cut.csv": "content_encoding_damaged",
    }
    assert set(packed.world.items(packed.container)) == {"good.csv", "good.tif"}


def test_a_record_has_size_and_checksum_of_the_stored_bytes_and_the_rows_of_the_file(packed: Packed) -> None:
    name = packed.upload("a.csv", vector_file("csv", ROWS, 10**5))
    job = packed.run("stac_item_full", resource_id=name)
    assert job.status == "completed", job.error
    assert job.result_data
    (asset,) = job.result_data["item"]["assets"].values()
    stored = packed.service.get_blob_client(packed.container, name).download_blob(decompress=False).readall()
    assert asset["file:size"] == packed.sizes[name] == len(stored)
    assert asset["file:checksum"] == f"1220{hashlib.sha256(stored).hexdigest()}"
    assert job.result_data["item"]["properties"]["table:row_count"] == ROWS
    described = packed.run("extract_metadata", resource_id=name)
    assert described.result_data
    assert described.result_data["vector"]["layers"][0]["row_count"] == ROWS


def test_a_blob_that_is_replaced_is_not_read_from_what_was_decoded_before(packed: Packed) -> None:
    name = packed.upload("a.csv", vector_file("csv", ROWS, 10**5))
    assert loaded(packed.load(name)) == ROWS
    packed.upload(name, vector_file("csv", 7, 10**4))
    assert loaded(packed.load(name)) == 7


@pytest.mark.parametrize("announces", [True, False])
def test_a_download_that_breaks_off_is_tried_again_and_loads_all_rows(
    packed: Packed, proxy: Proxy, *, announces: bool
) -> None:
    name = packed.upload("a.csv", vector_file("csv", ROWS, 10**5))
    # The SDK itself asks up to three times for a range whose end it missed.
    proxy.cuts, proxy.announces = lambda asked: "a.csv" in asked and len(proxy.asked) < 3, announces
    job = packed.load(name)
    assert loaded(job) == packed.rows() == ROWS
    (preprocess,) = packed.world.tasks(job, 1)
    assert preprocess.tries == 2


@pytest.mark.parametrize("announces", [True, False])
@pytest.mark.parametrize("encoding", ["gzip", "identity"])
def test_a_download_that_always_breaks_off_loads_nothing(
    packed: Packed, proxy: Proxy, encoding: str, *, announces: bool
) -> None:
    name = packed.upload("a.csv", vector_file("csv", ROWS, 10**5), encoding)
    proxy.cuts, proxy.announces = lambda asked: "a.csv" in asked, announces
    job = packed.load(name)
    assert job.status == "failed"
    assert job.error
    assert (job.error["code"], job.error["retryable"]) == ("download_incomplete", True)
    assert f"{packed.container}/a.csv" in job.error["message"]
    assert packed.world.sql("SELECT to_regclass('geo.packed') AS found")[0]["found"] is None
