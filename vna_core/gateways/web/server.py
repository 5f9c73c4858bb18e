"""The web process: an ASGI application on sockets that are already listening, without TLS and with it."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
import time
from email.utils import formatdate
from functools import partial
from typing import Final, Protocol

import structlog
import uvloop
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.server import ServerState

from vna_core.configuration import HttpSettings
from vna_core.configuration.tls import TlsSettings
from vna_core.dicom.network.tls import ServerTls
from vna_core.gateways.web.connection import Connection
from vna_core.gateways.web.door import Door, Refused, Security
from vna_core.gateways.web.memory import keep_pieces, leave_in_peace

GRACE: Final = 4
"""Seconds that requests under way may take to end after the stop."""
_LOOK: Final = 0.05
"""Seconds between looks whether they have ended."""

_log = structlog.get_logger(__name__)


class Application(Protocol):
    """An ASGI application, closed when its server has ended."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def close(self) -> None:
        """Give back what it holds."""


def serve(
    app: Application,
    listener: socket.socket | None,
    settings: HttpSettings,
    stop: threading.Event,
    secure: socket.socket | None = None,
    tls: TlsSettings | None = None,
    refused: Refused = lambda _address, _error: None,
) -> None:
    """Serve until `stop` is set, then end within seconds: no new request begins, those under way may finish.

    Blocks; call it from the main thread of a process of its own. Several processes may serve one listening socket.

    Parameters
    ----------
    listener, secure
        Where connections arrive without TLS, and with it; at least one.
    refused
        Is told of clients that came no further than the TLS handshake.

    Raises
    ------
    ConfigurationError
        Certificate, key or authorities cannot be used.
    """
    keep_pieces()
    leave_in_peace()
    listeners: list[tuple[socket.socket, Security | None]] = []
    if listener is not None:
        listeners.append((listener, None))
    encrypted = None if tls is None else ServerTls.of(tls, "http")
    if secure is not None and encrypted is not None:
        listeners.append((secure, Security(encrypted, refused)))
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_serve(app, listeners, settings, stop, refused))
    finally:
        app.close()


async def _serve(
    app: Application,
    listeners: list[tuple[socket.socket, Security | None]],
    settings: HttpSettings,
    stop: threading.Event,
    refused: Refused,
) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    state = ServerState()
    make = partial(Connection, _config(app, settings), state, settings, refused)
    doors = [Door(one, make, state.connections, security) for one, security in listeners]
    waiter = threading.Thread(target=_wait, args=(stop, loop, stopped), name="web-stop", daemon=True)
    waiter.start()
    try:
        while not stopped.is_set():
            state.default_headers = [(b"date", formatdate(usegmt=True).encode())]
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0 - time.time() % 1.0):
                    await stopped.wait()
        for door in doors:
            door.shut()
        await _end(state)
    finally:
        stop.set()


def _config(app: Application, settings: HttpSettings) -> Config:
    """What uvicorn's protocol reads of its configuration. Nothing of a proxy is believed, and nothing of its own is logged."""
    config = Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        timeout_keep_alive=settings.header_timeout,  # type: ignore[arg-type]  # only given to the loop's timer
    )
    config.load()
    return config


async def _end(state: ServerState) -> None:
    """Let requests under way end, for so long as grace is given."""
    for connection in list(state.connections):
        connection.shutdown()
    deadline = time.monotonic() + GRACE
    while state.connections or state.tasks:
        if time.monotonic() >= deadline:
            _log.warning("web-requests-cut", grace=GRACE)
            break
        await asyncio.sleep(_LOOK)


def _wait(stop: threading.Event, loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    stop.wait()
    if not loop.is_closed():
        loop.call_soon_threadsafe(stopped.set)
