"""The web process: an ASGI application served by granian on sockets that are already listening, without TLS and with it."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Final, Protocol

import structlog
from starlette.types import Receive, Scope, Send

from vna_core.configuration import HttpSettings
from vna_core.configuration.tls import TlsSettings
from vna_core.dicom.network.tls.contexts import FollowedContext, TlsFiles, server_context
from vna_core.gateways.web.certified import CertifiedServer, Refused
from vna_core.gateways.web.inherited import InheritedServer
from vna_core.gateways.web.memory import keep_pieces, leave_in_peace

GRACE: Final = 4
"""Seconds that requests under way may take to end after the stop."""
LONGEST: Final = 6 * 3600.0
"""Seconds that requests under way may take when a new certificate is taken."""
_LOOK: Final = 2.0
"""Seconds between looks at the files of a certificate."""

_log = structlog.get_logger(__name__)


class Application(Protocol):
    """An ASGI application that several servers may share, closed when none of them runs any more."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None: ...

    def close(self) -> None:
        """Give back what it holds."""


class _Server(Protocol):
    """One of the two kinds."""

    workers_kill_timeout: float

    async def serve(self) -> None: ...
    def signal_handler_interrupt(self) -> None: ...


_Make = Callable[[float], _Server]


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
        Is told of clients that came no further than the handshake, where principals have certificates.

    Raises
    ------
    ConfigurationError
        Certificate, key or authorities cannot be used.
    """
    keep_pieces()
    leave_in_peace()
    served: list[_Served] = []
    if listener is not None:
        served.append(_Served(partial(InheritedServer, app, listener, settings, None)))
    if secure is not None and tls is not None:
        files = TlsFiles.of(tls)
        make = partial(server_context, files, tls.http.client_certificates, tls.minimum_version)
        kind: _Make = partial(InheritedServer, app, secure, settings, tls)
        if settings.certificates:
            kind = partial(CertifiedServer, app, secure, settings, tls, refused)
        served.append(_Served(kind, FollowedContext(files, make)))
    try:
        asyncio.run(_serve(served, stop))
    finally:
        app.close()


class _Served:
    """One listening socket and the server on it.

    A server with TLS is replaced when its files have changed: the next one takes new connections, and the one before ends with its
    last request. The files are tried with a context of OpenSSL before.
    """

    def __init__(self, make: _Make, files: FollowedContext | None = None) -> None:
        self._make = make
        self._files = files
        self._context = files.current() if files is not None else None
        self._running: dict[asyncio.Task[None], _Server] = {}
        self._newest: asyncio.Task[None] | None = None

    def start(self, ended: Callable[[], None]) -> None:
        """Begin to serve; `ended` is called when the server that takes new connections ends."""
        server = self._make(GRACE)
        task = self._newest = asyncio.get_running_loop().create_task(server.serve())
        self._running[task] = server

        def over(task: asyncio.Task[None]) -> None:
            self._running.pop(task, None)
            if not task.cancelled() and (error := task.exception()) is not None:
                _log.error("web-server-failed", error=repr(error))
            if task is self._newest:
                ended()

        task.add_done_callback(over)

    def follow(self, ended: Callable[[], None]) -> None:
        """Take a new certificate where there is one."""
        if self._files is None or (context := self._files.current()) is self._context:
            return
        self._context = context
        before = list(self._running.values())
        self.start(ended)
        for one in before:
            one.workers_kill_timeout = LONGEST
            one.signal_handler_interrupt()

    async def end(self) -> None:
        """Let requests under way end, for so long as grace is given."""
        for one in self._running.values():
            one.workers_kill_timeout = GRACE
            one.signal_handler_interrupt()
        if self._running:
            await asyncio.wait(list(self._running), timeout=GRACE + 2)
        if self._running:
            _log.warning("web-requests-cut", grace=GRACE)


async def _serve(served: list[_Served], stop: threading.Event) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    for one in served:
        one.start(stopped.set)
    waiter = threading.Thread(target=_wait, args=(stop, loop, stopped), name="web-stop", daemon=True)
    waiter.start()
    try:
        while not stopped.is_set():
            try:
                async with asyncio.timeout(_LOOK):
                    await stopped.wait()
            except TimeoutError:
                for one in served:
                    one.follow(stopped.set)
        await asyncio.gather(*(one.end() for one in served))
    finally:
        stop.set()


def _wait(stop: threading.Event, loop: asyncio.AbstractEventLoop, stopped: asyncio.Event) -> None:
    stop.wait()
    if not loop.is_closed():
        loop.call_soon_threadsafe(stopped.set)
