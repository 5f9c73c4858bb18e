"""Patients across issuers: a question about one is asked under every ID that decisions say is the same person's.

Only issuer-qualified IDs take part. A bare ID means whoever each member knows under it, and never makes two patients one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from vna_core.configuration.federation import MemberSettings
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics, LinkKind, PatientLink, component, survivor
from vna_core.domain.query import Condition, Empty, Equals, Query

PATIENT_ID: Final = 0x00100020
ISSUER: Final = 0x00100021
_STUDY: Final = 0x0020000D


class CrossReference(Protocol):
    """Where the decisions in force are read."""

    def decisions(self, keys: Iterable[PatientKey]) -> list[PatientLink]:
        """Links and merges that connect these IDs with others, directly or by others, and moves that name one of them."""

    def demographics(self, key: PatientKey) -> Demographics | None:
        """What is known about an ID."""


class NoCrossReference:
    """Nobody is linked with anybody."""

    def decisions(self, keys: Iterable[PatientKey]) -> list[PatientLink]:
        """None."""
        del keys
        return []

    def demographics(self, key: PatientKey) -> Demographics | None:
        """Nothing."""
        del key
        return None


@dataclass(slots=True)
class Decided:
    """The decisions that matter for one answer, and what follows from them.

    Attributes
    ----------
    links
        Links and merges.
    moves
        Study Instance UID and the patient it is filed under, to the latest decision that it is another's.
    """

    links: tuple[PatientLink, ...] = ()
    moves: dict[tuple[str, PatientKey], PatientLink] = field(default_factory=dict)
    _persons: dict[PatientKey, frozenset[PatientKey]] = field(default_factory=dict)

    @classmethod
    def of(cls, decisions: Iterable[PatientLink]) -> Decided:
        """Sort decisions by what they are about."""
        ordered = sorted(decisions, key=lambda link: link.id)
        moves = {(link.study_instance_uid, link.first): link for link in ordered if link.kind is LinkKind.MOVE}
        return cls(tuple(link for link in ordered if link.kind is not LinkKind.MOVE), moves)

    def person(self, key: PatientKey) -> frozenset[PatientKey]:
        """All IDs of the person who has this one."""
        known = self._persons.get(key)
        if known is None:
            known = component(key, self.links) if self.links else frozenset((key,))
            self._persons |= dict.fromkeys(known, known)
        return known

    def canonical(self, key: PatientKey) -> PatientKey:
        """One and the same ID for all that mean one person."""
        return min(self.person(key), key=_order)

    def owner(self, study: str, filed: PatientKey) -> PatientKey:
        """Whose a study is: the patient it is filed under, unless it was moved."""
        move = self.moves.get((study, filed))
        return filed if move is None else move.second

    def shown_as(self, owner: PatientKey) -> PatientKey:
        """The ID in whose place a patient is shown: the end of its merges."""
        return survivor(owner, self.links)

    def why(self, key: PatientKey, wanted: frozenset[PatientKey]) -> tuple[PatientLink, ...]:
        """The decisions that lead from an ID to one of those wanted; as few as there are. None: it is one itself."""
        steps: dict[PatientKey, tuple[PatientKey, PatientLink] | None] = {key: None}
        waiting = deque((key,))
        while waiting:
            here = waiting.popleft()
            if here in wanted:
                return tuple(_back(here, steps))
            for link in self.links:
                if here in (link.first, link.second):
                    other = link.second if here == link.first else link.first
                    if other not in steps:
                        steps[other] = (here, link)
                        waiting.append(other)
        return ()


def _back(end: PatientKey, steps: Mapping[PatientKey, tuple[PatientKey, PatientLink] | None]) -> Iterable[PatientLink]:
    step = steps[end]
    while step is not None:
        yield step[1]
        step = steps[step[0]]


def _order(key: PatientKey) -> tuple[str, str]:
    return key.issuer, key.patient_id


def named_patients(conditions: Sequence[Condition]) -> list[PatientKey] | None:
    """The issuer-qualified patients that a question names; None when it names none in that way."""
    ids = [one for one in conditions if isinstance(one, Equals) and one.tag == PATIENT_ID and any(one.values)]
    issuers = [one for one in conditions if isinstance(one, Equals) and one.tag == ISSUER and any(one.values)]
    if len(ids) != 1 or len(issuers) != 1:
        return None
    return [PatientKey(issuer, patient) for issuer in issuers[0].values for patient in ids[0].values if issuer and patient]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose studies are asked for.

    Attributes
    ----------
    named
        The issuer-qualified patients that the question names; None: it names none in that way, and everybody's are.
    persons
        All IDs of these persons.
    moved_to
        Studies filed under strangers that are theirs by a move.
    """

    named: frozenset[PatientKey] | None = None
    persons: frozenset[PatientKey] = frozenset()
    moved_to: tuple[tuple[str, PatientKey], ...] = ()

    @classmethod
    def by(cls, conditions: Sequence[Condition], reference: CrossReference) -> tuple[Wanted, Decided]:
        """What a question wants, and the decisions that say so."""
        named = named_patients(conditions)
        if named is None:
            return cls(), Decided()
        decided = Decided.of(reference.decisions(named))
        persons = frozenset(key for one in named for key in decided.person(one))
        decided = Decided.of((*decided.links, *_moves_of(reference.decisions(persons))))
        moved = [one for one, move in decided.moves.items() if move.second in persons and one[1] not in persons]
        return cls(frozenset(named), persons, tuple(sorted(moved, key=lambda one: (one[0], _order(one[1]))))), decided

    def covers(self, owner: PatientKey) -> bool:
        """Whether a patient is meant: a stranger with the same ID of another issuer is not."""
        return self.named is None or owner in self.persons


