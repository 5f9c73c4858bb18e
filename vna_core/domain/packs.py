"""Packs as the catalogue and those who make them speak of them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vna_core.domain.instance import HeldInstance, Location


class Leftover(StrEnum):
    """What becomes of an object whose content is in a pack."""

    FREE = "free"
    """Nobody needs it: it can be removed."""
    IN_USE = "in use"
    """Something points at it again: it stays."""
    WAITS = "waits"
    """It holds what was deleted and may be taken back or is under a hold, other stores do not have the pack yet, or the pack is damaged."""


@dataclass(frozen=True, slots=True)
class SeriesPlace:
    """One series of one patient: its key in the catalogue, and the UIDs that its packs are named by."""

    pk: int
    study_instance_uid: str
    series_instance_uid: str


@dataclass(frozen=True, slots=True)
class PackClaim:
    """The right to seal or compact a series; it ends by itself when its holder dies."""

    study_instance_uid: str
    series_instance_uid: str
    token: str


@dataclass(frozen=True, slots=True)
class StoredVersion:
    """One object of a series, with its copy in the store that is asked about.

    Attributes
    ----------
    held
        The version that the object is of.
    sop_instance_uid, sha256, size
        Of the object: another than the version's where it is an earlier generation.
    is_current
        Whether it is what queries and retrievals answer with.
    received_at
        When the version arrived, in seconds since 1970.
    """

    held: HeldInstance
    sop_instance_uid: str
    sha256: str
    size: int
    is_current: bool
    received_at: int
    location: Location


@dataclass(frozen=True, slots=True)
class PackedObject:
    """One member of a pack as the catalogue knows it; `instance` is the key of its version."""

    instance: int
    sha256: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class NewPack:
    """A pack that was made and proven, and its members in order."""

    key: str
    sha256: str
    size: int
    study_instance_uid: str
    series_instance_uid: str
    frames: int
    members: tuple[PackedObject, ...]


@dataclass(frozen=True, slots=True)
class ListedPack:
    """A pack as people see it.

    Attributes
    ----------
    live
        Members that something points at; the others were deleted or replaced, and go when the pack is compacted.
    stores
        Where it was read back and found right, or versions are read from it.
    """

    pk: int
    key: str
    sha256: str
    size: int
    study_instance_uid: str
    series_instance_uid: str
    frames: int
    members: int
    live: int
    stores: tuple[str, ...]
    sealed_at: datetime
