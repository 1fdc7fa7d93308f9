"""Uploads to Blob Storage: streamed in blocks, so that a file of any size takes the same memory."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Self
from urllib.parse import urlsplit

from azure.core.exceptions import (
    AzureError,
    ClientAuthenticationError,
    HttpResponseError,
    ResourceExistsError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.identity import DefaultAzureCredential
from azure.storage.blob import BlobServiceClient, ContainerClient

from geostage_client.api import LOOPBACK
from geostage_client.connection import ACCOUNT_VARIABLE, STORAGE_VARIABLE, Connection, Storage
from geostage_client.errors import ClientError, Unreachable
from geostage_client.sources import Source
from geostage_client.zipping import zip_stream

BLOCK_BYTES = 4 * 2**20
MAX_BLOCKS = 50_000
"""https://learn.microsoft.com/azure/storage/blobs/scalability-targets"""
AT_ONCE = 4
QUICK: dict[str, Any] = {"initial_backoff": 1, "increment_base": 2, "retry_total": 4}
"""The SDK waits 15 s before its first retry, and a minute in all before it says that nobody answers."""
_ROLE = "Storage Blob Data Contributor"
REMEDIES = {
    400: "A container is named in 3 to 63 lower case letters, digits and hyphens; a blob in up to 1,024 characters.",
    403: f"The role {_ROLE} on the account is needed; its firewall may also keep this machine out.",
    409: "The blob is leased or under a retention rule: choose another name with --blob.",
}
"""By the status of Blob Storage's answer."""


class Uploads:
    """One storage account, as a place to send files to; `largest` is the size of the largest of them.

    Its connections are closed at the end of a `with`.
    """

    def __init__(self, connection: Connection, largest: int) -> None:
        if connection.storage is None:
            raise ClientError(
                "No storage account is named to upload to.",
                remedy=f"Set {STORAGE_VARIABLE}, or name the account with --storage-account or {ACCOUNT_VARIABLE} "
                "(az login, or a managed identity, then signs in).",
                code="no_storage",
            )
        self._account, self._service = _open(connection.storage, largest)
        self._known: set[str] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._service.close()

    def send(self, source: Source, container: str, blob: str, sent: Callable[[int], None]) -> bool:
        """Upload a source; `sent` is told its bytes as they leave. Returns whether a blob of that name was replaced.

        Raises
        ------
        ClientError
            The storage refuses it, or the file changed meanwhile.
        Unreachable
            The storage does not answer.
        """
        with self._translated(container):
            folder = self._container(container)
            client = folder.get_blob_client(blob)
            replaced = client.exists()
            before = _states(source)
            if source.parts:
                total = 0

                def add(count: int) -> None:
                    nonlocal total
                    total += count
                    sent(total)

                client.upload_blob(zip_stream(source.parts, add), overwrite=True, max_concurrency=AT_ONCE)
            else:
                with source.path.open("rb") as file:
                    client.upload_blob(
                        file,
                        length=source.size,
                        overwrite=True,
                        max_concurrency=AT_ONCE,
                        progress_hook=lambda current, _total: sent(current),
                    )
        if _states(source) != before:
            raise ClientError(
                f"{source.path} changed while it was being uploaded.",
                remedy="Wait until it has been written whole, then load it again.",
                code="file_changed",
            )
        return replaced

    def _container(self, name: str) -> ContainerClient:
        """Return a container, which is made if it is missing."""
        client = self._service.get_container_client(name)
        if name not in self._known:
            try:
                # Whether anybody answers is told within seconds; patience is for the middle of an upload.
                client.get_container_properties(retry_total=1)
            except ResourceNotFoundError:
                # Another upload may make it between the look and here.
                with suppress(ResourceExistsError):
                    client.create_container()
            except HttpResponseError as exc:
                # Who may only write blobs may not look at the container; the upload shows whether it is there.
                if exc.status_code != 403:
                    raise
        self._known.add(name)
        return client

    @contextmanager
    def _translated(self, container: str) -> Iterator[None]:
        """Turn the SDK's errors into ours. Theirs hold URLs, which may bear a signature: only codes are passed on."""
        try:
            yield
        except (ServiceRequestError, ServiceResponseError) as exc:
            raise Unreachable(
                f"Blob Storage at {self._account} cannot be reached.",
                remedy="Check the network, the name of the account and its firewall.",
                code="storage_unreachable",
            ) from exc
        except ClientAuthenticationError as exc:
            raise ClientError(
                f"Blob Storage at {self._account} did not accept the sign-in to Azure.",
                remedy=f"Sign in (az login) with an identity that has the role {_ROLE}, or set {STORAGE_VARIABLE}.",
                code="storage_refused",
                status=exc.status_code,
            ) from exc
        except HttpResponseError as exc:
            code = f"{exc.status_code or ''} {getattr(exc, 'error_code', None) or exc.reason or type(exc).__name__}"
            raise ClientError(
                f"Blob Storage at {self._account} refused the upload into container {container!r} ({code.strip()}).",
                remedy=REMEDIES.get(exc.status_code or 0, "Look up the code in Azure's documentation of Blob Storage."),
                code="storage_refused",
                status=exc.status_code,
            ) from exc
        except AzureError as exc:
            raise ClientError(
                f"The upload to {self._account} failed ({type(exc).__name__}).",
                remedy="Try again.",
                code="storage_refused",
            ) from exc


def _open(storage: Storage, largest: int) -> tuple[str, BlobServiceClient]:
    """Return the account's address for messages, and its client for files of up to `largest` bytes."""
    # So large, in whole MiB, that the file fits into the blocks that a blob may have.
    block_bytes = max(BLOCK_BYTES, -(-largest // (MAX_BLOCKS * 2**20)) * 2**20)
    # Without a handler Python prints the SDK's warnings, pages of credentials that were tried, before our error.
    logging.getLogger("azure").setLevel(logging.CRITICAL)
    options = {"max_block_size": block_bytes, "max_single_put_size": BLOCK_BYTES, **QUICK}
    try:
        if storage.connection_string:
            # A proxy that the environment names cannot reach an emulator on this machine.
            near = any(host in storage.connection_string for host in LOOPBACK)
            service = BlobServiceClient.from_connection_string(
                storage.connection_string, use_env_settings=not near, **options
            )
        else:
            service = BlobServiceClient(storage.account_url or "", DefaultAzureCredential(), **options)
    except ValueError as exc:
        raise ClientError(
            "The storage account is not given as a valid connection string, URL or name.",
            remedy=f"Copy the connection string again into {STORAGE_VARIABLE}, or check the name of the account.",
            code="storage_malformed",
        ) from exc
    return urlsplit(service.primary_endpoint).netloc, service


def _states(source: Source) -> list[tuple[int, int]]:
    """Return size and time of each file: a program that still writes to one changes them."""
    facts = [path.stat() for path in (source.parts.values() or [source.path])]
    return [(fact.st_size, fact.st_mtime_ns) for fact in facts]
