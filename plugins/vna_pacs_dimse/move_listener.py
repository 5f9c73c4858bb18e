"""The storage SCP that a source moves to when it does not offer C-GET."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from vna_core.dicom.network import command as commands
from vna_core.dicom.network.acceptor import accept
from vna_core.dicom.network.association import Association, Released
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.tls import HandshakeFailed, ServerTls, Stream
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import ConfigurationError, PeerError, VnaError
from vna_core.domain.spool import Spool
from vna_core.ports.pacs import Deliver
from vna_pacs_dimse.connection import stored

_log = structlog.get_logger(__name__)

_SETTLED: Final = 0.3
"""Seconds without an arrival after which a move that brought something is over."""
_SETTLING: Final = 2.0
"""Seconds without an arrival after which a move that reported its end is believed to be over (some report too early)."""


class MoveListener:
    """Accepts storage associations on a port of this machine while a delivery is set."""

    class Count:
        """How many instances were taken, whether any is arriving, and what the archive said when it refused one."""

        def __init__(self) -> None:
            self.taken = 0
            self.busy = 0
            self.delivering = 0
            self.last = time.monotonic()
            self.error: Exception | None = None

        def settle(self, deadline: Deadline | None) -> None:
            """Wait until nothing is arriving any more. Raises PeerUnavailable when the deadline is over."""
            while self.busy or time.monotonic() - self.last < (_SETTLED if self.taken else _SETTLING):
                if self.error is not None:
                    return
                if deadline is not None:
                    deadline.check()
                time.sleep(0.02)

    def __init__(self, address: tuple[str, int], spool: Callable[[str, Command], Spool], tls: ServerTls | None = None) -> None:
        self._spool = spool
        self._tls = tls
        self._deliver: Deliver | None = None
        self._count = MoveListener.Count()
        self._lock = threading.Lock()
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind(address)
            self._socket.listen(16)
        except OSError as error:
            self._socket.close()
            raise ConfigurationError(f"Cannot listen on {address[0]}:{address[1]} for C-MOVE: {error.strerror}.") from error
        self._thread = threading.Thread(target=self._serve, name="move-listener", daemon=True)
        self._thread.start()

    @contextlib.contextmanager
    def delivering(self, deliver: Deliver) -> Iterator[MoveListener.Count]:
        """Take instances for as long as the block runs; afterwards nothing is handed over any more."""
        count = MoveListener.Count()
        with self._lock:
            self._count, self._deliver = count, deliver
        try:
            yield count
        finally:
            with self._lock:
                self._deliver = None
            while count.delivering:
                time.sleep(0.005)

    def close(self) -> None:
        """Stop listening."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._thread.join(2.0)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        try:
            stream: Stream = connection if self._tls is None else self._tls.secured(connection)
        except HandshakeFailed as error:
            _log.warning("tls-handshake-failed", message=error.message)
            connection.close()
            return
        association = Association(stream, 262_144, 300.0, 60.0)
        arriving: list[MoveListener.Count] = []

        def sink_for(context_id: int, command: Command) -> Spool:
            arriving.append(self._begun())
            return self._spool(association.contexts[context_id].transfer_syntax, command)

        try:
            accept(association, lambda proposed: proposed.transfer_syntaxes[0] if proposed.transfer_syntaxes else "")
            while True:
                message = association.receive(sink_for)
                status = self._taken(message.command, message.sink)
                while arriving:
                    self._ended(arriving.pop())
                association.send(message.context_id, {**stored(message.command, status), **_kind(message.command)})
        except (PeerError, Released):
            association.close()
        finally:
            while arriving:
                self._ended(arriving.pop())

    def _begun(self) -> MoveListener.Count:
        with self._lock:
            self._count.busy += 1
            return self._count

    def _ended(self, count: MoveListener.Count) -> None:
        with self._lock:
            count.busy -= 1
            count.last = time.monotonic()

    def _taken(self, asked: Command, spool: object) -> int:
        """Hand an instance over; the status to answer with."""
        if commands.number(asked, commands.COMMAND_FIELD) == Field.ECHO_RQ:
            return 0
        with self._lock:
            deliver, count = self._deliver, self._count
            if deliver is None or count.error is not None or not isinstance(spool, Spool) or spool.failure is not None:
                return 0xA700
            count.delivering += 1
        status = 0
        try:
            deliver(spool.finish())
        except Exception as error:  # the thread that asked for the move raises it again
            count.error = error
            status = error.dimse_status if isinstance(error, VnaError) else 0xA700
        finally:
            with self._lock:
                count.delivering -= 1
                count.taken += status == 0
                count.last = time.monotonic()
        return status


def _kind(asked: Command) -> Command:
    return {commands.COMMAND_FIELD: commands.number(asked, commands.COMMAND_FIELD) | 0x8000}
