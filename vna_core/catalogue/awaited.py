"""Queries over everything that is held here or still at a source in cut-over: one row for each patient, study, series or instance.

What both have is one row, with the counts of the union. While no campaign is in cut-over, a query is answered exactly as if this
module did not exist.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from heapq import merge
from itertools import chain, islice
from typing import Final

from vna_core.catalogue.answers import Match
from vna_core.catalogue.awaited_matching import Asked, asked, fulfils
from vna_core.catalogue.awaited_reading import AwaitedReader, Part
from vna_core.catalogue.awaited_rows import (
    ISSUER,
    MODALITIES,
    MODALITY,
    OF_PATIENT,
    PATIENT_ID,
    SERIES,
    SOP,
    SOP_CLASS,
    STUDY,
    AwaitedInstance,
    AwaitedMatch,
    AwaitedStudy,
    PartlyHeld,
    modality_of,
)
from vna_core.catalogue.cutovers import CutOvers
from vna_core.catalogue.database import Database
from vna_core.catalogue.identity import Identity
from vna_core.catalogue.search import Answer
from vna_core.catalogue.sequence_matching import Room, room_to_read
from vna_core.domain.access import Scope
from vna_core.domain.departments import Departments
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics
from vna_core.domain.numbers import whole_number
from vna_core.domain.octets import Source
from vna_core.domain.query import Condition, Equals, Level, Query

_AT_ONCE: Final = 256
_CURSOR: Final = "whole-"
_COUNTS: Final = {
    Level.PATIENT: (0x00201202, 0x00201204),
    Level.STUDY: (0x00201206, 0x00201208),
    Level.SERIES: (0x00201209,),
}
_STUDIES_OF_PATIENT: Final = 0x00201200

Held = Callable[[Query, Room], Answer]


@dataclass(frozen=True, slots=True)
class _Question:
    """One query, and how an inventory answers it. `person`: IDs that mean who was asked for; None: nobody is looked for by an ID. `room`: to read headers in."""

    query: Query
    room: Room
    asked: Asked
    issuers: Mapping[str, str]
    person: frozenset[PatientKey] | None


class Awaited:
    """Answers queries.

    Attributes
    ----------
    reader, cutovers
        Rows of inventories, and the campaigns that are in cut-over.
    """

    def __init__(self, database: Database, held: Held, identity: Identity, departments: Departments) -> None:
        self.reader = AwaitedReader(database)
        self.cutovers = CutOvers(database)
        self._held, self._identity, self._departments = held, identity, departments

    def search(self, query: Query) -> Answer:
        """Everything that matches, held or not yet. Raises InvalidRequest; reading matches raises LimitExceeded as `Search` does, for all of them together."""
        issuers, room = self.cutovers.active(), room_to_read()
        if query.after.startswith(_CURSOR):
            query = replace(query, after="", offset=_offset_of(query.after))
        elif query.after:
            return self._held(query, room)
        if not issuers or query.scope.is_nothing or (query.limit is not None and query.limit <= 0):
            return self._held(query, room)
        person, conditions = self._person(query, issuers)
        question = _Question(query, room, asked(conditions, query.level), issuers, person)
        need = None if query.limit is None else query.offset + query.limit + 1
        held = self._held(replace(query, limit=need, offset=0), room)
        unmatched = (*held.unmatched, *question.asked.unknown, *self.reader.unknown(issuers, question.asked))
        merged = self._merged(question, held.matches)
        if query.limit is None:
            return Answer(islice(merged, query.offset, None), unmatched)
        found = list(islice(merged, query.offset, need))
        more = len(found) > query.limit
        return Answer(iter(found[: query.limit]), unmatched, f"{_CURSOR}{query.offset + query.limit}" if more else "")

    def visible(self, study: AwaitedStudy, scope: Scope) -> bool:
        """Whether somebody may know of a study: what is fetched of it will surely lie in their part of the archive."""
        if scope.labels is None:
            return True
        source = Source("migration", study.campaign)
        told = study.attributes
        return self._departments.surely(source, study.study_instance_uid, told, told.keys(), scope.labels)

    # -- the union --------------------------------------------------------------------------------------------------------

    def _merged(self, question: _Question, matches: Iterator[Match]) -> Iterator[Match]:
        if question.query.level is Level.IMAGE:
            return chain(matches, self._images(question))
        held = self._completed(question, matches)
        if question.query.level is Level.STUDY:
            return merge(held, self._studies(question), key=lambda one: one.position[0], reverse=True)
        return chain(held, self._series(question) if question.query.level is Level.SERIES else self._patients(question))

    def _completed(self, question: _Question, matches: Iterator[Match]) -> Iterator[Match]:
        """Held matches; those of which more is awaited with the counts of both."""
        while page := list(islice(matches, _AT_ONCE)):
            if question.query.level is Level.PATIENT:
                yield from self._patients_completed(question, page)
                continue
            uids = list(dict.fromkeys(one.attributes.get(STUDY, ("",))[0] for one in page))
            awaited = self.reader.by_uid(question.issuers, uids)
            visible = [one for of in awaited.values() for one in of if self.visible(one, question.query.scope)]
            parts = self.reader.parts(visible) if visible else {}
            for match in page:
                mine = [one for one in awaited.get(match.attributes.get(STUDY, ("",))[0], ()) if one.pk in parts]
                yield _completed_by(match, [(one, parts[one.pk]) for one in mine]) if mine else match

    def _patients_completed(self, question: _Question, page: Sequence[Match]) -> Iterator[Match]:
        awaited = self.reader.by_patient(question.issuers, list({one.patient.patient_id for one in page}))
        for match in page:
            mine = [
                one
                for one in awaited.get(match.patient.patient_id, ())
                if one.patient == match.patient and self.visible(one, question.query.scope)
            ]
            parts = self.reader.parts(mine) if mine else {}
            more = {pk: part for pk, part in parts.items() if part.instances or not part.overlaps}
            if not more:
                yield match
                continue
            counts = _counted(Level.PATIENT, match.attributes, list(more.values()))
            studies = int(match.attributes.get(_STUDIES_OF_PATIENT, ("0",))[0]) + sum(not part.overlaps for part in more.values())
            yield PartlyHeld(match, {**counts, _STUDIES_OF_PATIENT: (str(studies),)})

    # -- what is awaited --------------------------------------------------------------------------------------------------

    def _matching(self, question: _Question, newest_first: bool) -> Iterator[list[AwaitedStudy]]:
        """Studies that fulfil what is asked of studies and patients, in pieces."""
        checks = question.asked.of_patient if question.query.level is Level.PATIENT else question.asked.of_study
        for piece in self.reader.walk(question.issuers, question.asked, newest_first):
            found = [
                one
                for one in piece
                if (question.person is None or one.patient in question.person)
                and fulfils(one.attributes, checks, one.unknown)
                and self.visible(one, question.query.scope)
            ]
            if found:
                yield found

    def _studies(self, question: _Question) -> Iterator[Match]:
        seen: set[str] = set()
        for piece in self._matching(question, True):
            parts = self.reader.parts(piece)
            overlapping = [one.study_instance_uid for one in piece if parts[one.pk].overlaps]
            shown = self._shown_by_held(question, STUDY, overlapping)
            fresh = [one for one in piece if one.study_instance_uid not in shown]
            matches = []
            for one in fresh:
                part = parts[one.pk]
                if one.study_instance_uid in seen or (part.overlaps and not part.instances):
                    continue
                if len(question.issuers) > 1:
                    seen.add(one.study_instance_uid)
                counts = _counted(Level.STUDY, {}, [part])
                matches.append((one, AwaitedMatch(Level.STUDY, one, {**one.attributes, **counts}, ())))
            yield from self._as_shown(question, matches)

    def _series(self, question: _Question) -> Iterator[Match]:
        for piece in self._matching(question, False):
            matches: list[tuple[AwaitedStudy, AwaitedMatch]] = []
            partly = self.reader.held_studies([one.study_instance_uid for one in piece])
            for study in piece:
                found = _by_series(self.reader.missing(study))
                overlaps = study.study_instance_uid in partly
                shown = self._shown_by_held(question, SERIES, list(found)) if overlaps else frozenset[str]()
                for uid, instances in found.items():
                    modality = modality_of(study, instances)
                    attributes = {**study.attributes, SERIES: (uid,), MODALITY: modality}
                    unknown = () if modality else (MODALITY,)
                    if uid not in shown and fulfils(attributes, question.asked.below, unknown):
                        told = {**attributes, _COUNTS[Level.SERIES][0]: (str(len(instances)),)}
                        matches.append((study, AwaitedMatch(Level.SERIES, study, told, (uid,))))
            yield from self._as_shown(question, matches)

    def _images(self, question: _Question) -> Iterator[Match]:
        for piece in self._matching(question, False):
            for study in piece:
                missing = self.reader.missing(study)
                series = _by_series(missing)
                matches = []
                for one in missing:
                    modality = modality_of(study, series[one.series_instance_uid])
                    attributes = {
                        **study.attributes,
                        SERIES: (one.series_instance_uid,),
                        MODALITY: modality,
                        SOP: (one.sop_instance_uid,),
                        SOP_CLASS: (one.sop_class_uid,),
                    }
                    unknown = [tag for tag, told in ((MODALITY, modality), (SOP_CLASS, one.sop_class_uid)) if not told]
                    if fulfils(attributes, question.asked.below, unknown):
                        matches.append((study, AwaitedMatch(Level.IMAGE, study, attributes, (one.sop_instance_uid,))))
                yield from self._as_shown(question, matches)

    def _patients(self, question: _Question) -> Iterator[Match]:
        seen: set[PatientKey] = set()
        for piece in self._matching(question, False):
            fresh = {one.patient: one for one in piece if one.patient not in seen}
            seen |= fresh.keys()
            ids = list({key.patient_id for key in fresh})
            found = self._held(_narrowed(question.query, PATIENT_ID, ids), question.room)
            held = {match.patient for match in found.matches}
            awaited = self.reader.by_patient(question.issuers, ids)
            matches = []
            for key, study in fresh.items():
                if key in held:
                    continue
                mine = [
                    one
                    for one in awaited.get(key.patient_id, ())
                    if one.patient == key and self.visible(one, question.query.scope)
                ]
                counts = _counted(Level.PATIENT, {}, list(self.reader.parts(mine).values()))
                told = {tag: study.attributes[tag] for tag in OF_PATIENT if tag in study.attributes}
                told |= {**counts, _STUDIES_OF_PATIENT: (str(len({one.study_instance_uid for one in mine})),)}
                matches.append((study, AwaitedMatch(Level.PATIENT, study, told, ())))
            yield from self._as_shown(question, matches)

    # -- beside what is held ----------------------------------------------------------------------------------------------

    def _shown_by_held(self, question: _Question, tag: int, uids: Sequence[str]) -> frozenset[str]:
        """Which of these have a held row in the answer already."""
        if not uids:
            return frozenset()
        found = self._held(_narrowed(question.query, tag, uids), question.room)
        return frozenset(one.attributes.get(tag, ("",))[0] for one in found.matches)

    def _person(self, query: Query, issuers: Mapping[str, str]) -> tuple[frozenset[PatientKey] | None, Sequence[Condition]]:
        """Where linked IDs are meant too: all IDs of who is asked for, and the conditions without those on the ID."""
        named = [one for one in query.conditions if isinstance(one, Equals) and one.tag in (PATIENT_ID, ISSUER)]
        ids = {value.strip() for one in named if one.tag == PATIENT_ID for value in one.values if value.strip()}
        if not query.linked or not ids:
            return None, query.conditions
        said = {value.strip() for one in named if one.tag == ISSUER for value in one.values if value.strip()}
        keys = self._identity.with_ids(ids, said, set(issuers.values()))
        rest = [one for one in query.conditions if one not in named]
        return keys, [*rest, Equals(PATIENT_ID, tuple({key.patient_id for key in keys}))]

    def _as_shown(self, question: _Question, matches: Sequence[tuple[AwaitedStudy, AwaitedMatch]]) -> Iterator[Match]:
        """Matches of patients that went up in others as those of the others, where queries do so."""
        if not question.query.linked or not matches:
            yield from (match for _, match in matches)
            return
        shown = self._identity.shown_as([study.patient for study, _ in matches])
        for study, match in matches:
            owner = shown[study.patient]
            if owner == study.patient:
                yield match
            else:
                yield match.told_as(self._identity.demographics(owner) or Demographics(owner, "", "", ""))


def _by_series(instances: Sequence[AwaitedInstance]) -> dict[str, list[AwaitedInstance]]:
    found: dict[str, list[AwaitedInstance]] = {}
    for one in instances:
        found.setdefault(one.series_instance_uid, []).append(one)
    return found


def _narrowed(query: Query, tag: int, values: Sequence[str]) -> Query:
    """The whole answer of a query, as far as it is about these."""
    return replace(query, conditions=(*query.conditions, Equals(tag, tuple(values))), limit=None, offset=0, after="")


def _completed_by(match: Match, more: Sequence[tuple[AwaitedStudy, Part]]) -> Match:
    """A held study or series with what is awaited of it."""
    if match.level is Level.SERIES:
        uid = match.attributes.get(SERIES, ("",))[0]
        instances = sum(part.by_series.get(uid, 0) for _, part in more)
        if not instances:
            return match
        return PartlyHeld(match, _counted(Level.SERIES, match.attributes, [Part(instances, 0)]))
    parts = [part for _, part in more if part.instances]
    if not parts:
        return match
    together = {value for study, _ in more for value in study.attributes.get(MODALITIES, ())}
    modalities = tuple(sorted(together | set(match.attributes.get(MODALITIES, ()))))
    return PartlyHeld(match, _counted(Level.STUDY, match.attributes, parts) | ({MODALITIES: modalities} if modalities else {}))


def _counted(level: Level, held: Mapping[int, tuple[str, ...]], parts: Sequence[Part]) -> dict[int, tuple[str, ...]]:
    """Numbers of series and instances of what is held and what is not; absent where the source does not tell its own."""

    def number(tag: int) -> int:
        return int(held.get(tag, ("0",))[0])

    counts = _COUNTS[level]
    found: dict[int, tuple[str, ...]] = {}
    if len(counts) > 1:
        found[counts[0]] = (str(number(counts[0]) + sum(part.new_series for part in parts)),)
    if all(part.instances >= 0 for part in parts):
        found[counts[-1]] = (str(number(counts[-1]) + sum(part.instances for part in parts)),)
    return found


def _offset_of(cursor: str) -> int:
    offset = whole_number(cursor.removeprefix(_CURSOR), 11)
    if offset is None:
        raise InvalidRequest("The cursor is not one this archive gave out.")
    return offset
