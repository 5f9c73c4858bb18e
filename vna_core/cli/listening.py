"""Listening sockets: one that several processes accept from, or one for each process on the same port.

A socket that processes share wakes all of them, and the first takes everything that waits: a client that opens its connections
at once would be served by one process. With a socket for each, the kernel spreads connections over them.
"""

from __future__ import annotations

import socket
from typing import Final

from vna_core.domain.errors import ConfigurationError

_BACKLOG: Final = 1024


def listen(host: str, port: int, name: str, of_group: bool = False) -> socket.socket:
    """A listening TCP socket.

    Parameters
    ----------
    port
        0 takes a free one.
    of_group
        Whether further sockets made like this may listen on the same port.

    Raises
    ------
    ConfigurationError
        The address cannot be bound; `name` is the section of the configuration that names it.
    """
    listener = _socket(host)
    try:
        if of_group:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listener.bind((host, port))
        listener.listen(_BACKLOG)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"{name}: cannot listen on {host}:{port} ({error.strerror}). Is another server running? Port 0 takes a free one.",
            setting=f"{name}.port",
        ) from error
    return listener


def listen_in_group(host: str, port: int, name: str, count: int) -> list[socket.socket]:
    """So many sockets on one port, which must be free: another server's group is not joined. Raises ConfigurationError."""
    if port:
        listen(host, port, name).close()
    first = listen(host, port, name, of_group=True)
    chosen = first.getsockname()[1]
    return [first, *(listen(host, chosen, name, of_group=True) for _ in range(count - 1))]


def address(listener: socket.socket) -> str:
    """``host:port``."""
    host, port = listener.getsockname()[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _socket(host: str) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    # What is accepted inherits it (tcp(7)). The end of an answer that is streamed would wait up to 40 ms, until what was sent before is acknowledged.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener
