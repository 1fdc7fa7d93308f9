"""The two seams: what holds for queues and blobs in memory holds for those of a storage account."""

import base64
import json
from contextlib import suppress
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob import BlobClient
from azure.storage.queue import QueueServiceClient

from local.stack import Stack
from repositories.blobs import AzureBlobs, BlobFacts, BlobFolder, Blobs
from repositories.fake_blobs import FakeBlobs
from repositories.marks import OutputContested, mark_of
from repositories.queues import AzureQueues, FakeQueues, Queues
from repositories.storage_errors import StorageUnavailable
from schema.errors import NotFound, PermanentError, SourceChanged, Unavailable
from schema.jobs import Source
from schema.settings import Settings
from tests.integration.protocol.world import at_once

KINDS = ["in memory", "Azure"]


@pytest.fixture(params=KINDS)
def queues(request: pytest.FixtureRequest, settings: Settings) -> Queues:
    return FakeQueues() if request.param == "in memory" else AzureQueues(settings)


@pytest.fixture(params=KINDS)
def blobs(request: pytest.FixtureRequest, settings: Settings) -> Blobs:
    return FakeBlobs() if request.param == "in memory" else AzureBlobs(settings)


@pytest.fixture
def name() -> str:
    """A queue or container that nobody has used."""
    return f"t{uuid4().hex[:12]}"


@pytest.fixture
def away(settings: Settings) -> Settings:
    """A storage account that nobody serves."""
    endpoints = "BlobEndpoint=http://127.0.0.1:9/a;QueueEndpoint=http://127.0.0.1:9/a"
    secret = f"DefaultEndpointsProtocol=http;AccountName=a;AccountKey=c2VjcmV0;{endpoints}"
    return settings.model_copy(update={"storage_connection_string": type(settings.postgres_dsn)(secret)})


def test_a_queue_that_is_not_there_has_no_messages(queues: Queues, name: str) -> None:
    assert queues.count(name) == 0


def test_a_queue_is_made_with_its_first_message(queues: Queues, name: str) -> None:
    queues.send(name, ["one"])
    assert queues.count(name) == 1


def test_many_messages_are_sent_at_once(queues: Queues, name: str) -> None:
    queues.send(name, [f"message {number}" for number in range(40)])
    assert queues.count(name) == 40


def test_nothing_is_sent_for_no_messages(queues: Queues, name: str) -> None:
    queues.send(name, [])
    assert queues.count(name) == 0


def test_delayed_messages_are_counted_too(queues: Queues, name: str) -> None:
    queues.send(name, ["later"], delay_seconds=30)
    assert queues.count(name) == 1


def test_a_message_waits_until_it_is_received(queues: Queues, name: str) -> None:
    assert not queues.has_waiting(name)
    queues.send(name, ["one"])
    assert queues.has_waiting(name)


def test_messages_that_a_worker_has_received_are_counted_and_do_not_wait(settings: Settings, name: str) -> None:
    queues = AzureQueues(settings)
    queues.send(name, ["one", "two"])
    secret = settings.storage_connection_string
    assert secret is not None
    client = QueueServiceClient.from_connection_string(secret.get_secret_value()).get_queue_client(name)
    received = list(client.receive_messages(max_messages=2, visibility_timeout=600))
    assert len(received) == 2
    assert (queues.count(name), queues.has_waiting(name)) == (2, False)


def test_workers_that_make_the_same_queue_at_once_all_send(queues: Queues, name: str) -> None:
    at_once(*(lambda: queues.send(name, ["one"]) for _ in range(6)))
    assert queues.count(name) == 6


def test_messages_are_base64_as_the_functions_host_expects_them(stack: Stack, settings: Settings, name: str) -> None:
    text = json.dumps({"task_id": "ä"}, ensure_ascii=False)
    AzureQueues(settings).send(name, [text])
    service = QueueServiceClient.from_connection_string(stack.storage_connection_string)
    received = service.get_queue_client(name).receive_message()
    assert received is not None
    assert base64.b64decode(received.content).decode() == text


@pytest.mark.parametrize("kind", KINDS)
def test_a_queue_service_that_is_down_is_said_without_its_address(kind: str, away: Settings, name: str) -> None:
    queues: Queues = FakeQueues(down=True) if kind == "in memory" else AzureQueues(away)
    for act in (lambda: queues.send(name, ["one"]), lambda: queues.count(name)):
        with pytest.raises(Unavailable) as refused:
            act()
        assert "127.0.0.1" not in refused.value.message


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


