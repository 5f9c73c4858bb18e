"""The source's DIMSE face: C-ECHO, C-FIND, C-GET and C-MOVE of the Study and Patient Root models, one thread an association."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Mapping
from typing import Final

from vna_core.dicom.network import command as commands
from vna_core.dicom.network import pdu
from vna_core.dicom.network.association import Association, Context, Message, Released
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import decode_identifier, encode_identifier
from vna_core.dicom.network.pdu import Associate, ContextResult, ProposedContext
from vna_core.domain.errors import PeerError, VnaError
from vna_core.testing.hostile_pacs.faults import FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog
from vna_core.testing.hostile_pacs.matching import answers, refused
from vna_core.testing.hostile_pacs.population import Population
from vna_core.testing.hostile_pacs.retrieving import Retrieval, Retrieving

VERIFICATION: Final = "1.2.840.10008.1.1"
_FIND: Final = frozenset(("1.2.840.10008.5.1.4.1.2.1.1", "1.2.840.10008.5.1.4.1.2.2.1"))
_RETRIEVE: Final = frozenset(
    ("1.2.840.10008.5.1.4.1.2.1.2", "1.2.840.10008.5.1.4.1.2.1.3", "1.2.840.10008.5.1.4.1.2.2.2", "1.2.840.10008.5.1.4.1.2.2.3")
)
EXPLICIT: Final = "1.2.840.10008.1.2.1"
_LEVEL: Final = 0x00080052


class HostilePacs:
    """The source. A context manager that listens on 127.0.0.1.

    Parameters
    ----------
    destinations
        Application entity title to address and port, for C-MOVE.
    hang
        Seconds for which a retrieval that is never answered keeps its association.
    """

    def __init__(
        self,
        population: Population,
        plan: FaultPlan,
        log: InjectionLog,
        *,
        aet: str = "OLDPACS",
        destinations: Mapping[str, tuple[str, int]] | None = None,
        hang: float = 3600.0,
    ) -> None:
        self.population, self.plan, self.log, self.aet = population, plan, log, aet
        self._retrieving = Retrieving(population, plan, log, dict(destinations or {}), aet, hang)
        self._listening: socket.socket | None = None
        self._open: set[Association] = set()
        self._lock = threading.Lock()

    def start(self, port: int = 0) -> int:
        """Listen; the port."""
        self._listening = socket.create_server(("127.0.0.1", port), backlog=64)
        threading.Thread(target=self._serve, args=(self._listening,), daemon=True, name="hostile-pacs").start()
        return int(self._listening.getsockname()[1])

    def stop(self) -> None:
        """Stop listening and drop every association. May be called twice."""
        self._retrieving.stop.set()
        if self._listening is not None:
            with contextlib.suppress(OSError):
                self._listening.shutdown(socket.SHUT_RDWR)
            self._listening.close()
        with self._lock:
            left = list(self._open)
        for association in left:
            association.interrupt()

    def __enter__(self) -> HostilePacs:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _serve(self, listening: socket.socket) -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def _converse(self, connection: socket.socket) -> None:
        association = Association(connection, 131_072, 600.0, 60.0)
        with self._lock:
            self._open.add(association)
        try:
            calling = accept_as_asked(association)
            while True:
                self._answer(association, calling, association.receive())
        except (Released, VnaError):
            association.close()
        finally:
            with self._lock:
                self._open.discard(association)

    def _answer(self, association: Association, calling: str, message: Message) -> None:
        field = commands.number(message.command, commands.COMMAND_FIELD)
        if field == Field.ECHO_RQ:
            association.send(message.context_id, response(message.command, Field.ECHO_RSP, 0))
        elif field == Field.FIND_RQ:
            self._find(association, message)
        elif field in (Field.GET_RQ, Field.MOVE_RQ):
            keys = decode_identifier(message.data or b"", association.contexts[message.context_id].transfer_syntax).values
            self._retrieving.answer(Retrieval(association, message.context_id, message.command, keys, calling))
        elif field != Field.CANCEL_RQ:
            raise PeerError("The request is not understood.")

    def _find(self, association: Association, message: Message) -> None:
        syntax = association.contexts[message.context_id].transfer_syntax
        keys = dict(decode_identifier(message.data or b"", syntax).values)
        level = (keys.pop(_LEVEL, ("STUDY",)) or ("STUDY",))[0]
        status = refused(self.population, self.plan, self.log, level, keys)
        if status:
            association.send(message.context_id, response(message.command, Field.FIND_RSP, status))
            return
        pending = response(message.command, Field.FIND_RSP, 0xFF00)
        identifier = commands.number(message.command, commands.MESSAGE_ID)
        for answer in answers(self.population, self.plan, self.log, level, keys):
            if association.is_cancelled(identifier):
                if self.plan.plays("W7"):  # some products abort a while after a C-CANCEL
                    time.sleep(0.2)
                    association.abort(0)
                    raise PeerError("The association was aborted on purpose.")
                association.send(message.context_id, response(message.command, Field.FIND_RSP, 0xFE00))
                return
            association.send(message.context_id, pending, [encode_identifier({**answer, _LEVEL: (level,)}, syntax)])
        association.send(message.context_id, response(message.command, Field.FIND_RSP, 0))


def accept_as_asked(association: Association) -> str:
    """Accept every service this source has, storage classes in explicit little endian, roles as asked; the calling title."""
    _, content = association.read_pdu("Sta2")
    asked = pdu.decode_associate(content)
    results = []
    for one in asked.proposed[:128]:
        syntax = _chosen(one)
        results.append(ContextResult(one.id, 0 if syntax else 4, syntax or next(iter(one.transfer_syntaxes), "")))
        if syntax:
            association.contexts[one.id] = Context(one.id, one.abstract_syntax, syntax)
    association.peer_limit = asked.max_length
    answer = Associate(asked.called, asked.calling, association.max_pdu, results=tuple(results), roles=asked.roles)
    association.send_octets([pdu.encode_associate(answer)])
    return asked.calling


def _chosen(proposed: ProposedContext) -> str:
    if proposed.abstract_syntax in (VERIFICATION, *_FIND, *_RETRIEVE):
        return next((one for one in (EXPLICIT, "1.2.840.10008.1.2") if one in proposed.transfer_syntaxes), "")
    return EXPLICIT if EXPLICIT in proposed.transfer_syntaxes else ""


def response(asked: Command, field: Field, status: int) -> Command:
    """The frame of an answer to a request."""
    return {
        commands.AFFECTED_SOP_CLASS: commands.text(asked, commands.AFFECTED_SOP_CLASS),
        commands.COMMAND_FIELD: field,
        commands.RESPONDED_TO: commands.number(asked, commands.MESSAGE_ID),
        commands.STATUS: status,
    }
