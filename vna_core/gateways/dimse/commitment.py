"""Storage Commitment Push Model as SCP (PS3.4 annex J): what is promised was read back and compared with its digest.

Where a placement policy asks for copies, a request waits until they are there; what still lacks one when the wait is over is
reported as failed.
"""

from __future__ import annotations

import threading
import time
from typing import Final

import structlog

from vna_core.access.gate import Permit
from vna_core.access.policy import Policy
from vna_core.access.retrieve import Retriever
from vna_core.access.view import CatalogueView
from vna_core.catalogue import Catalogue
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Message
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import Identifier, decode_identifier, encode_identifier
from vna_core.dicom.network.pdu import Role
from vna_core.domain.access import Action, Principal, PrincipalKind
from vna_core.domain.errors import ConfigurationError, InvalidRequest, PeerError, StorageError
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
_MOST: Final = 100_000
_LOOK_AGAIN: Final = 5.0
"""Seconds between looks at copies that a request waits for."""

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
        """Answer N-ACTION-RQ; the request is durable before the answer, and reported right after it."""
        calling = permit.principal.name
        context = association.contexts[message.context_id]
        identifier = decode_identifier(message.data or b"", context.transfer_syntax)
        transaction = identifier.first(_TRANSACTION_UID)
        references = [(one.first(_CLASS), one.first(_INSTANCE)) for one in identifier.items.get(_REFERENCED, ())]
        if not transaction or not references or len(references) > _MOST:
            raise InvalidRequest("The commitment request names no transaction or no instances.")
        self._catalogue.commitments.record(transaction, calling, references)
        association.send(message.context_id, action_response(message.command, 0))
        judged = self._judged(references, time.time(), permit.catalogue)
        if judged is None:
            self._catalogue.commitments.postpone(transaction, calling, _LOOK_AGAIN)
            return
        try:
            status = self._report(association, message.context_id, transaction, judged)
        except PeerError:
            self._catalogue.commitments.postpone(transaction, calling, 1.0)
            raise
        if status == 0:
            self._catalogue.commitments.reported(transaction, calling)
        else:
            self._catalogue.commitments.postpone(transaction, calling, 60.0)

    def report_pending(self, stop: threading.Event) -> None:
        """Report what could not be reported before, on associations of our own. Called from time to time."""
        for one in self._catalogue.commitments.pending():
            if stop.is_set():
                return
            peer = self._peers.settings.peers.get(one.peer)
            if peer is None:
                _log.warning("commitment-peer-unknown", peer=one.peer)
                self._catalogue.commitments.postpone(one.transaction_uid, one.peer, 3600.0)
                continue
            scope = self._policy.scope(Principal(PrincipalKind.AE_TITLE, one.peer, peer.host), Action.STORE)
            judged = self._judged(list(one.instances), one.requested_at, CatalogueView(self._catalogue, scope))
            if judged is None:
                self._catalogue.commitments.postpone(one.transaction_uid, one.peer, _LOOK_AGAIN)
                continue
            try:
                roles = [Role(STORAGE_COMMITMENT, False, True)]
                association = self._peers.associate(one.peer, peer, [(STORAGE_COMMITMENT, IDENTIFIER_SYNTAXES)], roles)
            except (PeerError, ConfigurationError) as error:
                _log.warning("commitment-report-failed", peer=one.peer, code=error.code, message=error.message)
                self._catalogue.commitments.postpone(one.transaction_uid, one.peer, 60.0)
                continue
            try:
                if not association.contexts:
                    raise PeerError("The peer does not take commitment reports.")
                status = self._report(association, next(iter(association.contexts)), one.transaction_uid, judged)
                association.release()
                if status == 0:
                    self._catalogue.commitments.reported(one.transaction_uid, one.peer)
                else:
                    self._catalogue.commitments.postpone(one.transaction_uid, one.peer, 60.0)
            except PeerError as error:
                association.close()
                _log.warning("commitment-report-failed", peer=one.peer, code=error.code)
                self._catalogue.commitments.postpone(one.transaction_uid, one.peer, 60.0)

    def _report(self, association: Association, context_id: int, transaction: str, judged: Judged) -> int:
        """N-EVENT-REPORT; the peer's status."""
        committed, failed = judged
        items = {_REFERENCED: [Identifier({_CLASS: (c,), _INSTANCE: (i,)}) for c, i in committed]}
        if failed:
            items[_FAILED] = [Identifier({_CLASS: (c,), _INSTANCE: (i,), _REASON: (str(reason),)}) for c, i, reason in failed]
        event: Command = {
            commands.AFFECTED_SOP_CLASS: STORAGE_COMMITMENT,
            commands.COMMAND_FIELD: Field.EVENT_REPORT_RQ,
            commands.MESSAGE_ID: 1,
            commands.AFFECTED_SOP_INSTANCE: STORAGE_COMMITMENT_INSTANCE,
            commands.EVENT_TYPE: 2 if failed else 1,
        }
        syntax = association.contexts[context_id].transfer_syntax
        association.send(context_id, event, [encode_identifier({_TRANSACTION_UID: (transaction,)}, syntax, items)])
        while True:
            answer = association.receive()
            if commands.number(answer.command, commands.COMMAND_FIELD) == Field.EVENT_REPORT_RSP:
                return commands.number(answer.command, commands.STATUS, PROCESSING_FAILURE)

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
