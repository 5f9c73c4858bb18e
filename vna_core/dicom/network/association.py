"""One association: PDUs in and out of a blocking socket, and DIMSE messages over them.

States of PS3.8 table 9-10 that a blocking thread can be in are places in its code: before the request (Sta2), established
(Sta6), and closed (Sta1); what may arrive in each is told by `_EXPECTED`, everything else aborts the association (AA-8).
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from struct import pack
from typing import Final, Protocol

from vna_core.dicom.network import command as commands
from vna_core.dicom.network import pdu
from vna_core.dicom.network.command import Command
from vna_core.dicom.network.pdu import ProtocolError, Type
from vna_core.dicom.network.tls import Stream, TlsStream
from vna_core.domain.errors import PeerError, PeerUnavailable

_EXPECTED: Final[dict[str, frozenset[int]]] = {
    "Sta2": frozenset((Type.ASSOCIATE_RQ, Type.ABORT)),
    "Sta5": frozenset((Type.ASSOCIATE_AC, Type.ASSOCIATE_RJ, Type.ABORT)),
    "Sta6": frozenset((Type.DATA, Type.RELEASE_RQ, Type.ABORT)),
    "Sta7": frozenset((Type.DATA, Type.RELEASE_RQ, Type.RELEASE_RP, Type.ABORT)),
}
"""PDU types that each state takes (PS3.8 table 9-10)."""

_TLS_HANDSHAKE: Final = 0x16
"""First octet of a TLS connection, where the type of a PDU stands."""
_GATHER: Final = 64
_QUICKACK: Final = getattr(socket, "TCP_QUICKACK", None)
SMALL_DATA_SET: Final = 16 << 20
"""Longest data set kept in memory where nobody asked for its octets (identifiers), in octets."""


class ConnectionLost(PeerUnavailable):
    """The peer closed the connection, aborted, or was silent for too long."""

    code = "connection-lost"


class Released(Exception):
    """The peer asked for the end of the association, and was answered."""


class Rejected(PeerError):
    """The peer refused the association; ``fields`` carry result, source and reason of PS3.8 table 9-21."""

    code = "association-rejected"


class Sink(Protocol):
    """Takes a data set's octets as they arrive. Must not raise: a failure is told when the message is complete."""

    def write(self, piece: memoryview) -> None: ...


