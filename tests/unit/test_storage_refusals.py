"""What storage answers is an outage or a refusal, by status and error code: a server answers what a test chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from pydantic import SecretStr

from repositories.storage.blobs import AzureBlobs, Blobs
from repositories.storage.errors import StorageUnavailable
from repositories.storage.queues import AzureQueues
from repositories.storage.refusals import OUTAGES
from schema.errors import BlobBlocked, GeostageError, PermanentError, SourceChanged, StorageDenied
from schema.jobs import Source
from schema.settings import Settings

SOURCE = Source("data", "a.csv", '"0x1"', 10, "2026-01-01T00:00:00+00:00")
READS: dict[str, Callable[[Blobs], object]] = {
    "head": lambda blobs: blobs.head("data", "a.csv"),
    "read_range": lambda blobs: blobs.read_range(SOURCE, 0, 10),
    "read": lambda blobs: blobs.read("data", "a.csv"),
    "list": lambda blobs: list(blobs.list_blobs("data")),
}
WRITES: dict[str, Callable[[Blobs], object]] = {
    "write": lambda blobs: blobs.write("data", "a.csv", b"1"),
    "publish": lambda blobs: blobs.publish("data", "a.csv", Path(__file__), attempt=1),
    "delete": lambda blobs: blobs.delete("data", "a.csv"),
}


@dataclass
class Answer:
    """What the server answers to everything."""

    status: int = 500
    code: str | None = None
    requests: int = 0


@pytest.fixture
def answer() -> Iterator[tuple[Answer, Settings]]:
    """The answer, and settings of an account that answers so."""
    chosen = Answer()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            chosen.requests += 1
            text = f"<?xml version='1.0'?><Error><Code>{chosen.code}</Code><Message>No.</Message></Error>"
            body = text.encode() if chosen.code and self.command != "HEAD" else b""
            self.send_response(chosen.status)
            if chosen.code:
                self.send_header("x-ms-error-code", chosen.code)
            self.send_header("Content-Type", "application/xml")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = do_PUT = do_DELETE = do_POST = answer  # noqa: N815 - the names are http.server's

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - likewise
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        base = f"http://127.0.0.1:{server.server_port}/account"
        account = f"AccountName=account;AccountKey=a2V5;BlobEndpoint={base};QueueEndpoint={base}"
        yield chosen, Settings(postgres_dsn=SecretStr("-"), storage_connection_string=SecretStr(account))
        server.shutdown()


def error_of(act: Callable[[Blobs], object], settings: Settings) -> GeostageError:
    with pytest.raises(GeostageError) as raised:
        act(AzureBlobs(settings))
    assert raised.value.message
    assert raised.value.remediation
    return raised.value


@pytest.mark.parametrize(
    ("status", "code", "named"),
    [
        (403, "AuthorizationPermissionMismatch", "Storage Blob Data Contributor"),
        (403, "AuthorizationFailure", "firewall"),
        (403, "AuthenticationFailed", "AzureWebJobsStorage"),
        (403, "KeyBasedAuthenticationNotPermitted", "account keys"),
        (403, "InsufficientAccountPermissions", "Storage Blob Data Contributor"),
        (403, "AccountIsDisabled", "disabled"),
        (403, "ACodeOfTomorrow", "ACodeOfTomorrow"),
        (403, None, "network settings"),
        (401, "NoAuthenticationInformation", "key"),
        (409, "PublicAccessNotPermitted", "anonymous"),
    ],
)
@pytest.mark.parametrize("name", [*READS, *WRITES])
def test_a_denied_request_names_what_is_missing_at_the_first_try(
    answer: tuple[Answer, Settings], status: int, code: str | None, named: str, name: str
) -> None:
    chosen, settings = answer
    chosen.status, chosen.code = status, code
    error = error_of({**READS, **WRITES}[name], settings)
    assert isinstance(error, StorageDenied)
    assert (error.error_code, error.category, error.retryable) == ("storage_access_denied", "configuration", False)
    assert named in error.message + error.remediation
    assert chosen.requests <= 2


@pytest.mark.parametrize(
    ("status", "code", "own", "remedy"),
    [
        (409, "BlobArchived", "blob_archived", "set-tier"),
        (409, "BlobBeingRehydrated", "blob_archived", "archive status"),
    ],
)
@pytest.mark.parametrize("name", ["read_range", "read"])
def test_an_archived_blob_is_named_with_the_way_back(
    answer: tuple[Answer, Settings], status: int, code: str, own: str, remedy: str, name: str
) -> None:
    chosen, settings = answer
    chosen.status, chosen.code = status, code
    error = error_of(READS[name], settings)
    assert isinstance(error, BlobBlocked)
    assert error.error_code == own
    assert error.message.startswith("data/a.csv ")
    assert remedy in error.remediation


@pytest.mark.parametrize(
    ("status", "code", "own"),
    [
        (409, "BlobImmutableDueToPolicy", "blob_immutable"),
        (409, "BlobImmutableDueToLegalHold", "blob_immutable"),
        (412, "LeaseIdMissing", "blob_leased"),
        (409, "LeaseIdMismatchWithBlobOperation", "blob_leased"),
        (409, "InvalidBlobType", "blob_type_wrong"),
    ],
)
@pytest.mark.parametrize("name", WRITES)
def test_a_blob_that_cannot_be_replaced_is_named_with_its_state(
    answer: tuple[Answer, Settings], status: int, code: str, own: str, name: str
) -> None:
    chosen, settings = answer
    chosen.status, chosen.code = status, code
    error = error_of(WRITES[name], settings)
    assert isinstance(error, BlobBlocked)
    assert (error.error_code, error.retryable) == (own, False)
    assert "data/a.csv" in error.message


@pytest.mark.parametrize(("status", "code"), [(408, None), (503, "ServerBusy")])
def test_an_outage_is_worth_another_try(answer: tuple[Answer, Settings], status: int, code: str | None) -> None:
    assert {408, 429, 500, 502, 503, 504} <= set(OUTAGES)
    chosen, settings = answer
    chosen.status, chosen.code = status, code
    error = error_of(READS["head"], settings)
    assert isinstance(error, StorageUnavailable)
    assert error.retryable


@pytest.mark.parametrize("code", ["ContainerBeingDeleted", "PendingCopyOperation"])
def test_a_conflict_that_passes_is_worth_another_try_and_says_why(answer: tuple[Answer, Settings], code: str) -> None:
    chosen, settings = answer
    chosen.status, chosen.code = 409, code
    error = error_of(WRITES["delete"], settings)
    assert isinstance(error, StorageUnavailable)
    assert "still being" in error.message


def test_any_other_refusal_names_status_and_code_and_is_final(answer: tuple[Answer, Settings]) -> None:
    chosen, settings = answer
    chosen.status, chosen.code = 400, "InvalidHeaderValue"
    error = error_of(READS["read"], settings)
    assert isinstance(error, PermanentError)
    assert error.error_code == "storage_refused"
    assert "HTTP 400, InvalidHeaderValue" in error.message


def test_a_source_that_is_not_the_accepted_one_has_changed(answer: tuple[Answer, Settings]) -> None:
    chosen, settings = answer
    chosen.status, chosen.code = 412, "ConditionNotMet"
    assert isinstance(error_of(READS["read_range"], settings), SourceChanged)


def test_a_queue_that_refuses_names_its_role_and_leaves_the_message_to_the_sweep(
    answer: tuple[Answer, Settings],
) -> None:
    chosen, settings = answer
    chosen.status, chosen.code = 403, "AuthorizationPermissionMismatch"
    with pytest.raises(StorageUnavailable) as raised:
        AzureQueues(settings).send("geo-jobs", ["{}"])
    assert raised.value.error_code == "storage_access_denied"
    assert "Storage Queue Data Contributor" in raised.value.remediation
