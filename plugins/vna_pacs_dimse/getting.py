"""C-GET (PS3.4 section C.4.3): instances come back on the association that asked for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Message, Released
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import encode_identifier
from vna_core.dicom.network.pdu import ProtocolError, Role
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import OutOfResources, PeerUnavailable
from vna_core.domain.query import Level
from vna_core.domain.spool import Spool
from vna_core.ports.pacs import Deliver, FetchReport, InventoriedInstance
from vna_core.ports.parallel_fetch import added
from vna_pacs_dimse.asking import LEVEL, SERIES, SOP, STUDY
from vna_pacs_dimse.connection import PENDING, Peer, stored
from vna_pacs_dimse.presentation_plans import Context
from vna_pacs_dimse.transfer_syntaxes import IDENTIFIERS

STUDY_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
_UIDS_AT_ONCE: Final = 200

Keys = dict[int, tuple[str, ...]]
SpoolFor = Callable[[str, Command], Spool]


def batches(keys: Keys, sops: Sequence[str]) -> list[Keys]:
    """Identifiers of one retrieval: one for all, or one for some hundred instances each."""
    if not sops:
        return [keys]
    pieces = [tuple(sops[at : at + _UIDS_AT_ONCE]) for at in range(0, len(sops), _UIDS_AT_ONCE)]
    return [{**keys, LEVEL: (Level.IMAGE.value,), SOP: piece} for piece in pieces]


def by_series(instances: Sequence[InventoriedInstance]) -> list[Keys]:
    """Identifiers that ask for some instances of some series."""
    parts: list[Keys] = []
    for study, series in dict.fromkeys((one.study_instance_uid, one.series_instance_uid) for one in instances):
        uids = [one.sop_instance_uid for one in instances if one.series_instance_uid == series]
        parts += batches({STUDY: (study,), SERIES: (series,)}, uids)
    return parts


class Getting:
    """Retrievals from one source by C-GET."""

    def __init__(self, peer: Peer, spool: SpoolFor) -> None:
        self._peer, self._spool = peer, spool

    def get(
        self,
        plans: Iterable[Sequence[Context]],
        parts: Sequence[Keys],
        wanted: Mapping[str, InventoriedInstance],
        deliver: Deliver,
        delivered: set[str],
        deadline: Deadline | None,
    ) -> FetchReport:
        """Retrieve with one plan of presentation contexts after the other until everything wanted was delivered.

        Parameters
        ----------
        delivered
            What was delivered before; it is not asked for again, and what is delivered is added.
        """
        report, taken = FetchReport(0, 0), len(delivered)
        missing = [one for uid, one in wanted.items() if uid not in delivered]
        if delivered:
            parts = by_series(missing)
        for plan in plans if missing else ():
            report = self.once(plan, parts, deliver, delivered, deadline)
            taken += report.delivered
            missing = [one for uid, one in wanted.items() if uid not in delivered]
            if not missing:
                return FetchReport(taken, 0, report.warnings, report.message)
            parts = by_series(missing)
        return FetchReport(taken, len(wanted.keys() - delivered), report.warnings, report.message)

    def once(
        self, plan: Sequence[Context], parts: Sequence[Keys], deliver: Deliver, delivered: set[str], deadline: Deadline | None
    ) -> FetchReport:
        """Retrieve with one plan of presentation contexts; UIDs of what came are added to `delivered`."""
        roles = [Role(uid, False, True) for uid in dict.fromkeys(uid for uid, _ in plan)]
        association = self._peer.associate([(STUDY_GET, IDENTIFIERS), *plan], roles=roles, deadline=deadline)
        total = FetchReport(0, 0)
        try:
            for keys in parts:
                total = added(total, self._once(association, keys, deliver, delivered, deadline))
        except Exception:
            association.abort(0)
            raise
        association.release()
        return total

    def _once(
        self, association: Association, keys: Keys, deliver: Deliver, delivered: set[str], deadline: Deadline | None
    ) -> FetchReport:
        context = self._peer.context_of(association, STUDY_GET)
        asked: Command = {
            commands.AFFECTED_SOP_CLASS: STUDY_GET,
            commands.COMMAND_FIELD: Field.GET_RQ,
            commands.MESSAGE_ID: 1,
            commands.PRIORITY: 0,
        }
        association.send(context, asked, [encode_identifier(keys, association.contexts[context].transfer_syntax)])
        taken = 0
        while True:
            try:
                message = self._peer.received(association, deadline, lambda one, command: self._sink(association, one, command))
            except Released as error:
                raise PeerUnavailable(f"{self._peer.called} released the association before the end of C-GET.") from error
            field = commands.number(message.command, commands.COMMAND_FIELD)
            if field == Field.STORE_RQ:
                if self._take(association, message, deliver):
                    taken += 1
                    delivered.add(commands.text(message.command, commands.AFFECTED_SOP_INSTANCE))
            elif field == Field.GET_RSP:
                status = commands.number(message.command, commands.STATUS, 0xC000)
                if status not in PENDING:
                    failed = commands.number(message.command, commands.FAILED)
                    warnings = commands.number(message.command, commands.WARNING)
                    return FetchReport(taken, failed, warnings, "" if status == 0 else self._peer.said("C-GET", message))
            else:
                raise ProtocolError("Something else than a C-STORE arrived during C-GET.")

    def _sink(self, association: Association, context_id: int, command: Command) -> Spool | None:
        if commands.number(command, commands.COMMAND_FIELD) != Field.STORE_RQ:
            return None
        return self._spool(association.contexts[context_id].transfer_syntax, command)

    @staticmethod
    def _take(association: Association, message: Message, deliver: Deliver) -> bool:
        """Hand one instance over and answer; whether it was taken."""
        spool, status = message.sink, 0xC000
        if isinstance(spool, Spool):
            if isinstance(spool.failure, OutOfResources):
                raise spool.failure
            if spool.failure is None:
                deliver(spool.finish())
                status = 0x0000
        association.send(message.context_id, stored(message.command, status))
        return status == 0
