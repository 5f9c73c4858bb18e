"""A client for sources that speak HTTP (PS3.18, and vendors' own interfaces): persistent connections, streams, everything bounded.

It stands on the standard library's client, because its sockets can be interrupted when a deadline is cancelled. Redirects are not
followed and no environment is read: a source must not be able to send our credentials elsewhere.
"""

from __future__ import annotations

import base64
import contextlib
import http.client
import json
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from queue import Empty, LifoQueue
from typing import Any, Final
from urllib.parse import SplitResult, quote, urlencode

from pydantic_core import from_json

from vna_core.dicom.network.refusal import READ, said
from vna_core.dicom.network.tls import ClientTls, HandshakeFailed
from vna_core.domain.deadline import Deadline, seconds_left
from vna_core.domain.errors import LimitExceeded, NotFound, NotOffered, PeerError, PeerRefused, PeerUnavailable, VnaError

CONNECT: Final = 10.0
SILENCE: Final = 300.0
"""Seconds that a source may think before it says something."""
LARGEST_DOCUMENT: Final = 256 << 20
"""Longest document that is read into memory, in octets."""
PIECE: Final = 1 << 20
_ARRIVED: Final = 1 << 16
"""Octets that are asked for where there may be fewer: the standard library makes room for all of them each time."""

_LEFT_OVER: Final = 1 << 16
"""Octets of an unread answer that are read to keep its connection; beyond that it is closed."""
_DOWN: Final = frozenset((408, 425, 429, 502, 503, 504))


class Answer:
    """The answer to one request, read piece by piece."""

    def __init__(self, response: http.client.HTTPResponse, deadline: Deadline | None) -> None:
        self._response = response
        self._deadline = deadline
        self.status = response.status

    def header(self, name: str) -> str:
        """A header field; empty when absent."""
        return self._response.headers.get(name) or ""

    def headers(self, name: str) -> list[str]:
        """Every header field of that name."""
        return self._response.headers.get_all(name) or []

    @property
    def tells_length(self) -> bool:
        """Whether the body's length is known, and something of it is left."""
        return bool(self._response.length)

    def octets(self, size: int) -> bytes:
        """The next octets of a body of known length, in one object; fewer where it ends. Raises PeerUnavailable."""
        return self._read(self._response.read, size)

    def line(self, longest: int) -> bytes:
        """The next line of a body of known length, with its end; no more than `longest` octets of it. Raises PeerUnavailable."""
        return self._read(self._response.readline, longest)

    def _read(self, read: Callable[[int], bytes], size: int) -> bytes:
        if self._deadline is not None:
            self._deadline.check()
        try:
            return read(size)
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error

    def pieces(self) -> Iterator[bytes]:
        """The body, or what is left of it. Raises PeerUnavailable where it ends before its time."""
        try:
            while piece := self._next_piece():
                yield piece
                if self._deadline is not None:
                    self._deadline.check()
            if self._response.length:  # the standard library tells a short body of known length only to whoever reads it whole
                raise PeerUnavailable("The source cut its answer short.")
        except http.client.IncompleteRead as error:
            raise PeerUnavailable("The source cut its answer short.") from error
        except (OSError, http.client.HTTPException) as error:
            raise _broken(error) from error

    def _next_piece(self) -> bytes:
        """What is to come next: of a body of known length a whole piece, of any other what has arrived."""
        if self._response.length is None:
            return self._response.read1(_ARRIVED)
        return self._response.read(PIECE)

    def whole(self, maximum: int = LARGEST_DOCUMENT) -> bytes:
        """The body in memory. Raises LimitExceeded."""
        body = bytearray()
        for piece in self.pieces():
            body += piece
            if len(body) > maximum:
                raise LimitExceeded("A document of the source is too long.", limit="document", maximum=maximum)
        return bytes(body)


