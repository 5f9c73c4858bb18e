"""The storage SCP that a source moves to when it does not offer C-GET."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

from vna_core.dicom.network import command as commands
from vna_core.dicom.network.acceptor import accept
from vna_core.dicom.network.association import Association, Released
from vna_core.dicom.network.command import Command, Field
from vna_core.domain.errors import ConfigurationError, PeerError, VnaError
from vna_core.ports.pacs import Deliver
from vna_pacs_dimse.spool import Spool

_SETTLING: Final = 2.0
"""Seconds without an arrival after which a move that reported its end is believed to be over (some report too early)."""


class MoveListener:
    """Accepts storage associations on a port of this machine while a delivery is set."""

    class Count:
        """How many instances were taken, and when the last one came."""

        def __init__(self) -> None:
            self.taken = 0
            self.busy = 0
            self.last = time.monotonic()

        def settle(self) -> None:
            """Wait until nothing is arriving any more."""
            while self.busy or time.monotonic() - self.last < min(_SETTLING, 0.2 if self.taken else _SETTLING):
                time.sleep(0.02)

    def __init__(self, address: tuple[str, int], spool: Callable[[str, Command], Spool]) -> None:
        self._spool = spool
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
        """Take instances for as long as the block runs."""
        self._count = MoveListener.Count()
        self._deliver = deliver
        try:
            yield self._count
        finally:
            self._deliver = None

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
        association = Association(connection, 262_144, 300.0, 60.0)
        try:
            accept(association, lambda proposed: proposed.transfer_syntaxes[0] if proposed.transfer_syntaxes else "")
            while True:
                message = association.receive(
                    lambda context_id, command: self._spool(association.contexts[context_id].transfer_syntax, command)
                )
                association.send(message.context_id, self._taken(message.command, message.sink))
        except (PeerError, Released):
            association.close()

    def _taken(self, asked: Command, spool: object) -> Command:
        status, deliver = 0xA700, self._deliver
        if commands.number(asked, commands.COMMAND_FIELD) == Field.ECHO_RQ:
            status = 0
        elif deliver is not None and isinstance(spool, Spool) and spool.failure is None:
            with self._lock:
                self._count.busy += 1
            try:
                deliver(spool.finish())
                status = 0
            except VnaError as error:
                status = error.dimse_status
            finally:
                with self._lock:
                    self._count.busy -= 1
                    self._count.taken += status == 0
                    self._count.last = time.monotonic()
        return {
            commands.AFFECTED_SOP_CLASS: commands.text(asked, commands.AFFECTED_SOP_CLASS),
            commands.COMMAND_FIELD: commands.number(asked, commands.COMMAND_FIELD) | 0x8000,
            commands.RESPONDED_TO: commands.number(asked, commands.MESSAGE_ID),
            commands.AFFECTED_SOP_INSTANCE: commands.text(asked, commands.AFFECTED_SOP_INSTANCE),
            commands.STATUS: status,
        }
