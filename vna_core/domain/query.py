"""A question at one level of the information model, free of DIMSE and HTTP.

Matching follows PS3.4 C.2.2.2; gateways translate their keys with `condition` and the catalogue answers.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from vna_core.domain.access import EVERYTHING, Scope


class Level(StrEnum):
    """Query/Retrieve Level (0008,0052)."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


@dataclass(frozen=True, slots=True)
class Equals:
    """Single value matching (PS3.4 C.2.2.2.1); several values match any of them (UID list matching and QIDO lists)."""

    tag: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Wild card matching (C.2.2.2.4): ``*`` any run, ``?`` one character; every other character stands for itself.

    `fuzzy` asks for phonetic matching of a person's name (QIDO fuzzymatching).
    """

    tag: int
    pattern: str
    fuzzy: bool = False


@dataclass(frozen=True, slots=True)
class Between:
    """Range matching (C.2.2.2.5) of DA, TM or DT, both ends included; an empty end is open."""

    tag: int
    low: str
    high: str


@dataclass(frozen=True, slots=True)
class Empty:
    """Empty value matching (C.2.2.2.7): the attribute is absent, or has no value."""

    tag: int


@dataclass(frozen=True, slots=True)
class InSequence:
    """Sequence matching (C.2.2.2.6): one item of the sequence at least fulfils all `conditions`, of which there is one or more."""

    tag: int
    conditions: tuple[Condition, ...]


OfValues = Equals | Wildcard | Between | Empty
"""Conditions on an attribute's own values."""

Condition = OfValues | InSequence


@dataclass(frozen=True, slots=True)
class Query:
    """Everything that matches all `conditions`, at one level.

    Attributes
    ----------
    conditions
        May name attributes of the level and of the levels above it. An attribute the catalogue does not index is
        reported in the answer's ``unmatched`` and otherwise ignored, as PS3.4 C.2.2.1.3 lets an SCP do.
    limit
        At most so many rows (None: all).
    after
        Keyset cursor from an earlier page (opaque), or empty.
    offset
        Rows to skip; kept cheap by the keyset where possible. 0-based.
    scope
        The part of the archive that is searched; counts in the answer are of that part too.
    linked
        A Patient ID (with its issuer, where that is given) also finds what is another ID's of the same person; patients that went
        up in others, and studies that moved, are shown as the others'.
    """

    level: Level
    conditions: tuple[Condition, ...] = ()
    limit: int | None = None
    offset: int = 0
    after: str = ""
    scope: Scope = EVERYTHING
    linked: bool = False
