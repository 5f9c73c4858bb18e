"""Holds and deletions: what may not go, and what went by whose decision and why."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

HIDDEN: Final = "hidden"
"""Deleted: no query and no retrieval answers; the octets are kept."""
UNDOING: Final = "undoing"
UNDONE: Final = "undone"
PURGING: Final = "purging"
"""The octets are being removed; there is no way back."""
PURGED: Final = "purged"
DELETED: Final = (HIDDEN, PURGING, PURGED)


class Extent(StrEnum):
    """The levels that holds and deletions are about."""

    PATIENT = "patient"
    STUDY = "study"
    SERIES = "series"
    INSTANCE = "instance"
    VERSION = "version"
    """Versions of instances of which another one stands: they are set aside, and nothing is held or deleted by this level."""


@dataclass(frozen=True, slots=True)
class Hold:
    """One legal hold.

    Attributes
    ----------
    identifier
        Study or Series Instance UID, or the Patient ID that `issuer` gave.
    released_at
        None while it holds.
    """

    id: str
    level: Extent
    identifier: str
    issuer: str
    reason: str
    set_by: str
    set_at: datetime
    released_by: str = ""
    released_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class DeletedVersion:
    """One version that was deleted: what is remembered of it."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    issuer: str
    patient_id: str
    original_sha256: str
    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class DeletedObject:
    """Octets of a deleted version in a store: a whole object, or a range of a pack."""

    store: str
    key: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class Deletion:
    """One deletion.

    Attributes
    ----------
    state
        ``hidden``, ``undoing``, ``undone``, ``purging`` or ``purged``.
    rejection
        Code value of the reason (PS3.16 CID 7011) where it is a rejection: its octets are never purged. Empty: it is a deletion.
    note
        SOP Instance UID of the rejection note that brought it about; empty: somebody did by hand.
    ended_by, ended_at
        Who took it back or purged it, and when; empty and None before.
    """

    id: str
    level: Extent
    uid: str
    reason: str
    deleted_by: str
    deleted_at: datetime
    state: str = HIDDEN
    ended_by: str = ""
    ended_at: datetime | None = None
    versions: int = 0
    size: int = 0
    rejection: str = ""
    note: str = ""

    @property
    def keeps_octets(self) -> bool:
        """Whether it is never purged: a rejection, or versions that were set aside."""
        return bool(self.rejection) or self.level is Extent.VERSION

    def as_dict(self) -> dict[str, Any]:
        """What the API and commands say about a deletion."""
        ended = self.ended_at.isoformat() if self.ended_at else None
        return {**asdict(self), "level": self.level.value, "deleted_at": self.deleted_at.isoformat(), "ended_at": ended}
