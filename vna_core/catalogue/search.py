"""Queries: which rows match, found through an index or in the order of the answer, then read by their keys.

Two plans: where a condition is selective, its index leads and the hits are sorted; otherwise rows are walked newest first
and the walk ends with the page. Either way the cost follows the hits, not the archive.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from sqlalchemy import Table

from vna_core.catalogue.answers import AnswerReader, Match
from vna_core.catalogue.audiences import ids_in_scope, stands_sql, visible_sql
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.identity import Identity
from vna_core.catalogue.matching import MATCHABLE, PATIENT_ID, RANKS, Clause, clauses
from vna_core.catalogue.parents import PHONETIC_CODE, SUFFIX_OF_ID, SUFFIX_OF_NAME
from vna_core.catalogue.schema import instances, patients, series, studies
from vna_core.catalogue.sequence_matching import (
    CANDIDATES,
    Room,
    SequenceMatching,
    SequenceReader,
    apart,
    check_number,
    is_matched,
    room_to_read,
)
from vna_core.dicom.patterns import Pattern, after
from vna_core.domain.access import Scope
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics, component
from vna_core.domain.query import Condition, Equals, Level, Query

_BATCH: Final = 500
_STUDY_DATE: Final = 0x00080020
ISSUER: Final = 0x00100021
STUDY_UID: Final = 0x0020000D
_TABLES: Final[dict[Level, Table]] = {Level.PATIENT: patients, Level.STUDY: studies, Level.SERIES: series, Level.IMAGE: instances}
_LEVELS: Final = tuple(_TABLES)
_PARENT: Final = {Level.STUDY: "patient_fk", Level.SERIES: "study_fk", Level.IMAGE: "series_fk"}
_GROUPS: Final = ("name_alphabetic", "name_ideographic", "name_phonetic")

Shape = tuple[Any, ...]
Position = tuple[Any, ...]


@dataclass(slots=True)
class Answer:
    """What a query found.

    Attributes
    ----------
    matches
        To be read once; reads in small steps, and holds nothing open in between.
    unmatched
        Tags of conditions that were ignored, as the catalogue does not index them at this level.
    cursor
        Where the next page begins (`Query.after`); empty when this one is the last, or when the query had no limit.
    """

    matches: Iterator[Match]
    unmatched: tuple[int, ...] = ()
    cursor: str = ""


@dataclass(frozen=True, slots=True)
class _Plan:
    """What is searched for, and where."""

    level: Level
    made: list[Clause]
    scope: Scope
    linked: bool
    sequences: SequenceMatching

    @property
    def is_loose(self) -> bool:
        """Whether not every row that SQL finds is a match."""
        return self.sequences.decides or any(clause.check for clause in self.made)

    @property
    def by_audience(self) -> bool:
        """Whether each audience of the scope is walked by itself, newest first: a small department does not walk the large ones."""
        walks = self.level is Level.STUDY and not any(clause.selective for clause in self.made)
        return walks and not self.scope.is_everything


class Search:
    """Answers queries. SQL text is made once for each shape of a query."""

    def __init__(self, database: Database, identity: Identity) -> None:
        self._database = database
        self._identity = identity
        self._reader = AnswerReader(database)
        self.sequences = SequenceReader(database)
        self._texts: dict[Shape, str] = {}

    def __call__(self, query: Query, room: Room | None = None) -> Answer:
        """Find everything that matches all conditions. Raises InvalidRequest for a cursor that is not ours.

        Reading matches raises LimitExceeded where conditions on sequences would need too many headers; `room` is that of a question that takes several searches.
        """
        check_number(query.conditions)
        conditions, of_person = self._person(query)
        of_values, inside = apart(conditions)
        made, unmatched = clauses(of_values, query.level)
        unmatched += tuple(one.tag for one in inside if not is_matched(one, query.level))
        made += of_person
        if query.level is not Level.STUDY or not any(clause.selective for clause in made):
            made = [_by_newest(clause, query.level) for clause in made]
        start = _decode_cursor(query.after, query.level)
        if query.scope.is_nothing or (query.limit is not None and query.limit <= 0):
            return Answer(iter(()), unmatched)
        matched = [one for one in inside if is_matched(one, query.level)]
        sequences = SequenceMatching(self.sequences, matched, query.scope, room or room_to_read())
        plan = _Plan(query.level, made, query.scope, query.linked, sequences)
        if query.limit is None:
            return Answer(islice(self._walk(plan, start), query.offset, None), unmatched)
        if plan.is_loose:
            found = list(islice(self._walk(plan, start), query.offset, query.offset + query.limit + 1))
        else:
            found = list(self._page(plan, start, query.limit + 1, query.offset))
        cursor = _encode_cursor(found[query.limit - 1].position) if len(found) > query.limit else ""
        return Answer(iter(found[: query.limit]), unmatched, cursor)

    def _walk(self, plan: _Plan, start: Position) -> Iterator[Match]:
        """All matches, in steps that leave no statement open; loose clauses are checked."""
        checks = [clause.check for clause in plan.made if clause.check]
        size = CANDIDATES if plan.sequences.decides else _BATCH
        while True:
            page = self._page(plan, start, size, 0)
            fitting = (match for match in page if all(check(match.attributes) for check in checks))
            yield from plan.sequences.of(list(fitting)) if plan.sequences.decides else fitting
            if len(page) < size:
                return
            start = page[-1].position

    def _page(self, plan: _Plan, start: Position, limit: int, offset: int) -> list[Match]:
        with self._database.session() as session:
            if plan.by_audience:
                ids = ids_in_scope(session, plan.scope, self._database.is_postgresql)
                found = [row for one in ids for row in self._positions(session, plan, start, limit + offset, 0, one)]
                positions = sorted(found, key=lambda row: (row[1], row[0]), reverse=True)[offset : offset + limit]
            else:
                positions = self._positions(session, plan, start, limit, offset, None)
            found_here = self._reader.read(session, plan.level, positions, plan.scope) if positions else []
        return self._as_shown(found_here) if plan.linked else found_here

    def _person(self, query: Query) -> tuple[Sequence[Condition], list[Clause]]:
        """The conditions without those on a Patient ID and its issuer, where linked IDs are meant too, and the clause instead."""
        named = [one for one in query.conditions if isinstance(one, Equals) and one.tag in (PATIENT_ID, ISSUER)]
        ids = {value for one in named if one.tag == PATIENT_ID for value in one.values if value}
        if not query.linked or not ids:
            return query.conditions, []
        issuers: list[str | None] = [value for one in named if one.tag == ISSUER for value in one.values if value]
        with self._database.session() as session:
            keys = [
                key
                for one in sorted(ids)
                for issuer in issuers or [None]
                for key in self._identity.keys_with_id(session, one, issuer)
            ]
            links = self._identity.around(session, keys)
            person = frozenset[PatientKey]().union(*(component(key, links) for key in keys))
            rows, to, away = self._identity.rows_of(session, person)
        rest = [one for one in query.conditions if one not in named]
        if query.level is Level.PATIENT:
            return rest, [Clause("in", replace(MATCHABLE[PATIENT_ID], vr="IS", name="pk"), (tuple(rows),), True)]
        attribute = replace(MATCHABLE[PATIENT_ID], vr="IS", level=Level.STUDY, name="patient_fk")
        return rest, [Clause("of-person", attribute, (tuple(rows), tuple(away), tuple(to)), True)]

    def _as_shown(self, found: list[Match]) -> list[Match]:
        """Matches of patients that went up in others, and of studies that moved, as those of the others."""
        owners = [match.patient for match in found]
        if found and found[0].level is not Level.PATIENT:
            uids = [next(iter(match.attributes.get(STUDY_UID, ("",)))) for match in found]
            moved = self._identity.moved(list(dict.fromkeys(uids)))
            owners = [moved.get((uid, owner), owner) for uid, owner in zip(uids, owners, strict=True)]
        shown = self._identity.shown_as(owners)
        return [
            match if shown[owner] == match.patient else match.shown_as(self._told(shown[owner]))
            for match, owner in zip(found, owners, strict=True)
        ]

    def _told(self, key: PatientKey) -> Demographics:
        return self._identity.demographics(key) or Demographics(key, "", "", "")

    def _positions(
        self, session: Session, plan: _Plan, start: Position, limit: int, offset: int, audience: int | None
    ) -> list[Sequence[Any]]:
        """Sort key and primary key of a page, of one audience or of the plan's whole scope."""
        within = "everything" if plan.scope.is_everything else "labels" if audience is None else "audience"
        shape = (plan.level, within, bool(start), offset > 0, *(clause.shape for clause in plan.made))
        text = self._texts.get(shape)
        if text is None:
            if len(self._texts) > 2000:
                self._texts.clear()
            writer = _Statement(self._database.is_postgresql, plan.level, plan.made, within)
            text = self._texts[shape] = writer.text(bool(start), offset > 0)
        parameters: list[Any] = [] if within == "everything" else [plan.scope.text if audience is None else audience]
        if plan.level is Level.IMAGE:
            parameters *= 2  # of the labels, and of which version stands
        parameters += self._parameters(plan.level, plan.made)
        if start:
            parameters.extend(start)
        parameters.append(limit)
        if offset:
            parameters.append(offset)
        rows: list[Sequence[Any]] = session.execute(text, parameters).fetchall()
        return rows

    def _parameters(self, level: Level, made: list[Clause]) -> list[Any]:
        """Parameters in the order `_Statement` writes the clauses: the answered level first, then upwards."""
        found: list[Any] = []
        for rank in range(RANKS[level], -1, -1):
            for clause in made:
                if RANKS[clause.attribute.level] == rank:
                    found.extend(self._values(clause))
        return found

    def _values(self, clause: Clause) -> Iterator[Any]:
        is_postgresql = self._database.is_postgresql
        parameters = clause.parameters
        if clause.kind.startswith("any-group"):
            parameters = (*parameters, parameters[-1], parameters[-1])
        for value in parameters:
            if isinstance(value, Pattern):
                yield value.like() if is_postgresql else value.glob()
            elif isinstance(value, tuple):
                yield list(value) if is_postgresql else json.dumps(value, ensure_ascii=False)
            else:
                yield value


