"""Batches: the files that one task catalogues, and the items whose files are gone, on their way from stage to stage."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import TypeVar

from repositories.storage.blobs import BlobFacts, Blobs
from schema.jobs import Json, Source
from services.containers.kinds import kind_of

MAX_FILES = 100
MAX_BYTES = 256 * 10**6
"""Of files that must be fetched to be read, in one batch; a larger file is one by itself."""
T = TypeVar("T")


@dataclass(frozen=True)
class SourceFile:
    """A blob as a listing saw it."""

    source: Source
    content_type: str | None

    @classmethod
    def of(cls, container: str, facts: BlobFacts) -> SourceFile:
        """Make it of what a listing says."""
        moment = facts.last_modified.isoformat()
        source = Source(container, facts.name, facts.etag, facts.size, moment, facts.content_encoding)
        return cls(source, facts.content_type)


@dataclass
class Batches:
    """Writes batches to the work container, one after the other; holds one."""

    blobs: Blobs
    container: str
    prefix: str
    """Of the blobs' names; bears the attempt."""
    count: int = 0
    files: int = 0
    _held: list[SourceFile] = field(default_factory=list)
    _bytes: int = 0

    def add(self, file: SourceFile) -> None:
        """Add a file."""
        size = file.source.size if kind_of(file.source.blob) == "vector" else 0
        if self._held and (len(self._held) == MAX_FILES or self._bytes + size > MAX_BYTES):
            self.close()
        self._held.append(file)
        self._bytes += size

    def close(self) -> None:
        """Write what is held."""
        if not self._held:
            return
        self.count += 1
        self.files += len(self._held)
        data = json.dumps([asdict(file) for file in self._held]).encode()
        self.blobs.write(self.container, batch_blob(self.prefix, self.count), data)
        self._held, self._bytes = [], 0


def batch_blob(prefix: str, number: int) -> str:
    """Name the blob of a batch; numbers begin at 1."""
    return f"{prefix}batch-{number:06d}.json"


def read_batch(blobs: Blobs, container: str, blob: str) -> list[SourceFile]:
    """Read what Batches wrote."""
    rows: list[Json] = json.loads(blobs.read(container, blob))
    return [SourceFile(Source(**row["source"]), row["content_type"]) for row in rows]


def chunks(things: Iterable[T], size: int) -> Iterator[list[T]]:
    """Give things in lists of a size; the last may be shorter."""
    rest = iter(things)
    while chunk := list(islice(rest, size)):
        yield chunk
