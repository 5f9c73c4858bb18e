"""Speaks TLS in front of a server that does not, as hospitals have it before their web services."""

from __future__ import annotations

import contextlib
import socket
import ssl
import threading
from collections.abc import Iterator


@contextlib.contextmanager
def tls_in_front_of(port: int, context: ssl.SSLContext) -> Iterator[int]:
    """A port of 127.0.0.1 with TLS for as long as the block runs; what arrives there goes to `port`."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        accepting = threading.Thread(target=_accept, args=(listener, port, context), daemon=True)
        accepting.start()
        try:
            yield listener.getsockname()[1]
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            accepting.join(10)


def _accept(listener: socket.socket, port: int, context: ssl.SSLContext) -> None:
    while True:
        try:
            connection, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_serve, args=(connection, port, context), daemon=True).start()


def _serve(connection: socket.socket, port: int, context: ssl.SSLContext) -> None:
    with contextlib.suppress(OSError), connection:
        connection.settimeout(30)
        with (
            context.wrap_socket(connection, server_side=True) as outside,
            socket.create_connection(("127.0.0.1", port)) as inside,
        ):
            answering = threading.Thread(target=_pass_on, args=(inside, outside), daemon=True)
            answering.start()
            _pass_on(outside, inside)
            answering.join(30)


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while piece := source.recv(65_536):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
