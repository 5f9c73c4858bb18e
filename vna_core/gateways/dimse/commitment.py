"""Storage Commitment Push Model as SCP (PS3.4 annex J): what is promised was read back and compared with its digest.

Where a placement policy asks for copies, a request waits until they are there; what still lacks one when the wait is over is
reported as failed.
"""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import Final

import structlog

from vna_core.access.gate import Permit
from vna_core.access.policy import Policy
from vna_core.access.retrieve import Retriever
from vna_core.access.view import CatalogueView
from vna_core.catalogue import Catalogue, Commitment
from vna_core.configuration import PeerSettings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Message, Released
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import Identifier, decode_identifier, encode_identifier
from vna_core.dicom.network.pdu import Role
from vna_core.domain.access import Action, Principal, PrincipalKind
from vna_core.domain.errors import ConfigurationError, InvalidRequest, PeerError, StorageError, VnaError
from vna_core.gateways.dimse.commitment_policy import PlacementPromises
from vna_core.gateways.dimse.peers import Peers
from vna_core.gateways.dimse.sop_classes import IDENTIFIER_SYNTAXES, STORAGE_COMMITMENT, STORAGE_COMMITMENT_INSTANCE

_TRANSACTION_UID: Final = 0x00081195
_REFERENCED: Final = 0x00081199
_FAILED: Final = 0x00081198
_CLASS, _INSTANCE, _REASON = 0x00081150, 0x00081155, 0x00081197
NO_SUCH_INSTANCE: Final = 0x0112
CLASS_CONFLICT: Final = 0x0119
PROCESSING_FAILURE: Final = 0x0110
RESOURCE_LIMITATION: Final = 0x0213
INVALID_ARGUMENT: Final = 0x0115
NO_SUCH_CLASS: Final = 0x0118
NO_SUCH_ACTION: Final = 0x0123
_REQUEST: Final = 1
"""Action Type ID of Request Storage Commitment."""
_MOST: Final = 100_000
_LOOK_AGAIN: Final = 5.0
"""Seconds between looks at copies that a request waits for."""
_IN_ONE_ROUND: Final = 100
_SHORTEST_PAUSE, _LONGEST_PAUSE, _PATIENCE = 60.0, 3600.0, 0.25
"""Seconds before a report is tried again: at least, at most, and as a part of the time that has gone by since the request."""
_GIVE_UP: Final = 7 * 86_400.0
"""Seconds after which a report that nobody takes is abandoned; what waited for copies has that much longer."""

_log = structlog.get_logger(__name__)

References = list[tuple[str, str]]
Judged = tuple[References, list[tuple[str, str, int]]]