class WebClient:
    """Requests to one source. May be used by several threads.

    Parameters
    ----------
    address
        Scheme ``http`` or ``https``, host and port; the path is put before every path that is asked for.
    headers
        Sent with every request (authorization).
    tls
        How the source is recognized where the scheme is ``https``; None: by the system's authorities and the name of its host.
    asks_why
        What the source says when it refuses is in the field ``said`` of the error. It may name patients: not for errors that go to a log.

    Raises
    ------
    ConfigurationError
        Certificates cannot be used.
    """

    def __init__(
        self, address: SplitResult, headers: Mapping[str, str], tls: ClientTls | None = None, *, asks_why: bool = False
    ) -> None:
        self._asks_why = asks_why
        self._host, self._port = address.hostname or "", address.port
        self._prefix = address.path.rstrip("/")
        self._headers = {"Accept-Encoding": "identity", "User-Agent": "vna", **headers}
        self._tls = (tls or ClientTls()) if address.scheme == "https" else None
        if self._tls is not None:
            self._tls.check()
        self._idle: LifoQueue[http.client.HTTPConnection] = LifoQueue()
        self._lock = threading.Lock()
        self._closed = False

    def document(
        self,
        path: str,
        parameters: Mapping[str, str] | list[tuple[str, str]] | None = None,
        *,
        body: object = None,
        accept: str = "application/json",
        deadline: Deadline | None = None,
    ) -> Any:
        """A JSON document, or None for an answer without content. Raises as `request`, and PeerError for what is no JSON."""
        return self.document_and_answer(path, parameters, body=body, accept=accept, deadline=deadline)[0]

    def document_and_answer(
        self,
        path: str,
        parameters: Mapping[str, str] | list[tuple[str, str]] | None = None,
        *,
        body: object = None,
        accept: str = "application/json",
        deadline: Deadline | None = None,
    ) -> tuple[Any, Answer]:
        """The same, with the answer's header fields."""
        pairs = list(parameters.items()) if isinstance(parameters, Mapping) else parameters or []
        # What RFC 3986 section 3.4 allows stays as it is: some services do not decode what they would not have to.
        query = urlencode(pairs, quote_via=quote, safe="*?,:@!$'()/~")
        target = f"{path}?{query}" if query else path
        with self.request(target, body=body, accept=accept, deadline=deadline) as answer:
            raw = answer.whole()
        if not raw.strip():
            return None, answer
        return _document(raw), answer

    @contextlib.contextmanager
    def request(
        self,
        target: str,
        *,
        body: object = None,
        content: tuple[str, bytes] | None = None,
        accept: str = "*/*",
        deadline: Deadline | None = None,
    ) -> Iterator[Answer]:
        """GET, or POST of a JSON document (`body`) or of octets with their media type (`content`), with a good answer.

        Raises
        ------
        PeerUnavailable
            No connection, no answer in time, or the source asks to come again later.
        NotFound, NotOffered, PeerRefused, PeerError
            404 or 410; 405, 406, 415 or 501; 401 or 403; every other answer that is not 2xx.
        """
        if body is not None:
            content = ("application/json", json.dumps(body).encode("utf-8"))
        media_type, encoded = content if content is not None else ("", None)
        headers = {**self._headers, "Accept": accept, **({"Content-Type": media_type} if media_type else {})}
        connection, response = self._answered(self._prefix + target, encoded, headers, deadline)
        keep = False
        wake = connection.sock
        with deadline.waking(lambda: _interrupt(wake)) if deadline is not None else contextlib.nullcontext():
            try:
                _check_status(response)
                yield Answer(response, deadline)
                keep = _read_out(response)
            except VnaError as error:
                if self._asks_why and not 200 <= response.status < 300:
                    error.fields["said"] = _said(response)
                if isinstance(error, (NotFound, NotOffered)):
                    keep = _read_out(response)
                raise
            finally:
                if keep and not response.will_close and not self._closed:
                    self._idle.put(connection)
                else:
                    connection.close()

    def close(self) -> None:
        """Close what is idle; requests that run close their connections themselves."""
        self._closed = True
        with contextlib.suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    def _answered(
        self, target: str, body: bytes | None, headers: Mapping[str, str], deadline: Deadline | None
    ) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        """Send the request; once more over a new connection where an idle one turns out to be closed."""
        while True:
            if deadline is not None:
                deadline.check()
            connection, fresh = self._connection()
            try:
                connection.timeout = max(0.001, seconds_left(deadline, CONNECT))
                if connection.sock is None:
                    connection.connect()
                wake: socket.socket = connection.sock
                wake.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                wake.settimeout(max(0.001, seconds_left(deadline, SILENCE)))
                with deadline.waking(lambda sock=wake: _interrupt(sock)) if deadline is not None else contextlib.nullcontext():  # type: ignore[misc]
                    connection.request("GET" if body is None else "POST", target, body, dict(headers))
                    return connection, connection.getresponse()
            except HandshakeFailed:
                connection.close()
                raise
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if fresh or isinstance(error, TimeoutError):
                    raise _broken(error) from error

    def _connection(self) -> tuple[http.client.HTTPConnection, bool]:
        try:
            return self._idle.get_nowait(), False
        except Empty:
            if self._tls is None:
                return http.client.HTTPConnection(self._host, self._port), True
            return _SecureConnection(self._host, self._port or http.client.HTTPS_PORT, self._tls), True