class _Statement:
    """The SQL text that finds positions: sort key and primary key of each match."""

    def __init__(self, is_postgresql: bool, level: Level, made: Sequence[Clause], within: str) -> None:
        self._is_postgresql = is_postgresql
        self._within = within
        self._mark = "%s" if is_postgresql else "?"
        self._like = r"LIKE %s ESCAPE '\'" if is_postgresql else "GLOB ?"
        self._any = "= ANY(%s)" if is_postgresql else "IN (SELECT value FROM json_each(?))"
        self._level = level
        self._newest = f"studies.newest >= {self._mark} AND studies.newest < {self._mark}"
        self._made = made
        self._leads = any(clause.selective for clause in made)
        self._writers: Mapping[str, Callable[[Clause, str], str]] = {
            "equals": lambda clause, column: f"{column} = {self._mark}",
            "in": lambda clause, column: f"{column} {self._any}",
            "like": lambda clause, column: f"{column} {self._like}",
            "empty": lambda clause, column: f"{column} = ''",
            "present": lambda clause, column: f"{column} <> ''",
            "inside": lambda clause, column: "(" + " OR ".join([f"{column} {self._like}"] * len(clause.parameters)) + ")",
            "name-inside": lambda clause, column: f"{column}_folded {self._like}",
            "prefix-like": lambda clause, column: (
                f"{column} >= {self._mark} AND {column} < {self._mark} AND {column} {self._like}"
            ),
            "between": lambda clause, column: f"{column} >= {self._mark} AND {column} <= {self._mark}",
            "from": lambda clause, column: f"{column} >= {self._mark}",
            "until": lambda clause, column: f"{column} > '' AND {column} <= {self._mark}",
            "newest-between": lambda clause, column: f"{self._newest} AND {column} >= {self._mark} AND {column} <= {self._mark}",
            "newest-from": lambda clause, column: f"studies.newest >= {self._mark} AND {column} >= {self._mark}",
            "patient-id-like": lambda clause, column: f"{self._keyed(SUFFIX_OF_ID)} AND {column} {self._like}",
            "any-group": lambda clause, column: self._any_group(),
            "any-group-indexed": lambda clause, column: f"{self._keyed(SUFFIX_OF_NAME)} AND {self._any_group()}",
            "fuzzy": self._fuzzy,
            "of-person": lambda clause, column: (
                f"(({column} {self._any} AND NOT (studies.pk {self._any})) OR studies.pk {self._any})"
            ),
        }

    def text(self, after: bool, offset: bool) -> str:
        """The statement: newest first for studies, oldest first by key for the others."""
        table = _TABLES[self._level].name
        conditions = self._conditions(self._level)
        mark = self._mark
        if self._within != "everything":
            conditions.insert(0, self._in_scope(table))
        if self._level is Level.IMAGE:
            conditions.insert(0, self._standing())
        if self._level is Level.STUDY:
            newest = "studies.newest || ''" if self._leads else "studies.newest"
            pk = "studies.pk"
            if after:
                conditions.append(f"({newest}, {pk}) < ({mark}, {mark})")
            order, columns = f"{newest} DESC, {pk} DESC", "studies.pk, studies.newest"
        else:
            pk = f"{table}.pk + 0" if self._leads else f"{table}.pk"
            if after:
                conditions.append(f"{pk} > {mark}")
            order, columns = pk, f"{table}.pk"
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {columns} FROM {table}{where} ORDER BY {order} LIMIT {mark}" + (f" OFFSET {mark}" if offset else "")

    def _in_scope(self, table: str) -> str:
        """The condition on labels: it is the first with a parameter. A unary plus keeps it from leading."""
        if self._within == "audience":
            return f"{table}.audience = {self._mark}"
        return visible_sql(f"{'' if self._is_postgresql else '+'}{table}.audience", self._mark, self._is_postgresql)

    def _standing(self) -> str:
        """That a version is the current one; within a scope, of those that lie in it: the condition has one parameter then."""
        return "instances.is_current = 1" if self._within == "everything" else stands_sql(self._mark, self._is_postgresql)

    def _conditions(self, level: Level) -> list[str]:
        """Conditions on a level's own table, and below them those of the levels above, as far as any is named."""
        table = _TABLES[level].name
        written = [self._write(clause, table) for clause in self._made if clause.attribute.level is level]
        above = _LEVELS[: RANKS[level]]
        if any(clause.attribute.level in above for clause in self._made):
            parent = above[-1]
            inner = self._conditions(parent)
            where = f" WHERE {' AND '.join(inner)}" if inner else ""
            name = _TABLES[parent].name
            if self._leads:
                written.append(f"{table}.{_PARENT[level]} IN (SELECT {name}.pk FROM {name}{where})")
            else:
                joined = " AND ".join([f"{name}.pk = {table}.{_PARENT[level]}", *inner])
                written.append(f"EXISTS (SELECT 1 FROM {name} WHERE {joined})")
        return written

    def _write(self, clause: Clause, table: str) -> str:
        column = f"{table}.{clause.attribute.name}"
        if clause.kind.startswith("group-"):
            group = f"patients.{_GROUPS[int(clause.kind[6])]} {self._like}"
            return f"{self._keyed(SUFFIX_OF_NAME)} AND {group}" if clause.kind.endswith("-indexed") else group
        if clause.attribute.vr == "TM" and clause.kind in ("equals", "in", "between", "from", "until"):
            padded = f"({column} || substr('000000.000000', length({column}) + 1))"
            return f"({column} <> '' AND {self._writers[clause.kind](clause, padded)})"
        return self._writers[clause.kind](clause, column)

    def _keyed(self, kind: int) -> str:
        mark = self._mark
        return f"patients.pk IN (SELECT patient_fk FROM name_keys WHERE kind = {kind} AND text >= {mark} AND text < {mark})"

    def _any_group(self) -> str:
        return "(" + " OR ".join(f"patients.{group} {self._like}" for group in _GROUPS) + ")"

    def _fuzzy(self, clause: Clause, column: str) -> str:
        del column
        one = f"patients.pk IN (SELECT patient_fk FROM name_keys WHERE kind = {PHONETIC_CODE} AND text = {self._mark})"
        codes = " AND ".join([one] * (len(clause.parameters) - 1))
        like = f"patients.name_alphabetic {self._like}"
        return f"({like} OR ({codes}))" if codes else like