SinkFor = Callable[[int, Command], Sink | None]


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context.

    Attributes
    ----------
    may_send
        We may be SCU of it (send requests).
    """

    id: int
    abstract_syntax: str
    transfer_syntax: str
    may_send: bool = True


@dataclass(frozen=True, slots=True)
class Message:
    """A complete DIMSE message. `data` is the data set unless a sink took it."""

    context_id: int
    command: Command
    data: bytearray | None = None
    sink: Sink | None = None


class Association:
    """Reads and writes PDUs and messages. Used by one thread; `interrupt` may be called by any.

    Parameters
    ----------
    max_pdu
        Longest P-DATA PDU we take, in octets.
    idle_timeout, network_timeout
        Seconds without any octet between messages, and inside one.
    """

    def __init__(self, connection: Stream, max_pdu: int, idle_timeout: float, network_timeout: float) -> None:
        self.socket = connection
        self.max_pdu = max_pdu
        self.contexts: dict[int, Context] = {}
        self.peer_limit = 16384
        self.peer_extended: dict[str, bytes] = {}
        self.agreed: dict[str, bytes] = {}
        self.peer_product = ""
        self._idle_timeout = idle_timeout
        self._network_timeout = network_timeout
        self._buffer = bytearray(max(2 * max_pdu + 64, 1 << 17))
        self._view = memoryview(self._buffer)
        self._begin = self._end = 0
        self._timeout = -1.0
        self._cancelled: set[int] = set()
        self._notified: dict[int, Callable[[int | None], None]] = {}
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._set_timeout(network_timeout)

    # -- octets -----------------------------------------------------------------------------------------------------------

    def _set_timeout(self, seconds: float) -> None:
        """Receive time-out in the kernel: one system call a read, and no polling."""
        if seconds != self._timeout:
            whole = int(seconds)
            value = pack("ll", whole, int((seconds - whole) * 1_000_000))
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
            if self._timeout < 0:
                network = pack("ll", int(self._network_timeout) or 1, 0)
                self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, network)
            self._timeout = seconds

    def _fill(self, needed: int) -> None:
        """Have `needed` octets in the buffer from `_begin` on. Raises ConnectionLost."""
        if self._begin + needed > len(self._buffer):
            left = self._end - self._begin
            if needed > len(self._buffer):
                grown = bytearray(needed + 4096)
                grown[:left] = self._view[self._begin : self._end]
                self._view.release()
                self._buffer, self._view = grown, memoryview(grown)
            else:
                self._view[:left] = bytes(self._view[self._begin : self._end])
            self._begin, self._end = 0, left
        while self._end - self._begin < needed:
            try:
                got = self.socket.recv_into(self._view[self._end :])
                if _QUICKACK is not None:
                    # The kernel falls back to delayed acknowledgements by itself, and a sender with Nagle's algorithm waits for them.
                    self.socket.setsockopt(socket.IPPROTO_TCP, _QUICKACK, 1)
            except BlockingIOError as error:
                raise ConnectionLost("The peer was silent for too long.") from error
            except OSError as error:
                raise ConnectionLost(f"The connection broke: {error.strerror or error}.") from error
            if not got:
                raise ConnectionLost("The peer closed the connection.")
            self._end += got

    def read_pdu(self, state: str) -> tuple[int, memoryview]:
        """Type and content of the next PDU; the content is good until the next call.

        Raises
        ------
        ProtocolError
            The type does not belong here, or the length is beyond the limits.
        ConnectionLost
            The connection ended, was aborted, or was silent for too long.
        """
        if self._begin == self._end:
            self._begin = self._end = 0
        self._fill(6)
        kind, _, length = pdu.HEADER.unpack_from(self._buffer, self._begin)
        if kind not in _EXPECTED[state]:
            if kind == _TLS_HANDSHAKE and state in ("Sta2", "Sta5"):
                raise ProtocolError("The peer speaks TLS on a connection without encryption.")
            raise ProtocolError(f"PDU type {kind} is not expected in state {state}.")
        # Some senders count the PDU header into the length they were allowed.
        if length > (self.max_pdu + 64 if kind == Type.DATA else pdu.LARGEST_CONTROL):
            raise ProtocolError("A PDU is longer than was agreed.")
        self._set_timeout(self._network_timeout)
        self._fill(6 + length)
        content = self._view[self._begin + 6 : self._begin + 6 + length]
        self._begin += 6 + length
        if kind == Type.ABORT:
            raise ConnectionLost("The peer aborted the association.")
        return kind, content

    def send_octets(self, buffers: list[bytes | memoryview]) -> None:
        """Write everything. Raises ConnectionLost."""
        try:
            sent = self.socket.sendmsg(buffers)
            total = sum(map(len, buffers))
            while sent < total:
                rest: list[bytes | memoryview] = []
                skip = sent
                for one in buffers:
                    if skip >= len(one):
                        skip -= len(one)
                    else:
                        rest.append(memoryview(one)[skip:])
                        skip = 0
                buffers, total = rest, total - sent
                sent = self.socket.sendmsg(buffers)
        except BlockingIOError as error:
            raise ConnectionLost("The peer takes nothing any more.") from error
        except OSError as error:
            raise ConnectionLost(f"The connection broke: {error.strerror or error}.") from error

    # -- messages ---------------------------------------------------------------------------------------------------------

    def receive(self, sink_for: SinkFor | None = None, timeout: float | None = None) -> Message:
        """The next message.

        Parameters
        ----------
        sink_for
            Asked, when a command with a data set is complete, who takes the data set; None keeps it in memory.

        Raises
        ------
        Released
            The peer released the association and was answered.
        ConnectionLost, ProtocolError
            The association is over.
        """
        if self._begin == self._end:
            self._set_timeout(self._idle_timeout if timeout is None else timeout)
        command_octets = bytearray()
        command: Command | None = None
        context_id = -1
        sink: Sink | None = None
        data: bytearray | None = None
        while True:
            kind, content = self.read_pdu("Sta6")
            if kind == Type.RELEASE_RQ:
                with contextlib.suppress(ConnectionLost):
                    self.send_octets([pdu.RELEASE_RP])
                raise Released
            position, size = 0, len(content)
            while position < size:
                if position + 6 > size:
                    raise ProtocolError("A presentation data value is cut short.")
                length, context, control = pdu.PDV_HEADER.unpack_from(content, position)
                fragment = content[position + 6 : position + 4 + length]
                position += 4 + length
                if length < 2 or position > size:
                    raise ProtocolError("A presentation data value is longer than its PDU.")
                if context_id not in (-1, context) or context not in self.contexts:
                    raise ProtocolError("A fragment names a presentation context that was not accepted.")
                context_id = context
                if control & 1:
                    if command is not None or len(command_octets) + len(fragment) > commands.LARGEST:
                        raise ProtocolError("A command fragment is not expected here, or the command set is too long.")
                    command_octets += fragment
                    if control & 2:
                        command = commands.decode(command_octets)
                        if not commands.has_data_set(command):
                            return Message(context_id, command)
                        sink = sink_for(context_id, command) if sink_for is not None else None
                        data = bytearray() if sink is None else None
                else:
                    if command is None:
                        raise ProtocolError("A data set fragment arrived before its command.")
                    if sink is not None:
                        sink.write(fragment)
                    elif data is not None:
                        if len(data) + len(fragment) > SMALL_DATA_SET:
                            raise ProtocolError("The data set of a message is too long.")
                        data += fragment
                    if control & 2:
                        return Message(context_id, command, data, sink)

    def send(self, context_id: int, command: Command, data: Iterable[bytes | memoryview] | None = None) -> None:
        """Send a message; `data` streams its data set. Raises ConnectionLost, and whatever `data` raises."""
        whole = {**command, commands.DATA_SET_TYPE: commands.NO_DATA_SET if data is None else 0x0001}
        waiting: list[bytes | memoryview] = []
        for buffers in pdu.data_pdus(context_id, True, [memoryview(commands.encode(whole))], True, self.peer_limit):
            waiting += buffers
        for piece, last in pdu.fragments(data) if data is not None else ():
            for buffers in pdu.data_pdus(context_id, False, [memoryview(piece)], last, self.peer_limit):
                waiting += buffers
                if len(waiting) >= _GATHER:
                    self.send_octets(waiting)
                    waiting = []
        if waiting:
            self.send_octets(waiting)

    def notify(self, context_id: int, event: Command, data: Iterable[bytes], told: Callable[[int | None], None]) -> None:
        """Send N-EVENT-REPORT-RQ with a Message ID of its own. Raises as `send`.

        Its response may come behind requests of the peer. `told` is called with the status when it has come (`is_aside`), with None when
        the association is over (`end_notifications`).
        """
        message_id = max(self._notified, default=0) % 0xFFFF + 1
        self._notified[message_id] = told
        self.send(context_id, {**event, commands.MESSAGE_ID: message_id}, data)

    def end_notifications(self) -> None:
        """The association is over: nothing answers what was notified on it."""
        while self._notified:
            self._notified.popitem()[1](None)

    def response(self, timeout: float, meanwhile: Callable[[], object] | None = None) -> Message:
        """The answer to a request of ours. What stands aside from it (`is_aside`) is taken on the way. Raises as `receive`.

        Parameters
        ----------
        meanwhile
            Called twice a second while nothing comes. What it raises ends the waiting.
        """
        deadline = time.monotonic() + timeout
        while True:
            while meanwhile is not None and not self._has_arrived(0.5):
                if time.monotonic() >= deadline:
                    raise ConnectionLost("The peer was silent for too long.")
                meanwhile()
            message = self.receive(timeout=timeout)
            if not self.is_aside(message):
                return message

    def is_cancelled(self, message_id: int) -> bool:
        """Whether a C-CANCEL for the message has arrived since `forget_cancels`; does not wait. Raises as `receive`."""
        while message_id not in self._cancelled and self._has_arrived():
            if not self.is_aside(self.receive()):
                raise ProtocolError("A request arrived before the answer to the one before was complete.")
        return message_id in self._cancelled

    def forget_cancels(self) -> None:
        """Another request is answered from now on: what was cancelled before has no meaning for it, as Message IDs are used again."""
        self._cancelled.clear()

    def is_aside(self, message: Message) -> bool:
        """Whether a message is one that may come at any time, and is taken here: a C-CANCEL, or the response to a notification of ours."""
        field, message_id = (commands.number(message.command, one) for one in (commands.COMMAND_FIELD, commands.RESPONDED_TO))
        if field == commands.Field.CANCEL_RQ:
            self._cancelled.add(message_id)
        elif field == commands.Field.EVENT_REPORT_RSP and self._notified:
            # Some peers answer with another Message ID: then it is the oldest that was notified.
            meant = message_id if message_id in self._notified else next(iter(self._notified))
            self._notified.pop(meant)(commands.number(message.command, commands.STATUS, 0x0110))
        else:
            return False
        return True

    def _has_arrived(self, within: float = 0.0) -> bool:
        """Whether the peer has sent anything that was not read yet, or does within so many seconds."""
        if self._begin != self._end:
            return True
        if isinstance(self.socket, TlsStream) and self.socket.pending():
            return True
        arriving = select.poll()
        arriving.register(self.socket, select.POLLIN)
        return bool(arriving.poll(within * 1000))

    # -- ends -------------------------------------------------------------------------------------------------------------

    def release(self, timeout: float = 5.0) -> None:
        """Ask for an orderly end and wait shortly for the answer (PS3.8 section 7.2). Then close."""
        with contextlib.suppress(PeerError):
            self.send_octets([pdu.RELEASE_RQ])
            self._set_timeout(timeout)
            deadline = time.monotonic() + timeout
            while time.monotonic() < deadline:
                kind, _ = self.read_pdu("Sta7")
                if kind == Type.RELEASE_RP:
                    break
                if kind == Type.RELEASE_RQ:  # both sides at once (AR-8): answer and go on waiting
                    self.send_octets([pdu.RELEASE_RP])
        self.close()

    def abort(self, source: int = 2, reason: int = 0) -> None:
        """Send A-ABORT where that is still possible, and close."""
        with contextlib.suppress(PeerError):
            self.send_octets([pdu.abort(source, reason)])
        self.close()

    def interrupt(self) -> None:
        """Wake the thread that waits for octets; it sees a lost connection."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RD)

    def close(self) -> None:
        """Close the socket. May be called twice."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)
        self.socket.close()
