"""One worker process: imports function_app from the project folder and serves all of its triggers until SIGTERM.

In Azure the HTTP, queue and timer functions of a worker share one pool of PYTHON_THREADPOOL_THREAD_COUNT threads. Here
that pool runs queue functions, HTTP has waitress's threads and each timer one of its own, so that a probe is answered
while the pool is full.
"""

import argparse
import ctypes
import importlib
import json
import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import waitress

from local.host import hostjson, logs, rules
from local.host.functions import HostedFunction, resolve
from local.host.http import Application
from local.host.queues import Listener, Outage
from local.host.routes import in_order
from local.host.running import Running
from local.host.schedules import Schedule
from local.host.storage import StorageQueue, service
from local.host.timers import Timer

logger = logging.getLogger("local.host.worker")

REFUSED = 78  # exit code: the app would not load in Azure either, so starting it again is no use
KEY_VARIABLE = "LOCAL_HOST_KEY"
HTTP_THREADS = 16
LARGEST_BODY = 100 * 1024 * 1024  # of Azure Functions
POISON_SUFFIX = "-poison"
GRACE_SECONDS = 10.0  # for running functions, at the end
DIE_WITH_PARENT = 1  # PR_SET_PDEATHSIG of prctl(2)


class Worker:
    """Everything that runs in one worker process."""

    def __init__(self, functions: Sequence[HostedFunction], host_json: hostjson.HostJson, with_timers: bool) -> None:
        self._running = Running()
        self._threads = int(os.environ.get("PYTHON_THREADPOOL_THREAD_COUNT") or 16)
        self._executor = ThreadPoolExecutor(self._threads, "function")
        self._routes = in_order(functions, host_json.route_prefix)
        self._listeners = self._make_listeners(functions, host_json.queues)
        self._timers = []
        for function in functions:
            if with_timers and function.is_a("timerTrigger"):
                schedule = Schedule.parse(resolve(function.trigger["schedule"], os.environ))
                self._timers.append(Timer(function, schedule, self._running))
        self._ended = threading.Event()

    def serve(self, sock: socket.socket, report: "Report") -> None:
        """Serve until SIGTERM, and report the invocation that has been running longest once a second."""
        signal.signal(signal.SIGTERM, lambda *_: self._ended.set())
        application = Application(self._routes, self._running, os.environ.get(KEY_VARIABLE))
        server = waitress.create_server(
            application,
            sockets=[sock],
            threads=HTTP_THREADS,
            connection_limit=500,
            max_request_body_size=LARGEST_BODY,
            ident=None,
        )
        runs = [listener.run for listener in self._listeners] + [timer.run for timer in self._timers]
        for target in (server.run, *runs):
            threading.Thread(target=target, daemon=True).start()
        report.ready()
        while not self._ended.wait(1.0):
            report.oldest(self._running.oldest())
            for listener in self._listeners:
                listener.renew()
        # Closing in waitress's own thread: it selects on what close() closes.
        server.trigger.pull_trigger(server.close)

    def end(self) -> bool:
        """Take nothing new and let what runs end; whether it did within the grace."""
        for listener in self._listeners:
            listener.stop()
        for timer in self._timers:
            timer.stop()
        idle = all(listener.wait_until_idle(GRACE_SECONDS) for listener in self._listeners)
        return idle and self._running.wait_until_idle(GRACE_SECONDS)

    def _make_listeners(self, functions: Sequence[HostedFunction], settings: hostjson.QueueSettings) -> list[Listener]:
        triggered = [function for function in functions if function.is_a("queueTrigger")]
        services = {name: service(name, os.environ) for name in {str(f.trigger["connection"]) for f in triggered}}
        outage = Outage()
        listeners = []
        for function in triggered:
            client = services[function.trigger["connection"]]
            name = resolve(function.trigger["queueName"], os.environ)
            queue = StorageQueue(client.get_queue_client(name))
            is_poison = name.endswith(POISON_SUFFIX)
            poison = None if is_poison else StorageQueue(client.get_queue_client(name + POISON_SUFFIX))
            listeners.append(Listener(function, queue, poison, settings, self._executor, self._running, outage))
        return listeners


class Report:
    """The pipe to the supervisor: one JSON object per line."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def ready(self) -> None:
        """All triggers are served."""
        self._send({"ready": True})

    def oldest(self, invocation: tuple[float, str] | None) -> None:
        """Send start and name of the invocation that has been running longest."""
        started, name = invocation or (None, None)
        self._send({"started": started, "name": name})

    def _send(self, value: dict[str, Any]) -> None:
        os.write(self._descriptor, json.dumps(value).encode() + b"\n")


def load(project: Path) -> tuple[list[HostedFunction], hostjson.HostJson]:
    """Import the project's function_app, check it, and return its functions and host.json.

    Exits with REFUSED after logging one sentence per fault when the real host would not run it.
    """
    sys.path.insert(0, str(project))
    raw = hostjson.read(project)
    try:
        functions = importlib.import_module("function_app").app.get_functions()
    except ValueError as error:
        # azure-functions itself refuses some faults, as two functions of one name.
        refusals = [str(error)]
    else:
        refusals = rules.check(functions, raw, os.environ)
    if refusals:
        for sentence in refusals:
            logger.error(sentence)
        raise SystemExit(REFUSED)
    return [HostedFunction.of(function) for function in functions], hostjson.parse(raw)


def main() -> None:
    """Run one worker."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--socket-fd", type=int, required=True)
    parser.add_argument("--report-fd", type=int, required=True)
    parser.add_argument("--slot", type=int, required=True)
    parser.add_argument("--parent", type=int, required=True)
    options = parser.parse_args()
    # The system kills this worker when its supervisor ends, however that came about.
    ctypes.CDLL(None).prctl(DIE_WITH_PARENT, signal.SIGKILL)
    if os.getppid() != options.parent:
        raise SystemExit("the supervisor has ended")
    logs.configure(str(options.slot))
    functions, host_json = load(options.project)
    worker = Worker(functions, host_json, with_timers=options.slot == 0)
    worker.serve(socket.socket(fileno=options.socket_fd), Report(options.report_fd))
    if not worker.end():
        logger.warning("Functions still ran after %g s: ending without them", GRACE_SECONDS)
        os._exit(1)


if __name__ == "__main__":
    main()
