"""C-MOVE (PS3.4 section C.4.2): the source sends to a listener of ours that it knows by our title."""

from __future__ import annotations

import threading
from typing import Final

from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Released
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import encode_identifier
from vna_core.dicom.network.tls import ServerTls
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import PeerError, PeerUnavailable
from vna_core.ports.pacs import Deliver, FetchReport
from vna_core.ports.parallel_fetch import added
from vna_pacs_dimse.connection import PENDING, Peer
from vna_pacs_dimse.getting import Keys, SpoolFor
from vna_pacs_dimse.move_listener import MoveListener
from vna_pacs_dimse.transfer_syntaxes import IDENTIFIERS

STUDY_MOVE: Final = "1.2.840.10008.5.1.4.1.2.2.2"


class Moving:
    """Retrievals from one source by C-MOVE, one at a time: arriving instances do not say reliably which one asked for them.

    Parameters
    ----------
    address
        Where we listen (None: nowhere).
    """

    def __init__(self, peer: Peer, spool: SpoolFor, address: tuple[str, int] | None) -> None:
        self._peer, self._spool, self._address = peer, spool, address
        self._listener: MoveListener | None = None
        self._lock = threading.Lock()

    def move(self, parts: list[Keys], deliver: Deliver, deadline: Deadline | None) -> FetchReport:
        """Retrieve every part."""
        total = FetchReport(0, 0)
        with self._lock:
            if self._listener is None:
                tls = self._peer.tls
                if self._address is None:
                    raise PeerError("C-MOVE needs a port of ours that the source knows (option move_port).")
                self._listener = MoveListener(self._address, self._spool, ServerTls.of_client(tls) if tls is not None else None)
            association = self._peer.associate([(STUDY_MOVE, IDENTIFIERS)], deadline=deadline)
            try:
                with self._listener.delivering(deliver) as count:
                    for keys in parts:
                        total = added(total, self._once(association, keys, count, deadline))
            except Exception:
                association.abort(0)
                raise
            association.release()
        return total

    def _once(self, association: Association, keys: Keys, count: MoveListener.Count, deadline: Deadline | None) -> FetchReport:
        context = self._peer.context_of(association, STUDY_MOVE)
        asked: Command = {
            commands.AFFECTED_SOP_CLASS: STUDY_MOVE,
            commands.COMMAND_FIELD: Field.MOVE_RQ,
            commands.MESSAGE_ID: 1,
            commands.PRIORITY: 0,
            commands.MOVE_DESTINATION: self._peer.calling,
        }
        before = count.taken
        association.send(context, asked, [encode_identifier(keys, association.contexts[context].transfer_syntax)])
        while True:
            try:
                answer = self._peer.received(association, deadline)
            except Released as error:
                raise PeerUnavailable(f"{self._peer.called} released the association before the end of C-MOVE.") from error
            status = commands.number(answer.command, commands.STATUS, 0xC000)
            if count.error is not None:
                raise count.error
            if status not in PENDING:
                count.settle(deadline)
                if count.error is not None:
                    raise count.error
                failed = commands.number(answer.command, commands.FAILED)
                warnings = commands.number(answer.command, commands.WARNING)
                message = "" if status == 0 else self._peer.said("C-MOVE", answer)
                return FetchReport(count.taken - before, failed, warnings, message)

    def close(self) -> None:
        """Stop listening. May be called twice."""
        with self._lock:
            listener, self._listener = self._listener, None
        if listener is not None:
            listener.close()
