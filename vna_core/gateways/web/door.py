"""Taking connections from a listening socket that several processes share."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sized
from dataclasses import dataclass
from typing import Final

import structlog

from vna_core.dicom.network.tls import HandshakeFailed, ServerTls
from vna_core.dicom.network.tls.stream import explained

CONCURRENT: Final = 1024
"""Connections served at the same time; more wait in the backlog."""
_HESITATION: Final = 0.002
"""Seconds that a process waits before it takes a connection, for each that it serves."""
_LONGEST_HESITATION: Final = 0.01
_FULL: Final = 0.05
"""Seconds until it is looked again whether there is room."""

_log = structlog.get_logger(__name__)


Refused = Callable[[str, HandshakeFailed], None]
"""Is told the address of a client that came no further than the handshake, and why."""


@dataclass(frozen=True, slots=True)
class Security:
    """How connections are encrypted.

    Attributes
    ----------
    refused
        Is told whom the handshake kept out.
    """

    tls: ServerTls
    refused: Refused


class Door:
    """Lets connections in, one at a time, until it is shut.

    A connection that arrives wakes all processes, and the first takes it: one that serves others already hesitates, so that an idler
    one is first.

    Parameters
    ----------
    make
        The protocol of a new connection.
    serving
        What is being served, over all doors of the process.
    security
        Speak TLS.
    """

    def __init__(
        self,
        listener: socket.socket,
        make: Callable[[], asyncio.Protocol],
        serving: Sized,
        security: Security | None,
    ) -> None:
        self._listener = listener
        self._make = make
        self._serving = serving
        self._security = security
        self._loop = asyncio.get_running_loop()
        self._entering: set[asyncio.Task[None]] = set()
        self._is_open = True
        listener.setblocking(False)  # another process may take the connection that woke us
        self._watch()

    def shut(self) -> None:
        """Let nobody in any more; handshakes under way are given up."""
        self._is_open = False
        self._loop.remove_reader(self._listener)
        for one in self._entering:
            one.cancel()

    @property
    def _inside(self) -> int:
        return len(self._serving) + len(self._entering)

    def _watch(self) -> None:
        if self._is_open:
            self._loop.add_reader(self._listener, self._arrived)

    def _arrived(self) -> None:
        if not self._inside:
            self._enter()
            return
        self._loop.remove_reader(self._listener)
        self._loop.call_later(min(self._inside * _HESITATION, _LONGEST_HESITATION), self._enter_and_watch)

    def _enter_and_watch(self) -> None:
        if self._inside >= CONCURRENT or not self._enter():
            self._loop.call_later(_FULL, self._watch)
        else:
            self._watch()

    def _enter(self) -> bool:
        """Take one connection, if it is still there. False: the system has none to give at present."""
        if not self._is_open:
            return True
        try:
            connection, address = self._listener.accept()
        except BlockingIOError:
            return True
        except OSError as error:
            _log.warning("accept-failed", error=error.strerror)
            return False
        task = self._loop.create_task(self._let_in(connection, address[0]))
        self._entering.add(task)
        task.add_done_callback(self._entering.discard)
        return True

    async def _let_in(self, connection: socket.socket, address: str) -> None:
        security = self._security
        try:
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if security is None:
                await self._loop.connect_accepted_socket(self._make, connection)
            else:
                context, seconds = security.tls.context(), security.tls.seconds
                await self._loop.connect_accepted_socket(self._make, connection, ssl=context, ssl_handshake_timeout=seconds)
        except OSError as error:
            connection.close()
            if security is not None:
                security.refused(address, explained(error))