def test_a_file_is_published_whole_over_an_older_one(blobs: Blobs, name: str, tmp_path: Path) -> None:
    file = tmp_path / "out.tif"
    for attempt, data in ((1, b"old"), (2, b"new" * 1000)):
        file.write_bytes(data)
        blobs.publish(name, "out.tif", file, attempt=attempt, content_type="image/tiff")
        assert blobs.read(name, "out.tif") == data
    assert next(iter(blobs.list_blobs(name))).content_type == "image/tiff"


def test_an_empty_file_can_be_published(blobs: Blobs, name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").touch()
    blobs.publish(name, "empty", tmp_path / "empty", attempt=1)
    assert blobs.read(name, "empty") == b""


@pytest.mark.parametrize("source", ["bronze/ä b.tif", "bronze/" + 900 * "ä" + ".tif"], ids=["short", "long"])
def test_an_output_bears_the_mark_of_its_source_and_gives_way_to_no_other(
    blobs: Blobs, name: str, tmp_path: Path, source: str
) -> None:
    old, new = tmp_path / "old", tmp_path / "new"
    old.write_bytes(b"old")
    new.write_bytes(b"new")
    blobs.publish(name, "out/v1.tif", old, attempt=1, made_of=source)
    for found in (*blobs.list_blobs(name), *blobs.list_level(name, "out/")):
        assert isinstance(found, BlobFacts)
        assert found.mark == mark_of(source)
    with pytest.raises(PermanentError) as refused:
        blobs.publish(name, "out/v1.tif", new, attempt=1, made_of=f"{source}f")
    assert refused.value.error_code == "output_of_another_source"
    assert blobs.read(name, "out/v1.tif") == b"old"
    blobs.publish(name, "out/v1.tif", new, attempt=2, made_of=source)
    assert blobs.read(name, "out/v1.tif") == b"new"
    assert [facts.mark for facts in blobs.list_blobs(name)] == [mark_of(source)]


def test_a_blob_without_a_mark_gives_way_and_bears_one_then(blobs: Blobs, name: str, tmp_path: Path) -> None:
    (tmp_path / "new").write_bytes(b"new")
    blobs.write(name, "a", b"old")
    assert [facts.mark for facts in blobs.list_blobs(name)] == [None]
    blobs.publish(name, "a", tmp_path / "new", attempt=1, made_of="bronze/a.tif")
    assert [facts.mark for facts in blobs.list_blobs(name)] == ["bronze/a.tif"]


@pytest.mark.parametrize("before", [True, False], ids=["over an older one", "anew"])
def test_outputs_of_two_sources_published_at_once_do_not_replace_each_other(
    settings: Settings, name: str, tmp_path: Path, *, before: bool
) -> None:
    blobs = AzureBlobs(settings)
    refusals: list[str] = []

    def publish(blob: str, number: int) -> None:
        (tmp_path / str(number)).write_bytes(b"%d" % number)
        try:
            blobs.publish(name, blob, tmp_path / str(number), attempt=1, made_of=f"bronze/{number}")
        except (OutputContested, PermanentError, StorageUnavailable) as exc:
            refusals.append(exc.error_code)

    for blob in ("one", "two", "three", "four", "five"):
        refusals.clear()
        if before:
            blobs.write(name, blob, b"by hand")
        at_once(partial(publish, blob, 0), partial(publish, blob, 1))
        (facts,) = blobs.list_blobs(name, blob)
        assert facts.mark == "bronze/" + blobs.read(name, blob).decode()
        assert len(refusals) == 1


@pytest.mark.parametrize("before", [True, False], ids=["over an older one", "anew"])
def test_a_commit_whose_answer_was_lost_is_done(
    settings: Settings, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, before: bool
) -> None:
    commit = BlobClient.commit_block_list

    def twice(client: BlobClient, *args: Any, **more: Any) -> Any:
        commit(client, *args, **more)
        return commit(client, *args, **more)

    blobs = AzureBlobs(settings)
    if before:
        blobs.write(name, "a", b"old")
    (tmp_path / "new").write_bytes(b"new")
    monkeypatch.setattr(BlobClient, "commit_block_list", twice)
    blobs.publish(name, "a", tmp_path / "new", attempt=1, made_of="bronze/a.tif")
    assert blobs.read(name, "a") == b"new"


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


def test_files_published_under_one_name_at_once_are_one_or_the_other(
    blobs: Blobs, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("repositories.blobs.BLOCK_BYTES", 1024)
    written = [letter * 8 * 1024 for letter in (b"a", b"b")]
    for number, data in enumerate(written):
        (tmp_path / str(number)).write_bytes(data)

    def publish(number: int) -> None:
        # Whose blocks the other one's commit has thrown away is told so, and its task is tried again.
        with suppress(StorageUnavailable):
            blobs.publish(name, "out", tmp_path / str(number), attempt=1)

    for _ in range(5):
        at_once(partial(publish, 0), partial(publish, 1))
        assert blobs.read(name, "out") in written
