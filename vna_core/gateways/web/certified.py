"""HTTPS whose clients are known by their certificates: decrypted here, and passed on to the web server together with who it is.

The web server speaks TLS itself and faster, but tells no application whose certificate it saw. So this one is in its place only
where principals have certificates.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import structlog
from starlette.types import ASGIApp, Receive, Scope, Send

from vna_core.configuration import HttpSettings
from vna_core.configuration.tls import TlsSettings
from vna_core.dicom.network.tls import Certificate, HandshakeFailed, TlsFiles
from vna_core.dicom.network.tls.contexts import server_context
from vna_core.dicom.network.tls.stream import PeerNotTrusted, explained, shown
from vna_core.gateways.web.inherited import BACKLOG, CONCURRENT, InheritedServer

_PIECE: Final = 1 << 17
"""Octets that are passed on at once, and that may wait on each side."""

Refused = Callable[[str, HandshakeFailed], None]
"""Is told the address of a client that came no further than the handshake, and why."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Client:
    address: tuple[str, int]
    certificate: Certificate | None


class CertifiedServer:
    """As `InheritedServer` with TLS; the scope of each request holds the client's certificate as ``certificate`` (None: it showed none)."""

    def __init__(
        self,
        app: ASGIApp,
        listening_socket: socket.socket,
        settings: HttpSettings,
        tls: TlsSettings,
        refused: Refused,
        grace: float,
    ) -> None:
        self._listening = listening_socket.dup()
        self._listening.setblocking(False)
        self._seconds = tls.handshake_timeout
        self._context = server_context(TlsFiles.of(tls), tls.http.client_certificates, tls.minimum_version)
        self._refused = refused
        self._patience = settings.body_timeout
        self._clients: dict[int, _Client] = {}
        self._inside = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
        self._room = asyncio.Semaphore(CONCURRENT)
        self._open: set[asyncio.Task[None]] = set()
        self._stopped = asyncio.Event()
        self._server = InheritedServer(_Identified(app, self._clients), self._inside, settings, None, grace)

    @property
    def workers_kill_timeout(self) -> float:
        """Seconds that requests under way may take at the end."""
        return float(self._server.workers_kill_timeout)

    @workers_kill_timeout.setter
    def workers_kill_timeout(self, seconds: float) -> None:
        self._server.workers_kill_timeout = seconds

    def signal_handler_interrupt(self) -> None:
        """Accept nothing more; requests under way may end."""
        self._stopped.set()

    async def serve(self) -> None:
        """Serve until `signal_handler_interrupt`."""
        loop = asyncio.get_running_loop()
        serving = loop.create_task(self._server.serve())
        accepting = loop.create_task(self._accept())
        stopped = loop.create_task(self._stopped.wait())
        try:
            await asyncio.wait((serving, accepting, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            accepting.cancel()
            stopped.cancel()
            await asyncio.wait((accepting,))
            self._listening.close()
            self._server.signal_handler_interrupt()  # type: ignore[no-untyped-call]
            with self._inside:
                await serving
            for one in self._open:
                one.cancel()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await self._room.acquire()
            try:
                connection, address = await loop.sock_accept(self._listening)
            except OSError as error:
                self._room.release()
                _log.warning("accept-failed", error=error.strerror)
                await asyncio.sleep(0.1)
                continue
            task = loop.create_task(self._converse(connection, address[:2]))
            self._open.add(task)
            task.add_done_callback(self._over)

    def _over(self, task: asyncio.Task[None]) -> None:
        self._open.discard(task)
        self._room.release()
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("connection-failed", error=repr(error))

    async def _converse(self, connection: socket.socket, address: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(_PIECE, loop)
        protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
        try:
            transport, _ = await loop.connect_accepted_socket(
                lambda: protocol, connection, ssl=self._context, ssl_handshake_timeout=self._seconds
            )
        except OSError as error:
            connection.close()
            self._refused(address[0], explained(error))
            return
        writer = asyncio.StreamWriter(transport, protocol, reader, loop)
        with contextlib.closing(writer), contextlib.suppress(OSError):
            try:
                certificate = shown(transport.get_extra_info("ssl_object").getpeercert(binary_form=True))
            except PeerNotTrusted as error:
                self._refused(address[0], error)
                return
            await self._pass_on(reader, writer, _Client(address, certificate))

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, client: _Client) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*self._inside.getsockname(), limit=_PIECE)
        place = inner_writer.get_extra_info("sockname")[1]
        self._clients[place] = client
        pumps = [
            asyncio.create_task(_pump(reader, inner_writer, None)),
            asyncio.create_task(_pump(inner_reader, writer, self._patience)),
        ]
        try:
            await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in pumps:
                one.cancel()
            del self._clients[place]  # before the port may be another's
            inner_writer.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, patience: float | None) -> None:
    """Pass octets on until one side ends, or takes nothing for so many seconds."""
    with contextlib.suppress(OSError):  # TimeoutError is one
        while piece := await reader.read(_PIECE):
            writer.write(piece)
            async with asyncio.timeout(patience):
                await writer.drain()


class _Identified:
    """Tells the application who is at the other end of a connection that was passed on; serves no other."""

    def __init__(self, app: ASGIApp, clients: dict[int, _Client]) -> None:
        self._app = app
        self._clients = clients

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        client = self._clients.get(int((scope.get("client") or ("", 0))[1]))
        if client is None:
            start: dict[str, Any] = {"type": "http.response.start", "status": 403, "headers": [(b"connection", b"close")]}
            await send(start)
            await send({"type": "http.response.body", "body": b""})
            return
        scope.update(scheme="https", client=client.address, certificate=client.certificate)
        await self._app(scope, receive, send)
