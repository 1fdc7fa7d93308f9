"""Blobs in memory, in the place of a storage account: one suite of tests holds them equal to the real ones."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

from repositories.storage.blobs import BINARY, BlobFacts, BlobFolder
from repositories.storage.errors import blob_not_found, container_not_found, source_changed
from repositories.storage.provenance import check_mark, mark_of
from schema.jobs import Source


@dataclass
class FakeBlobs:
    """Blobs in memory, with the same errors as the real ones."""

    containers: dict[str, dict[str, tuple[bytes, BlobFacts]]] = field(default_factory=dict)
    identity: str = field(default_factory=lambda: uuid4().hex)

    def check_container(self, container: str) -> None:
        if container not in self.containers:
            raise container_not_found(container)

    def head(self, container: str, blob: str) -> Source:
        facts = self._find(container, blob)[1]
        return Source(container, blob, facts.etag, facts.size, facts.last_modified.isoformat(), facts.content_encoding)

    def download(self, source: Source, path: Path) -> None:
        path.write_bytes(self._accepted(source))

    def read_range(self, source: Source, offset: int, length: int) -> bytes:
        return self._accepted(source)[offset : offset + length]

    def read(self, container: str, blob: str) -> bytes:
        return self._find(container, blob)[0]

    def write(self, container: str, blob: str, data: bytes, *, content_type: str = BINARY) -> None:
        now = datetime.now(UTC)
        # Of the time too: storage changes the ETag at every write, also of the same bytes.
        etag = '"' + hashlib.sha256(data + now.isoformat().encode()).hexdigest()[:16] + '"'
        self.containers.setdefault(container, {})[blob] = (data, BlobFacts(blob, len(data), etag, now, content_type))

    def publish(
        self,
        container: str,
        blob: str,
        path: Path,
        *,
        attempt: int,
        content_type: str = BINARY,
        made_of: str | None = None,
    ) -> None:
        del attempt
        known = self.containers.get(container, {}).get(blob)
        if made_of and known:
            check_mark(f"{container}/{blob}", known[1].mark, made_of)
        self.write(container, blob, path.read_bytes(), content_type=content_type)
        data, facts = self.containers[container][blob]
        self.containers[container][blob] = data, replace(facts, mark=mark_of(made_of) if made_of else None)

    def has_container(self, container: str) -> bool:
        return container in self.containers

    def list_blobs(self, container: str, prefix: str = "") -> Iterator[BlobFacts]:
        self.check_container(container)
        blobs = self.containers[container]
        return (blobs[name][1] for name in sorted(blobs) if name.startswith(prefix) and not name.endswith("/"))

    def list_level(self, container: str, prefix: str = "") -> Iterator[BlobFacts | BlobFolder]:
        folder = None
        for facts in self.list_blobs(container, prefix):
            name, slash, _ = facts.name[len(prefix) :].partition("/")
            if not slash:
                yield facts
            elif folder != prefix + name + slash:
                folder = prefix + name + slash
                yield BlobFolder(folder)

    def delete(self, container: str, blob: str, *, etag: str | None = None) -> None:
        blobs = self.containers.get(container, {})
        if blob in blobs and etag in (None, blobs[blob][1].etag):
            del blobs[blob]

    def delete_prefix(self, container: str, prefix: str) -> int:
        names = [name for name in self.containers.get(container, {}) if name.startswith(prefix)]
        for name in names:
            del self.containers[container][name]
        return len(names)

    def _accepted(self, source: Source) -> bytes:
        data, facts = self.containers.get(source.container, {}).get(source.blob, (b"", None))
        if facts is None or facts.etag != source.etag:
            raise source_changed(source)
        return data

    def _find(self, container: str, blob: str) -> tuple[bytes, BlobFacts]:
        self.check_container(container)
        if blob not in self.containers[container]:
            raise blob_not_found(container, blob)
        return self.containers[container][blob]
