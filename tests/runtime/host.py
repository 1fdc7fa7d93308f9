"""The part of the Functions host: what a request, a message and a tick are when they arrive at the worker."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qsl

import httpx
from azure.storage.queue import QueueServiceClient

from local.host import hostjson
from local.host.functions import HostedFunction
from local.host.routes import find, in_order
from local.host.storage import Message, StorageQueue
from local.paths import LOCAL, PROJECT
from tests.fixtures.waiting import eventually

Json = dict[str, Any]
RUNTIME = LOCAL / "runtime"


@dataclass(frozen=True)
class Answer:
    """What an HTTP function answered."""

    status: int
    headers: httpx.Headers  # read in any case
    body: bytes

    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


class InvocationError(Exception):
    """The engine called an invocation failed; the host would send the message again."""


class RuntimeHost:
    """One worker process on the engine, under one Python, and the queues of a stack whose messages it is given."""

    def __init__(self, python: Path, environment: Mapping[str, str], queues: QueueServiceClient, log: Path) -> None:
        with log.open("ab") as out:
            self._worker = subprocess.Popen(
                [python, "-m", "tests.runtime.driver", str(PROJECT)],
                cwd=PROJECT,
                env={**os.environ, **environment, "PYTHONPATH": str(RUNTIME)},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=out,
                text=True,
            )
        self._log = log
        self._queues = queues
        listed = self._read()
        self._ids = {function["name"]: function["id"] for function in listed}
        self.functions = {f["name"]: HostedFunction(f["name"], tuple(f["bindings"]), self._call) for f in listed}
        self._routes = in_order(self.functions.values(), hostjson.parse(hostjson.read(PROJECT)).route_prefix)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        # It ends by itself when nothing more can be asked.
        with self._worker as worker:
            if worker.stdin:
                worker.stdin.close()

    def of_type(self, trigger: str) -> dict[str, HostedFunction]:
        """Return the functions with a trigger of this type, as `queueTrigger`."""
        return {name: function for name, function in self.functions.items() if function.is_a(trigger)}

    def request(self, method: str, path: str, body: bytes = b"", **headers: str) -> Answer:
        """Send a request to the function whose route it meets; a path without one is an error of the test."""
        target, _, query = path.partition("?")
        found = find(self._routes, method, target)
        assert found, f"{method} {target} has no function"
        route, parameters = found
        http = {
            "method": method,
            "url": f"http://127.0.0.1{path}",
            "headers": {name.lower().replace("_", "-"): value for name, value in headers.items()},
            "query": dict(parse_qsl(query)),
            "params": parameters,
            "body": base64.b64encode(body).decode(),
        }
        answer = self._invoke(route.function, {"http": http})["http"]
        return Answer(answer["status"], httpx.Headers(answer["headers"]), base64.b64decode(answer["body"]))

    def run(self, job_type: str, parameters: Json) -> Json:
        """Submit a job, deliver messages until it has ended, and return it."""
        answer = self.request("POST", f"/api/jobs/{job_type}", json.dumps(parameters).encode())
        assert answer.status == 202, answer.body
        return self.finish(answer.json()["job_id"])

    def finish(self, job_id: str) -> Json:
        """Deliver messages until a job has ended, and return it."""

        def ended() -> Json | None:
            self.deliver()
            job: Json = self.request("GET", f"/api/jobs/{job_id}").json()
            return job if job["finished_at"] else None

        job: Json = eventually(ended, 240)
        return job

    def deliver(self) -> int:
        """Hand every waiting message to its function, and return how many there were. A failed one stays hidden."""
        delivered = 0
        for function in self.of_type("queueTrigger").values():
            queue = self.queue(function.trigger["queueName"])
            for message in self._waiting(queue):
                self.queue_message(function.name, message)
                queue.delete(message)
                delivered += 1
        return delivered

    def queue(self, name: str) -> StorageQueue:
        """Return a queue of the stack, which is made if need be."""
        queue = StorageQueue(self._queues.get_queue_client(name))
        queue.create()
        return queue

    def queue_message(self, function: str, message: Message) -> None:
        """Hand a message to a function. Raises InvocationError."""
        # host.json has messageEncoding none: the host hands on what is stored.
        text = message.text
        metadata: Json = {
            "Id": {"string": message.id},
            "DequeueCount": {"json": message.dequeue_count},
            "InsertionTime": {"json": message.inserted.isoformat()},
            "ExpirationTime": {"json": message.expires.isoformat()},
            "NextVisibleTime": {"json": message.next_visible.isoformat()},
            "PopReceipt": {"string": message.receipt},
            "QueueTrigger": {"string": text},
        }
        # The real host copies the top-level keys of a JSON body over the metadata.
        metadata |= {key: {"string": v} if isinstance(v, str) else {"json": v} for key, v in _object(text).items()}
        self._invoke(self.functions[function], {"string": text}, metadata)

    def tick(self, function: str) -> None:
        """Let a timer function run. Raises InvocationError."""
        now = datetime.now(UTC).isoformat()
        status = {"Last": now, "Next": now, "LastUpdated": now}
        due = {"Schedule": {"AdjustForDST": True}, "ScheduleStatus": status, "IsPastDue": False}
        self._invoke(self.functions[function], {"json": due})

    @staticmethod
    def _waiting(queue: StorageQueue) -> Iterator[Message]:
        while messages := queue.receive(32, 600):
            yield from messages

    def _invoke(self, function: HostedFunction, data: Json, metadata: Json | None = None) -> Json:
        answer: Json = function.call(function, data, metadata or {})
        if "error" in answer:
            raise InvocationError(answer["error"])
        return answer

    def _call(self, function: HostedFunction, data: Json, metadata: Json) -> Json:
        parameter = function.trigger["name"]
        invocation = {"id": self._ids[function.name], "parameter": parameter, "data": data, "metadata": metadata}
        assert self._worker.stdin
        self._worker.stdin.write(json.dumps(invocation) + "\n")
        self._worker.stdin.flush()
        answer: Json = self._read()
        return answer

    def _read(self) -> Any:
        assert self._worker.stdout
        line = self._worker.stdout.readline()
        assert line, f"the worker has ended:\n{self._log.read_text()[-4000:]}"
        return json.loads(line)


def _object(text: str) -> Json:
    try:
        value = json.loads(text)
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
