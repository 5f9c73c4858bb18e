"""A TLS connection with the methods of a blocking socket that an association and a feed use.

OpenSSL works on memory, and the octets go through the socket in large pieces: its time-outs and its end reach the caller as they
do without TLS, and a piece of several records costs one system call.
"""

from __future__ import annotations

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Iterable, Iterator
from typing import Final, Protocol

from vna_core.dicom.network.tls.certificates import Certificate
from vna_core.domain.errors import PeerUnavailable

_HANDSHAKE: Final = 0x16
"""Content type that a TLS connection begins with (RFC 8446 section 5.1)."""
_RECEIVED: Final = 1 << 17
_WRITTEN: Final = 1 << 18
"""Octets that are encrypted before they are sent."""


class Stream(Protocol):
    """What is used of a connection: a blocking socket has it."""

    def fileno(self) -> int: ...
    def recv_into(self, buffer: memoryview, /) -> int: ...
    def sendmsg(self, buffers: Iterable[bytes | memoryview], /) -> int: ...
    def setsockopt(self, level: int, option: int, value: int | bytes, /) -> None: ...
    def shutdown(self, how: int, /) -> None: ...
    def close(self) -> None: ...


class HandshakeFailed(PeerUnavailable):
    """No encrypted connection came about: the other side speaks no TLS, or one side does not accept the other."""

    code = "tls-handshake"


class PeerNotTrusted(HandshakeFailed):
    """The other side showed a certificate that is not accepted, or none where one is needed."""

    code = "peer-not-trusted"


class TlsStream:
    """Encrypts what goes through a connected blocking socket, which belongs to it from then on. Used by one thread at a time;
    `shutdown` of the reading side may be called by any.

    Parameters
    ----------
    name
        As a client: name of the server in its certificate.
    """

    def __init__(self, connection: socket.socket, context: ssl.SSLContext, name: str = "", as_server: bool = False) -> None:
        self._socket = connection
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = context.wrap_bio(self._incoming, self._outgoing, server_side=as_server, server_hostname=name or None)
        self._piece = bytearray(_RECEIVED)
        self._view = memoryview(self._piece)
        self._first = True

    def handshake(self, seconds: float) -> None:
        """Agree on keys within so many seconds, however slowly octets drip. Raises HandshakeFailed."""
        deadline = time.monotonic() + seconds
        try:
            while True:
                try:
                    self._ssl.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                    self._flush()
                    self._socket.settimeout(max(0.001, deadline - time.monotonic()))
                    if not self._take():
                        raise HandshakeFailed("The peer ended the connection during the TLS handshake.") from None
            self._flush()
            self._socket.settimeout(None)
        except OSError as error:
            if isinstance(error, ssl.SSLError):
                with contextlib.suppress(OSError):
                    self._flush()  # the alert that tells the other side why
            raise explained(error) from error

    @property
    def certificate(self) -> Certificate | None:
        """The peer's certificate, once the handshake is over; None: it showed none. Raises PeerNotTrusted where it cannot be read."""
        return shown(self._ssl.getpeercert(binary_form=True))

    def recv_into(self, buffer: memoryview) -> int:
        """What has arrived, as much as there is room for; waits for the first octet. 0: the peer has ended the connection."""
        got = 0
        while got < len(buffer):
            try:
                read = int(self._ssl.read(len(buffer) - got, buffer[got:]))  # type: ignore[call-overload]
            except ssl.SSLWantReadError:
                if got:
                    break
                self._flush()  # an answer of the protocol itself, to a change of keys
                self._take()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                break
            else:
                if not read:
                    break
                got += read
        return got

    def recv(self, size: int) -> bytes:
        """As `recv_into`, in new octets."""
        buffer = bytearray(size)
        return bytes(buffer[: self.recv_into(memoryview(buffer))])

    def sendmsg(self, buffers: Iterable[bytes | memoryview]) -> int:
        """Send all of it; how many octets it was."""
        sent = 0
        for piece in _joined(buffers):
            self._ssl.write(piece)
            sent += len(piece)
            if self._outgoing.pending >= _WRITTEN:
                self._flush()
        self._flush()
        return sent

    def sendall(self, octets: bytes) -> None:
        """Send all of it."""
        self.sendmsg([octets])

    def pending(self) -> bool:
        """Whether octets are here that `recv_into` would not have to wait for, as far as can be seen."""
        return bool(self._ssl.pending() or self._incoming.pending)

    def fileno(self) -> int:
        """Descriptor of the socket."""
        return self._socket.fileno()

    def setsockopt(self, level: int, option: int, value: int | bytes) -> None:
        """Set an option of the socket."""
        self._socket.setsockopt(level, option, value)

    def settimeout(self, seconds: float | None) -> None:
        """Seconds that one call may wait for the socket; None: no limit of ours."""
        self._socket.settimeout(seconds)

    def shutdown(self, how: int) -> None:
        """End the reading or the writing side; the peer is told that nothing follows."""
        if how != socket.SHUT_RD:
            with contextlib.suppress(ssl.SSLError, OSError):
                try:
                    self._ssl.unwrap()
                except ssl.SSLWantReadError:  # the peer's own end is not waited for
                    self._flush()
        self._socket.shutdown(how)

    def close(self) -> None:
        """Close the socket. May be called twice."""
        self._socket.close()

    def _take(self) -> int:
        """Have octets from the socket decrypted next; 0 at its end."""
        got = self._socket.recv_into(self._view)
        if got and self._first:
            self._first = False
            if self._piece[0] != _HANDSHAKE:
                raise HandshakeFailed("The peer speaks without encryption on a connection with TLS.")
        if got:
            self._incoming.write(self._view[:got])
        else:
            self._incoming.write_eof()
        return got

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._socket.sendall(self._outgoing.read())


