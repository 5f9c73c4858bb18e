"""What an audit record says (PS3.15 section A.5), free of files and formats."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, IntEnum
from typing import Final, Protocol

from vna_core.domain.access import ANONYMOUS, Principal, PrincipalKind


class AuditEventId(Enum):
    """Kind of event: code and meaning (PS3.16 CID 400), and what is done to its objects (A.5.2: C, R, U, D or E)."""

    ACTIVITY = ("110100", "Application Activity", "E")
    AUDIT_LOG_USED = ("110101", "Audit Log Used", "R")
    ACCESSED = ("110103", "DICOM Instances Accessed", "R")
    TRANSFERRED = ("110104", "DICOM Instances Transferred", "R")
    RECEIVED = ("110104", "DICOM Instances Transferred", "C")
    DELETED = ("110105", "DICOM Study Deleted", "D")
    PATIENT_RECORD = ("110110", "Patient Record", "U")
    QUERY = ("110112", "Query", "E")
    SECURITY_ALERT = ("110113", "Security Alert", "E")

    def __init__(self, code: str, meaning: str, action: str) -> None:
        self.code = code
        self.meaning = meaning
        self.action = action


class AuditOutcome(IntEnum):
    """How it ended (A.5.2)."""

    SUCCESS = 0
    MINOR_FAILURE = 4
    SERIOUS_FAILURE = 8


@dataclass(frozen=True, slots=True)
class StudyObject:
    """A study that was touched, with its patient where that is known.

    Attributes
    ----------
    instances
        SOP Class UID to number of instances.
    """

    study_instance_uid: str
    patient_id: str = ""
    issuer: str = ""
    instances: tuple[tuple[str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """One event.

    Attributes
    ----------
    type_code
        What exactly, for events that need it (PS3.16 CID 401): code and meaning.
    description
        For the reader: why it was denied, the reason of an emergency, the command.
    query
        Matching keys of a query as text.
    destination
        Who received it, where that is not the principal.
    count
        How many accesses the record stands for.
    """

    event: AuditEventId
    principal: Principal
    outcome: AuditOutcome = AuditOutcome.SUCCESS
    type_code: tuple[str, str] = ("", "")
    description: str = ""
    studies: tuple[StudyObject, ...] = ()
    query: str = ""
    destination: str = ""
    emergency: bool = False
    count: int = 1
    at: datetime = field(default_factory=lambda: datetime.now(UTC))


EMERGENCY_OVERRIDE_STARTED: Final = ("110127", "Emergency Override Started")
APPLICATION_START: Final = ("110120", "Application Start")
APPLICATION_STOP: Final = ("110121", "Application Stop")
NODE_AUTHENTICATION: Final = ("110126", "Node Authentication")


def not_authenticated(name: str, address: str, why: str) -> AuditEvent:
    """That a node could not prove who it is (A.5.3.11); `name` is what it calls itself, empty where it did not come so far."""
    principal = (
        Principal(PrincipalKind.AE_TITLE, name, address) if name else Principal(PrincipalKind.ANONYMOUS, ANONYMOUS, address)
    )
    return AuditEvent(
        AuditEventId.SECURITY_ALERT, principal, AuditOutcome.SERIOUS_FAILURE, type_code=NODE_AUTHENTICATION, description=why
    )


class Auditor(Protocol):
    """Takes audit events. Safe to use from several threads."""

    @property
    def failing(self) -> bool:
        """Whether events cannot be written at present."""

    def note(self, event: AuditEvent) -> None:
        """Take an event; it is written soon. Never raises and never waits."""

    def note_access(self, event: AuditEvent) -> None:
        """The same for events that come often: further ones of the same kind, principal, question and studies within a minute are counted."""

    def note_durably(self, event: AuditEvent) -> None:
        """Return once the event is on disk. Raises AuditUnavailable: then what it is about must not be done."""


class NoAudit:
    """Takes events and forgets them: for parts that are used without an archive around them."""

    failing = False

    def note(self, event: AuditEvent) -> None:
        """Forget it."""

    def note_access(self, event: AuditEvent) -> None:
        """Forget it."""

    def note_durably(self, event: AuditEvent) -> None:
        """Forget it."""
