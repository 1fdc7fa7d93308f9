"""A web server on loopback that notes what it is asked: whatever a file made a library fetch.

It runs in a process of its own, because GDAL may hold this one's interpreter while it waits for an answer.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_SERVER = """
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        with open(sys.argv[1], "a") as log:
            print(self.command, self.path, file=log)
        self.send_error(404)

    do_HEAD = do_POST = do_GET

    def log_message(self, *args):
        pass

with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
    print(server.server_port, flush=True)
    server.serve_forever()
"""


@dataclass(frozen=True)
class Listener:
    """What was asked so far."""

    url: str
    log: Path

    @property
    def requests(self) -> list[str]:
        return self.log.read_text().splitlines()


@contextmanager
def listening(folder: Path) -> Iterator[Listener]:
    """Run the server, and show that it notes what it is asked."""
    log = folder / "requests.txt"
    log.write_text("")
    with subprocess.Popen([sys.executable, "-c", _SERVER, str(log)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout
        try:
            yield Listener(f"http://127.0.0.1:{int(server.stdout.readline())}/", log)
        finally:
            server.kill()
