"""What one permit's holder reads becomes audit events: here, so that no face of the archive has to think of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, assert_never

from vna_core.domain.access import Action, Principal
from vna_core.domain.audit import AuditEvent, AuditEventId, Auditor, AuditOutcome, NoAudit, StudyObject
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.query import Between, Condition, Empty, Equals, InSequence, Query, Wildcard

_LONGEST_QUERY: Final = 8192
_EVENTS: Final = {
    Action.QUERY: AuditEventId.QUERY,
    Action.RETRIEVE: AuditEventId.TRANSFERRED,
    Action.STORE: AuditEventId.RECEIVED,
    Action.DELETE: AuditEventId.DELETED,
    Action.CORRECT: AuditEventId.PATIENT_RECORD,
}
"""What an attempt is recorded as; what is done to the archive itself is an application activity."""


class Given(Protocol):
    """One instance that is given out."""

    @property
    def patient(self) -> PatientKey: ...
    @property
    def study_instance_uid(self) -> str: ...
    @property
    def sop_class_uid(self) -> str: ...


def event_of(action: Action) -> AuditEventId:
    """Which event an attempt to do something is."""
    return _EVENTS.get(action, AuditEventId.ACTIVITY)


@dataclass(frozen=True, slots=True)
class AccessNotes:
    """Notes what the holder of one permit reads."""

    auditor: Auditor
    principal: Principal
    action: Action
    emergency: str = ""

    def queried(self, query: Query) -> None:
        """A question was asked."""
        asked = "\n".join([query.level.value, *map(_text, query.conditions)])[:_LONGEST_QUERY]
        self._note(AuditEventId.QUERY, query=asked)

    def read(self, held: Sequence[Given], asked: Iterable[str | None] = (), destination: str = "") -> None:
        """Instances were found to be given out, or nothing was found under the UIDs that were `asked` for."""
        if self.action is not Action.RETRIEVE:
            return
        if not held:
            study = next((uid for uid in asked if uid), "")
            self.missed(study)
            return
        by_study: dict[str, list[Given]] = {}
        for one in held:
            by_study.setdefault(one.study_instance_uid, []).append(one)
        for study, instances in by_study.items():
            classes = Counter([one.sop_class_uid for one in instances])
            patient = instances[0].patient
            self._note(
                AuditEventId.TRANSFERRED,
                (StudyObject(study, patient.patient_id, patient.issuer, tuple(sorted(classes.items()))),),
                destination=destination,
            )

    def described(self, study: str, found: bool) -> None:
        """Headers of a study or of a part of it were given out."""
        if self.action is Action.RETRIEVE:
            if found:
                self._note(AuditEventId.ACCESSED, (StudyObject(study),))
            else:
                self.missed(study)

    def missed(self, study: str) -> None:
        """Somebody asked for what is not held, or not for them."""
        self._note(
            event_of(self.action), (StudyObject(study),), AuditOutcome.MINOR_FAILURE, description="nothing found in the scope"
        )

    def refused(self, studies: Iterable[str]) -> None:
        """Somebody wanted to do something to what is only in part theirs: nothing was done."""
        objects = tuple(StudyObject(study) for study in sorted(set(studies)))
        description = f"denied: {self.action.value} of what lies in part outside the scope"
        self._note(event_of(self.action), objects, AuditOutcome.SERIOUS_FAILURE, description=description)

    def _note(
        self,
        event: AuditEventId,
        studies: tuple[StudyObject, ...] = (),
        outcome: AuditOutcome = AuditOutcome.SUCCESS,
        *,
        query: str = "",
        destination: str = "",
        description: str = "",
    ) -> None:
        self.auditor.note_access(
            AuditEvent(
                event,
                self.principal,
                outcome,
                description=description or (f"glass broken: {self.emergency}" if self.emergency else ""),
                studies=studies,
                query=query,
                destination=destination,
                emergency=bool(self.emergency),
            )
        )


UNNOTED: Final = NoAudit()


def _text(condition: Condition) -> str:
    name = f"({condition.tag >> 16:04X},{condition.tag & 0xFFFF:04X})"
    match condition:
        case Equals():
            return f"{name}={chr(92).join(condition.values)}"
        case Between():
            return f"{name}={condition.low}-{condition.high}"
        case Wildcard():
            return f"{name}={condition.pattern}"
        case Empty():
            return f'{name}=""'
        case InSequence():
            return f"{name}[{', '.join(map(_text, condition.conditions))}]"
        case _:
            assert_never(condition)
