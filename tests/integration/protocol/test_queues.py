"""Queues: what holds for those in memory holds for those of a storage account."""

import base64
import json

import pytest
from azure.storage.queue import QueueServiceClient

from local.stack import Stack
from repositories.storage.queues import AzureQueues, FakeQueues, Queues
from schema.errors import Unavailable
from schema.settings import Settings
from tests.fixtures.waiting import at_once
from tests.integration.protocol.conftest import KINDS


@pytest.fixture(params=KINDS)
def queues(request: pytest.FixtureRequest, settings: Settings) -> Queues:
    return FakeQueues() if request.param == "in memory" else AzureQueues(settings)


def test_a_queue_that_is_not_there_has_no_messages(queues: Queues, name: str) -> None:
    assert queues.count(name) == 0


def test_a_queue_is_made_with_its_first_message(queues: Queues, name: str) -> None:
    queues.send(name, ["one"])
    assert queues.count(name) == 1


def test_many_messages_are_sent_at_once(queues: Queues, name: str) -> None:
    queues.send(name, [f"message {number}" for number in range(40)])
    assert queues.count(name) == 40


def test_nothing_is_sent_for_no_messages(queues: Queues, name: str) -> None:
    queues.send(name, [])
    assert queues.count(name) == 0


def test_delayed_messages_are_counted_too(queues: Queues, name: str) -> None:
    queues.send(name, ["later"], delay_seconds=30)
    assert queues.count(name) == 1


def test_a_message_waits_until_it_is_received(queues: Queues, name: str) -> None:
    assert not queues.has_waiting(name)
    queues.send(name, ["one"])
    assert queues.has_waiting(name)


def test_messages_that_a_worker_has_received_are_counted_and_do_not_wait(settings: Settings, name: str) -> None:
    queues = AzureQueues(settings)
    queues.send(name, ["one", "two"])
    secret = settings.storage_connection_string
    assert secret is not None
    client = QueueServiceClient.from_connection_string(secret.get_secret_value()).get_queue_client(name)
    received = list(client.receive_messages(max_messages=2, visibility_timeout=600))
    assert len(received) == 2
    assert (queues.count(name), queues.has_waiting(name)) == (2, False)


def test_workers_that_make_the_same_queue_at_once_all_send(queues: Queues, name: str) -> None:
    at_once(*(lambda: queues.send(name, ["one"]) for _ in range(6)))
    assert queues.count(name) == 6


def test_messages_are_base64_as_the_functions_host_expects_them(stack: Stack, settings: Settings, name: str) -> None:
    text = json.dumps({"task_id": "ä"}, ensure_ascii=False)
    AzureQueues(settings).send(name, [text])
    service = QueueServiceClient.from_connection_string(stack.storage_connection_string)
    received = service.get_queue_client(name).receive_message()
    assert received is not None
    assert base64.b64decode(received.content).decode() == text


@pytest.mark.parametrize("kind", KINDS)
def test_a_queue_service_that_is_down_is_said_without_its_address(kind: str, away: Settings, name: str) -> None:
    queues: Queues = FakeQueues(down=True) if kind == "in memory" else AzureQueues(away)
    for act in (lambda: queues.send(name, ["one"]), lambda: queues.count(name)):
        with pytest.raises(Unavailable) as refused:
            act()
        assert "127.0.0.1" not in refused.value.message
