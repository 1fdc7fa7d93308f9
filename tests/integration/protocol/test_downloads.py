"""Bytes of blobs come as they are stored, whatever their properties say, and all of them or none."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient, ContentSettings

from local.stack import Stack
from repositories.storage.blobs import AzureBlobs
from repositories.storage.errors import DownloadIncomplete
from schema.settings import Settings
from tests.fixtures.proxy import Proxy, proxied

SMALL_RANGES = 4_096
PACKED = gzip.compress(os.urandom(50_000))


@pytest.fixture
def container(stack: Stack, name: str) -> Iterator[str]:
    """A container that is filled with properties that Geostage never sets."""
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        service.create_container(name)
        yield name
        service.delete_container(name)


@pytest.fixture
def proxy(settings: Settings) -> Iterator[Proxy]:
    with proxied(settings) as made:
        yield made


def upload(stack: Stack, container: str, data: bytes, encoding: str | None) -> None:
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        client = service.get_blob_client(container, "a")
        client.upload_blob(data, overwrite=True, content_settings=ContentSettings(content_encoding=encoding))


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "unheard-of", None])
@pytest.mark.parametrize("range_bytes", [SMALL_RANGES, 10**6])
def test_stored_bytes_are_read_whatever_they_are_packed_with(
    stack: Stack, settings: Settings, container: str, tmp_path: Path, encoding: str | None, range_bytes: int
) -> None:
    data = zlib.compress(bytes(50_000)) + PACKED if encoding == "deflate" else PACKED
    upload(stack, container, data, encoding)
    blobs = AzureBlobs(settings, range_bytes=range_bytes)
    source = blobs.head(container, "a")
    assert (source.size, source.content_encoding) == (len(data), encoding)
    (listed,) = blobs.list_blobs(container)
    assert (listed.size, listed.content_encoding) == (len(data), encoding)
    blobs.download(source, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == data
    assert blobs.read(container, "a") == data
    assert blobs.read_range(source, 10, 3 * SMALL_RANGES) == data[10 : 10 + 3 * SMALL_RANGES]
    assert blobs.read_range(source, len(data) - 5, 100) == data[-5:]


@pytest.mark.parametrize("data", [b"", b"a", os.urandom(2 * SMALL_RANGES)], ids=len)
def test_a_file_of_any_length_is_downloaded(
    stack: Stack, settings: Settings, container: str, tmp_path: Path, data: bytes
) -> None:
    upload(stack, container, data, None)
    blobs = AzureBlobs(settings, range_bytes=SMALL_RANGES)
    blobs.download(blobs.head(container, "a"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == blobs.read(container, "a") == data


@pytest.mark.parametrize("announces", [True, False])
def test_an_answer_that_breaks_off_is_told_as_such_and_worth_another_try(
    stack: Stack, settings: Settings, proxy: Proxy, container: str, tmp_path: Path, *, announces: bool
) -> None:
    upload(stack, container, PACKED, "gzip")
    blobs = AzureBlobs(proxy.through(settings), range_bytes=10**6)
    source = blobs.head(container, "a")
    proxy.cuts, proxy.announces = lambda _: True, announces
    for read in (
        lambda: blobs.download(source, tmp_path / "a"),
        lambda: blobs.read_range(source, 0, 100),
        lambda: blobs.read(container, "a"),
    ):
        with pytest.raises(DownloadIncomplete) as raised:
            read()
        assert raised.value.retryable
        assert f"{container}/a" in raised.value.message


@pytest.mark.parametrize("announces", [True, False])
def test_a_range_in_the_middle_that_breaks_off_leaves_no_hole(
    stack: Stack, settings: Settings, proxy: Proxy, container: str, tmp_path: Path, *, announces: bool
) -> None:
    upload(stack, container, PACKED, None)
    blobs = AzureBlobs(proxy.through(settings), range_bytes=SMALL_RANGES)
    source = blobs.head(container, "a")
    proxy.cuts, proxy.announces = lambda asked: f"-{6 * SMALL_RANGES - 1}" in asked, announces
    with pytest.raises(DownloadIncomplete):
        blobs.download(source, tmp_path / "a")
    proxy.cuts = lambda _: False
    blobs.download(source, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == PACKED
