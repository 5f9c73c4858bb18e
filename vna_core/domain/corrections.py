"""Corrections that travel between archives: what was decided here about things that others hold too, and who has applied it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

KEY_OBJECT_SELECTION: Final = "1.2.840.10008.5.1.4.1.1.88.59"
"""SOP class of rejection notes, and of other selections of key objects."""
DESCRIPTION: Final = "113012"
"""Code value (DCM) of a Key Object Description."""


class CorrectionKind(StrEnum):
    """What is corrected."""

    MERGE = "merge"
    """A Patient ID went up in another."""
    MOVE = "move"
    """A study is another patient's."""
    REJECT = "reject"
    """Instances must not be used any more (IHE IOCM)."""
    DELETE = "delete"
    """Somebody deleted instances."""
    EXPIRE = "expire"
    """A rule of retention deleted instances."""


class Rejection(StrEnum):
    """Why instances are rejected: the titles of a rejection note (PS3.16 CID 7011), by their code value (DCM)."""

    QUALITY = "113001"
    PATIENT_SAFETY = "113037"
    WORKLIST = "113038"
    RETENTION = "113039"

    @property
    def meaning(self) -> str:
        """The code meaning."""
        return MEANINGS[self]

    @property
    def word(self) -> str:
        """How the reason is written on the command line and in the API."""
        return self.name.lower().replace("_", "-")

    @classmethod
    def of_word(cls, word: str) -> Rejection | None:
        """The inverse of `word`."""
        return next((one for one in cls if one.word == word), None)


MEANINGS: Final[Mapping[Rejection, str]] = {
    Rejection.QUALITY: "Rejected for Quality Reasons",
    Rejection.PATIENT_SAFETY: "Rejected for Patient Safety Reasons",
    Rejection.WORKLIST: "Incorrect Modality Worklist Entry",
    Rejection.RETENTION: "Data Retention Policy Expired",
}


class DeliveryState(StrEnum):
    """How far one member is with one correction."""

    WAITING = "waiting"
    """It was not told yet, or did not answer: it is tried again until it does."""
    APPLIED = "applied"
    REFUSED = "refused"
    """It answered that it does not do it; somebody must look."""
    NOT_TAKEN = "not-taken"
    """It does not take corrections of this kind, or cannot be told this one by the way it takes them: do it there by hand."""


@dataclass(frozen=True, slots=True)
class Received:
    """Where a correction came from that was decided elsewhere.

    Attributes
    ----------
    id
        The one it has everywhere; the same correction is applied once.
    origin
        Who sent it.
    """

    id: str
    origin: str


@dataclass(frozen=True, slots=True)
class Correction:
    """One correction.

    Attributes
    ----------
    number
        Its place in the order in which corrections were made here.
    id
        A UID: the same in every archive that knows it, and that of the rejection note it is told by.
    subject
        What it is here: ``link:NUMBER`` of a decision about patients, or ``deletion:ID``. Empty: nothing here follows from it.
    content
        What others need to know (JSON): ``first`` and ``second`` as ``[issuer, ID]`` and ``study`` for patients, ``code`` for rejections.
    undoes
        The correction that it takes back; empty: none.
    """

    number: int
    id: str
    kind: CorrectionKind
    subject: str
    content: Mapping[str, Any]
    reason: str
    made_by: str
    made_at: datetime
    origin: str = ""
    undoes: str = ""


@dataclass(frozen=True, slots=True)
class Delivery:
    """How far one member is with one correction."""

    correction: Correction
    member: str
    state: DeliveryState
    attempts: int
    error: str
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class AwaitedRejection:
    """An instance that was rejected before it arrived.

    Attributes
    ----------
    note
        The rejection note that names it.
    principal
        Who rejected it: kind, name and address.
    """

    note: str
    study_instance_uid: str
    sop_instance_uid: str
    code: str
    principal: tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class HiddenInstances:
    """What is not given out of a study, whoever else has it.

    Attributes
    ----------
    decided
        SOP Instance UIDs of what was held here when it was rejected, and of notes by which others were told.
    awaited
        SOP Instance UID of what was rejected and is not held, with who rejected it: kind, name and address. Whether they may is decided where it lies.
    """

    decided: frozenset[str] = frozenset()
    awaited: tuple[tuple[str, tuple[str, str, str]], ...] = ()

    @property
    def all(self) -> frozenset[str]:
        """All of it, whoever rejected it."""
        return self.decided.union(sop for sop, _ in self.awaited)


SEND: Final = "correction"
"""Kind of the job that tells one member, which is its key, what it has not applied yet; in order."""
REJECTION_NOTE: Final = "rejection-note"
"""Kind of the job that looks at one Key Object Selection document, whose version is its key, and applies it if it rejects."""
AWAITED_REJECTIONS: Final = "awaited-rejections"
"""Kind of the periodic job that hides what a note named before it came."""
