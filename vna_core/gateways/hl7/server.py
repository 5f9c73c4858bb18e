"""MLLP: messages between a start block and an end block (HL7 v2 transport specification, appendix C), one answer to each."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import Final

import structlog

from vna_core.catalogue import Catalogue
from vna_core.configuration import Settings
from vna_core.dicom.network.tls import HandshakeFailed, ServerTls, TlsStream
from vna_core.domain.access import Principal, PrincipalKind
from vna_core.domain.audit import Auditor
from vna_core.domain.errors import InvalidRequest, LimitExceeded, VnaError
from vna_core.gateways.accepting import Listening, note_refused
from vna_core.gateways.hl7.adt import AdtFeed
from vna_core.gateways.hl7.message import Message, acknowledgement, parse
from vna_core.metering import Meter
from vna_core.metering.metrics import HL7_MESSAGES
from vna_core.stewardship.patient_identity import PatientIdentity

START: Final = b"\x0b"
END: Final = b"\x1c\x0d"
GRACE: Final = 5.0
"""Seconds that messages under way get to be answered when the server stops."""
_PIECE: Final = 65_536

_log = structlog.get_logger(__name__)


class MllpServer:
    """Takes the feed of patient administration. One thread a connection; a bad message costs its own answer and nothing else."""

    def __init__(self, settings: Settings, catalogue: Catalogue, auditor: Auditor, meter: Meter | None = None) -> None:
        self._settings = settings.hl7
        self._tls = ServerTls.of(settings.tls, "hl7")
        self._match = tuple(settings.identity.match)
        self._catalogue = catalogue
        self._auditor = auditor
        self._meter = meter or Meter.alone()
        self._feed = AdtFeed(settings.hl7)
        self._stop = threading.Event()
        self._room = threading.BoundedSemaphore(settings.hl7.max_connections)
        self._open: dict[socket.socket, threading.Thread] = {}
        self._lock = threading.Lock()

    def serve(self, listener: socket.socket | None, secure: socket.socket | None = None) -> None:
        """Accept and serve until `stop`; returns when every connection is ended, or the time of grace is over. Blocks.

        Parameters
        ----------
        listener, secure
            Where feeds arrive without TLS, and with it; at least one.
        """
        listening = Listening(listener, secure, self._tls)
        try:
            while not self._stop.is_set():
                for descriptor in listening.wait(500):
                    self._accept(listening, descriptor)
        finally:
            self._end_conversations()

    def _accept(self, listening: Listening, descriptor: int) -> None:
        try:
            accepted = listening.accept(descriptor)
        except OSError as error:
            if not self._stop.is_set():
                _say("warning", "accept-failed", error=error.strerror)
                self._stop.wait(0.1)
            return
        if accepted is None:
            return
        connection, address, _ = accepted
        if self._settings.senders and address not in self._settings.senders:
            _say("warning", "hl7-sender-refused", address=address)
            connection.close()
        elif not self._room.acquire(blocking=False):
            _say("warning", "connection-refused", address=address, limit="hl7.max_connections")
            connection.close()
        else:
            conversation = threading.Thread(target=self._converse, args=accepted, name="hl7", daemon=True)
            with self._lock:
                self._open[connection] = conversation
            conversation.start()

    def stop(self) -> None:
        """Take no further message; those under way are answered."""
        self._stop.set()
        self._shut()

    def _shut(self) -> None:
        """Let no conversation wait for a further message."""
        with self._lock:
            for connection in self._open:
                with contextlib.suppress(OSError):
                    connection.shutdown(socket.SHUT_RD)

    def _end_conversations(self) -> None:
        self._shut()  # those that were accepted while `stop` was at it
        deadline = time.monotonic() + GRACE
        with self._lock:
            conversations = list(self._open.values())
        for conversation in conversations:
            conversation.join(max(0.0, deadline - time.monotonic()))

    def _converse(self, connection: socket.socket, address: str, tls: ServerTls | None) -> None:
        try:
            stream = connection if tls is None else tls.secured(connection)
            stream.settimeout(self._settings.idle_timeout)
            for octets in frames(stream, self._settings.max_message):
                stream.sendall(START + self.answer(octets, address) + END)
        except HandshakeFailed as error:
            _say("warning", "tls-handshake-failed", address=address, message=error.message)
            note_refused("hl7", address, error, self._meter, self._auditor)
        except LimitExceeded as error:
            _say("warning", "hl7-connection-ended", address=address, code=error.code)
        except OSError as error:
            _say("info", "hl7-connection-lost", address=address, error=type(error).__name__)
        finally:
            with self._lock:
                self._open.pop(connection, None)
            connection.close()
            self._room.release()

    def answer(self, octets: bytes, address: str) -> bytes:
        """The acknowledgement of one message: AA only when what it says is durable."""
        message: Message | None = None
        try:
            message = parse(octets)
            sender = "^".join(message.header.value(number) for number in (3, 4))
            principal = Principal(PrincipalKind.SUBJECT, f"hl7 {sender}"[:128], address)
            self._feed.apply(message, PatientIdentity(self._catalogue, self._auditor, principal, self._match))
            return self._acknowledged(message, "AA")
        except InvalidRequest as error:
            _say("warning", "hl7-message-refused", address=address, code=error.code)
            return self._acknowledged(message, "AR", error.message)
        except VnaError as error:
            _say("error", "hl7-message-failed", address=address, code=error.code)
            return self._acknowledged(message, "AE", error.message)
        except Exception:  # noqa: BLE001 - whatever a message does, its sender hears that it was not taken
            _say("exception", "hl7-message-failed", address=address)
            return self._acknowledged(message, "AE", "The archive met an unexpected error; it is in the log.")

    def _acknowledged(self, message: Message | None, code: str, text: str = "") -> bytes:
        self._meter.count(HL7_MESSAGES, code)
        return acknowledgement(message, code, text)


def _say(level: str, event: str, **fields: object) -> None:
    """Log, if that is possible: an answer never depends on whether somebody can read about it."""
    with contextlib.suppress(Exception):
        getattr(_log, level)(event, **fields)


def frames(connection: socket.socket | TlsStream, limit: int) -> Iterator[bytes]:
    """Messages as they arrive, until the peer closes; octets between blocks are passed over. Raises LimitExceeded, OSError."""
    held = bytearray()
    while piece := connection.recv(_PIECE):
        held += piece
        while True:
            begin = held.find(START)
            if begin < 0:
                held.clear()
                break
            end = held.find(END, begin)
            if end < 0:
                if len(held) - begin > limit:
                    raise LimitExceeded("The message is too large (hl7.max_message).", limit="hl7.max_message", maximum=limit)
                del held[:begin]
                break
            if end - begin - 1 > limit:
                raise LimitExceeded("The message is too large (hl7.max_message).", limit="hl7.max_message", maximum=limit)
            yield bytes(held[begin + 1 : end])
            del held[: end + len(END)]
