"""C-MOVE and C-GET as SCP (PS3.4 sections C.4.2 and C.4.3): objects stream from the store to the peer without being decoded."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import structlog

from vna_core.access.availability import Availability
from vna_core.access.egress.outgoing import Egress, Outgoing
from vna_core.access.egress.profiles import EgressProfile
from vna_core.access.gate import Permit
from vna_core.access.policy import Policy
from vna_core.access.transcode import Transcoder
from vna_core.configuration import PeerSettings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association, Context, Message
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import decode_identifier
from vna_core.domain.access import Action, Principal, PrincipalKind
from vna_core.domain.errors import NotAdaptable, RecallPending, VnaError
from vna_core.domain.instance import HeldInstance
from vna_core.domain.query import Level
from vna_core.gateways.dimse.arriving import Arriving, Progress, Receiver
from vna_core.gateways.dimse.destination import Destination
from vna_core.gateways.dimse.find import level_of
from vna_core.gateways.dimse.peers import Peers
from vna_core.gateways.dimse.proposals import Proposal, proposed_groups
from vna_core.gateways.dimse.sop_classes import GET, MOVE
from vna_core.gateways.dimse.sub_operations import CANCELLED, PENDING, Interrupted, finish, report, response, watching
from vna_core.gateways.dimse.wanted import awaited, wanted_instances
from vna_core.migration.cutover import NOT_IN_TIME, CutOver, Fetched

MOVE_DESTINATION_UNKNOWN: Final = 0xA801
_FETCH_LOOK: Final = 0.5
"""Seconds between looks at a study that is fetched from a source in cut-over."""
_RECALL_LOOK: Final = 1.0
"""Seconds between looks at a recall that a retrieval waits for; the peer hears a pending response each time."""

_log = structlog.get_logger(__name__)


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
    cutover
        Sources that have what is not here yet.
    arriving
        Instances that are sent as they arrive, instead of those that the catalogue holds under what is asked for.
    """

    def __init__(
        self,
        peers: Peers,
        permit: Permit,
        policy: Policy,
        transcoder: Transcoder,
        egress: Egress,
        calling: str,
        availability: Availability | None = None,
        arriving: Arriving | None = None,
        cutover: CutOver | None = None,
    ) -> None:
        self._peers = peers
        self._settings = peers.settings
        self._catalogue = permit.catalogue
        self._policy = policy
        self._transcoder = transcoder
        self._egress = egress
        self._availability = availability
        self._calling = calling
        self._arriving = arriving
        self._cutover = cutover
        self._unavailable: tuple[str, ...] = ()
        self._comment = ""
        self._give_up = float("inf")
        self._meanwhile: Callable[[], None] | None = None

    def _begin(
        self, association: Association, message: Message, models: dict[str, tuple[Level, ...]], receiver: Receiver | None = None
    ) -> tuple[Progress, Iterator[HeldInstance]]:
        """Counts of what is to be sent, and the instances in the order in which they can be."""
        if self._availability is not None:
            self._give_up = time.monotonic() + self._availability.settings.wait_dimse
        if self._arriving is not None:
            progress = Progress(self._arriving.total)
            return progress, self._as_they_arrive(association, message, progress, receiver)
        held = self._wanted(association, message, models)
        if receiver is not None:
            held = self._catalogue.only_in(receiver.scope, held, receiver.title)
        progress = Progress(len(held) + len(self._unavailable), comment=self._comment)
        for uid in self._unavailable:
            progress.count(None, uid)
        return progress, iter(self._recalled(association, message, held, progress))

    def _as_they_arrive(
        self, association: Association, message: Message, progress: Progress, receiver: Receiver | None
    ) -> Iterator[HeldInstance]:
        """Instances of other archives as they come; what never comes is counted as failed at the end, with the reason."""
        arriving = self._arriving
        assert arriving is not None
        message_id = commands.number(message.command, commands.MESSAGE_ID)

        def waiting() -> None:
            if association.is_cancelled(message_id):
                arriving.leave()
            report(association, message, progress)

        for one in arriving.instances(waiting):
            kept = [one] if receiver is None else self._catalogue.only_in(receiver.scope, [one], receiver.title)
            if kept:
                yield from self._recalled(association, message, kept, progress)
            else:
                progress.remaining -= 1
        missing, progress.comment = arriving.missing()
        progress.is_whole = arriving.is_whole
        for uid in missing:
            progress.count(None, uid)

    def move(self, association: Association, message: Message) -> None:
        """Send what is asked for to the named destination, as far as that may have it too."""
        title = commands.text(message.command, commands.MOVE_DESTINATION)
        peer = self._settings.peers.get(title)
        if peer is None:
            answered = response(message, MOVE_DESTINATION_UNKNOWN, None, "The move destination is not a configured peer.")
            association.send(message.context_id, answered)
            return
        receiver = Principal(PrincipalKind.AE_TITLE, title, peer.host)
        if not self._fetched(association, message, MOVE):
            return
        within = Receiver(title, self._policy.scope(receiver, Action.RETRIEVE))
        progress, held = self._begin(association, message, MOVE, within)
        message_id = commands.number(message.command, commands.MESSAGE_ID)
        originator: Command = {
            commands.MOVE_ORIGINATOR: self._calling,
            commands.MOVE_ORIGINATOR_MESSAGE: message_id,
        }
        destination = Destination(self, title, peer, self._egress.profiles.of_title(title))
        self._meanwhile = watching(association, message, progress)
        try:
            is_cancelled = self._sent(association, message, destination, held, originator, progress)
        except Interrupted as interrupted:
            destination.abort()
            if interrupted.__cause__ is not None:
                raise interrupted.__cause__ from None
            is_cancelled = True
        finally:
            destination.release()
        finish(association, message, progress, is_cancelled or association.is_cancelled(message_id))

    def _sent(
        self,
        association: Association,
        message: Message,
        destination: Destination,
        held: Iterator[HeldInstance],
        originator: Command,
        progress: Progress,
    ) -> bool:
        """Send all; True: cancelled before its end. Raises Interrupted."""
        message_id = commands.number(message.command, commands.MESSAGE_ID)
        # Instances that arrive one by one go one by one, over an association that stays open for the next.
        groups_of = ([one] for one in held) if self._arriving is not None else (list(held),)
        for group in groups_of:
            for some, contexts in proposed_groups(group, destination.profile):
                destination.open(contexts)
                for one in some:
                    if association.is_cancelled(message_id):
                        return True
                    try:
                        progress.count(destination.store(one, originator, progress), one.sop_instance_uid)
                    except Interrupted:
                        progress.count(None, one.sop_instance_uid)
                        raise
                    report(association, message, progress)
        return False

    def connected(self, title: str, peer: PeerSettings, contexts: Sequence[Proposal]) -> Association:
        """An association with a destination. Raises as `Peers.associate`."""
        return self._peers.associate(title, peer, contexts, idle_timeout=max(self._settings.idle_timeout, 60.0))

    def get(self, association: Association, message: Message) -> None:
        """Send what is asked for on the same association."""
        if not self._fetched(association, message, GET):
            return
        progress, held = self._begin(association, message, GET)
        message_id = commands.number(message.command, commands.MESSAGE_ID)
        profile = self._egress.profiles.of_title(self._calling)
        for number, one in enumerate(held, 1):
            if association.is_cancelled(message_id):
                break
            status = self.store(association, one, (message_id + number) & 0xFFFF, {}, profile, progress)
            progress.count(status, one.sop_instance_uid)
            report(association, message, progress)
        finish(association, message, progress, association.is_cancelled(message_id))

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
            progress = Progress(max(1, sum(one.expected for one in found)))
            if association.is_cancelled(commands.number(message.command, commands.MESSAGE_ID)):
                association.send(message.context_id, response(message, CANCELLED, progress))
                return False
            association.send(message.context_id, response(message, PENDING, progress))
            time.sleep(_FETCH_LOOK)
        return True

    def _note_missing(self, found: Sequence[Fetched]) -> None:
        for one in found:
            if not one.missing:
                one.check(self._cutover.settings.retry_after if self._cutover is not None else 0)
            self._unavailable += tuple(instance.sop_instance_uid for instance in one.missing)
            self._comment = self._comment or one.reason or (NOT_IN_TIME if one.waiting else "")

    def _recalled(
        self, association: Association, message: Message, held: Sequence[HeldInstance], progress: Progress
    ) -> list[HeldInstance]:
        """What can be sent now. What is archived is recalled, waited for as long as the settings say, and counted as failed."""
        if self._availability is None:
            return list(held)
        message_id = commands.number(message.command, commands.MESSAGE_ID)
        while True:
            try:
                self._availability.ensure(held)
                return list(held)
            except RecallPending as error:
                if time.monotonic() >= self._give_up or association.is_cancelled(message_id):
                    return self._without_archived(held, progress, error)
            association.send(message.context_id, response(message, PENDING, progress))
            time.sleep(min(_RECALL_LOOK, max(0.0, self._give_up - time.monotonic())))
            pks = [one.pk for one in held]
            again = {one.pk: one for one in self._catalogue.instances_by_uid_list([one.sop_instance_uid for one in held])}
            held = [again.get(pk, one) for pk, one in zip(pks, held, strict=True)]

    def _without_archived(self, held: Sequence[HeldInstance], progress: Progress, error: RecallPending) -> list[HeldInstance]:
        for one in held:
            if one.nearline:
                progress.count(None, one.sop_instance_uid)
        progress.comment = error.message
        return [one for one in held if not one.nearline]

    # -- one sub-operation ------------------------------------------------------------------------------------------------

    def store(
        self,
        destination: Association,
        held: HeldInstance,
        message_id: int,
        originator: Command,
        profile: EgressProfile | None,
        progress: Progress,
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
            progress.comment = progress.comment or "No accepted presentation context takes the instance."
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
            answer = destination.response(max(self._settings.idle_timeout, 60.0), self._meanwhile)
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


def _started(octets: Iterator[bytes]) -> Iterator[bytes]:
    """The same stream, its first piece read already."""
    first = next(octets, b"")

    def rest() -> Iterator[bytes]:
        yield first
        yield from octets

    return rest()
