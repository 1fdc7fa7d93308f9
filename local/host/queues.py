"""Queue triggers, with host.json's settings and the real host's way of receiving, hiding, retrying and poisoning."""

import base64
import json
import logging
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass, field

from azure.functions import queue as azure_queue

from local.host.functions import HostedFunction
from local.host.hostjson import QueueSettings
from local.host.running import Running
from local.host.storage import Message, Queue, StorageError

logger = logging.getLogger("local.host.queues")

HIDDEN_SECONDS = 600.0  # fixed in the real host; a worker that dies keeps its messages hidden for so long
SHORTEST_POLL = 0.1
POISON_POLL = 1.0  # such queues are nearly always empty, and asking them as often was half of an idle host's work
# The real host binds the top-level keys of a JSON body after the metadata and lets them win.
METADATA_KEYS = frozenset(
    ("id", "dequeuecount", "popreceipt", "insertiontime", "expirationtime", "nextvisibletime", "queuetrigger")
)


class Backoff:
    """How long to wait before asking an empty queue again: twice as long each time, a fifth more or less."""

    def __init__(self, longest: float) -> None:
        self._longest = longest
        self._next = SHORTEST_POLL

    def reset(self) -> None:
        """Start again with the shortest wait: a message was found."""
        self._next = SHORTEST_POLL

    def wait_seconds(self) -> float:
        """Return the next wait, and double the one after it."""
        wait = min(self._next * random.uniform(0.8, 1.2), self._longest)  # noqa: S311 - jitter is no secret
        self._next = min(self._next * 2, self._longest)
        return wait


class Outage:
    """Whether storage answers, over all listeners of a worker: its loss and its return are logged once each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._since: float | None = None

    def begins(self, error: Exception) -> None:
        """Note that a request failed."""
        with self._lock:
            if self._since is None:
                self._since = time.monotonic()
                logger.error("Storage does not answer, the queues are asked again until it does: %s", _brief(error))

    def ends(self) -> None:
        """Note that a request was answered."""
        if self._since is None:
            return
        with self._lock:
            if self._since is not None:
                logger.info("Storage answers again after %.1f s", time.monotonic() - self._since)
                self._since = None


@dataclass(eq=False)
class Held:
    """A message that is being worked on; `message` changes when its hiding is renewed."""

    message: Message
    renew_at: float
    lock: threading.Lock = field(default_factory=threading.Lock)
    done: bool = False


@dataclass
class Listener:
    """Receives the messages of one queue and hands them to one function."""

    function: HostedFunction
    queue: Queue
    poison: Queue | None  # None for a queue that is a poison queue itself
    settings: QueueSettings
    executor: Executor
    running: Running
    outage: Outage
    hidden: float = HIDDEN_SECONDS

    def __post_init__(self) -> None:
        self._held: set[Held] = set()
        self._changed = threading.Condition()
        self._stopping = threading.Event()

    def run(self) -> None:
        """Receive until stop() is called. A storage outage ends nothing."""
        longest, room = self.settings.max_polling_interval, self.settings.new_batch_threshold
        backoff = Backoff(longest if self.poison else max(longest, POISON_POLL))
        exists = False
        while not self._stopping.is_set():
            try:
                if not exists:
                    self.queue.create()
                    exists = True
                messages = self.queue.receive(self.settings.batch_size, self.hidden)
            except StorageError as error:
                self.outage.begins(error)
                messages = ()
            else:
                self.outage.ends()
            if not messages:
                self._stopping.wait(backoff.wait_seconds())
                continue
            backoff.reset()
            for message in messages:
                held = Held(message, time.monotonic() + self.hidden / 2)
                with self._changed:
                    self._held.add(held)
                self.executor.submit(self._process, held)
            with self._changed:
                self._changed.wait_for(lambda: len(self._held) <= room or self._stopping.is_set())

    def stop(self) -> None:
        """Receive no more; what runs goes on."""
        self._stopping.set()
        with self._changed:
            self._changed.notify_all()

    def wait_until_idle(self, seconds: float) -> bool:
        """Whether all messages that were received have been ended in time."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._held, seconds)

    def renew(self) -> None:
        """Hide again what has been running for half of the hidden time; called often, by one thread."""
        now = time.monotonic()
        with self._changed:
            due = [held for held in self._held if held.renew_at <= now]
        for held in due:
            with held.lock:
                if held.done:
                    continue
                try:
                    held.message = self.queue.hide(held.message, self.hidden)
                except StorageError as error:
                    self.outage.begins(error)
                else:
                    held.renew_at = time.monotonic() + self.hidden / 2

    def _process(self, held: Held) -> None:
        try:
            with self.running.of(self.function.name):
                end = self._outcome(held.message)
                with held.lock:
                    held.done = True
                    end(held.message)
        except StorageError as error:
            self.outage.begins(error)
            logger.warning("A message of %s could not be ended and comes back: %s", self.queue.name, _brief(error))
        finally:
            with self._changed:
                self._held.discard(held)
                self._changed.notify_all()

    def _outcome(self, message: Message) -> Callable[[Message], None]:
        """Run the function, and return what is to be done with the message."""
        if message.dequeue_count > self.settings.max_dequeue_count:
            return self._to_poison
        try:
            body = self._body_of(message)
        except ValueError:
            # binascii.Error is one; text beyond ASCII raises ValueError itself.
            logger.error("A message of %s is not base64 and goes to the poison queue", self.queue.name)
            return self._to_poison
        try:
            refuse_metadata_keys(body)
            value = azure_queue.QueueMessage(  # type: ignore[no-untyped-call]
                id=message.id,
                body=body,
                dequeue_count=message.dequeue_count,
                expiration_time=message.expires,
                insertion_time=message.inserted,
                time_next_visible=message.next_visible,
                pop_receipt=message.receipt,
            )
            if self.function.invoke(value) is not None:
                logger.error("%s returned a value, but it has no output binding", self.function.name)
                return self._failed
        except Exception:  # whatever the function raises is a failure of this message
            logger.exception("%s failed, try %d", self.function.name, message.dequeue_count)
            return self._failed
        return self.queue.delete

    def _body_of(self, message: Message) -> bytes:
        if self.settings.message_encoding == "none":
            return message.text.encode()
        return base64.b64decode(message.text, validate=True)

    def _failed(self, message: Message) -> None:
        if self.poison is None:
            # The real host leaves a message without a poison queue hidden, so that it does not fail in a fast loop.
            return
        if message.dequeue_count >= self.settings.max_dequeue_count:
            self._to_poison(message)
        else:
            self.queue.hide(message, self.settings.visibility_timeout)

    def _to_poison(self, message: Message) -> None:
        if self.poison is None:
            return
        logger.warning("A message of %s goes to %s", self.queue.name, self.poison.name)
        self.poison.create()
        self.poison.put(message.text)
        self.queue.delete(message)


def refuse_metadata_keys(body: bytes) -> None:
    """Refuse a JSON object with a top-level key that the real host would copy over its trigger metadata.

    Raises
    ------
    ValueError
        With the keys.
    """
    try:
        value = json.loads(body)
    except ValueError:
        return
    keys = [key for key in value if key.lower() in METADATA_KEYS] if isinstance(value, dict) else []
    if keys:
        raise ValueError(f"the message has the top-level keys {keys}, which overwrite trigger metadata: rename them")


def _brief(error: Exception) -> str:
    return (str(error).splitlines() or [""])[0][:200]
