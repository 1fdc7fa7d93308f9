"""Start the local host: `python -m local.host --socket-fd FD --project FOLDER --workers N --status FILE`."""

import argparse
import logging
import os
import socket
import sys
from pathlib import Path

from local.host import hostjson, logs, rules
from local.host.supervisor import Supervisor
from local.host.worker import REFUSED


def main() -> int:
    """Run the supervisor; 78 means that the app was refused."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--socket-fd", type=int, required=True)
    parser.add_argument("--project", type=Path, required=True)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--status", type=Path, required=True)
    options = parser.parse_args()
    logs.configure("supervisor")
    logger = logging.getLogger("local.host")
    try:
        raw = hostjson.read(options.project)
        refusals = rules.check([], raw, os.environ)
    except (OSError, ValueError, TypeError) as error:
        refusals = [f"host.json cannot be read: {error}"]
    for sentence in refusals:
        logger.error(sentence)
    if refusals:
        return REFUSED
    host_json = hostjson.parse(raw)
    sock = socket.socket(fileno=options.socket_fd)
    sock.listen(512)
    address, port = sock.getsockname()
    url = f"http://{address}:{port}/{host_json.route_prefix}".rstrip("/")
    return Supervisor(
        options.project, options.workers, options.socket_fd, url, options.status, host_json.function_timeout
    ).run()


if __name__ == "__main__":
    sys.exit(main())
