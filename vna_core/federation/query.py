"""A federated query: asked of every member who may be asked, answered as a union that says what is missing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from vna_core.configuration.federation import FederationSettings
from vna_core.domain.access import EVERYTHING, Scope
from vna_core.domain.deadline import Deadline
from vna_core.domain.query import Level, Query
from vna_core.federation.explaining import explain
from vna_core.federation.fan_out import FanOut
from vna_core.federation.identity import CrossReference, Decided, NoCrossReference, Wanted, for_member
from vna_core.federation.local_member import within
from vna_core.federation.members import LOCAL, Ask, Member, MemberReport, Members, Outcome, may_ask
from vna_core.federation.rows import COUNTS, STUDY, Row, patient_of, text
from vna_core.federation.union import FederatedRow, Union
from vna_core.ports.pacs import InventoriedInstance

COUNTED: Final = 200
"""Most rows of one answer whose numbers are counted by their instances, where several members hold them."""

_NO_CROSS_REFERENCE: Final = NoCrossReference()
_ORDERED_BY: Final = ("00080020", "00080030")


@dataclass(frozen=True, slots=True)
class FederatedAnswer:
    """What the reachable members hold, newest study first, and how each member took part."""

    rows: tuple[FederatedRow, ...]
    reports: tuple[MemberReport, ...]

    @property
    def missing(self) -> tuple[MemberReport, ...]:
        """Members because of which something may be missing."""
        return tuple(one for one in self.reports if not one.outcome.is_whole)


class FederatedQuery:
    """Asks members.

    Parameters
    ----------
    reference
        Which IDs are the same person's, and whose studies were moved.
    """

    def __init__(self, members: Members, settings: FederationSettings, reference: CrossReference = _NO_CROSS_REFERENCE) -> None:
        self._members = members
        self._settings = settings
        self._reference = reference
        self._fan_out = FanOut()

    def __call__(
        self,
        query: Query,
        attributes: tuple[int, ...] = (),
        *,
        scope: Scope = EVERYTHING,
        local_only: bool = False,
    ) -> FederatedAnswer:
        """Ask, and wait until everybody has answered or the deadline is over.

        Parameters
        ----------
        query
            Its limit and offset are not for the members: pages are cut from the answer.
        attributes
            Tags wanted beyond what is usual for the level.
        scope
            What whoever asks may see: members outside it are not asked and not named, and of this archive only what lies in it counts.
        local_only
            The question comes from a member: it is answered from here alone, so that it does not go in circles.
        """
        begun = time.monotonic()
        asked = [
            one
            for one in self._members
            if one.allows(Ask.QUERY) and may_ask(scope, one) and (one.name == LOCAL or not local_only)
        ]
        query = Query(query.level, query.conditions)
        wanted, decided = Wanted.by(query.conditions, self._reference)
        questions = {one.name: for_member(query, wanted, one.settings, one.name == LOCAL) for one in asked}
        concerned = [one for one in asked if questions[one.name]]
        reports = [one.report(Outcome.NOT_CONCERNED) for one in asked if not questions[one.name]]
        union = Union(query.level, self._members.rank)

        def ask(member: Member, deadline: Deadline) -> Iterator[Row]:
            for one in questions[member.name]:
                yield from within(member, scope).find(one, attributes=attributes, deadline=deadline)

        for said in self._fan_out.ask(concerned, ask, self._settings.deadline, lambda member: member.settings.rows):
            if said.report is not None:
                reports.append(said.report)
            elif said.answer is not None and _belongs(said.answer, said.member, wanted, decided):
                union.add(said.member, said.answer)
        decided = Decided.of((*decided.links, *decided.moves.values(), *self._reference.decisions(union.patients)))
        rows = _in_order(union.rows(decided))
        explain(rows, wanted, decided, self._reference)
        self._count(rows, query.level, [one for one in concerned if not local_only], scope, begun)
        return FederatedAnswer(tuple(rows), tuple(sorted(reports, key=lambda one: self._members.rank(one.name))))

    def _count(self, rows: Iterable[FederatedRow], level: Level, members: list[Member], scope: Scope, begun: float) -> None:
        """Count what several members hold by its instances, as far as the time allows."""
        if level not in (Level.STUDY, Level.SERIES):
            return
        shared = [row for row in rows if not row.counts_are_union][:COUNTED]
        studies = dict.fromkeys(text(row.attributes, STUDY) for row in shared)
        left = self._settings.deadline - (time.monotonic() - begun)
        if not studies or left <= 0:
            return
        holders = {name for row in shared for name in row.copies}

        def inventories(member: Member, deadline: Deadline) -> Iterator[InventoriedInstance]:
            for study in studies:
                if any(text(row.attributes, STUDY) == study and member.name in row.copies for row in shared):
                    yield from within(member, scope).inventory(study, deadline=deadline)

        found: dict[str, set[tuple[str, str]]] = {study: set() for study in studies}
        whole: set[str] = set()
        asked = [one for one in members if one.name in holders]
        for said in self._fan_out.ask(asked, inventories, left, lambda member: 1_000_000):
            if said.report is not None and said.report.outcome is Outcome.ANSWERED:
                whole.add(said.member.name)
            elif said.answer is not None:
                found[said.answer.study_instance_uid].add((said.answer.series_instance_uid, said.answer.sop_instance_uid))
        for row in shared:
            if whole.issuperset(row.copies):
                _write_counts(row, level, found[text(row.attributes, STUDY)])


def _write_counts(row: FederatedRow, level: Level, instances: set[tuple[str, str]]) -> None:
    if level is Level.SERIES:
        series = text(row.attributes, "0020000E")
        numbers = [sum(1 for one, _ in instances if one == series)]
    else:
        numbers = [len({series for series, _ in instances}), len(instances)]
    for tag, number in zip(COUNTS[level], numbers, strict=True):
        row.attributes[tag] = {"vr": "IS", "Value": [number]}
    row.counts_are_union = True


def _belongs(row: Row, member: Member, wanted: Wanted, decided: Decided) -> bool:
    """Whether a row is about a patient who was asked for: a stranger with the same ID of another issuer is not."""
    return wanted.named is None or wanted.covers(decided.owner(text(row, STUDY), patient_of(row, member.settings.issuer)))


def _in_order(rows: Iterable[FederatedRow]) -> list[FederatedRow]:
    """Newest first, those without a date last, then by UID: the same for the same rows, whoever answered first."""
    ordered = sorted(rows, key=_by_uid)
    ordered.sort(key=lambda row: [text(row.attributes, tag) for tag in _ORDERED_BY], reverse=True)
    return ordered


def _by_uid(row: FederatedRow) -> tuple[object, ...]:
    attributes = row.attributes
    number = text(attributes, "00200013") or text(attributes, "00200011")
    return (
        text(attributes, STUDY),
        int(number) if number.isascii() and number.isdigit() else 0,
        text(attributes, "0020000E"),
        text(attributes, "00080018"),
        row.patient.issuer,
        row.patient.patient_id,
    )
