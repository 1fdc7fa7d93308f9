"""A listener over a fake queue: what it takes, hides, deletes, returns and poisons."""

import base64
import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import azure.functions as func
import pytest

from local.host import hostjson
from local.host.functions import HostedFunction
from local.host.hostjson import QueueSettings
from local.host.queues import Backoff, Listener, Outage, refuse_metadata_keys
from local.host.running import Running
from local.host.storage import Message, StorageError
from local.paths import PROJECT
from tests.fixtures.waiting import eventually
from tests.unit.local.apps import queue_app

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SETTINGS = QueueSettings(batch_size=4, new_batch_threshold=2, max_dequeue_count=3, max_polling_interval=0.2)


@dataclass
class FakeQueue:
    """A queue in memory; messages are hidden by a time, as in Azure Storage."""

    name: str = "tiny"
    messages: dict[str, Message] = field(default_factory=dict)
    visible_at: dict[str, float] = field(default_factory=dict)
    asked: list[int] = field(default_factory=list)
    hidings: list[float] = field(default_factory=list)
    down: bool = False
    created: bool = False

    def __post_init__(self) -> None:
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def create(self) -> None:
        self._answer()
        self.created = True

    def receive(self, count: int, hidden: float) -> Sequence[Message]:
        self._answer()
        with self._lock:
            self.asked.append(count)
            now = time.monotonic()
            found = [key for key in self.messages if self.visible_at[key] <= now][:count]
            for key in found:
                self.visible_at[key] = now + hidden
                self.messages[key] = self._touched(self.messages[key], 1)
            return [self.messages[key] for key in found]

    def hide(self, message: Message, seconds: float) -> Message:
        self._answer()
        with self._lock:
            self.hidings.append(seconds)
            assert self.messages[message.id].receipt == message.receipt, "an old receipt"
            self.visible_at[message.id] = time.monotonic() + seconds
            self.messages[message.id] = self._touched(self.messages[message.id], 0)
            return self.messages[message.id]

    def delete(self, message: Message) -> None:
        self._answer()
        with self._lock:
            assert self.messages[message.id].receipt == message.receipt, "an old receipt"
            del self.messages[message.id]

    def put(self, text: str) -> None:
        self._answer()
        with self._lock:
            key = f"m{next(self._numbers)}"
            self.messages[key] = Message(key, text, "0", 0, NOW, NOW, NOW)
            self.visible_at[key] = 0.0

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self.put(base64.b64encode(body.encode()).decode())

    def _touched(self, message: Message, received: int) -> Message:
        return replace(message, receipt=str(next(self._numbers)), dequeue_count=message.dequeue_count + received)

    def _answer(self) -> None:
        if self.down:
            raise StorageError("connection refused")


@contextmanager
def listening(
    queue: FakeQueue,
    work: Callable[[func.QueueMessage], Any],
    poison: FakeQueue | None = None,
    settings: QueueSettings = SETTINGS,
    **options: Any,
) -> Iterator[Listener]:
    function = HostedFunction.of(queue_app(work=work).get_functions()[0])
    with ThreadPoolExecutor(8) as executor:
        listener = Listener(function, queue, poison, settings, executor, Running(), Outage(), **options)
        thread = threading.Thread(target=listener.run)
        thread.start()
        try:
            yield listener
        finally:
            listener.stop()
            thread.join(5)
            assert listener.wait_until_idle(5)


def test_a_message_is_handed_over_decoded_and_then_deleted() -> None:
    queue, seen = FakeQueue(), list[tuple[str, int | None]]()
    queue.send('{"task_id": "7"}')
    with listening(queue, lambda message: seen.append((message.get_json()["task_id"], message.dequeue_count))):
        eventually(lambda: not queue.messages)
    assert seen == [("7", 1)]
    assert queue.created


def test_a_failing_message_is_tried_again_and_poisoned_at_the_last_failure() -> None:
    queue, poison, tries = FakeQueue(), FakeQueue("tiny-poison"), list[int | None]()

    def work(message: func.QueueMessage) -> None:
        tries.append(message.dequeue_count)
        raise RuntimeError("on purpose")

    queue.send("x")
    with listening(queue, work, poison):
        eventually(lambda: poison.messages)
        eventually(lambda: not queue.messages)
    assert tries == [1, 2, 3]
    assert queue.hidings == [0.0, 0.0]
    assert [base64.b64decode(message.text) for message in poison.messages.values()] == [b"x"]
    assert poison.created


