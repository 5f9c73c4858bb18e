"""Rejection of instances (IHE IOCM): hidden by a reason code, never purged, and taken back with one command.

A rejection note that arrives is applied as soon as it is durable: the catalogue lists it in the transaction that records it, so a process that dies in
between leaves it to the worker. What a note names and is not held yet is hidden when it arrives.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog

from vna_core.catalogue import Catalogue
from vna_core.configuration.corrections import CorrectionsSettings
from vna_core.dicom.rejection_note import RejectionNote, read_note
from vna_core.domain.access import Principal, PrincipalKind, Scope
from vna_core.domain.audit import AuditEvent, AuditEventId, Auditor, AuditOutcome, StudyObject
from vna_core.domain.corrections import KEY_OBJECT_SELECTION, REJECTION_NOTE, AwaitedRejection, Received, Rejection
from vna_core.domain.errors import NotFound, VnaError
from vna_core.domain.instance import HeldInstance
from vna_core.domain.jobs import Again, Job
from vna_core.domain.octets import Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.domain.stewardship import DELETED, Extent
from vna_core.ports.jobs import Running
from vna_core.ports.storage import Store
from vna_core.stewardship.deletion import Deleting

_KINDS: Final = {"dimse": PrincipalKind.AE_TITLE, "stow": PrincipalKind.TOKEN}
_LOOK_EVERY: Final = 1.0
_ROUND: Final = 60.0
_PAUSE: Final = 10.0
_LEASE: Final = 300.0
_TOGETHER: Final = 100

MayCorrect = Callable[[Principal], Scope]
"""Where somebody may correct."""

_log = structlog.get_logger(__name__)


class Rejecting:
    """Applies rejection notes. Safe to use from several threads."""

    def __init__(
        self,
        stores: Mapping[str, Store],
        landing: Store,
        catalogue: Catalogue,
        auditor: Auditor,
        may_correct: MayCorrect,
        settings: CorrectionsSettings,
    ) -> None:
        self._stores = stores
        self._landing = landing
        self._catalogue = catalogue
        self._auditor = auditor
        self._may_correct = may_correct
        self._settings = settings
        self._looked, self._awaits = float("-inf"), False

    def observe(self, result: IngestResult) -> None:
        """An instance was recorded: apply it if it is a note, hide it if a note named it before."""
        if not self._settings.rejection_notes or result.outcome not in (Outcome.HELD, Outcome.CONFLICT):
            return
        if result.sop_class_uid == KEY_OBJECT_SELECTION:
            self._take()
        elif self._any_awaited():
            self._hide_arrived(self._catalogue.rejections.awaited(result.sop_instance_uid))

    def round(self, job: Job, running: Running) -> Again:
        """Hide what came while nobody looked, every minute."""
        del job, running
        if self._settings.rejection_notes:
            self._hide_arrived(self._catalogue.rejections.awaited_and_held())
        return Again(_ROUND)

    def note(self, job: Job, running: Running) -> None:
        """Apply a note whose process died before it did, or could not. Raises what kept it from being applied."""
        del running
        self._look(int(job.key))

    def _look(self, pk: int) -> None:
        if not self._settings.rejection_notes:
            return
        try:
            self._apply(pk)
        except NotFound:
            _log.info("rejection-note-gone", pk=pk)

    def _take(self) -> None:
        """Apply the notes that wait, as this process and not a worker: whoever sent one may look at once."""
        jobs = self._catalogue.jobs
        for job in jobs.take((REJECTION_NOTE,), _TOGETHER, _LEASE, "reception"):
            try:
                self._look(int(job.key))
            except VnaError as error:
                _log.warning("rejection-not-applied", pk=job.key, code=error.code)
                jobs.later(job, _PAUSE, f"{error.message} [{error.code}]")
            else:
                jobs.done(job)

    def _apply(self, pk: int) -> None:
        explanation = self._catalogue.explanation(pk)
        held = explanation.held
        study, series, sop = held.study_instance_uid, held.series_instance_uid, held.sop_instance_uid
        header = next(
            (octets for one, octets in self._catalogue.headers(study=study, series=series, sop=sop) if one.pk == pk), None
        )
        note = None if header is None else read_note(json.loads(header))
        if note is None or note.work_product or (note.title is Rejection.QUALITY and self._settings.show_quality):
            return  # a work product was made, here or elsewhere, of another product's flag: it says so, and hides nothing
        principal = principal_of(explanation.source)
        known = [self._catalogue.deletions.deletion(one) for one in self._catalogue.rejections.of_note(held.sop_instance_uid)]
        if not known:
            self._reject(held, note, principal)
        elif any(one.state in DELETED for one in known) and self._is_alone(
            held, self._may_correct(principal)
        ):  # the note came once more, in other octets: it is hidden like the first
            own = {held.sop_instance_uid}
            self._hide(principal, held.study_instance_uid, own, note.title, note.reason, held.sop_instance_uid)

    def _reject(self, held: HeldInstance, note: RejectionNote, principal: Principal) -> None:
        scope = self._may_correct(principal)
        by_study: dict[str, set[str]] = {}
        for one in note.rejected:
            by_study.setdefault(one.study_instance_uid, set()).add(one.sop_instance_uid)
        awaited: list[AwaitedRejection] = []
        hidden: dict[str, set[str]] = {}
        for study, named in by_study.items():
            here = [one for one in self._catalogue.instances(study=study, all_versions=True) if one.sop_instance_uid in named]
            seen = self._catalogue.seen([one.pk for one in here], scope)
            others = {one.sop_instance_uid for one in here if one.pk not in seen}  # one of its versions, or all
            hidden[study] = {one.sop_instance_uid for one in here} - others
            if others:
                self._denied(principal, study)
            missing = named - {one.sop_instance_uid for one in here}
            told = (note.title.value, (principal.kind.value, principal.name, principal.address))
            awaited += [AwaitedRejection(held.sop_instance_uid, study, sop, *told) for sop in sorted(missing)]
        self._catalogue.rejections.await_(awaited)
        if not awaited and not any(hidden.values()):
            return  # its sender may correct none of it: it stays what it is, an object like any other
        if self._is_alone(held, scope):
            hidden.setdefault(held.study_instance_uid, set()).add(held.sop_instance_uid)  # the note goes with what it rejects
        order = sorted(hidden, key=lambda study: study == held.study_instance_uid)  # the note last: it says that all is done
        for study in order:
            if hidden[study]:
                self._hide(principal, study, hidden[study], note.title, note.reason, held.sop_instance_uid)

    def _is_alone(self, note: HeldInstance, scope: Scope) -> bool:
        """Whether nothing that its sender may not correct is held under the UID that a note came with."""
        beside = [
            one.pk
            for one in self._catalogue.versions(note.sop_instance_uid)
            if one.study_instance_uid == note.study_instance_uid and one.pk != note.pk
        ]
        return len(self._catalogue.seen(beside, scope)) == len(beside)

    def _hide(self, principal: Principal, study: str, sops: Iterable[str], title: Rejection, reason: str, note: str) -> None:
        deleting = Deleting(self._stores, self._landing, self._catalogue, auditor=self._auditor, kind=principal.kind)
        told = f"{title.meaning}: {reason}"[:1000] if reason else title.meaning
        received = Received(_of_study(note, study), principal.name)
        only = frozenset(sops)
        deleting.delete(
            Extent.STUDY, study, told, principal.name or "unknown", only=only, rejection=title, note=note, received=received
        )

    def _hide_arrived(self, awaited: Iterable[AwaitedRejection]) -> None:
        for one in awaited:
            principal = Principal(PrincipalKind(one.principal[0]), *one.principal[1:])
            here = [
                held
                for held in self._catalogue.versions(one.sop_instance_uid)
                if held.study_instance_uid == one.study_instance_uid
            ]
            seen = self._catalogue.seen([held.pk for held in here], self._may_correct(principal))
            if here and all(held.pk in seen for held in here):
                self._hide(principal, one.study_instance_uid, [one.sop_instance_uid], Rejection(one.code), "", one.note)
            elif here:
                self._denied(principal, one.study_instance_uid)
            if here:
                self._catalogue.rejections.arrived(one.note, one.sop_instance_uid)

    def _any_awaited(self) -> bool:
        now = time.monotonic()
        if now - self._looked > _LOOK_EVERY:
            self._awaits, self._looked = self._catalogue.rejections.any_awaited(), now
        return self._awaits

    def _denied(self, principal: Principal, study: str) -> None:
        _log.warning("rejection-denied", kind=principal.kind.value, principal=principal.name)
        event = AuditEvent(
            AuditEventId.DELETED,
            principal,
            AuditOutcome.SERIOUS_FAILURE,
            description="denied: rejection of instances of a department in which the sender may not correct",
            studies=(StudyObject(study),),
        )
        self._auditor.note(event)


def _of_study(note: str, study: str) -> str:
    """The id of what a note rejects in one study: a note may name several, and each is hidden, told and taken back by itself."""
    digest = hashlib.sha256(f"{note} {study}".encode("utf-8", "surrogatepass")).digest()
    return f"2.25.{int.from_bytes(digest[:16])}"


def principal_of(source: Source) -> Principal:
    """Who delivered an instance, as somebody who may or may not do things."""
    return Principal(_KINDS.get(source.kind, PrincipalKind.LOCAL), source.name, source.address)
