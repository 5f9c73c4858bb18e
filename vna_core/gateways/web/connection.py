"""One HTTP connection: uvicorn's protocol, with bounds on what a client may send and on how long it may stand still."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct
from typing import Any, Final

import httptools
from starlette.types import Receive, Scope, Send
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from vna_core.configuration import HttpSettings
from vna_core.dicom.network.tls import Certificate, PeerNotTrusted
from vna_core.dicom.network.tls.stream import shown
from vna_core.gateways.web.body import Body
from vna_core.gateways.web.door import Refused
from vna_core.gateways.web.pieces import PIECES, Octets

MAX_HEAD: Final = 1 << 18
"""Octets of a request's head, and of the fields behind a chunked body (RFC 9112 section 7.1.2)."""
MAX_FIELDS: Final = 128
"""Header fields of a request."""
MAX_WAITING: Final = 64
"""Requests of one connection that wait for the answers to those before."""
LINGER: Final = 2.0
"""Seconds in which a client may notice an answer that came before the end of its body."""

_AT_ONCE: Final = struct.pack("ii", 1, 0)  # struct linger of socket(7)


class OverLimit(Exception):
    """A head is too long, or too many requests wait. The parser makes an error of its own of it."""


class Connection(HttpToolsProtocol):
    """One connection, from its first octet to its end.

    A head must be whole within ``http.header_timeout``, and so must the pause between two requests, and what is left of a body that was
    answered without being read; an answer that is complete must get on its way within ``http.body_timeout`` at a time. An answer that breaks off ends the connection: no client takes it
    for whole. Where principals have certificates, the scope of a request holds the client's as ``certificate`` (None: it showed none).
    """

    def __init__(self, config: Config, state: ServerState, settings: HttpSettings, refused: Refused) -> None:
        super().__init__(config, state, {})
        self._settings = settings
        self._refused = refused
        self._in_head = True
        self._undecided = 0
        self._decided = False
        self._head_timer: asyncio.TimerHandle | None = None
        self._answered: RequestResponseCycle | None = None
        self._gathered: list[Octets] = []
        self._certificate: Certificate | None = None
        self._lingers = False
        self._is_lost = False

    # -- arriving ---------------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._wait_for_head()
        encrypted: ssl.SSLObject | None = transport.get_extra_info("ssl_object")
        if encrypted is None or not self._settings.certificates:
            return
        try:
            self._certificate = shown(encrypted.getpeercert(binary_form=True))
        except PeerNotTrusted as error:
            self._refused(transport.get_extra_info("peername")[0], error)
            self._reset()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self.scope["certificate"] = self._certificate  # type: ignore[typeddict-unknown-key]

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_lost = True
        self._head_is_whole()
        self._unset_keepalive_if_required()
        self.pipeline.clear()
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True  # the base class tells only the last request that came
            self._answered.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingers:
            return
        self._unset_keepalive_if_required()
        self._decided = False
        try:
            self._feed(data)
            self._undecided = 0 if self._decided else self._undecided + len(data)
            if self._undecided > MAX_HEAD:  # the parser keeps what it has of a head, or of the fields behind a body
                raise httptools.HttpParserError("The head is too long.")
        except httptools.HttpParserError:
            self._refuse()
            return
        if self._head_timer is None and (self._in_head or not self._is_answering):
            self._wait_for_head()

    def _feed(self, data: bytes) -> None:
        """Parse. Whoever asks for another protocol is answered in this one (RFC 9110 section 7.8), and what they send next as well."""
        while True:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as asked:
                data = data[asked.args[0] :]
                self.parser = httptools.HttpRequestParser(self)

    def on_header(self, name: bytes, value: bytes) -> None:
        if len(self.headers) >= MAX_FIELDS:
            raise OverLimit
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._decided = True
        self._head_is_whole()
        if len(self.pipeline) >= MAX_WAITING:
            raise OverLimit
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._decided = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._decided = True
        self._in_head = True

    def _head_is_whole(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _wait_for_head(self) -> None:
        self._head_timer = self.loop.call_later(self._settings.header_timeout, self._head_is_late)

    def _head_is_late(self) -> None:
        self._head_timer = None
        if self._is_answering:
            self._wait_for_head()
        else:
            self._reset()

    def _refuse(self) -> None:
        """Answer what is no HTTP, unless an answer is under way: nothing may come into its midst."""
        if self._is_answering:
            self._reset()
        elif not self.transport.is_closing():
            self._send_gathered()
            self.send_400_response("Invalid HTTP request received.")

    def _reset(self) -> None:
        """End the connection at once, and have the system forget what the client has not taken from it."""
        if not self._is_lost:
            own: socket.socket = self.transport.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
            self.transport.abort()

    # -- answering --------------------------------------------------------------------------------------------------------

    @property
    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        cycle.transport = _Ending(self, cycle)  # type: ignore[assignment]

        scope: dict[str, Any] = cycle.scope  # type: ignore[assignment]
        scope["extensions"] = {PIECES: {}}

        async def answered(scope: Scope, receive: Receive, _send: Send) -> None:
            try:
                await app(scope, receive, Body(cycle, self.gather))
            finally:
                if cycle.response_started and not cycle.response_complete:
                    cycle.disconnected = True
                    self._send_gathered()
                    self.transport.close()
                    self._see_sent(self.transport.get_write_buffer_size())

        super()._start_asgi_task(cycle, answered)  # type: ignore[arg-type]  # Starlette's names for uvicorn's types

    def gather(self, octets: Octets) -> None:
        """Send octets of an answer with all that is written before the loop goes on: by one call of the system, and in full segments."""
        if not self._gathered:
            self.loop.call_soon(self._send_gathered)
        self._gathered.append(octets)

    def _send_gathered(self) -> None:
        gathered, self._gathered = self._gathered, []
        if gathered and not self.transport.is_closing():
            self.transport.writelines(gathered)

    def on_response_complete(self) -> None:
        self._send_gathered()
        if not self._lingers:
            super().on_response_complete()
        self._see_sent(self.transport.get_write_buffer_size())

    def _see_sent(self, unsent: int) -> None:
        """Look later whether the client went on reading, where it has not read all."""
        if unsent:
            self.loop.call_later(self._settings.body_timeout, self._sent, unsent)

    def _sent(self, before: int) -> None:
        if self._is_lost or (self._is_answering and not self.transport.is_closing()):
            return
        unsent = self.transport.get_write_buffer_size()
        if unsent < before:
            self._see_sent(unsent)
        else:
            self._reset()

    def close_after(self, cycle: RequestResponseCycle) -> None:
        """End the connection behind an answer.

        A client that is still sending gets time to see the answer: a socket that is closed on unread octets is reset, and the
        answer is lost with it.
        """
        self._send_gathered()
        if not cycle.more_body or self._lingers or not self.transport.can_write_eof() or self.transport.is_closing():
            self.transport.close()
            return
        self._lingers = True
        self.transport.write_eof()
        self.flow.resume_reading()
        self.loop.call_later(LINGER, self.transport.close)


class _Ending:
    """The transport as one answer sees it: what is written without a pause is sent together."""

    __slots__ = ("_connection", "_cycle", "is_closing", "write")

    def __init__(self, connection: Connection, cycle: RequestResponseCycle) -> None:
        self._connection = connection
        self._cycle = cycle
        self.write = connection.gather
        self.is_closing = connection.transport.is_closing

    def close(self) -> None:
        """The answer was the last of its connection."""
        self._connection.close_after(self._cycle)