class CommitmentService:
    """Takes commitment requests and reports on them, on the same association or on one of our own."""

    def __init__(
        self, peers: Peers, catalogue: Catalogue, retriever: Retriever, policy: Policy, promises: PlacementPromises
    ) -> None:
        self._peers = peers
        self._policy = policy
        self._promises = promises
        self._catalogue = catalogue
        self._retriever = retriever

    def action(self, association: Association, message: Message, permit: Permit) -> None:
        """Answer N-ACTION-RQ; the request is durable before the answer. Its report follows, and what the peer says to it is heard whenever it comes."""
        calling = permit.principal.name
        refused, comment, transaction, references = _asked(association, message)
        if refused:
            association.send(message.context_id, action_response(message.command, refused, comment))
            return
        self._catalogue.commitments.record(transaction, calling, references)
        association.send(message.context_id, action_response(message.command, 0))
        one = Commitment(transaction, calling, tuple(references), requested_at=time.time())
        judged = self._judged(references, one.requested_at, permit.catalogue)
        if judged is None:
            self._catalogue.commitments.postpone(transaction, calling, _LOOK_AGAIN)
            return
        event, data = _report(association, message.context_id, transaction, judged)
        reported = replace(one, instances=())  # a peer that never answers makes us keep no lists
        association.notify(message.context_id, event, data, lambda status: self._heard(reported, status))

    def report_pending(self, stop: threading.Event) -> None:
        """Report what could not be reported before, on associations of our own. Called from time to time."""
        silent: set[str] = set()
        for _ in range(_IN_ONE_ROUND):
            one = None if stop.is_set() else self._catalogue.commitments.take()
            if one is None:
                return
            peer = self._peers.settings.peers.get(one.peer)
            if peer is None:
                _log.warning("commitment-peer-unknown", peer=one.peer)
            if peer is None or one.peer in silent:
                self._later(one)
                continue
            scope = self._policy.scope(Principal(PrincipalKind.AE_TITLE, one.peer, peer.host), Action.STORE)
            judged = self._judged(list(one.instances), one.requested_at, CatalogueView(self._catalogue, scope))
            if judged is None:
                self._catalogue.commitments.postpone(one.transaction_uid, one.peer, _LOOK_AGAIN)
                continue
            try:
                self._answered(one, self._reported(one, peer, judged))
            except (PeerError, ConfigurationError) as error:
                _log.warning("commitment-report-failed", peer=one.peer, code=error.code, message=error.message)
                silent.add(one.peer)
                self._later(one)

    def _reported(self, one: Commitment, peer: PeerSettings, judged: Judged) -> int:
        """Report on an association of our own; the peer's status. Raises PeerError, ConfigurationError."""
        roles = [Role(STORAGE_COMMITMENT, False, True)]
        association = self._peers.associate(one.peer, peer, [(STORAGE_COMMITMENT, IDENTIFIER_SYNTAXES)], roles)
        heard: list[int | None] = []
        try:
            if not association.contexts:
                raise PeerError("The peer does not take commitment reports.")
            context_id = next(iter(association.contexts))
            event, data = _report(association, context_id, one.transaction_uid, judged)
            association.notify(context_id, event, data, heard.append)
            while not heard:
                if not association.is_aside(association.receive()):
                    raise PeerError("The peer asks for something instead of answering the report.")
            association.release()
        except PeerError:
            association.abort(0)
            raise
        except Released as released:
            association.close()
            raise PeerError("The peer released the association instead of answering the report.") from released
        status = heard[0]
        return PROCESSING_FAILURE if status is None else status

    def _heard(self, one: Commitment, status: int | None) -> None:
        """As `_answered`, in the midst of a conversation."""
        try:
            self._answered(one, status)
        except VnaError as error:  # it is due again when its lease is over
            _log.warning("commitment-not-noted", peer=one.peer, code=error.code)

    def _answered(self, one: Commitment, status: int | None) -> None:
        """What the peer said to a report; None: its association ended before, and it gets the report on one of our own."""
        if status == 0:
            self._catalogue.commitments.reported(one.transaction_uid, one.peer)
        elif status is None:
            self._catalogue.commitments.postpone(one.transaction_uid, one.peer, 1.0)
        else:
            _log.warning("commitment-report-failed", peer=one.peer, status=f"{status:04X}")
            self._later(one)

    def _later(self, one: Commitment) -> None:
        """Report it again, the later the longer it has gone on; in the end no more."""
        if not self._promises.may_wait(one.requested_at + _GIVE_UP):
            _log.error("commitment-report-abandoned", peer=one.peer, transaction_uid=one.transaction_uid, attempts=one.attempts)
            self._catalogue.commitments.abandon(one.transaction_uid, one.peer)
            return
        age = time.time() - one.requested_at
        delay = min(max(age * _PATIENCE, _SHORTEST_PAUSE), _LONGEST_PAUSE)
        self._catalogue.commitments.postpone(one.transaction_uid, one.peer, delay)

    def _judged(self, references: References, requested_at: float, catalogue: CatalogueView) -> Judged | None:
        """Which instances are held in a copy that reads back right, and why the others are not committed; None: wait for copies.

        What is in an archive tier is not read: it was, before it was put there.
        """
        committed: References = []
        failed: list[tuple[str, str, int]] = []
        unmet = self._unmet(references, catalogue)
        if unmet and self._promises.may_wait(requested_at):
            return None
        for sop_class, sop_instance in references:
            held = catalogue.instances(sop=sop_instance)
            if not held:
                failed.append((sop_class, sop_instance, NO_SUCH_INSTANCE))
            elif all(one.sop_class_uid != sop_class for one in held):
                failed.append((sop_class, sop_instance, CLASS_CONFLICT))
            elif any(one.pk in unmet for one in held):
                failed.append((sop_class, sop_instance, RESOURCE_LIMITATION))
            else:
                try:
                    for one in held:
                        if one.nearline:
                            continue
                        for _ in self._retriever.part10(one):
                            pass
                    committed.append((sop_class, sop_instance))
                except StorageError:
                    failed.append((sop_class, sop_instance, PROCESSING_FAILURE))
        return committed, failed

    def _unmet(self, references: References, catalogue: CatalogueView) -> set[int]:
        uids = [sop_instance for _, sop_instance in references]
        return self._promises.unmet(held.pk for held in catalogue.instances_by_uid_list(uids))


