"""A proxy before storage that closes connections early, as some do."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from pydantic import SecretStr

from schema.settings import Settings


@dataclass
class Proxy:
    """What it does to the answers that have bytes of blobs."""

    port: int = 0
    cuts: Callable[[str], bool] = lambda _: False
    """Whether the body of an answer breaks off halfway, by the path and the range that were asked for."""
    announces: bool = True
    """Whether the length of the whole body is announced; without it a reader cannot see that bytes are missing."""
    asked: list[str] = field(default_factory=list)
    """Path and range of each GET that was answered with bytes."""

    def through(self, settings: Settings) -> Settings:
        """Return settings whose blobs are read through the proxy."""
        parts = _parts(settings)
        parts["BlobEndpoint"] = f"http://127.0.0.1:{self.port}/{parts['AccountName']}"
        joined = ";".join(f"{key}={value}" for key, value in parts.items())
        return settings.model_copy(update={"storage_connection_string": SecretStr(joined)})


@contextmanager
def proxied(settings: Settings) -> Iterator[Proxy]:
    """Run a proxy before the blob service of some settings."""
    upstream = _parts(settings)["BlobEndpoint"].removeprefix("http://").partition("/")[0]
    proxy, lock = Proxy(), Lock()

    class Handler(BaseHTTPRequestHandler):
        def handle_any(self) -> None:
            length = int(self.headers.get("Content-Length", 0))
            connection = http.client.HTTPConnection(upstream, timeout=30)
            headers = {key: value for key, value in self.headers.items() if key.lower() != "connection"}
            connection.request(self.command, self.path, self.rfile.read(length), headers)
            answer = connection.getresponse()
            body = answer.read()
            connection.close()
            has_bytes = self.command == "GET" and answer.status in (200, 206) and "comp=" not in self.path
            with lock:
                asked = f"{self.path} {self.headers.get('x-ms-range')}"
                cut = has_bytes and proxy.cuts(asked)
                if has_bytes:
                    proxy.asked.append(asked)
            self.send_response(answer.status, answer.reason)
            for key, value in answer.getheaders():
                if key.lower() not in ("connection", "transfer-encoding", "content-length", "date", "server"):
                    self.send_header(key, value)
            if self.command == "HEAD":
                self.send_header("Content-Length", answer.getheader("Content-Length") or "0")
            elif not cut or proxy.announces:
                self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if cut else body)

        do_GET = do_HEAD = do_PUT = do_DELETE = handle_any  # noqa: N815 - the names are http.server's

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - likewise
            del format, args

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        proxy.port = server.server_port
        thread = Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield proxy
        finally:
            server.shutdown()
            thread.join()


def _parts(settings: Settings) -> dict[str, str]:
    assert settings.storage_connection_string is not None
    secret = settings.storage_connection_string.get_secret_value()
    return dict(part.split("=", 1) for part in secret.split(";") if part)
