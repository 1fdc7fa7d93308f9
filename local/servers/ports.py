"""Free ports on the loopback address."""

import socket
from collections.abc import Iterator

from local.errors import StackError

LOOPBACK = "127.0.0.1"


def free_ports(first: int, count: int = 1, tries: int = 500) -> list[int]:
    """The first `count` ports from `first` up that nothing listens on; ports that are taken are stepped over."""
    found: list[int] = []
    for port in range(first, first + tries):
        if _is_free(port):
            found.append(port)
        if len(found) == count:
            return found
    raise StackError(f"No {count} free ports between {first} and {first + tries - 1}. Stop a server or pass --port.")


def listening_socket(first: int, tries: int = 500) -> socket.socket:
    """A socket bound to the first free port from `first` up, listening."""
    for sock in _bound_sockets(first, tries):
        sock.listen(512)
        return sock
    raise StackError(f"No free port between {first} and {first + tries - 1}. Stop a server or pass --port.")


def _bound_sockets(first: int, tries: int) -> Iterator[socket.socket]:
    for port in range(first, first + tries):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            sock.close()
            continue
        yield sock


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            sock.bind((LOOPBACK, port))
        except OSError:
            return False
    return True
