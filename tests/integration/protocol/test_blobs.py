"""Blobs: what holds for those in memory holds for those of a storage account."""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from azure.storage.blob import BlobServiceClient

from local.stack import Stack
from repositories.storage.blobs import AzureBlobs, BlobFacts, BlobFolder, Blobs
from schema.errors import BlobBlocked, NotFound, SourceChanged, Unavailable
from schema.jobs import Source
from schema.settings import Settings
from tests.fixtures.waiting import at_once


def test_a_blob_is_read_as_it_was_written(blobs: Blobs, name: str) -> None:
    blobs.write(name, "folder/ä b.bin", b"\x00\xff")
    assert blobs.read(name, "folder/ä b.bin") == b"\x00\xff"


def test_a_blob_is_described(blobs: Blobs, name: str) -> None:
    blobs.write(name, "a.txt", b"four", content_type="text/plain")
    source = blobs.head(name, "a.txt")
    assert (source.container, source.blob, source.size) == (name, "a.txt", 4)
    assert source.etag
    written = datetime.fromisoformat(source.last_modified or "")
    assert abs((datetime.now(UTC) - written).total_seconds()) < 60
    facts = next(iter(blobs.list_blobs(name)))
    assert (facts.name, facts.size, facts.content_type) == ("a.txt", 4, "text/plain")


def test_the_etag_changes_with_every_write(blobs: Blobs, name: str) -> None:
    blobs.write(name, "a", b"same")
    first = blobs.head(name, "a").etag
    assert blobs.head(name, "a").etag == first
    blobs.write(name, "a", b"same")
    assert blobs.head(name, "a").etag != first


def test_what_is_missing_is_named(blobs: Blobs, name: str) -> None:
    for act in (blobs.head, blobs.read):
        with pytest.raises(NotFound) as refused:
            act(name, "a")
        assert (refused.value.error_code, name in refused.value.message) == ("container_not_found", True)
    blobs.write(name, "other", b"")
    for act in (blobs.head, blobs.read):
        with pytest.raises(NotFound) as refused:
            act(name, "a")
        assert (refused.value.error_code, "'a'" in refused.value.message) == ("blob_not_found", True)


@pytest.mark.parametrize("container", ["No_Such", "x", "a--b", "-a", "a" * 64, "with space", "ä"])
def test_a_name_that_no_container_can_have_is_not_found(blobs: Blobs, container: str) -> None:
    with pytest.raises(NotFound) as refused:
        blobs.head(container, "a")
    assert refused.value.error_code == "container_not_found"


def test_a_listing_of_a_container_that_is_not_there_says_so(blobs: Blobs, name: str) -> None:
    with pytest.raises(NotFound):
        list(blobs.list_blobs(name))


def test_blobs_are_listed_by_name_below_a_prefix(blobs: Blobs, name: str) -> None:
    for blob in ("b/2", "a/1", "b/1", "bb"):
        blobs.write(name, blob, b"")
    assert [facts.name for facts in blobs.list_blobs(name)] == ["a/1", "b/1", "b/2", "bb"]
    assert [facts.name for facts in blobs.list_blobs(name, "b/")] == ["b/1", "b/2"]


def test_a_marker_of_a_directory_is_not_listed(stack: Stack, settings: Settings, name: str) -> None:
    blobs = AzureBlobs(settings)
    blobs.write(name, "data/a", b"1")
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        client = service.get_container_client(name)
        for marker, mark in (("data", "hdi_isfolder"), ("Data", "Hdi_isfolder"), ("other", "HDI_ISFOLDER")):
            client.upload_blob(marker, b"", metadata={mark: "true"})
        client.upload_blob("data/empty/", b"")
        client.upload_blob("plain", b"", metadata={"hdi_isfolder": "false"})
    assert [facts.name for facts in blobs.list_blobs(name)] == ["data/a", "plain"]
    assert [found.name for found in blobs.list_level(name)] == ["data/", "plain"]
    assert {found.name for found in blobs.list_level(name, "data/")} == {"data/a", "data/empty/"}


def test_a_blob_under_a_lease_is_read_and_not_replaced(
    stack: Stack, settings: Settings, name: str, tmp_path: Path
) -> None:
    blobs = AzureBlobs(settings)
    blobs.write(name, "a", b"1")
    (tmp_path / "new").write_bytes(b"2")
    with BlobServiceClient.from_connection_string(stack.storage_connection_string) as service:
        service.get_blob_client(name, "a").acquire_lease()
    changes: list[Callable[[], object]] = [
        lambda: blobs.write(name, "a", b"2"),
        lambda: blobs.publish(name, "a", tmp_path / "new", attempt=1),
        lambda: blobs.delete(name, "a"),
    ]
    for change in changes:
        with pytest.raises(BlobBlocked) as refused:
            change()
        assert refused.value.error_code == "blob_leased"
    assert blobs.read(name, "a") == b"1"


