"""Published files: in memory and in a storage account, they are whole and bear the mark of their source."""

from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobClient

from repositories.storage.blobs import AzureBlobs, BlobFacts, Blobs
from repositories.storage.errors import StorageUnavailable
from repositories.storage.provenance import OutputContested, mark_of
from schema.errors import PermanentError
from schema.settings import Settings
from tests.fixtures.waiting import at_once


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


def test_files_published_under_one_name_at_once_are_one_or_the_other(
    small_blocks: Blobs, name: str, tmp_path: Path
) -> None:
    written = [letter * 8 * 1024 for letter in (b"a", b"b")]
    for number, data in enumerate(written):
        (tmp_path / str(number)).write_bytes(data)

    def publish(number: int) -> None:
        # Whose blocks the other one's commit has thrown away is told so, and its task is tried again.
        with suppress(OutputContested):
            small_blocks.publish(name, "out", tmp_path / str(number), attempt=1)

    for _ in range(5):
        at_once(partial(publish, 0), partial(publish, 1))
        assert small_blocks.read(name, "out") in written
