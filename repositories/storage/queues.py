"""Queues: messages sent, counted and looked at, on Azure Storage queues or in memory."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Protocol

from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.identity import DefaultAzureCredential
from azure.storage.queue import QueueClient, QueueServiceClient, TextBase64DecodePolicy, TextBase64EncodePolicy

from repositories.storage.blobs import QUICK_BACKOFF
from repositories.storage.errors import StorageUnavailable, http_error, unavailable
from schema.settings import Settings

SENDERS = 8
"""Sends that run side by side when a stage fans out."""


class Queues(Protocol):
    """The seam to queue storage. Every method raises StorageUnavailable when the service cannot be reached or used."""

    def send(self, queue: str, messages: Sequence[str], *, delay_seconds: float = 0) -> None:
        """Send texts to a queue, base64 encoded, visible after the delay; the queue is made if it is missing."""

    def count(self, queue: str) -> int:
        """Count the messages of a queue, hidden ones too; never too low. A missing queue has none."""

    def has_waiting(self, queue: str) -> bool:
        """Whether a message can be received now, so is not hidden by a worker that has received it."""


class AzureQueues:
    """Queues of a storage account, by connection string or with an identity."""

    def __init__(self, settings: Settings) -> None:
        # The sweep sends again what failed here, so a quick answer is worth more than a long retry: a caller waits.
        options: dict[str, Any] = {
            "retry_total": 1,
            **QUICK_BACKOFF,
            "connection_timeout": 3,
            "read_timeout": 4,
            "message_encode_policy": TextBase64EncodePolicy(),
            "message_decode_policy": TextBase64DecodePolicy(),
        }
        if settings.storage_connection_string:
            secret = settings.storage_connection_string.get_secret_value()
            self._service = QueueServiceClient.from_connection_string(secret, **options)
        else:
            credential = DefaultAzureCredential(managed_identity_client_id=settings.storage_client_id)
            self._service = QueueServiceClient(settings.service_uri("queue"), credential, **options)
        self._options = options
        self._clients: dict[str, QueueClient] = {}
        self._senders = ThreadPoolExecutor(SENDERS, thread_name_prefix="send")

    def send(self, queue: str, messages: Sequence[str], *, delay_seconds: float = 0) -> None:
        client = self._client(queue)
        delay = round(delay_seconds)

        def send_one(message: str) -> None:
            client.send_message(message, visibility_timeout=delay or None)

        with _errors(queue):
            # One alone first: it shows whether the queue is there, and a service that is down costs one timeout.
            try:
                self._each(send_one, messages[:1])
            except ResourceNotFoundError:
                # Another worker may make it between the two calls.
                with suppress(ResourceExistsError):
                    client.create_queue()
                self._each(send_one, messages[:1])
            self._each(send_one, messages[1:])

    def count(self, queue: str) -> int:
        with _errors(queue):
            try:
                # Azure documents it as an upper bound: never lower than the number of messages.
                return self._client(queue).get_queue_properties().approximate_message_count or 0
            except ResourceNotFoundError:
                return 0

    def has_waiting(self, queue: str) -> bool:
        with _errors(queue):
            try:
                return bool(self._client(queue).peek_messages(max_messages=1))
            except ResourceNotFoundError:
                return False

    def _each(self, send_one: Any, messages: Sequence[str]) -> None:
        if len(messages) > 1:
            list(self._senders.map(send_one, messages))
        else:
            for message in messages:
                send_one(message)

    def _client(self, queue: str) -> QueueClient:
        if queue not in self._clients:
            # get_queue_client does not hand the encoding on, so it is given again.
            self._clients[queue] = self._service.get_queue_client(
                queue,
                message_encode_policy=self._options["message_encode_policy"],
                message_decode_policy=self._options["message_decode_policy"],
            )
        return self._clients[queue]


@dataclass
class FakeQueues:
    """Queues in memory. `drain` returns what was sent; nothing is ever hidden or delayed."""

    queues: dict[str, list[str]] = field(default_factory=dict)
    down: bool = False
    _lock: Lock = field(default_factory=Lock)

    def send(self, queue: str, messages: Sequence[str], *, delay_seconds: float = 0) -> None:
        del delay_seconds
        if self.down:
            raise unavailable("Queue")
        with self._lock:
            self.queues.setdefault(queue, []).extend(messages)

    def count(self, queue: str) -> int:
        if self.down:
            raise unavailable("Queue")
        return len(self.queues.get(queue, []))

    def has_waiting(self, queue: str) -> bool:
        return self.count(queue) > 0

    def drain(self, queue: str) -> Iterable[str]:
        """Take all messages out of a queue."""
        with self._lock:
            return self.queues.pop(queue, [])


@contextmanager
def _errors(queue: str) -> Iterator[None]:
    try:
        yield
    except HttpResponseError as exc:
        error = http_error(exc, f"queue {queue!r}", "Queue")
        # Whatever keeps a message from being sent, its row is written and the sweep sends it later: one class for all.
        raise StorageUnavailable(error.message, remediation=error.remediation, code=error.error_code) from exc
    except AzureError as exc:
        raise unavailable("Queue") from exc