def test_a_message_of_a_poison_queue_stays_hidden_when_it_fails() -> None:
    queue, tries = FakeQueue("tiny-poison"), list[int]()
    queue.send("x")
    with listening(queue, lambda _: tries.append(1) or 1 / 0):  # type: ignore[func-returns-value]
        eventually(lambda: tries)
        time.sleep(0.3)
    assert tries == [1]
    assert len(queue.messages) == 1


def test_what_is_not_base64_is_poisoned_without_a_try() -> None:
    queue, poison, tries = FakeQueue(), FakeQueue("tiny-poison"), list[int]()
    queue.put("not base64!")
    with listening(queue, lambda _: tries.append(1), poison):
        eventually(lambda: poison.messages and not queue.messages)
    assert tries == []


def test_a_returned_value_is_a_failure() -> None:
    queue, poison = FakeQueue(), FakeQueue("tiny-poison")
    queue.send("x")
    with listening(queue, lambda _: "a value that nothing takes", poison):
        eventually(lambda: poison.messages)


def test_the_next_batch_is_taken_when_few_enough_run() -> None:
    queue, release, running = FakeQueue(), threading.Semaphore(0), list[int]()

    def work(_: func.QueueMessage) -> None:
        running.append(1)
        release.acquire()

    queue.send(*"abcdefgh")
    with listening(queue, work):
        eventually(lambda: len(running) == 4)
        time.sleep(0.1)
        assert len(queue.asked) == 1  # four run, which is more than the threshold of two
        release.release()
        release.release()
        eventually(lambda: len(running) == 8)  # two run: four more were taken, six run at once
        assert len(queue.asked) == 2
        release.release(20)
        eventually(lambda: not queue.messages)


def test_with_the_settings_of_the_product_a_message_is_received_when_the_one_before_has_ended() -> None:
    queue, running, release = FakeQueue(), threading.Semaphore(0), threading.Semaphore(0)

    def work(_: func.QueueMessage) -> None:
        running.release()
        assert release.acquire(timeout=20)

    queue.send(*"abc")
    product = hostjson.parse(hostjson.read(PROJECT)).queues
    with listening(queue, work, settings=product):
        for left in (3, 2, 1):
            assert running.acquire(timeout=20)
            assert len(queue.messages) == left
            release.release()
        eventually(lambda: not queue.messages)
    assert set(queue.asked) == {1}


def test_a_long_run_keeps_its_message_hidden_and_deletes_it_with_the_new_receipt() -> None:
    queue, release = FakeQueue(), threading.Event()
    queue.send("x")
    with listening(queue, lambda _: release.wait(5) and None, hidden=0.2) as listener:
        for _ in range(30):
            listener.renew()
            time.sleep(0.02)
        assert next(iter(queue.messages.values())).dequeue_count == 1
        assert set(queue.hidings) == {0.2}
        release.set()
        eventually(lambda: not queue.messages)


def test_an_outage_ends_nothing_and_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    queue, seen = FakeQueue(down=True), list[int]()
    caplog.set_level("INFO")
    with listening(queue, lambda _: seen.append(1)):
        time.sleep(0.6)
        queue.down = False
        queue.send("x")
        eventually(lambda: seen)
    said = [record.message[:20] for record in caplog.records if record.name == "local.host.queues"]
    assert said == [
        "Storage does not ans",
        "Storage answers agai",
    ]


def test_waits_grow_to_the_longest_and_start_again_after_a_find() -> None:
    backoff = Backoff(1.0)
    waits = [backoff.wait_seconds() for _ in range(8)]
    assert 0.08 <= waits[0] <= 0.12
    assert 0.16 <= waits[1] <= 0.24
    assert all(0.8 <= wait <= 1.0 for wait in waits[5:])
    backoff.reset()
    assert backoff.wait_seconds() <= 0.12


@pytest.mark.parametrize("key", ["id", "Id", "dequeueCount", "popReceipt", "expirationTime", "queueTrigger"])
def test_keys_that_the_host_would_overwrite_are_refused(key: str) -> None:
    with pytest.raises(ValueError, match=key):
        refuse_metadata_keys(f'{{"{key}": 1}}'.encode())


@pytest.mark.parametrize("body", [b'{"task_id": "7"}', b'["id"]', b"text", b'{"nested": {"id": 1}}'])
def test_other_bodies_pass(body: bytes) -> None:
    refuse_metadata_keys(body)