def _by_newest(clause: Clause, level: Level) -> Clause:
    """A condition on the study date in a form that the index of the studies' order serves; below studies it leads to the hits."""
    if clause.attribute.tag != _STUDY_DATE or clause.kind not in ("equals", "between", "from"):
        return clause
    low, high = clause.parameters[0], clause.parameters[-1]
    leads = level is not Level.STUDY
    if clause.kind == "from":
        return replace(clause, kind="newest-from", parameters=(low, low), selective=leads)
    return replace(clause, kind="newest-between", parameters=(low, after(high), low, high), selective=leads)


def _encode_cursor(position: Position) -> str:
    return base64.urlsafe_b64encode(json.dumps(position).encode("ascii")).decode("ascii").rstrip("=")


def _decode_cursor(cursor: str, level: Level) -> Position:
    if not cursor:
        return ()
    try:
        position = json.loads(base64.urlsafe_b64decode(cursor.encode("ascii") + b"=" * (-len(cursor) % 4)))
        kinds: tuple[type, ...] = (str, int) if level is Level.STUDY else (int,)
        if [type(part) for part in position] != list(kinds):
            raise ValueError("another level's cursor")
    except (ValueError, TypeError, binascii.Error) as error:
        raise InvalidRequest("The cursor is not one this archive gave out.") from error
    return tuple(position)
