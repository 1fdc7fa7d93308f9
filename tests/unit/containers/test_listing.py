"""Listings and batches add up, whatever they are made of."""

from __future__ import annotations

import json
from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from repositories.storage.blobs import BlobFacts
from repositories.storage.fake_blobs import FakeBlobs
from services.containers.batches import MAX_BYTES, MAX_FILES, Batches, SourceFile, batch_blob, pages, read_batch
from services.containers.listing import MAX_EXTENSIONS, Summary, describe

names = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=20)
moments = st.datetimes(timezones=st.just(UTC))
facts = st.builds(BlobFacts, names, st.integers(0, 10**13), st.just('"1"'), moments, st.none())


@given(st.lists(facts, max_size=30), st.integers(0, 30))
def test_a_summary_is_the_same_however_the_blobs_are_shared_out(blobs: list[BlobFacts], at: int) -> None:
    whole, parts = Summary(), [Summary(), Summary()]
    for number, one in enumerate(blobs):
        whole.add(describe(one))
        parts[number >= at].add(describe(one))
    joined = Summary()
    for part in parts:
        joined.join(Summary.from_json(json.loads(json.dumps(part.as_json()))))
    assert joined.as_json() == whole.as_json()
    assert whole.total_bytes == sum(one.size for one in blobs)
    assert sum(whole.extensions.values()) == len(blobs)


def test_a_summary_does_not_grow_with_the_extensions() -> None:
    summary = Summary()
    at = datetime(2026, 1, 1, tzinfo=UTC)
    for number in range(1_000):
        summary.add(describe(BlobFacts(f"a.{number}", 1, '"1"', at, None)))
    assert len(summary.extensions) <= MAX_EXTENSIONS + 1
    assert summary.as_json()["file_extensions"]["(other)"] == 900


sizes = st.integers(0, 2 * MAX_BYTES)


@given(st.lists(st.tuples(st.sampled_from(["tif", "gpkg"]), sizes), max_size=350))
def test_batches_hold_every_file_once_and_keep_their_limits(files: list[tuple[str, int]]) -> None:
    blobs, at = FakeBlobs(), datetime(2026, 1, 1, tzinfo=UTC)
    batches = Batches(blobs, "work", "job/0001/")
    for number, (extension, size) in enumerate(files):
        batches.add(SourceFile.of("bronze", BlobFacts(f"{number}.{extension}", size, '"1"', at, None)))
    batches.close()
    read = [read_batch(blobs, "work", batch_blob("job/0001/", number)) for number in range(1, batches.count + 1)]
    assert [file.source.blob for batch in read for file in batch] == [f"{n}.{e}" for n, (e, _) in enumerate(files)]
    assert batches.files == len(files)
    for batch in read:
        fetched = [file.source.size for file in batch if file.source.blob.endswith("gpkg")]
        assert len(batch) <= MAX_FILES
        assert sum(fetched) <= MAX_BYTES or len(fetched) == 1 or sum(fetched[:-1]) <= MAX_BYTES


@given(st.lists(st.integers()), st.integers(1, 10))
def test_pages_are_the_things_in_order(things: list[int], size: int) -> None:
    made = list(pages(things, size))
    assert [one for page in made for one in page] == things
    assert all(len(page) == size for page in made[:-1])
