"""Connections of a face that serves each in a thread, from its listening sockets without TLS and with it."""

from __future__ import annotations

import select
import socket
from typing import NamedTuple

from vna_core.dicom.network.tls import HandshakeFailed, PeerNotTrusted, ServerTls
from vna_core.domain.audit import Auditor, not_authenticated
from vna_core.metering import Meter
from vna_core.metering.metrics import TLS_FAILURES


class Accepted(NamedTuple):
    """A connection that blocks, from whom it comes, and how it is to be encrypted (None: not at all)."""

    connection: socket.socket
    address: str
    tls: ServerTls | None


class Listening:
    """The listening sockets of a face; at least one.

    Parameters
    ----------
    plain, secure
        Where connections arrive without TLS, and with it.
    """

    def __init__(self, plain: socket.socket | None, secure: socket.socket | None, tls: ServerTls | None) -> None:
        self._poll = select.poll()
        self._sockets: dict[int, tuple[socket.socket, ServerTls | None]] = {}
        for one, spoken in ((plain, None), (secure, tls)):
            if one is not None:
                one.setblocking(False)  # inherited by several processes: another one may take the connection that woke us
                self._poll.register(one, select.POLLIN)
                self._sockets[one.fileno()] = one, spoken

    def wait(self, milliseconds: int) -> list[int]:
        """Where connections have arrived; nowhere, when the time is over."""
        return [descriptor for descriptor, _ in self._poll.poll(milliseconds)]

    def accept(self, descriptor: int) -> Accepted | None:
        """The connection that arrived there; None: somebody else has taken it. Raises OSError: the system gives none now."""
        listener, tls = self._sockets[descriptor]
        try:
            connection, address = listener.accept()
        except BlockingIOError:
            return None
        connection.setblocking(True)
        return Accepted(connection, address[0], tls)


def note_refused(face: str, address: str, error: HandshakeFailed, meter: Meter, auditor: Auditor) -> None:
    """Count a connection that came no further than the TLS handshake; who could not prove who it is stands in the audit trail too."""
    meter.count(TLS_FAILURES, face)
    if isinstance(error, PeerNotTrusted):
        auditor.note_access(not_authenticated("", address, error.message))
