"""What a blob's Content-Encoding may be, and what becomes of packed bytes."""

from __future__ import annotations

import gzip
import os
import zlib
from pathlib import Path

import pytest

from controllers import CONTROLLERS
from controllers.base import Controller
from controllers.engine import validation
from schema.errors import InvalidRequest, PermanentError
from schema.jobs import Source
from services.content_encoding import Limits, check_encoding, decode
from tests.fixtures.job_types import FILE_JOBS, RASTER_JOBS

VECTOR_JOBS = ("process_vector", *FILE_JOBS)


def packed_source(encoding: str | None, blob: str = "a.csv") -> Source:
    return Source("bronze", blob, "etag", 1, None, encoding)


def unpack(path: Path, data: bytes, limits: Limits | None = None) -> bytes:
    path.write_bytes(data)
    decode(packed_source("gzip"), path, lambda: None, limits or Limits())
    assert list(path.parent.iterdir()) == [path]
    return path.read_bytes()


@pytest.mark.parametrize("encoding", [None, "", "identity", "gzip", "GZIP", " gzip ", "x-gzip", "identity, gzip"])
def test_no_encoding_and_gzip_are_taken_however_they_are_written(encoding: str | None) -> None:
    check_encoding(packed_source(encoding))


@pytest.mark.parametrize(
    "encoding", ["deflate", "br", "zstd", "compress", "gzip, gzip", "gzip, br", "utf-8", "?" * 900]
)
@pytest.mark.parametrize("by_ranges", [False, True])
def test_any_other_encoding_is_refused_by_its_name(encoding: str, by_ranges: bool) -> None:
    with pytest.raises(PermanentError) as raised:
        check_encoding(packed_source(encoding), by_ranges=by_ranges)
    assert raised.value.error_code == "content_encoding_unsupported"
    assert "bronze/a.csv" in raised.value.message
    assert encoding[:50] in raised.value.message
    assert "az storage blob update" in raised.value.remediation


@pytest.mark.parametrize("job_type", [*RASTER_JOBS, *VECTOR_JOBS])
def test_a_post_is_refused_with_what_a_task_would_say(job_type: str) -> None:
    source = packed_source("br")
    with pytest.raises(InvalidRequest) as refused:
        validation.check_source(CONTROLLERS[job_type], source)
    with pytest.raises(PermanentError) as raised:
        check_encoding(source)
    said = refused.value
    assert (said.message, said.remediation) == (raised.value.message, raised.value.remediation)
    assert said.error_code == "content_encoding_unsupported"
    assert [fault["field"] for fault in said.errors] == ["resource_id"]


@pytest.mark.parametrize("job_type", RASTER_JOBS)
@pytest.mark.parametrize("blob", ["a.tif", "a", "a.csv"])
def test_a_raster_packed_with_gzip_is_refused_whatever_its_name(job_type: str, blob: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        validation.check_source(CONTROLLERS[job_type], packed_source("gzip", blob))
    assert "gdal_translate -co COMPRESS=DEFLATE" in refused.value.remediation


@pytest.mark.parametrize("job_type", FILE_JOBS)
def test_a_file_of_either_kind_is_judged_by_its_extension(job_type: str) -> None:
    validation.check_source(CONTROLLERS[job_type], packed_source("gzip", "a.csv"))
    with pytest.raises(InvalidRequest):
        validation.check_source(CONTROLLERS[job_type], packed_source("gzip", "a.TIFF"))


@pytest.mark.parametrize("blob", ["a.tif", "a.csv"])
def test_a_record_of_what_storage_says_opens_no_file_so_any_encoding_will_do(blob: str) -> None:
    validation.check_source(CONTROLLERS["stac_item_quick"], packed_source("br", blob))


def test_every_job_type_with_a_source_is_held_to_a_rule_here() -> None:
    with_source = {name for name, one in CONTROLLERS.items() if type(one).source is not Controller.source}
    assert with_source == {*RASTER_JOBS, *VECTOR_JOBS, "stac_item_quick"}


def test_what_is_not_packed_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"plain")
    decode(packed_source("identity"), path, lambda: None)
    assert path.read_bytes() == b"plain"


@pytest.mark.parametrize("data", [b"", b"a", os.urandom(3 * 2**20), b"row,1\n" * 500_000], ids=len)
def test_gzip_is_decoded_to_the_last_byte(tmp_path: Path, data: bytes) -> None:
    assert unpack(tmp_path / "a", gzip.compress(data, 1)) == data


def test_members_one_after_another_are_one_file(tmp_path: Path) -> None:
    members = [os.urandom(size) for size in (1, 70_000, 0, 2_000_000)]
    assert unpack(tmp_path / "a", b"".join(gzip.compress(member) for member in members)) == b"".join(members)


def test_padding_with_zeros_behind_the_last_member_is_no_fault(tmp_path: Path) -> None:
    assert unpack(tmp_path / "a", gzip.compress(b"data") + bytes(512)) == b"data"


@pytest.mark.parametrize("length", [1, 9, 10, 11, 1_000, -9, -8, -1])
def test_packed_bytes_that_were_cut_off_are_refused(tmp_path: Path, length: int) -> None:
    with pytest.raises(PermanentError) as raised:
        unpack(tmp_path / "a", gzip.compress(os.urandom(100_000))[:length])
    assert raised.value.error_code == "content_encoding_damaged"


@pytest.mark.parametrize(
    "data",
    [
        b"id,name\n1,a\n",
        zlib.compress(b"id,name\n1,a\n"),
        gzip.compress(b"data") + b"rest",
        gzip.compress(b"data" * 100)[:-8] + bytes(8),
    ],
    ids=["plain text", "zlib", "more behind it", "a wrong checksum"],
)
def test_bytes_that_are_not_what_the_encoding_says_are_refused(tmp_path: Path, data: bytes) -> None:
    with pytest.raises(PermanentError) as raised:
        unpack(tmp_path / "a", data)
    assert raised.value.error_code == "content_encoding_damaged"
    assert "bronze/a.csv" in raised.value.message


@pytest.mark.parametrize(
    ("limits", "size"),
    [(Limits(unpacked_bytes=5_000_000), 5_000_001), (Limits(harmless_bytes=1_000, ratio=10), 3_000_000)],
    ids=["bytes", "ratio"],
)
def test_what_would_fill_the_disk_is_broken_off(tmp_path: Path, limits: Limits, size: int) -> None:
    path = tmp_path / "a"
    with pytest.raises(PermanentError) as raised:
        unpack(path, gzip.compress(bytes(size)), limits)
    assert raised.value.error_code == "content_encoding_refused"
    assert path.stat().st_size <= limits.unpacked_bytes


def test_a_small_file_may_have_any_ratio(tmp_path: Path) -> None:
    data = bytes(900_000)
    assert unpack(tmp_path / "a", gzip.compress(data), Limits(harmless_bytes=1_000_000, ratio=10)) == data


def test_decoding_stops_when_the_task_is_lost(tmp_path: Path) -> None:
    class Lost(Exception):
        pass

    def lost() -> None:
        raise Lost

    path = tmp_path / "a"
    path.write_bytes(gzip.compress(b"data"))
    with pytest.raises(Lost):
        decode(packed_source("gzip"), path, lost)
