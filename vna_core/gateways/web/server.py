"""The web process: an ASGI application served by granian on a socket that is already listening."""

from __future__ import annotations

import asyncio
import socket
import threading
from typing import Any, Final

import structlog
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server
from starlette.types import ASGIApp

from vna_core.configuration import HttpSettings
from vna_core.gateways.web.memory import keep_pieces, leave_in_peace

GRACE: Final = 4
"""Seconds that requests under way may take to end after the stop."""
BACKLOG: Final = 1024
CONCURRENT: Final = 1024
"""Connections served at the same time; more wait in the backlog."""

_log = structlog.get_logger(__name__)


class _Inherited(Server):  # type: ignore[misc]
    """granian's embedded server on a listening socket of ours instead of one that it opens itself."""

    def __init__(self, app: ASGIApp, listening_socket: socket.socket, settings: HttpSettings) -> None:
        self._listening = listening_socket
        super().__init__(
            app,
            interface=Interfaces.ASGI,
            http=HTTPModes.http1,
            websockets=False,
            backlog=BACKLOG,
            backpressure=CONCURRENT,
            http1_settings=HTTP1Settings(header_read_timeout=int(settings.header_timeout * 1000)),
            log_enabled=False,
        )
        self.workers_kill_timeout = GRACE

    def _init_shared_socket(self) -> None:
        from granian._granian import SocketHolder

        # The holder owns its descriptor; the caller keeps the original.
        self._shd: Any = SocketHolder(self._listening.dup().detach(), False, BACKLOG)  # type: ignore[call-arg]
        self._sfd = self._shd.get_fd()
        self._ssp = None


def serve(app: ASGIApp, listening_socket: socket.socket, settings: HttpSettings, stop: threading.Event) -> None:
    """Serve until `stop` is set, then end within seconds: no new request begins, those under way may finish.

    Blocks; call it from the main thread of a process of its own. Several processes may serve one listening socket.
    """
    keep_pieces()
    leave_in_peace()
    asyncio.run(_serve(app, listening_socket, settings, stop))


async def _serve(app: ASGIApp, listening_socket: socket.socket, settings: HttpSettings, stop: threading.Event) -> None:
    loop = asyncio.get_running_loop()
    server = _Inherited(app, listening_socket, settings)
    stopped = asyncio.Event()
    serving = loop.create_task(server.serve())
    serving.add_done_callback(lambda _: stopped.set())
    waiter = threading.Thread(target=_wait, args=(stop, loop, stopped), name="web-stop", daemon=True)
    waiter.start()
    await stopped.wait()
    server.signal_handler_interrupt()  # type: ignore[no-untyped-call]
    try:
        async with asyncio.timeout(GRACE + 2):
            await serving
    except TimeoutError:
        _log.warning("web-requests-cut", grace=GRACE)
    finally:
        stop.set()


def _wait(stop: threading.Event, loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    stop.wait()
    if not loop.is_closed():
        loop.call_soon_threadsafe(stopped.set)