def _asked(association: Association, message: Message) -> tuple[int, str, str, References]:
    """Status (0: as it should be) and comment, Transaction UID, and the instances asked about (PS3.4 J.3.2.1)."""
    command, nothing = message.command, list[tuple[str, str]]()
    if commands.text(command, commands.REQUESTED_SOP_CLASS) != STORAGE_COMMITMENT:
        return NO_SUCH_CLASS, "The requested SOP class is not Storage Commitment Push Model.", "", nothing
    if commands.text(command, commands.REQUESTED_SOP_INSTANCE) != STORAGE_COMMITMENT_INSTANCE:
        return NO_SUCH_INSTANCE, "The requested SOP instance is not that of storage commitment.", "", nothing
    if commands.number(command, commands.ACTION_TYPE) != _REQUEST:
        return NO_SUCH_ACTION, "The action is not Request Storage Commitment.", "", nothing
    try:
        identifier = decode_identifier(message.data or b"", association.contexts[message.context_id].transfer_syntax)
    except InvalidRequest as error:
        return INVALID_ARGUMENT, error.message, "", nothing
    transaction = identifier.first(_TRANSACTION_UID)
    references = [(one.first(_CLASS), one.first(_INSTANCE)) for one in identifier.items.get(_REFERENCED, ())]
    if not transaction or not references:
        return INVALID_ARGUMENT, "The commitment request names no transaction or no instances.", "", nothing
    if len(references) > _MOST:
        return RESOURCE_LIMITATION, f"A commitment request names at most {_MOST} instances.", "", nothing
    return 0, "", transaction, references


def _report(association: Association, context_id: int, transaction: str, judged: Judged) -> tuple[Command, list[bytes]]:
    """N-EVENT-REPORT-RQ and its data set (PS3.4 J.3.3.1); a sequence without items is left out."""
    committed, failed = judged
    items = {}
    if committed:
        items[_REFERENCED] = [Identifier({_CLASS: (c,), _INSTANCE: (i,)}) for c, i in committed]
    if failed:
        items[_FAILED] = [Identifier({_CLASS: (c,), _INSTANCE: (i,), _REASON: (str(reason),)}) for c, i, reason in failed]
    event: Command = {
        commands.AFFECTED_SOP_CLASS: STORAGE_COMMITMENT,
        commands.COMMAND_FIELD: Field.EVENT_REPORT_RQ,
        commands.AFFECTED_SOP_INSTANCE: STORAGE_COMMITMENT_INSTANCE,
        commands.EVENT_TYPE: 2 if failed else 1,
    }
    syntax = association.contexts[context_id].transfer_syntax
    return event, [encode_identifier({_TRANSACTION_UID: (transaction,)}, syntax, items)]


def action_response(request_: Command, status: int, comment: str = "") -> Command:
    """N-ACTION-RSP (PS3.7 section 10.3.4)."""
    answered: Command = {
        commands.AFFECTED_SOP_CLASS: commands.text(request_, commands.REQUESTED_SOP_CLASS),
        commands.COMMAND_FIELD: Field.ACTION_RSP,
        commands.RESPONDED_TO: commands.number(request_, commands.MESSAGE_ID),
        commands.STATUS: status,
        commands.AFFECTED_SOP_INSTANCE: commands.text(request_, commands.REQUESTED_SOP_INSTANCE),
        commands.ACTION_TYPE: commands.number(request_, commands.ACTION_TYPE, 1),
    }
    if comment:
        answered[commands.ERROR_COMMENT] = commands.comment(comment)
    return answered
