"""Corrections that another archive sends, applied here: once, as far as the sender may, and recorded like our own."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from vna_core.catalogue import Catalogue
from vna_core.configuration.corrections import CorrectionsSettings
from vna_core.domain.access import Action, Principal, Scope
from vna_core.domain.audit import AuditEvent, AuditEventId, Auditor, AuditOutcome, StudyObject
from vna_core.domain.corrections import AwaitedRejection, Correction, CorrectionKind, Received, Rejection
from vna_core.domain.errors import InvalidRequest, NotAuthorized, NotFound
from vna_core.domain.identifiers import PatientKey, uid_is_valid
from vna_core.domain.identity import LinkKind, LinkOrigin
from vna_core.domain.instance import HeldInstance
from vna_core.domain.stewardship import Extent
from vna_core.stewardship.deletion import Deleting
from vna_core.stewardship.patient_identity import PatientIdentity

_LONGEST: Final = 1000
_NEEDS: Final = {CorrectionKind.DELETE: Action.DELETE, CorrectionKind.EXPIRE: Action.DELETE}


@dataclass(frozen=True, slots=True)
class Told:
    """A correction as one archive tells it another (see `parse`)."""

    id: str
    kind: CorrectionKind
    undoes: str = ""
    reason: str = ""
    made_by: str = ""
    first: PatientKey | None = None
    second: PatientKey | None = None
    study: str = ""
    code: str = ""
    bare: str = ""
    instances: tuple[str, ...] = ()

    @property
    def needs(self) -> Action:
        """What whoever sends it must be allowed to do."""
        return _NEEDS.get(self.kind, Action.CORRECT)


def parse(document: Any) -> Told:
    """Read the JSON object of ``POST /api/v1/corrections``.

    ``id``, ``kind``, ``undoes``, ``reason``, ``made_by``, ``study``, ``code``, ``bare`` are texts; ``first`` and ``second`` are
    ``[issuer, ID]``, and ``bare`` is the issuer whose IDs may be filed here without one; ``instances`` lists SOP Instance UIDs of
    ``study``. Raises InvalidRequest.
    """
    if not isinstance(document, Mapping):
        raise InvalidRequest("A correction is one JSON object.")
    unknown = sorted(set(document) - set(Told.__dataclass_fields__))
    if unknown:
        raise InvalidRequest(f"A correction has no field {unknown[0]!r}.", field=unknown[0])
    texts = {name: document.get(name, "") for name in ("id", "kind", "undoes", "reason", "made_by", "study", "code", "bare")}
    for name, value in texts.items():
        if not isinstance(value, str) or len(value) > _LONGEST:
            raise InvalidRequest(f"The field {name!r} is a text of at most {_LONGEST} characters.", field=name)
    if not uid_is_valid(texts["id"]) or (texts["undoes"] and not uid_is_valid(texts["undoes"])):
        raise InvalidRequest("The field 'id' is a UID, and so is 'undoes' where it is given.", field="id")
    try:
        kind = CorrectionKind(texts.pop("kind"))
    except ValueError as error:
        raise InvalidRequest("The kind is merge, move, reject, delete or expire.", field="kind") from error
    instances = document.get("instances", [])
    if not isinstance(instances, list) or not all(isinstance(one, str) for one in instances):
        raise InvalidRequest("The field 'instances' lists SOP Instance UIDs.", field="instances")
    told = Told(kind=kind, **texts, first=_key(document, "first"), second=_key(document, "second"), instances=tuple(instances))
    _check(told)
    return told


def _key(document: Mapping[str, Any], name: str) -> PatientKey | None:
    value = document.get(name)
    if value is None:
        return None
    if not isinstance(value, list) or len(value) != 2 or not all(isinstance(one, str) and len(one) <= _LONGEST for one in value):
        raise InvalidRequest(f"The field {name!r} is [issuer, ID].", field=name)
    return PatientKey(value[0], value[1])


def _check(told: Told) -> None:
    if told.undoes:
        return
    of_patients = told.kind in (CorrectionKind.MERGE, CorrectionKind.MOVE)
    if of_patients and (told.first is None or told.second is None or (told.kind is CorrectionKind.MOVE and not told.study)):
        raise InvalidRequest("A merge names 'first' and 'second', a move 'study' as well.", field="first")
    if not of_patients and (not told.study or not told.instances):
        raise InvalidRequest("What is rejected or deleted is named by 'study' and 'instances'.", field="instances")
    if told.kind is CorrectionKind.REJECT and told.code not in {one.value for one in Rejection}:
        raise InvalidRequest("A rejection has the 'code' of a reason (PS3.16 CID 7011).", field="code")


@dataclass(frozen=True, slots=True)
class Correcting:
    """Applies corrections.

    Attributes
    ----------
    deleting
        Makes what deletes and rejects in the name of somebody.
    departments_of
        Issuer to the departments of members of the federation whose IDs are of it: what they hold is not held here, and is theirs all the same.
    """

    catalogue: Catalogue
    auditor: Auditor
    settings: CorrectionsSettings
    deleting: Callable[[Principal], Deleting]
    departments_of: Mapping[str, frozenset[str]] = field(default_factory=dict)

    def apply(self, told: Told, who: Principal, scope: Scope) -> str:
        """Do what a correction says; durable when it returns. ``applied``, ``known`` (it was before), ``nothing`` (nothing of it is here) or
        ``other-patient`` (the study to be moved is filed under another patient here: nothing was done, nor will be until it comes again).

        Parameters
        ----------
        scope
            Where whoever sends it may do what `Told.needs`.

        Raises
        ------
        NotAuthorized
            It concerns instances in which whoever sends it may not do that.
        UnderHold
            A hold keeps what is to be deleted.
        AuditUnavailable, CatalogueUnavailable
            Not now.
        """
        if self.catalogue.corrections.find(told.id) is not None:
            return "known"
        if told.kind is CorrectionKind.MOVE and not told.undoes and self._is_of_another_patient(told):
            return "other-patient"
        try:
            done = self._undo(told, who, scope) if told.undoes else self._do(told, who, scope)
        except NotFound:
            if self.catalogue.corrections.find(told.id) is None:
                raise
            return "known"  # the same came twice at once, and the other one was quicker
        except NotAuthorized:
            self._denied(told, who)
            raise
        if self.catalogue.corrections.find(told.id) is None:
            received = Received(told.id, who.name)
            self.catalogue.corrections.note(told.kind, received, told.reason, told.made_by, told.undoes)
        return "applied" if done else "nothing"

    def _denied(self, told: Told, who: Principal) -> None:
        """Have it in the audit trail that somebody tried."""
        of_patients = told.kind in (CorrectionKind.MERGE, CorrectionKind.MOVE)
        keys = [key for key in (told.first, told.second) if key is not None] or [PatientKey("", "")]
        event = AuditEvent(
            AuditEventId.PATIENT_RECORD if of_patients else AuditEventId.DELETED,
            who,
            AuditOutcome.SERIOUS_FAILURE,
            description=f"denied: {told.kind.value} in a department in which the sender may not do this",
            studies=tuple(StudyObject(told.study, key.patient_id, key.issuer) for key in keys),
        )
        self.auditor.note(event)

    def _do(self, told: Told, who: Principal, scope: Scope) -> bool:
        received = Received(told.id, who.name)
        reason = f"{told.reason} ({told.made_by})" if told.made_by else told.reason
        if told.first is not None and told.second is not None:
            study = told.study if told.kind is CorrectionKind.MOVE else ""
            first, second = self._as_filed(told, told.first, told.second)
            held = self.catalogue.instances(patient=first, study=study or None, all_versions=True)
            self._demand(held, scope)
            self._demand_issuer(told.first.issuer, scope)
            identity = PatientIdentity(self.catalogue, self.auditor, who)
            identity.decide(LinkKind(told.kind.value), first, second, reason, LinkOrigin.MEMBER, study, received)
            return True
        named = frozenset(told.instances)
        held = [one for one in self.catalogue.instances(study=told.study, all_versions=True) if one.sop_instance_uid in named]
        self._demand(held, scope)
        rejection = Rejection(told.code) if told.kind is CorrectionKind.REJECT else None
        if rejection is not None:
            if rejection is Rejection.QUALITY and self.settings.show_quality:
                return False
            missing = named - {one.sop_instance_uid for one in held}
            by = (who.kind.value, who.name, who.address)
            self.catalogue.rejections.await_(
                AwaitedRejection(told.id, told.study, sop, rejection.value, by) for sop in sorted(missing)
            )
        if not held:
            return rejection is not None
        note = told.id if rejection is not None else ""
        call = {"only": named, "kind": told.kind, "rejection": rejection, "note": note, "received": received}
        deleting = self.deleting(who)
        deleting.delete(Extent.STUDY, told.study, reason.strip() or told.kind.value, who.name, **call)  # type: ignore[arg-type]
        return True

    def _as_filed(self, told: Told, first: PatientKey, second: PatientKey) -> tuple[PatientKey, PatientKey]:
        """The patients of a merge or move as they are filed here: the IDs alone, where those of their issuer came without one."""
        bare = PatientKey("", first.patient_id)
        study = told.study or None
        if not told.bare or first.issuer != told.bare or self.catalogue.instances(patient=first, study=study, all_versions=True):
            return first, second
        if not self.catalogue.instances(patient=bare, study=study, all_versions=True):
            return first, second
        return bare, PatientKey("", second.patient_id) if second.issuer == told.bare else second

    def _is_of_another_patient(self, told: Told) -> bool:
        """Whether the study of a move is here, and nothing of it under the patient it is to be taken from, or is to go to."""
        assert told.first is not None and told.second is not None
        filed = {one.patient for one in self.catalogue.instances(study=told.study, all_versions=True)}
        return bool(filed) and filed.isdisjoint((told.first, told.second, *self._as_filed(told, told.first, told.second)))

    def _undo(self, told: Told, who: Principal, scope: Scope) -> bool:
        original = self.catalogue.corrections.find(told.undoes)
        if original is None:
            return False
        if original.origin != who.name and not scope.is_everything:
            raise NotAuthorized("Only who sent a correction, or may correct everywhere, takes it back.")
        received = Received(told.id, who.name)
        done = False
        for deletion in self._deletions(original):
            self.deleting(who).undelete(deletion, who.name, received)
            done = True
        if original.kind is CorrectionKind.REJECT:
            self.catalogue.rejections.arrived(original.id)
        if original.subject.startswith("link:"):
            identity = PatientIdentity(self.catalogue, self.auditor, who)
            identity.undo(int(original.subject.removeprefix("link:")), told.reason or "taken back", received)
            done = True
        return done

    def _deletions(self, original: Correction) -> list[str]:
        found = set(self.catalogue.rejections.of_note(original.id)) if original.kind is CorrectionKind.REJECT else set()
        if original.subject.startswith("deletion:"):
            found.add(original.subject.removeprefix("deletion:"))
        return sorted(found)

    def _demand_issuer(self, issuer: str, scope: Scope) -> None:
        """Raise NotAuthorized for a patient of members in whose departments the sender may not do it."""
        if scope.labels is not None and not self.departments_of.get(issuer, frozenset()) <= scope.labels:
            raise NotAuthorized("The patient's IDs are of a department in which you may not do this.")

    def _demand(self, held: list[HeldInstance], scope: Scope) -> None:
        """Raise NotAuthorized unless all of this lies where the sender may do it. What is not held concerns nobody."""
        pks = [one.pk for one in held]
        if len(self.catalogue.seen(pks, scope)) != len(set(pks)):
            raise NotAuthorized("Part of it belongs to a department in which you may not do this.")