def _moves_of(decisions: Iterable[PatientLink]) -> list[PatientLink]:
    return [link for link in decisions if link.kind is LinkKind.MOVE]


def for_member(query: Query, wanted: Wanted, settings: MemberSettings, is_local: bool) -> tuple[Query, ...]:
    """The questions that a member is asked: one for each ID of its own issuer. None at all: it cannot hold what is asked for.

    A member without an issuer of its own may hold patients of any; it is asked by the bare IDs, and its answers are sorted out by
    the issuers that they name.
    """
    if wanted.named is None:
        return (query,)
    rest = tuple(one for one in query.conditions if one.tag not in (PATIENT_ID, ISSUER) or isinstance(one, Empty))
    asked: dict[tuple[Condition, ...], None] = {}
    for key in sorted(wanted.persons, key=_order):
        if found := _named(key, settings, is_local):
            asked[rest + found] = None
    for study, filed in wanted.moved_to:
        if (found := _named(filed, settings, is_local)) and _may_be(rest, study):
            others = tuple(one for one in rest if one.tag != _STUDY)
            asked[(*others, *found, Equals(_STUDY, (study,)))] = None
    return tuple(replace(query, conditions=conditions) for conditions in asked)


def _named(key: PatientKey, settings: MemberSettings, is_local: bool) -> tuple[Condition, ...]:
    """How a member is asked about an ID; nothing where it cannot know it.

    What is filed without an issuer is the member's own: so its own IDs are asked for bare, and others sorted out afterwards. An ID of another
    issuer is asked for together with that: some of what was sent there may name it.
    """
    if key.issuer == settings.issuer or not (settings.issuer or is_local):
        return (Equals(PATIENT_ID, (key.patient_id,)),)
    return () if settings.only_issuer else (Equals(PATIENT_ID, (key.patient_id,)), Equals(ISSUER, (key.issuer,)))


def _may_be(conditions: Sequence[Condition], study: str) -> bool:
    """Whether a question may mean a study, by the UIDs that it names."""
    return all(study in one.values for one in conditions if one.tag == _STUDY and isinstance(one, Equals) and any(one.values))
