"""Free ports on the loopback address."""

import socket

from local.errors import StackError

LOOPBACK = "127.0.0.1"


def free_ports(first: int, count: int = 1, tries: int = 500) -> list[int]:
    """Return the first `count` ports from `first` up that nothing listens on; ports that are taken are passed over."""
    found: list[int] = []
    for port in range(first, first + tries):
        if sock := _bound(port):
            sock.close()
            found.append(port)
        if len(found) == count:
            return found
    raise StackError(
        f"There are not {count} free ports between {first} and {first + tries - 1}. Stop a server that uses some."
    )


def listening_socket(first: int, tries: int = 500) -> socket.socket:
    """Return a listening socket on the first free port from `first` up."""
    for port in range(first, first + tries):
        if sock := _bound(port):
            sock.listen(512)
            return sock
    if tries == 1:
        raise StackError(f"The port {first} is in use. Name another with --port, or stop what listens there.")
    raise StackError(f"There is no free port between {first} and {first + tries - 1}. Name another with --port.")


def _bound(port: int) -> socket.socket | None:
    """Return a socket that is bound to a port; None if the port is taken."""
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    # A port of connections that a server closed a moment ago is free.
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((LOOPBACK, port))
    except OSError:
        sock.close()
        return None
    return sock
