"""Listings: the blobs of a container as a result lists them, and sums over them. Pure."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from repositories.storage.blobs import BlobFacts
from schema.jobs import Json
from schema.json_data import JsonData
from services.containers.kinds import kind_of_blob

MAX_EXTENSIONS = 100
MAX_EXTENSION_LENGTH = 16
NO_EXTENSION, OTHER_EXTENSIONS = "(none)", "(other)"


@dataclass(frozen=True)
class FoldersTask(JsonData):
    """Parameters of the task that divides a listing by folders."""

    container: str
    prefix: str
    """Of the blobs' names."""
    limit: int | None


@dataclass(frozen=True)
class Folders(JsonData):
    """Result of that task."""

    folders: list[str] | None
    """Directly below the prefix; None if one task lists everything."""


@dataclass(frozen=True)
class ListTask(JsonData):
    """Parameters of a task that lists a part of a container."""

    container: str
    prefix: str
    suffix: str | None
    limit: int | None
    deep: bool
    """Whether the blobs in folders below the prefix are listed too."""
    inline_bytes: int
    """What the list may take of the task's result."""


@dataclass(frozen=True)
class ListPart(JsonData):
    """A blob that holds a part of the list."""

    path: str
    files: int


def describe(facts: BlobFacts) -> Json:
    """Return a blob as a listing shows it."""
    return {
        "name": facts.name,
        "size": facts.size,
        "last_modified": facts.last_modified.isoformat(),
        "content_type": facts.content_type,
        "etag": facts.etag,
        "kind": kind_of_blob(facts),
    }


@dataclass
class Summary:
    """Sums over blobs; its size does not grow with their number."""

    total_files: int = 0
    total_bytes: int = 0
    extensions: Counter[str] = field(default_factory=Counter)
    largest: Json | None = None
    """name, size."""
    newest: Json | None = None
    """name, last_modified."""

    def add(self, file: Json) -> None:
        """Add a blob, as describe returns it."""
        self.total_files += 1
        self.total_bytes += file["size"]
        self._count(extension_of(file["name"]), 1)
        self._compare({"name": file["name"], "size": file["size"]}, None)
        self._compare(None, {"name": file["name"], "last_modified": file["last_modified"]})

    def join(self, other: Summary) -> None:
        """Add another summary."""
        self.total_files += other.total_files
        self.total_bytes += other.total_bytes
        for extension, number in other.extensions.items():
            self._count(extension, number)
        self._compare(other.largest, other.newest)

    def as_json(self) -> Json:
        """Return the summary as it is reported. A megabyte is 1e6 bytes."""
        return {
            "total_files": self.total_files,
            "total_bytes": self.total_bytes,
            "total_size_mb": round(self.total_bytes / 1e6, 3),
            "file_extensions": dict(self.extensions.most_common()),
            "largest_file": self.largest,
            "newest_file": self.newest,
        }

    @classmethod
    def from_json(cls, data: Json) -> Summary:
        """Return the summary that as_json wrote."""
        return cls(
            data["total_files"],
            data["total_bytes"],
            Counter(data["file_extensions"]),
            data["largest_file"],
            data["newest_file"],
        )

    def _count(self, extension: str, number: int) -> None:
        # Blob names come from anybody: without a limit the summary would grow with the container.
        known = extension in self.extensions or len(self.extensions) < MAX_EXTENSIONS
        self.extensions[extension if known else OTHER_EXTENSIONS] += number

    def _compare(self, largest: Json | None, newest: Json | None) -> None:
        if largest and (self.largest is None or largest["size"] > self.largest["size"]):
            self.largest = largest
        if newest and (self.newest is None or newest["last_modified"] > self.newest["last_modified"]):
            self.newest = newest


@dataclass(frozen=True)
class Listing:
    """Result of a task that lists: its blobs, and sums over them."""

    summary: Summary
    files: list[Json]
    """The beginning of the list, as describe returns each blob."""
    more_files: list[ListPart]
    """The rest of it."""

    def as_json(self) -> Json:
        """Return the listing as JSON."""
        more = [part.as_json() for part in self.more_files]
        return {"summary": self.summary.as_json(), "files": self.files, "more_files": more}

    @classmethod
    def from_json(cls, data: Json) -> Listing:
        """Return the listing that as_json wrote."""
        more = [ListPart.from_json(part) for part in data["more_files"]]
        return cls(Summary.from_json(data["summary"]), data["files"], more)


def extension_of(name: str) -> str:
    """Return the extension of a blob in lower case; NO_EXTENSION, or OTHER_EXTENSIONS if it is too long to be one."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix in ("", "."):
        return NO_EXTENSION
    return suffix if len(suffix) <= MAX_EXTENSION_LENGTH else OTHER_EXTENSIONS


def size_of(file: Json) -> int:
    """Return the bytes that a blob takes in a result."""
    return len(json.dumps(file)) + 2
