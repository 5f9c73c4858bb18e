"""A federated query: asked of every member who may be asked, answered as a union that says what is missing."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from vna_core.configuration.federation import FederationSettings
from vna_core.domain.access import EVERYTHING, Scope
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import AnswerCapped
from vna_core.domain.numbers import whole_number
from vna_core.domain.query import Level, Query
from vna_core.federation.absences import Absences, study_asked_for
from vna_core.federation.counting import Counting
from vna_core.federation.explaining import explain
from vna_core.federation.fan_out import FanOut
from vna_core.federation.identity import ISSUER, CrossReference, Decided, NoCrossReference, Wanted, for_member
from vna_core.federation.left_out import LeftOut
from vna_core.federation.local_member import within
from vna_core.federation.members import LOCAL, Ask, Member, MemberReport, Members, Outcome, may_ask
from vna_core.federation.patients import patients_of
from vna_core.federation.rejected import NOTHING_REJECTED, Rejected
from vna_core.federation.rows import STUDY, Row, octets_of_sequences, patient_of, text
from vna_core.federation.union import FederatedRow, Union

_NO_CROSS_REFERENCE: Final = NoCrossReference()
_PATIENT_GROUP: Final = 0x0010
_ORDERED_BY: Final = ("00080020", "00080030")
SEQUENCES: Final = 16 << 20
"""Octets of sequences, as DICOM JSON, that are taken of one member for one question; read, they need about ten times as much."""


@dataclass(frozen=True, slots=True)
class FederatedAnswer:
    """What the reachable members hold, newest study first, and how each member took part.

    Attributes
    ----------
    unmatched
        Tags of conditions that were not matched on every row: empty values and sequences are matched here, and of members as far as
        their rows tell.
    """

    rows: tuple[FederatedRow, ...]
    reports: tuple[MemberReport, ...]
    unmatched: tuple[int, ...] = ()

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
    rejected
        What is rejected here, and so not found elsewhere.
    absences
        Where it is noted that a member has nothing of a study that it was asked for.
    """

    def __init__(
        self,
        members: Members,
        settings: FederationSettings,
        reference: CrossReference = _NO_CROSS_REFERENCE,
        rejected: Rejected = NOTHING_REJECTED,
        absences: Absences | None = None,
    ) -> None:
        self._members = members
        self._settings = settings
        self._reference = reference
        self._fan_out = FanOut()
        self._count = Counting(self._fan_out, rejected)
        self._absences = absences or Absences(settings.negative)

    def __call__(
        self,
        query: Query,
        attributes: tuple[int, ...] = (),
        *,
        scope: Scope = EVERYTHING,
        local_only: bool = False,
        only: frozenset[str] | None = None,
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
        only
            Names of the members that are asked, whose rows are not counted by their instances; None: all, and they are.
        """
        if query.level is Level.PATIENT:  # many archives answer no question at this level: patients are those of their studies
            asked = tuple(tag for tag in attributes if tag >> 16 == _PATIENT_GROUP)
            answer = self._answer(Query(Level.STUDY, query.conditions), asked, scope, local_only, only)
            return replace(answer, rows=tuple(patients_of(answer.rows)))
        return self._answer(query, attributes, scope, local_only, only)

    def _answer(
        self, query: Query, attributes: tuple[int, ...], scope: Scope, local_only: bool, only: frozenset[str] | None
    ) -> FederatedAnswer:
        begun = time.monotonic()
        asked = [
            one
            for one in self._members
            if one.allows(Ask.QUERY)
            and may_ask(scope, one)
            and (one.name == LOCAL or not local_only)
            and (only is None or one.name in only)
        ]
        query = Query(query.level, query.conditions)
        wanted, decided = Wanted.by(query.conditions, self._reference)
        left_out = LeftOut.of(query)
        questions = {
            one.name: for_member(query if one.name == LOCAL else left_out.asked, wanted, one.settings, one.name == LOCAL)
            for one in asked
        }
        concerned = [one for one in asked if questions[one.name]]
        reports = [one.report(Outcome.NOT_CONCERNED) for one in asked if not questions[one.name]]
        union = Union(query.level, self._members.rank)
        if query.level is Level.STUDY:  # whose ID it is; below, archives may refuse what is not of the level (PS3.4 C.4.1.2.1)
            attributes = (*attributes, ISSUER)
        attributes = tuple(dict.fromkeys((*attributes, *left_out.attributes)))

        def ask(member: Member, deadline: Deadline) -> Iterator[Row]:
            taken = 0
            for one in questions[member.name]:
                for row in within(member, scope).find(one, attributes=attributes, deadline=deadline):
                    taken += octets_of_sequences(row)
                    if taken > SEQUENCES:
                        raise AnswerCapped("Its rows tell longer sequences than are taken.", octets=SEQUENCES)
                    yield row

        study = study_asked_for(query)
        for said in self._fan_out.ask(concerned, ask, self._settings.deadline, lambda member: member.settings.rows):
            if said.report is not None:
                reports.append(said.report)
                if study and said.report.outcome is Outcome.ANSWERED and not said.report.rows and said.member.name != LOCAL:
                    self._absences.note(said.member.name, study)
            elif (
                said.answer is not None
                and (said.member.name == LOCAL or left_out.lets(said.answer))
                and _belongs(said.answer, said.member, wanted, decided)
            ):
                union.add(said.member, said.answer)
        decided = Decided.of((*decided.links, *decided.moves.values(), *self._reference.decisions(union.patients)))
        rows = _in_order(union.rows(decided))
        explain(rows, wanted, decided, self._reference)
        if only is None:
            rows = self._count(rows, query.level, concerned if not local_only else (), scope, self._left(begun))
        reports.sort(key=lambda one: self._members.rank(one.name))
        return FederatedAnswer(tuple(rows), tuple(reports), tuple(sorted(left_out.unmatched)))

    def _left(self, begun: float) -> float:
        return self._settings.deadline - (time.monotonic() - begun)


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
        whole_number(number) or 0,
        text(attributes, "0020000E"),
        text(attributes, "00080018"),
        row.patient.issuer,
        row.patient.patient_id,
    )
