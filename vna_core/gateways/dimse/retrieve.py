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
from vna_core.access.view import CatalogueView
from vna_core.configuration import DimseSettings, PeerSettings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Context, Message
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import Identifier, decode_identifier, encode_identifier
from vna_core.dicom.network.requestor import request
from vna_core.domain.access import Action, Principal, PrincipalKind
from vna_core.domain.errors import InvalidRequest, NotAdaptable, PeerError, RecallPending, VnaError
from vna_core.domain.instance import HeldInstance
from vna_core.domain.query import Equals, Level, Query
from vna_core.gateways.dimse.find import level_of
from vna_core.gateways.dimse.sop_classes import EXPLICIT_LITTLE, GET, IMPLICIT_LITTLE, MOVE

PENDING: Final = 0xFF00
CANCELLED: Final = 0xFE00
WITH_FAILURES: Final = 0xB000
MOVE_DESTINATION_UNKNOWN: Final = 0xA801
OUT_OF_RESOURCES_SUBOPERATIONS: Final = 0xA702
_FAILED_UIDS: Final = 0x00080058
_PATIENT_ID, _ISSUER = 0x00100020, 0x00100021
_STUDY, _SERIES, _SOP = 0x0020000D, 0x0020000E, 0x00080018
_REPORT_EVERY: Final = 0.5
_RECALL_LOOK: Final = 1.0
"""Seconds between looks at a recall that a retrieval waits for; the peer hears a pending response each time."""
_CONTEXTS: Final = 128

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
    ) -> None:
        self._settings = settings
        self._catalogue = permit.catalogue
        self._policy = policy
        self._transcoder = transcoder
        self._egress = egress
        self._availability = availability
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
        for group, contexts in _groups(held, profile):
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


def wanted_instances(catalogue: CatalogueView, identifier: Identifier, level: Level) -> list[HeldInstance]:
    """Instances that the unique keys of a retrieve name (PS3.4 C.4.2.1.4). Raises InvalidRequest.

    A Patient ID that several issuers gave out is not answered without Issuer of Patient ID: it would hand over strangers' images.
    """
    unique = {Level.PATIENT: _PATIENT_ID, Level.STUDY: _STUDY, Level.SERIES: _SERIES, Level.IMAGE: _SOP}[level]
    uids = [value for value in identifier.values.get(unique, ()) if value]
    if not uids:
        raise InvalidRequest(f"The identifier has no unique key of level {level.value}.")
    if level is Level.PATIENT:
        return _of_patient(catalogue, uids[0], identifier.first(_ISSUER))
    study, series = identifier.first(_STUDY), identifier.first(_SERIES)
    if level is Level.IMAGE:
        found = list(catalogue.instances_by_uid_list(uids))
    elif level is Level.SERIES:
        found = [held for uid in uids for held in catalogue.instances(study=study or None, series=uid)]
    else:
        found = [held for uid in uids for held in catalogue.instances(study=uid)]
    patient = identifier.first(_PATIENT_ID)
    one_of_each = {(held.study_instance_uid, held.patient): held for held in found} if patient else {}
    belongs = {key: catalogue.is_of(held, patient) for key, held in one_of_each.items()}
    return [
        held
        for held in found
        if (not patient or belongs[held.study_instance_uid, held.patient])
        and (level is Level.STUDY or not study or held.study_instance_uid == study)
        and (level is not Level.IMAGE or not series or held.series_instance_uid == series)
    ]


def _of_patient(catalogue: CatalogueView, patient_id: str, issuer: str) -> list[HeldInstance]:
    conditions = (Equals(_PATIENT_ID, (patient_id,)), *((Equals(_ISSUER, (issuer,)),) if issuer else ()))
    patients = frozenset(match.patient for match in catalogue.search(Query(Level.PATIENT, conditions)).matches)
    if not catalogue.are_one_person(patients):
        raise InvalidRequest("Several issuers gave out this Patient ID: name the Issuer of Patient ID.")
    return [
        held
        for patient in sorted(patients, key=lambda one: (one.issuer, one.patient_id))
        for held in catalogue.instances(patient=patient)
    ]


_Proposals = dict[tuple[str, tuple[str, ...]], None]


def _groups(
    held: Sequence[HeldInstance], profile: EgressProfile | None
) -> Iterator[tuple[list[HeldInstance], list[tuple[str, tuple[str, ...]]]]]:
    """Instances by associations of at most 128 contexts: one for each class and stored syntax, one to fall back on for a class.

    Where a profile names transfer syntaxes, there is one context for each class and each of them instead.
    """
    group: list[HeldInstance] = []
    exact: _Proposals = {}
    classes: _Proposals = {}
    for one in held:
        allowed = profile.transfer_syntaxes if profile is not None else ()
        named = dict.fromkeys(profile.sop_classes_of(one) if profile is not None else (one.sop_class_uid,))
        syntaxes = allowed or (one.transfer_syntax_uid,)
        pairs: _Proposals = {(name, (syntax,)): None for name in named for syntax in syntaxes}
        fallbacks: _Proposals = {} if allowed else {(name, (EXPLICIT_LITTLE, IMPLICIT_LITTLE)): None for name in named}
        more = len(pairs.keys() - exact.keys()) + len(fallbacks.keys() - classes.keys())
        if more and len(exact) + len(classes) + more > _CONTEXTS:
            yield group, [*exact, *classes]
            group, exact, classes = [], {}, {}
        exact |= pairs
        classes |= fallbacks
        group.append(one)
    if group:
        yield group, [*exact, *classes]


def _started(octets: Iterator[bytes]) -> Iterator[bytes]:
    """The same stream, its first piece read already."""
    first = next(octets, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from octets

    return rest()
