"""Every instance offered, however it came, as audit events: one for the first of a sender and study, one for those of a minute."""

from __future__ import annotations

from typing import Final

from vna_core.domain.access import Principal, PrincipalKind
from vna_core.domain.audit import AuditEvent, AuditEventId, Auditor, AuditOutcome, StudyObject
from vna_core.domain.outcome import IngestResult

_KINDS: Final = {"dimse": PrincipalKind.AE_TITLE, "stow": PrincipalKind.TOKEN}


class ReceptionNotes:
    """An observer of ingest."""

    def __init__(self, auditor: Auditor) -> None:
        self._auditor = auditor

    def __call__(self, result: IngestResult) -> None:
        source, patient = result.source, result.patient
        if source is None:
            return
        kind = _KINDS.get(source.kind)
        principal = (
            Principal(PrincipalKind.LOCAL, source.name)  # whose address is a file: each of a folder would be a sender of its own
            if kind is None
            else Principal(kind, source.name, source.address)
        )
        study = StudyObject(
            result.study_instance_uid,
            patient.patient_id if patient is not None else "",
            patient.issuer if patient is not None else "",
            ((result.sop_class_uid, 1),) if result.sop_class_uid else (),
        )
        self._auditor.note_access(
            AuditEvent(
                AuditEventId.RECEIVED,
                principal,
                AuditOutcome.SUCCESS if result.outcome.acknowledged else AuditOutcome.MINOR_FAILURE,
                description="" if result.outcome.acknowledged else result.outcome.value,
                studies=(study,),
            )
        )