class _SecureConnection(http.client.HTTPConnection):
    """A connection with TLS."""

    default_port = http.client.HTTPS_PORT  # which is left out of the field Host

    def __init__(self, host: str, port: int, tls: ClientTls) -> None:
        super().__init__(host, port)
        self._tls = tls

    def connect(self) -> None:
        """Raises OSError, HandshakeFailed."""
        super().connect()
        self.sock = self._tls.secured_socket(self.sock, self.host)


def _document(raw: bytes) -> Any:
    """A JSON document. Raises PeerError for what is none."""
    with contextlib.suppress(ValueError):
        return from_json(raw)
    # What the quick reader refuses may be JSON: half a surrogate pair, or an encoding that is found out.
    try:
        return json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise PeerError("The source answered with something that is no JSON document.") from error


def authorization(address: SplitResult, token: str, user: str, password: str) -> dict[str, str]:
    """The Authorization header field for a bearer token, or for a name and a password (also those in the address)."""
    if token:
        return {"Authorization": f"Bearer {token}"}
    name, secret = user or address.username or "", password or address.password or ""
    if not name:
        return {}
    return {"Authorization": "Basic " + base64.b64encode(f"{name}:{secret}".encode()).decode("ascii")}


def _check_status(response: http.client.HTTPResponse) -> None:
    status = response.status
    if 200 <= status < 300:
        if (response.headers.get("Content-Encoding") or "identity").lower() != "identity":
            raise PeerError("The source compressed its answer though it was not asked to.")
        return
    if status in (404, 410):
        raise NotFound("The source does not have it.")
    if status in (405, 406, 415, 501):
        raise NotOffered(f"The source does not offer this (HTTP {status}).", status=status)
    if status in (401, 403):
        raise PeerRefused(f"The source refuses us (HTTP {status}): check token, user and password.", status=status)
    if status in _DOWN:
        raise PeerUnavailable(f"The source asks to come again later (HTTP {status}).", status=status)
    raise PeerError(f"The source answered with HTTP {status}.", status=status)


def _said(response: http.client.HTTPResponse) -> str:
    """What the source says of its refusal; empty where it says nothing, or nothing that can be read."""
    octets = b""
    with contextlib.suppress(OSError, http.client.HTTPException):
        while len(octets) < READ and (piece := response.read1(READ - len(octets))):
            octets += piece
    return said(response.headers.get("Content-Type") or "", octets)


def _read_out(response: http.client.HTTPResponse) -> bool:
    """Whether the answer is over, so that its connection can be used again."""
    try:
        left = _LEFT_OVER
        while not response.isclosed() and left > 0:
            piece = response.read1(left)
            if not piece:
                break
            left -= len(piece)
    except (OSError, http.client.HTTPException):
        return False
    return response.isclosed()


def _interrupt(connection: socket.socket | None) -> None:
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)


def _broken(error: Exception) -> PeerUnavailable:
    if isinstance(error, TimeoutError):
        return PeerUnavailable("The source was silent for too long.")
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return PeerUnavailable(f"The connection to the source failed: {reason}.")
