"""Blobs: sources, work-area blobs and outputs, on Azure Blob Storage."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobProperties, BlobServiceClient, ContentSettings, StorageStreamDownloader

from repositories.storage.errors import blob_not_found, container_not_found, download_incomplete, storage_errors
from repositories.storage.provenance import MARK
from repositories.storage.publication import BLOCK_BYTES, publish
from schema.jobs import Source
from schema.settings import Settings

CONTAINER_NAME = re.compile(r"\$root|\$web|[a-z0-9](?:-?[a-z0-9]){2,62}")
"""https://learn.microsoft.com/rest/api/storageservices/naming-and-referencing-containers--blobs--and-metadata"""
WHILE_A_CALLER_WAITS: dict[str, Any] = {"read_timeout": 4, "retry_total": 1}
"""Storage that accepts a request but does not answer must not keep the caller of a POST for a minute."""
BINARY = "application/octet-stream"
QUICK_BACKOFF = {"initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1}
"""Seconds between tries of the SDK; its own default of 15 would keep a POST waiting that could answer 503."""
LISTED = ["metadata"]
"""The mark of an output is metadata, which a listing brings only when it is asked for."""
DIRECTORY_MARK = "hdi_isfolder"
"""https://hadoop.apache.org/docs/stable/hadoop-azure/index.html"""
RANGE_BYTES = 8 * 2**20
"""Bytes that one request of a download asks for: a file of 100 MB is a dozen requests, and four at once hold 32 MB."""
RANGES_AT_ONCE = 4
T = TypeVar("T")


@dataclass(frozen=True)
class BlobFacts:
    """What a listing says of a blob."""

    name: str
    size: int
    etag: str
    last_modified: datetime
    content_type: str | None
    mark: str | None = None
    """What an output was made of, see repositories/storage/provenance.py; None for any other blob."""
    content_encoding: str | None = None
    """As it was set when the blob was uploaded."""


@dataclass(frozen=True)
class BlobFolder:
    """What the names of further blobs begin with, up to and including a slash."""

    name: str


class Blobs(Protocol):
    """The seam to blob storage.

    Every method raises StorageUnavailable when the service cannot be reached, StorageDenied when it refuses the app,
    and BlobBlocked for a blob that is archived, immutable or leased. Markers of directories are not listed.

    Whatever a blob's Content-Encoding says, bytes are read as they are stored, and all of them or DownloadIncomplete.
    """

    @property
    def identity(self) -> str:
        """What tells this storage from others with containers of the same names; not a secret."""

    def check_container(self, container: str) -> None:
        """Check that a container exists. Raises NotFound."""

    def head(self, container: str, blob: str) -> Source:
        """Look at a blob. Raises NotFound (container_not_found or blob_not_found)."""

    def download(self, source: Source, path: Path) -> None:
        """Write the stored bytes of a source to a file. Raises SourceChanged if it is not the accepted one."""

    def read_range(self, source: Source, offset: int, length: int) -> bytes:
        """Return a part of a source, less at its end. Raises SourceChanged if it is not the accepted one."""

    def read(self, container: str, blob: str) -> bytes:
        """Return a whole small blob. Raises NotFound."""

    def write(self, container: str, blob: str, data: bytes, *, content_type: str = BINARY) -> None:
        """Write a small blob at once; the container is made if it is missing."""

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
        """Upload a file as blocks whose ids hold the attempt, and commit them: readers see all of it or none.

        With `made_of`, a source as container/blob, the output gets that mark, and does not replace one with the mark of
        another source.

        Raises
        ------
        PermanentError
            output_of_another_source.
        OutputContested
            Another worker wrote the blob meanwhile.
        """

    def has_container(self, container: str) -> bool:
        """Whether a container exists; answered quickly, since a caller waits."""

    def list_blobs(self, container: str, prefix: str = "") -> Iterator[BlobFacts]:
        """List blobs in the order of their names. Raises NotFound."""

    def list_level(self, container: str, prefix: str = "") -> Iterator[BlobFacts | BlobFolder]:
        """List what lies right below a prefix: blobs, and folders for all that lies deeper. Raises NotFound."""

    def delete(self, container: str, blob: str, *, etag: str | None = None) -> None:
        """Delete a blob if it exists; with an ETag only if it still has that one."""

    def delete_prefix(self, container: str, prefix: str) -> int:
        """Delete all blobs whose names begin with the prefix, and return how many; a missing container has none."""


class AzureBlobs:
    """Blobs of a storage account, by connection string or with an identity."""

    def __init__(self, settings: Settings, *, range_bytes: int = RANGE_BYTES, block_bytes: int = BLOCK_BYTES) -> None:
        self._range_bytes, self._block_bytes = range_bytes, block_bytes
        # The rows own the retries; the SDK's own only ride out a dropped connection.
        options: dict[str, Any] = {"retry_total": 2, "retry_connect": 1, "connection_timeout": 5, "read_timeout": 60}
        options |= QUICK_BACKOFF
        options |= {"max_single_get_size": range_bytes, "max_chunk_get_size": range_bytes}
        if settings.storage_connection_string:
            secret = settings.storage_connection_string.get_secret_value()
            self._service = BlobServiceClient.from_connection_string(secret, max_block_size=block_bytes, **options)
        else:
            self._service = BlobServiceClient(
                settings.service_uri("blob"),
                DefaultAzureCredential(managed_identity_client_id=settings.storage_client_id),
                max_block_size=block_bytes,
                **options,
            )

    @property
    def identity(self) -> str:
        return str(self._service.url).partition("?")[0]

    def check_container(self, container: str) -> None:
        # A name with a slash would lead into a container of another name.
        if not CONTAINER_NAME.fullmatch(container):
            raise container_not_found(container)
        with storage_errors(container, ""):
            try:
                self._service.get_container_client(container).get_container_properties(**WHILE_A_CALLER_WAITS)
            except ResourceNotFoundError as exc:
                raise container_not_found(container) from exc

    def head(self, container: str, blob: str) -> Source:
        if not CONTAINER_NAME.fullmatch(container):
            raise container_not_found(container)
        with storage_errors(container, blob):
            try:
                facts = self._service.get_blob_client(container, blob).get_blob_properties(**WHILE_A_CALLER_WAITS)
            except ResourceNotFoundError:
                # The answer to a HEAD has no body to tell a missing container from a missing blob.
                self._service.get_container_client(container).get_container_properties(**WHILE_A_CALLER_WAITS)
                raise blob_not_found(container, blob) from None
        moment = facts.last_modified.astimezone(UTC).isoformat()
        return Source(container, blob, facts.etag, facts.size, moment, facts.content_settings.content_encoding)

    def download(self, source: Source, path: Path) -> None:
        with path.open("wb") as file, ThreadPoolExecutor(RANGES_AT_ONCE, thread_name_prefix="download") as threads:

            def fetch(offset: int) -> None:
                # pwrite takes the place with the bytes: the threads share the file, and no position in it.
                os.pwrite(file.fileno(), self.read_range(source, offset, self._range_bytes), offset)

            # The SDK's own parallel download writes each range at its place and checks none: a short one in the middle
            # would leave a hole in a file of the right size.
            parts = [threads.submit(fetch, offset) for offset in range(0, source.size, self._range_bytes)]
            try:
                for part in parts:
                    part.result()
            finally:
                threads.shutdown(cancel_futures=True)

    def read_range(self, source: Source, offset: int, length: int) -> bytes:
        if offset >= source.size:
            return b""
        # Every range has the condition: a blob that is replaced between two of them would give a mixture of both.
        only: dict[str, Any] = {"etag": source.etag, "match_condition": MatchConditions.IfNotModified}
        return self._download(
            source.container,
            source.blob,
            min(length, source.size - offset),
            accepted=source,
            offset=offset,
            length=length,
            **only,
        )

    def read(self, container: str, blob: str) -> bytes:
        return self._download(container, blob)

    def _download(
        self, container: str, blob: str, expected: int | None = None, *, accepted: Source | None = None, **what: Any
    ) -> bytes:
        """Return stored bytes: the one way in which bytes of a blob are read, and where their number is checked.

        `expected` is that of a blob whose size is known; else it is what storage says with the bytes.
        """
        client = self._service.get_blob_client(container, blob)
        with storage_errors(container, blob, accepted=accepted):
            # Left to itself the SDK unpacks a blob with Content-Encoding gzip and compares the result with the stored
            # size, so that of what is longer than its first request (32 MB) rows are lost without an error.
            stream: StorageStreamDownloader[bytes] = client.download_blob(decompress=False, max_concurrency=1, **what)
            data = stream.readall()
        wanted = stream.size if expected is None else expected
        if len(data) != wanted:
            raise download_incomplete(container, blob, len(data), wanted)
        return data

    def write(self, container: str, blob: str, data: bytes, *, content_type: str = BINARY) -> None:
        client = self._service.get_blob_client(container, blob)
        settings = ContentSettings(content_type=content_type)
        with storage_errors(container, blob):
            self._in_container(
                container,
                lambda: client.upload_blob(data, overwrite=True, content_settings=settings, max_concurrency=2),
            )

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
        client = self._service.get_blob_client(container, blob)
        settings = ContentSettings(content_type=content_type)
        with storage_errors(container, blob), path.open("rb") as file:
            in_container = partial(self._in_container, container)
            publish(client, in_container, file, attempt, settings, made_of, self._block_bytes)

    def has_container(self, container: str) -> bool:
        with storage_errors(container, ""):
            try:
                self._service.get_container_client(container).get_container_properties(**WHILE_A_CALLER_WAITS)
            except ResourceNotFoundError:
                return False
        return True

    def list_blobs(self, container: str, prefix: str = "") -> Iterator[BlobFacts]:
        with storage_errors(container, prefix):
            for found in self._service.get_container_client(container).list_blobs(prefix or None, LISTED):
                if not _is_directory(found):
                    yield _facts_of(found)

    def list_level(self, container: str, prefix: str = "") -> Iterator[BlobFacts | BlobFolder]:
        client = self._service.get_container_client(container)
        with storage_errors(container, prefix):
            for found in client.walk_blobs(prefix or None, LISTED, "/"):
                if not isinstance(found, BlobProperties):
                    yield BlobFolder(found.name)
                elif not _is_directory(found):
                    yield _facts_of(found)

    def delete(self, container: str, blob: str, *, etag: str | None = None) -> None:
        only: dict[str, Any] = {"etag": etag, "match_condition": MatchConditions.IfNotModified} if etag else {}
        # Modified: another blob has the name by now, and stays.
        with storage_errors(container, blob), suppress(ResourceNotFoundError, ResourceModifiedError):
            self._service.get_blob_client(container, blob).delete_blob(**only)

    def delete_prefix(self, container: str, prefix: str) -> int:
        client = self._service.get_container_client(container)
        deleted = 0
        with storage_errors(container, prefix):
            try:
                for name in client.list_blob_names(name_starts_with=prefix):
                    # Another worker may delete it first.
                    with suppress(ResourceNotFoundError):
                        client.delete_blob(name)
                        deleted += 1
            except ResourceNotFoundError:
                return deleted
        return deleted

    def _in_container(self, container: str, act: Callable[[], T]) -> T:
        try:
            return act()
        except ResourceNotFoundError:
            try:
                self._service.create_container(container)
            except ResourceExistsError:
                # Another worker made it between the two calls.
                return act()
            return act()


def _is_directory(found: BlobProperties) -> bool:
    """Whether a blob only marks a directory, as HDFS drivers, azcopy and accounts with a namespace write them."""
    # Names of metadata keep the case in which they were written: Hdi_isfolder is as common.
    metadata = {key.lower(): value for key, value in (found.metadata or {}).items()}
    return found.name.endswith("/") or metadata.get(DIRECTORY_MARK, "").lower() == "true"


def _facts_of(found: BlobProperties) -> BlobFacts:
    # A listing gives an ETag without the quotation marks that belong to it, and that a HEAD gives.
    etag = f'"{found.etag.strip(chr(34))}"'
    settings, mark = found.content_settings, (found.metadata or {}).get(MARK)
    moment = found.last_modified.astimezone(UTC)
    return BlobFacts(found.name, found.size, etag, moment, settings.content_type, mark, settings.content_encoding)
