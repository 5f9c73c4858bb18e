"""Which Patient IDs mean one person: decisions that are made, explained and undone, and what follows from those in force.

What follows depends on the set of decisions in force alone, not on the order in which they were made or undone.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from vna_core.domain.identifiers import PatientKey


class LinkKind(StrEnum):
    """What a decision says about two issuer-qualified Patient IDs."""

    LINK = "link"
    """Both mean one person and stay in use."""
    MERGE = "merge"
    """The first went up in the second, which is shown in its place."""
    MOVE = "move"
    """One study of the first is the second's."""


class LinkOrigin(StrEnum):
    """Who decided."""

    RULE = "rule"
    HAND = "hand"
    ADT = "adt"
    MEMBER = "member"
    """Another archive that told us its correction."""


@dataclass(frozen=True, slots=True)
class PatientLink:
    """One decision. It is in force until it is undone."""

    id: int
    kind: LinkKind
    first: PatientKey
    second: PatientKey
    study_instance_uid: str
    origin: LinkOrigin
    reason: str
    made_by: str
    made_at: datetime
    undone_by: str = ""
    undone_at: datetime | None = None
    undone_reason: str = ""

    @property
    def in_force(self) -> bool:
        return self.undone_at is None


@dataclass(frozen=True, slots=True)
class Demographics:
    """What patient administration says about a Patient ID. Name as PN, date as DA, sex as CS."""

    patient: PatientKey
    name: str
    birth_date: str
    sex: str
    source: str = ""


def component(key: PatientKey, links: Iterable[PatientLink]) -> frozenset[PatientKey]:
    """All IDs that mean the same person as `key`, by the links and merges given."""
    neighbours: dict[PatientKey, set[PatientKey]] = {}
    for link in links:
        if link.kind is not LinkKind.MOVE:
            neighbours.setdefault(link.first, set()).add(link.second)
            neighbours.setdefault(link.second, set()).add(link.first)
    found, waiting = {key}, [key]
    while waiting:
        for one in neighbours.get(waiting.pop(), ()):
            if one not in found:
                found.add(one)
                waiting.append(one)
    return frozenset(found)


def survivor(key: PatientKey, links: Iterable[PatientLink]) -> PatientKey:
    """The ID that is shown for `key`: the end of its merges; of several from one ID the latest counts. A circle ends where it is closed."""
    into: dict[PatientKey, tuple[int, PatientKey]] = {}
    for link in links:
        if link.kind is LinkKind.MERGE and into.get(link.first, (-1, key))[0] < link.id:
            into[link.first] = (link.id, link.second)
    passed = {key}
    while key in into and into[key][1] not in passed:
        key = into[key][1]
        passed.add(key)
    return key