def test_an_accepted_source_is_fetched(blobs: Blobs, name: str, tmp_path: Path) -> None:
    data = bytes(range(256)) * 1000
    blobs.write(name, "a", data)
    blobs.download(blobs.head(name, "a"), tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == data


@pytest.mark.parametrize("how", ["replaced", "removed"])
def test_a_source_that_is_not_the_accepted_one_is_refused(blobs: Blobs, name: str, tmp_path: Path, how: str) -> None:
    blobs.write(name, "a", b"one")
    accepted = blobs.head(name, "a")
    if how == "replaced":
        blobs.write(name, "a", b"two")
    else:
        blobs.delete_prefix(name, "a")
    with pytest.raises(SourceChanged):
        blobs.download(accepted, tmp_path / "a")


def test_deleting_by_prefix_leaves_the_rest(blobs: Blobs, name: str) -> None:
    for blob in ("job1/a", "job1/b/c", "job10/a"):
        blobs.write(name, blob, b"")
    assert blobs.delete_prefix(name, "job1/") == 2
    assert blobs.delete_prefix(name, "job1/") == 0
    assert [facts.name for facts in blobs.list_blobs(name)] == ["job10/a"]


def test_deleting_one_blob_leaves_the_rest_and_a_second_time_is_no_error(blobs: Blobs, name: str) -> None:
    blobs.delete(name, "a")
    for blob in ("a", "a/b", "ab"):
        blobs.write(name, blob, b"")
    for _ in range(2):
        blobs.delete(name, "a")
        assert [facts.name for facts in blobs.list_blobs(name)] == ["a/b", "ab"]


def test_a_blob_that_was_replaced_is_not_deleted_by_the_etag_that_it_had(blobs: Blobs, name: str) -> None:
    blobs.write(name, "a", b"old")
    (old,) = blobs.list_blobs(name)
    blobs.write(name, "a", b"new")
    blobs.delete(name, "a", etag=old.etag)
    assert blobs.read(name, "a") == b"new"
    (new,) = blobs.list_blobs(name)
    for _ in range(2):
        blobs.delete(name, "a", etag=new.etag)
        assert list(blobs.list_blobs(name)) == []


def test_deleting_in_a_container_that_is_not_there_deletes_nothing(blobs: Blobs, name: str) -> None:
    assert blobs.delete_prefix(name, "a") == 0


def test_two_workers_that_delete_the_same_blobs_leave_none(settings: Settings, name: str) -> None:
    blobs = AzureBlobs(settings)
    for number in range(20):
        blobs.write(name, f"job/{number}", b"")
    at_once(*(lambda: blobs.delete_prefix(name, "job/") for _ in range(4)))
    assert list(blobs.list_blobs(name)) == []


def test_workers_that_make_the_same_container_at_once_all_write(settings: Settings, name: str) -> None:
    blobs = AzureBlobs(settings)
    at_once(*(lambda number=number: blobs.write(name, str(number), b"") for number in range(6)))
    assert len(list(blobs.list_blobs(name))) == 6


def test_a_blob_service_that_is_down_is_said_without_its_address(away: Settings, name: str) -> None:
    with pytest.raises(Unavailable) as refused:
        AzureBlobs(away).head(name, "a")
    assert "127.0.0.1" not in refused.value.message


def test_a_level_is_listed_with_its_blobs_and_what_lies_deeper(blobs: Blobs, name: str) -> None:
    for blob in ("a/1", "a/b/2", "a-", "c", "d/e/f", "ä/ö"):
        blobs.write(name, blob, b"x")
    found = list(blobs.list_level(name))
    assert {one.name for one in found if isinstance(one, BlobFacts)} == {"a-", "c"}
    assert {one.name for one in found if isinstance(one, BlobFolder)} == {"a/", "d/", "ä/"}
    assert [one.name for one in blobs.list_level(name, "a/")] in (["a/1", "a/b/"], ["a/b/", "a/1"])
    assert [one.name for one in blobs.list_level(name, "d")] == ["d/"]
    assert list(blobs.list_level(name, "nothing")) == []


def test_a_listing_has_the_etag_that_a_look_at_the_blob_has(blobs: Blobs, name: str) -> None:
    blobs.write(name, "a", b"x")
    (listed,), (level,) = blobs.list_blobs(name), blobs.list_level(name)
    assert isinstance(level, BlobFacts)
    head = blobs.head(name, "a")
    assert listed.etag == level.etag == head.etag
    assert blobs.read_range(Source(name, "a", listed.etag, 1), 0, 1) == b"x"


def test_a_container_is_there_or_is_not(blobs: Blobs, name: str) -> None:
    blobs.write(name, "a", b"x")
    blobs.check_container(name)
    for missing in (f"{name}x", f"{name}/a", "UPPER", "a", "..", "x" * 64):
        with pytest.raises(NotFound) as raised:
            blobs.check_container(missing)
        assert raised.value.error_code == "container_not_found"
    with pytest.raises(NotFound):
        list(blobs.list_level(f"{name}x"))


def test_storage_that_is_away_tells_nothing_of_a_container(away: Settings) -> None:
    with pytest.raises(Unavailable):
        AzureBlobs(away).check_container("bronze")
