"""What can be wrong with a blob or the storage itself, and what its reader can do about it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from azure.core.exceptions import AzureError, HttpResponseError, ResourceNotFoundError, ServiceResponseError

from repositories.storage.refusals import code_of, passing_reason, refusal
from schema.errors import GeostageError, NotFound, SourceChanged, TransientError, Unavailable
from schema.jobs import Source

_NO_NAME = ("InvalidResourceName", "OutOfRangeInput", "InvalidUri")
"""The service's codes for a name that no container can have."""


class StorageUnavailable(Unavailable):
    """Blob or queue storage cannot be reached."""

    code = "storage_unavailable"


class DownloadIncomplete(TransientError):
    """Fewer or more bytes of a blob came than are stored."""

    code = "download_incomplete"


def container_not_found(container: str) -> NotFound:
    """Make the error for a missing container."""
    return NotFound(
        f"There is no container {container!r} in the storage account.",
        remediation="Check dataset_id: it names the container that holds the file.",
        code="container_not_found",
    )


def blob_not_found(container: str, blob: str) -> NotFound:
    """Make the error for a missing blob."""
    return NotFound(
        f"There is no blob {blob!r} in container {container!r}.",
        remediation="Check resource_id: it is the blob's full name, folders and extension included.",
        code="blob_not_found",
    )


def source_changed(source: Source) -> SourceChanged:
    """Make the error for a source that is no longer the accepted one."""
    return SourceChanged(
        f"{source.container}/{source.blob} was replaced or removed after the job was accepted.",
        remediation="Submit the job again: it then works on the blob as it is now.",
    )


def download_incomplete(container: str, blob: str, got: int | None = None, wanted: int | None = None) -> TransientError:
    """Make the error for a download that broke off, or brought another number of bytes than are stored."""
    figures = f": {got:,} bytes of {wanted:,} were received" if got is not None else ""
    return DownloadIncomplete(
        f"The download of {container}/{blob} was not complete{figures}.",
        remediation="It is retried automatically; if it keeps happening, check proxies between app and storage.",
    )


@contextmanager
def storage_errors(container: str, blob: str, *, accepted: Source | None = None) -> Iterator[None]:
    """Turn the SDK's errors into ours; a blob that is not as it was `accepted` has changed."""
    try:
        yield
    except HttpResponseError as exc:
        if code_of(exc) in _NO_NAME:
            raise container_not_found(container) from exc
        # 412: the condition that it still has the ETag of the accepted blob does not hold.
        missing = isinstance(exc, ResourceNotFoundError)
        if accepted and (missing or exc.status_code == 412):
            raise source_changed(accepted) from exc
        if missing:
            # A HEAD has no body, so the code may be missing; the reason phrase then says which of the two it is.
            lost_container = code_of(exc) == "ContainerNotFound" or "ontainer" in str(exc.reason)
            raise (container_not_found(container) if lost_container else blob_not_found(container, blob)) from exc
        # A body that broke off, three times: without a body the SDK raises ServiceResponseError by itself.
        if isinstance(exc.inner_exception, ServiceResponseError):
            raise download_incomplete(container, blob) from exc
        raise http_error(exc, f"{container}/{blob}" if blob else f"container {container!r}") from exc
    except AzureError as exc:
        raise unavailable() from exc


def http_error(error: HttpResponseError, what: str, service: str = "Blob") -> GeostageError:
    """Make the error for an answer of storage: an outage, or a refusal that names what is missing or in the way."""
    reason = passing_reason(error)
    return refusal(error, what, service) if reason is None else unavailable(service, reason)


def unavailable(service: str = "Blob", reason: str = "") -> StorageUnavailable:
    """Make the error for a service that cannot be reached, or not now for a known reason."""
    return StorageUnavailable(
        f"{service} storage cannot be used now: {reason}." if reason else f"{service} storage cannot be reached.",
        remediation="Try again in a few seconds.",
    )
