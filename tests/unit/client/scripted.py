"""An HTTP server that answers as a test tells it to."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer

Answer = tuple[int, dict[str, str], str]
"""Status, headers, body."""


@dataclass
class Server:
    """Answers in order, the last one for ever, and what it was asked."""

    url: str
    answers: list[Answer]
    asked: list[dict[str, str]] = field(default_factory=list)
    """Headers in lower case, with `method`, `path` and `body`."""


@contextmanager
def serving() -> Iterator[Server]:
    """Serve on a free port for the block."""
    scripted = Server("", [])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = {name.lower(): value for name, value in self.headers.items()}
            body = self.rfile.read(int(asked.get("content-length", 0))).decode()
            scripted.asked.append({"method": self.command, "path": self.path, "body": body, **asked})
            status, headers, answer = scripted.answers[0]
            del scripted.answers[: len(scripted.answers) > 1]
            self.send_response(status)
            for name, value in {"Content-Length": str(len(answer.encode())), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.encode())

        do_POST = do_GET  # noqa: N815 - the name that http.server looks for

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as listening:
        thread = threading.Thread(target=listening.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        scripted.url = f"http://127.0.0.1:{listening.server_port}/api"
        yield scripted
        listening.shutdown()
        thread.join()
