"""Batches: the files that one task catalogs, written by one stage as blobs and read by the next."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

from repositories.storage.blobs import BlobFacts, Blobs
from schema.jobs import Source
from schema.json_data import JsonData
from services.containers.kinds import kind_of

MAX_FILES = 100
# pgSTAC's lock is held for one upsert of a batch, 0.3 s for 100 items; a task that dies loses the work of one batch.
MAX_BYTES = 256 * 10**6
"""Of the files of one batch that must be fetched to be read; a larger file is a batch by itself."""
T = TypeVar("T")


@dataclass(frozen=True)
class SourceFile(JsonData):
    """A blob as a listing showed it."""

    source: Source
    content_type: str | None

    @classmethod
    def of(cls, container: str, facts: BlobFacts) -> SourceFile:
        """Return the file of a listed blob."""
        last_modified = facts.last_modified.isoformat()
        source = Source(container, facts.name, facts.etag, facts.size, last_modified, facts.content_encoding)
        return cls(source, facts.content_type)


@dataclass
class Batches:
    """Writes batches to the work container, one after another; one is held in memory."""

    blobs: Blobs
    container: str
    prefix: str
    """Of the blobs' names; includes the attempt."""
    max_files: int = MAX_FILES
    max_bytes: int = MAX_BYTES
    count: int = 0
    files: int = 0
    _held: list[SourceFile] = field(default_factory=list)
    _bytes: int = 0

    def add(self, file: SourceFile) -> None:
        # Rasters are read by range requests, vector files are downloaded whole.
        size = file.source.size if kind_of(file.source.blob) == "vector" else 0
        if self._held and (len(self._held) == self.max_files or self._bytes + size > self.max_bytes):
            self.close()
        self._held.append(file)
        self._bytes += size

    def close(self) -> None:
        """Write the batch that is held, if it has files."""
        if not self._held:
            return
        self.count += 1
        self.files += len(self._held)
        data = json.dumps([file.as_json() for file in self._held]).encode()
        self.blobs.write(self.container, batch_blob(self.prefix, self.count), data)
        self._held, self._bytes = [], 0


def batch_blob(prefix: str, number: int) -> str:
    """Return the name of a batch's blob; numbers begin at 1."""
    return f"{prefix}batch-{number:06d}.json"


def read_batch(blobs: Blobs, container: str, blob: str) -> list[SourceFile]:
    """Return the files of a batch."""
    return [SourceFile.from_json(row) for row in json.loads(blobs.read(container, blob))]


def pages(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Return the things in lists of `size`; the last may be shorter."""
    rest = iter(things)
    while page := list(islice(rest, size)):
        yield page
