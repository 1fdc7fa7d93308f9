"""The storage queues that the host listens to: a thin seam over the SDK, and what a message is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Protocol

import requests
from azure.core.exceptions import AzureError, ResourceExistsError, ResourceNotFoundError
from azure.core.pipeline.transport import RequestsTransport
from azure.identity import DefaultAzureCredential
from azure.storage.queue import QueueClient, QueueServiceClient
from requests.adapters import HTTPAdapter

StorageError = AzureError


@dataclass(frozen=True)
class Message:
    """A received message; `text` is what the queue holds, not decoded."""

    id: str
    text: str
    receipt: str  # changes with every update
    dequeue_count: int
    inserted: datetime
    expires: datetime
    next_visible: datetime


class Queue(Protocol):
    """What a listener needs of a queue. Every method may raise StorageError."""

    name: str

    def create(self) -> None:
        """Make the queue unless it exists."""

    def receive(self, count: int, hidden: float) -> Sequence[Message]:
        """Take up to `count` messages and hide them for `hidden` seconds; none when the queue does not exist."""

    def hide(self, message: Message, seconds: float) -> Message:
        """Show the message again after `seconds`; returns it with its new receipt."""

    def delete(self, message: Message) -> None:
        """Remove the message; one that is gone already is not an error."""

    def put(self, text: str) -> None:
        """Append a message that never expires."""


class StorageQueue:
    """A queue of Azure Storage or Azurite."""

    def __init__(self, client: QueueClient) -> None:
        self.name = client.queue_name
        self._client = client

    def create(self) -> None:
        try:
            self._client.create_queue()
        except ResourceExistsError:
            return

    def receive(self, count: int, hidden: float) -> Sequence[Message]:
        # One page is one request; the iterator over messages would ask again until a page is empty.
        pages = self._client.receive_messages(messages_per_page=count, visibility_timeout=int(hidden)).by_page()
        try:
            page = list(next(pages, ()))
        except ResourceNotFoundError:
            return ()
        messages = []
        for received in page:
            # The SDK types each of these as one that may be None; in a received message none is.
            m: Any = received
            message = Message(
                id=m.id,
                text=m.content,
                receipt=m.pop_receipt,
                dequeue_count=m.dequeue_count,
                inserted=m.inserted_on,
                expires=m.expires_on,
                next_visible=m.next_visible_on,
            )
            messages.append(message)
        return messages

    def hide(self, message: Message, seconds: float) -> Message:
        updated = self._client.update_message(message.id, message.receipt, visibility_timeout=int(seconds))
        return replace(message, receipt=str(updated.pop_receipt))

    def delete(self, message: Message) -> None:
        try:
            self._client.delete_message(message.id, message.receipt)
        except ResourceNotFoundError:
            return

    def put(self, text: str) -> None:
        self._client.send_message(text, time_to_live=-1)


def service(connection: str, environment: Mapping[str, str]) -> QueueServiceClient:
    """Return the queue service of a connection setting, in any of the forms that the real host knows.

    One pool of HTTP connections serves all queues. The SDK's own retries are off: the listener backs off by itself.
    """
    session = requests.Session()
    session.trust_env = False  # reading proxies and .netrc again costs more than the request
    session.mount("http://", HTTPAdapter(pool_maxsize=64))
    session.mount("https://", HTTPAdapter(pool_maxsize=64))
    transport = RequestsTransport(session=session, session_owner=False, connection_timeout=5, read_timeout=30)
    options = {"transport": transport, "retry_total": 0}
    text = environment.get(connection) or environment.get(f"AzureWebJobs{connection}")
    if text:
        return QueueServiceClient.from_connection_string(text, **options)
    uri = environment.get(f"{connection}__queueServiceUri")
    uri = uri or f"https://{environment[f'{connection}__accountName']}.queue.core.windows.net"
    return QueueServiceClient(uri, credential=DefaultAzureCredential(), **options)