def shown(der: bytes | None) -> Certificate | None:
    """The certificate that a peer has shown. Raises PeerNotTrusted for octets that OpenSSL let pass and that are none."""
    try:
        return Certificate.of_der(der) if der else None
    except ValueError as error:
        raise PeerNotTrusted("The peer's certificate cannot be read.") from error


def complete(connection: ssl.SSLSocket, seconds: float) -> None:
    """The handshake of a socket of the standard library, within so many seconds. Raises HandshakeFailed."""
    deadline = time.monotonic() + seconds
    connection.settimeout(0)
    try:
        while True:
            wanted: tuple[list[ssl.SSLSocket], list[ssl.SSLSocket]]
            try:
                connection.do_handshake()
                return
            except ssl.SSLWantReadError:
                wanted = [connection], []
            except ssl.SSLWantWriteError:
                wanted = [], [connection]
            if not any(select.select(*wanted, [], max(0.0, deadline - time.monotonic()))):
                raise HandshakeFailed("The peer took too long for the TLS handshake.")
    except OSError as error:
        raise explained(error) from error


def _joined(buffers: Iterable[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    """The same octets in fewer pieces: each piece makes a record of its own, and headers are short."""
    held = bytearray()
    for one in buffers:
        if len(held) + len(one) > _WRITTEN and held:
            yield bytes(held)
            held.clear()
        if len(one) >= _WRITTEN:
            yield one
        else:
            held += one
    if held:
        yield bytes(held)


def explained(error: OSError) -> HandshakeFailed:
    """What a handshake failed of, in one sentence."""
    if isinstance(error, TimeoutError | ConnectionAbortedError) and not isinstance(error, ssl.SSLError):
        return HandshakeFailed("The peer took too long for the TLS handshake.")
    if not isinstance(error, ssl.SSLError):
        return HandshakeFailed(f"The connection broke during the TLS handshake: {error.strerror or error}.")
    if isinstance(error, ssl.SSLCertVerificationError):
        return PeerNotTrusted(f"The peer's certificate is not accepted: {error.verify_message.rstrip('.')}.")
    reason = (error.reason or str(error)).lower().replace("_", " ")
    if reason == "peer did not return a certificate":
        return PeerNotTrusted("The peer shows no certificate, and one is required.")
    if reason in ("wrong version number", "http request", "record layer failure"):
        return HandshakeFailed("The peer speaks without encryption on a connection with TLS.")
    if "alert" in reason:
        return HandshakeFailed(f"The peer refused the TLS connection ({reason}).")
    return HandshakeFailed(f"The TLS handshake failed: {reason}.")
