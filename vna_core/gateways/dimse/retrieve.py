"""C-MOVE and C-GET as SCP (PS3.4 sections C.4.2 and C.4.3): objects stream from the store to the peer without being decoded."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import structlog

from vna_core.access.availability import Availability
from vna_core.access.egress.outgoing import Egress, Outgoing
from vna_core.access.egress.profiles import EgressProfile
from vna_core.access.gate import Permit
from vna_core.access.policy import Policy
from vna_core.access.transcode import Transcoder
from vna_core.configuration import DimseSettings, PeerSettings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Context, Message
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import decode_identifier, encode_identifier
from vna_core.dicom.network.requestor import request
from vna_core.domain.access import Action, Principal, PrincipalKind
from vna_core.domain.errors import NotAdaptable, PeerError, RecallPending, VnaError
from vna_core.domain.instance import HeldInstance
from vna_core.domain.query import Level
from vna_core.gateways.dimse.find import level_of
from vna_core.gateways.dimse.proposals import proposed_groups
from vna_core.gateways.dimse.sop_classes import GET, MOVE
from vna_core.gateways.dimse.wanted import awaited, wanted_instances
from vna_core.migration.cutover import NOT_IN_TIME, CutOver, Fetched

PENDING: Final = 0xFF00
CANCELLED: Final = 0xFE00
WITH_FAILURES: Final = 0xB000
MOVE_DESTINATION_UNKNOWN: Final = 0xA801
OUT_OF_RESOURCES_SUBOPERATIONS: Final = 0xA702
_FAILED_UIDS: Final = 0x00080058
_REPORT_EVERY: Final = 0.5
_RECALL_LOOK: Final = 1.0
"""Seconds between looks at a recall that a retrieval waits for; the peer hears a pending response each time."""
_FETCH_LOOK: Final = 0.5
"""The same for a study that is fetched from a source in cut-over."""

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Progress:
    """Sub-operation counts of PS3.4 C.4.2.1.5."""

    remaining: int
    completed: int = 0
    failed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)
    comment: str = ""
    reported: float = 0.0

    def count(self, status: int | None, uid: str) -> None:
        self.remaining -= 1
        if status == 0:
            self.completed += 1
        elif status is not None and status & 0xF000 == 0xB000:
            self.warning += 1
        else:
            self.failed += 1
            self.failed_uids.append(uid)


@dataclass(frozen=True, slots=True)
class _Prepared:
    """An instance that is ready to be sent: where, what, and its octets, the first of them read already."""

    context: Context
    held: HeldInstance
    octets: Iterator[bytes]


class RetrieveService:
    """Answers C-MOVE and C-GET of one association.

    Parameters
    ----------
    unavailable
        SOP Instance UIDs that belong to what is asked for and cannot be had: they count as failed.
    comment
        Why, for the Error Comment.
    cutover
        Has fetched what sources in cut-over still have, before anything is sent.
    """

    def __init__(
        self,
        settings: DimseSettings,
        permit: Permit,
        policy: Policy,
        transcoder: Transcoder,
        egress: Egress,
        calling: str,
        unavailable: Sequence[str] = (),
        comment: str = "",
        availability: Availability | None = None,
        cutover: CutOver | None = None,
    ) -> None:
        self._settings = settings
        self._catalogue = permit.catalogue
        self._policy = policy
        self._transcoder = transcoder
        self._egress = egress
        self._availability = availability
        self._cutover = cutover
        self._calling = calling
        self._unavailable = tuple(unavailable)
        self._comment = comment

    def _counting(self, held: Sequence[HeldInstance]) -> _Progress:
        """Counts that begin with what is known to be out of reach."""
        progress = _Progress(len(held) + len(self._unavailable), comment=self._comment)
        for uid in self._unavailable:
            progress.count(None, uid)
        return progress

    def move(self, association: Association, message: Message) -> None:
        """Send what is asked for to the named destination, as far as that may have it too."""
        title = commands.text(message.command, commands.MOVE_DESTINATION)
        peer = self._settings.peers.get(title)
        if peer is None:
            answered = self._response(message, MOVE_DESTINATION_UNKNOWN, None, "The move destination is not a configured peer.")
            association.send(message.context_id, answered)
            return
        if not self._fetched(association, message, MOVE):
            return
        receiver = Principal(PrincipalKind.AE_TITLE, title, peer.host)
        scope = self._policy.scope(receiver, Action.RETRIEVE)
        held = self._catalogue.only_in(scope, self._wanted(association, message, MOVE), title)
        progress = self._counting(held)
        held = self._recalled(association, message, held, progress)
        if association.is_cancelled(commands.number(message.command, commands.MESSAGE_ID)):
            association.send(message.context_id, self._response(message, CANCELLED, progress))
            return
        originator: Command = {
            commands.MOVE_ORIGINATOR: self._calling,
            commands.MOVE_ORIGINATOR_MESSAGE: commands.number(message.command, commands.MESSAGE_ID),
        }
        profile = self._egress.profiles.of_title(title)
        for group, contexts in proposed_groups(held, profile):
            destination = self._connected(title, peer, contexts)
            if destination is None:
                for one in group:
                    progress.count(None, one.sop_instance_uid)
                continue
            address = (title, peer, contexts)
            if not self._send_group(association, message, destination, group, progress, originator, address, profile):
                return
        self._finish(association, message, progress)

    def _connected(self, title: str, peer: PeerSettings, contexts: Sequence[tuple[str, tuple[str, ...]]]) -> Association | None:
        try:
            return request(
                peer.host,
                peer.port,
                called=title,
                calling=self._settings.aet,
                contexts=contexts,
                idle_timeout=max(self._settings.idle_timeout, 60.0),
                network_timeout=self._settings.network_timeout,
            )
        except PeerError as error:
            _log.warning("move-destination-unreachable", destination=title, code=error.code)
            return None

    def _send_group(
        self,
        association: Association,
        message: Message,
        destination: Association | None,
        group: Sequence[HeldInstance],
        progress: _Progress,
        originator: Command,
        address: tuple[str, PeerSettings, Sequence[tuple[str, tuple[str, ...]]]],
        profile: EgressProfile | None,
    ) -> bool:
        """Send some instances over one association to the destination, opened again when it breaks. False: cancelled."""
        for one in group:
            if association.is_cancelled(commands.number(message.command, commands.MESSAGE_ID)):
                if destination is not None:
                    destination.release()
                association.send(message.context_id, self._response(message, CANCELLED, progress))
                return False
            if destination is None:
                destination = self._connected(*address)
            status = None
            if destination is not None:
                try:
                    number = progress.completed + progress.failed + 1
                    status = self._store(destination, one, number, originator, profile, progress)
                except VnaError as error:
                    _log.warning("sub-operation-failed", sop_instance_uid=one.sop_instance_uid, code=error.code)
                    destination.abort(0)
                    destination = None
            progress.count(status, one.sop_instance_uid)
            self._report(association, message, progress)
        if destination is not None:
            destination.release()
        return True

    def get(self, association: Association, message: Message) -> None:
        """Send what is asked for on the same association."""
        if not self._fetched(association, message, GET):
            return
        held = self._wanted(association, message, GET)
        progress = self._counting(held)
        held = self._recalled(association, message, held, progress)
        message_id = commands.number(message.command, commands.MESSAGE_ID)
        profile = self._egress.profiles.of_title(self._calling)
        for number, one in enumerate(held, 1):
            if association.is_cancelled(message_id):
                association.send(message.context_id, self._response(message, CANCELLED, progress))
                return
            status = self._store(association, one, (message_id + number) & 0xFFFF, {}, profile, progress)
            progress.count(status, one.sop_instance_uid)
            self._report(association, message, progress)
        self._finish(association, message, progress)

    def _fetched(self, association: Association, message: Message, models: dict[str, tuple[Level, ...]]) -> bool:
        """Wait until what sources in cut-over have of it is here; what cannot be had counts as failed. False: cancelled.

        The peer hears a pending response at every look. Raises PeerUnavailable, FetchPending, FetchIncomplete where not even
        the number of instances is known.
        """
        if self._cutover is None or not self._cutover.is_active:
            return True
        context = association.contexts[message.context_id]
        identifier = decode_identifier(message.data or b"", context.transfer_syntax)
        fetches = awaited(self._cutover, self._catalogue, identifier, level_of(identifier, models[context.abstract_syntax]))
        give_up = time.monotonic() + self._cutover.settings.wait_dimse
        while fetches:
            found = [self._cutover.look(one) for one in fetches]
            if not any(one.waiting for one in found) or time.monotonic() >= give_up:
                self._note_missing(found)
                break
            progress = _Progress(max(1, sum(one.expected for one in found)))
            if association.is_cancelled(commands.number(message.command, commands.MESSAGE_ID)):
                association.send(message.context_id, self._response(message, CANCELLED, progress))
                return False
            association.send(message.context_id, self._response(message, PENDING, progress))
            time.sleep(_FETCH_LOOK)
        return True

    def _note_missing(self, found: Sequence[Fetched]) -> None:
        for one in found:
            if not one.missing:
                one.check(self._cutover.settings.retry_after if self._cutover is not None else 0)
            self._unavailable += tuple(instance.sop_instance_uid for instance in one.missing)
            self._comment = self._comment or one.reason or (NOT_IN_TIME if one.waiting else "")

    def _recalled(
        self, association: Association, message: Message, held: Sequence[HeldInstance], progress: _Progress
    ) -> list[HeldInstance]:
        """What can be sent now. What is archived is recalled, waited for as long as the settings say, and counted as failed."""
        if self._availability is None:
            return list(held)
        give_up = time.monotonic() + self._availability.settings.wait_dimse
        message_id = commands.number(message.command, commands.MESSAGE_ID)
        while True:
            try:
                self._availability.ensure(held)
                return list(held)
            except RecallPending as error:
                if time.monotonic() >= give_up or association.is_cancelled(message_id):
                    return self._without_archived(held, progress, error)
            association.send(message.context_id, self._response(message, PENDING, progress))
            time.sleep(min(_RECALL_LOOK, max(0.0, give_up - time.monotonic())))
            pks = [one.pk for one in held]
            again = {one.pk: one for one in self._catalogue.instances_by_uid_list([one.sop_instance_uid for one in held])}
            held = [again.get(pk, one) for pk, one in zip(pks, held, strict=True)]

    def _without_archived(self, held: Sequence[HeldInstance], progress: _Progress, error: RecallPending) -> list[HeldInstance]:
        for one in held:
            if one.nearline:
                progress.count(None, one.sop_instance_uid)
        progress.comment = error.message
        return [one for one in held if not one.nearline]

    # -- one sub-operation ------------------------------------------------------------------------------------------------

    def _store(
        self,
        destination: Association,
        held: HeldInstance,
        message_id: int,
        originator: Command,
        profile: EgressProfile | None,
        progress: _Progress,
    ) -> int | None:
        """C-STORE one instance; the peer's status, None where it could not be sent.

        Raises PeerError or StorageError when the association cannot be used any more.
        """
        try:
            prepared = self._prepared(destination, held, profile)
        except VnaError as error:
            fields = {name: error.fields[name] for name in ("tag", "profile") if name in error.fields}
            _log.warning("sub-operation-failed", sop_instance_uid=held.sop_instance_uid, code=error.code, **fields)
            if isinstance(error, NotAdaptable | RecallPending):
                progress.comment = error.message
            return None
        if prepared is None:
            return None
        request_: Command = {
            commands.AFFECTED_SOP_CLASS: prepared.held.sop_class_uid,
            commands.COMMAND_FIELD: Field.STORE_RQ,
            commands.MESSAGE_ID: message_id & 0xFFFF,
            commands.PRIORITY: 0,
            commands.AFFECTED_SOP_INSTANCE: prepared.held.sop_instance_uid,
            **originator,
        }
        destination.send(prepared.context.id, request_, prepared.octets)
        while True:
            answer = destination.receive(timeout=max(self._settings.idle_timeout, 60.0))
            if commands.number(answer.command, commands.COMMAND_FIELD) == Field.STORE_RSP:
                return commands.number(answer.command, commands.STATUS, 0x0110)

    def _prepared(self, destination: Association, held: HeldInstance, profile: EgressProfile | None) -> _Prepared | None:
        """The instance for the destination with its first octets read, so that a damaged small object fails before anything is
        sent; None where no accepted context takes it. Raises VnaError.
        """
        wanted = self._egress.transfer_syntaxes(held, profile)
        outgoing = self._egress.outgoing(held, profile)
        context = self._context(destination, outgoing, wanted)
        if context is None and profile is not None and outgoing.held.sop_class_uid in profile.sop_classes.values():
            # The peer knows the retired class only: it gets that one.
            outgoing = self._egress.outgoing(held, replace(profile, sop_classes={}))
            context = self._context(destination, outgoing, wanted)
        if context is None:
            return None
        return _Prepared(context, outgoing.held, _started(outgoing.data_set(context.transfer_syntax)))

    def _context(self, destination: Association, outgoing: Outgoing, wanted: Sequence[str]) -> Context | None:
        """The accepted context to use: the profile's preference decides, else the stored transfer syntax comes first."""
        held = outgoing.held
        usable = [c for c in destination.contexts.values() if c.abstract_syntax == held.sop_class_uid and c.may_send]
        for syntax in wanted or (held.transfer_syntax_uid,):
            for context in usable:
                if context.transfer_syntax == syntax:
                    return context
        if wanted:
            return None
        return next((context for context in usable if self._transcoder.can(held, context.transfer_syntax)), None)

    # -- what is asked for, and the answers -------------------------------------------------------------------------------

    def _wanted(self, association: Association, message: Message, models: dict[str, tuple[Level, ...]]) -> list[HeldInstance]:
        context = association.contexts[message.context_id]
        identifier = decode_identifier(message.data or b"", context.transfer_syntax)
        level = level_of(identifier, models[context.abstract_syntax])
        return wanted_instances(self._catalogue, identifier, level)

    def _report(self, association: Association, message: Message, progress: _Progress) -> None:
        now = time.monotonic()
        if progress.remaining and now - progress.reported > _REPORT_EVERY:
            progress.reported = now
            association.send(message.context_id, self._response(message, PENDING, progress))

    def _finish(self, association: Association, message: Message, progress: _Progress) -> None:
        sent = progress.completed + progress.warning
        if not progress.failed and not progress.warning:
            status = 0x0000
        else:
            status = WITH_FAILURES if sent else OUT_OF_RESOURCES_SUBOPERATIONS
        answered = self._response(message, status, progress, progress.comment)
        data = None
        if progress.failed_uids:
            context = association.contexts[message.context_id]
            data = [encode_identifier({_FAILED_UIDS: progress.failed_uids}, context.transfer_syntax)]
        association.send(message.context_id, answered, data)

    def _response(self, message: Message, status: int, progress: _Progress | None, comment: str = "") -> Command:
        is_move = commands.number(message.command, commands.COMMAND_FIELD) == Field.MOVE_RQ
        answered: Command = {
            commands.AFFECTED_SOP_CLASS: commands.text(message.command, commands.AFFECTED_SOP_CLASS),
            commands.COMMAND_FIELD: Field.MOVE_RSP if is_move else Field.GET_RSP,
            commands.RESPONDED_TO: commands.number(message.command, commands.MESSAGE_ID),
            commands.STATUS: status,
        }
        if progress is not None:
            if status in (PENDING, CANCELLED):
                answered[commands.REMAINING] = progress.remaining
            answered[commands.COMPLETED] = progress.completed
            answered[commands.FAILED] = progress.failed
            answered[commands.WARNING] = progress.warning
        if comment:
            answered[commands.ERROR_COMMENT] = commands.comment(comment)
        return answered


def _started(octets: Iterator[bytes]) -> Iterator[bytes]:
    """The same stream, its first piece read already."""
    first = next(octets, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from octets

    return rest()
