"""Matches read by their keys: attributes of the level and those above it, and the counts and lists made from below."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import FromClause, Select, Table, func, select

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.schema import BY_LEVEL, MULTIPLE, instances, patients, series, studies
from vna_core.catalogue.stored_text import column_values, from_stored
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.query import Level

_TABLES: Final[dict[Level, Table]] = {Level.PATIENT: patients, Level.STUDY: studies, Level.SERIES: series, Level.IMAGE: instances}
_ABOVE: Final = {
    Level.PATIENT: (Level.PATIENT,),
    Level.STUDY: (Level.STUDY, Level.PATIENT),
    Level.SERIES: (Level.SERIES, Level.STUDY, Level.PATIENT),
    Level.IMAGE: (Level.IMAGE, Level.SERIES, Level.STUDY, Level.PATIENT),
}
_WRAPPED: Final = ((0x00080061, "CS", "modalities"), (0x00080062, "UI", "sop_classes"))


Columns = Sequence[tuple[int, str, bool, int]]
"""For each answered tag its representation, whether its values stand between backslashes, and its place in the row."""


class Match:
    """One match. Equal matches have equal rows; what a row says is decoded when it is asked for.

    Attributes
    ----------
    pk
        The row's key in the catalogue; at image level that of the current version.
    row
        Everything that is answered, as it is stored; can be hashed. Equal rows of a level have equal attributes.
    position
        Where the match stands in the order of the answers.
    """

    __slots__ = ("_columns", "level", "pk", "position", "row")

    def __init__(self, level: Level, row: tuple[Any, ...], columns: Columns, position: tuple[Any, ...]) -> None:
        self.level = level
        self.row = row
        self.pk: int = row[0]
        self.position = position
        self._columns = columns

    @property
    def attributes(self) -> dict[int, tuple[str, ...]]:
        """Values by tag: the level's own attributes, those of the levels above, and the counts and lists of PS3.4 C.3.4 that
        belong to the level. Absent and empty ones are left out."""
        row = self.row
        return {tag: _values(row[index], vr, wrapped) for tag, vr, wrapped, index in self._columns if row[index]}

    @property
    def patient(self) -> PatientKey:
        """Issuer and ID of the patient."""
        return PatientKey(from_stored(self.row[1]), from_stored(self.row[2]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Match) and (self.level, self.row) == (other.level, other.row)

    def __hash__(self) -> int:
        return hash((self.level, self.row))

    def __repr__(self) -> str:
        return f"Match({self.level.value}, {self.pk})"


def _counts(level: Level) -> tuple[tuple[int, Any], ...]:
    """Tags of counts, and the expressions that make them."""
    if level is Level.SERIES:
        return ((0x00201209, series.c.number_of_instances),)
    if level is Level.STUDY:
        of_study = series.c.study_fk == studies.c.pk
        return (
            (0x00201206, select(func.count()).select_from(series).where(of_study).correlate(studies).scalar_subquery()),
            (0x00201208, select(func.sum(series.c.number_of_instances)).where(of_study).correlate(studies).scalar_subquery()),
        )
    if level is Level.PATIENT:
        of_patient = studies.c.patient_fk == patients.c.pk
        below = series.join(studies, series.c.study_fk == studies.c.pk)
        return (
            (0x00201200, select(func.count()).select_from(studies).where(of_patient).correlate(patients).scalar_subquery()),
            (0x00201202, select(func.count()).select_from(below).where(of_patient).correlate(patients).scalar_subquery()),
            (
                0x00201204,
                select(func.sum(series.c.number_of_instances))
                .select_from(below)
                .where(of_patient)
                .correlate(patients)
                .scalar_subquery(),
            ),
        )
    return ()


class AnswerReader:
    """Reads matches of each level."""

    def __init__(self, database: Database) -> None:
        self._is_postgresql = database.is_postgresql
        self._columns: dict[Level, list[tuple[int, str, bool, int]]] = {}
        self._texts: dict[Level, str] = {}
        for level in Level:
            statement, self._columns[level] = _statement(level)
            text = database.prepare(statement).sql
            wanted = "= ANY(%s)" if self._is_postgresql else "IN (SELECT value FROM json_each(?))"
            self._texts[level] = f"{text} WHERE {_TABLES[level].name}.pk {wanted}"

    def read(self, session: Session, level: Level, positions: Sequence[Sequence[Any]]) -> list[Match]:
        """The rows at `positions`, in their order. A row that went away in between is left out."""
        keys = [position[0] for position in positions]
        parameter: Any = keys if self._is_postgresql else f"[{','.join(map(str, keys))}]"
        rows = {row[0]: row for row in session.execute(self._texts[level], (parameter,)).fetchall()}
        columns = self._columns[level]
        found = []
        for position in positions:
            row = rows.get(position[0])
            if row is not None:
                place = (position[1], position[0]) if level is Level.STUDY else (position[0],)
                found.append(Match(level, tuple(row), columns, place))
        return found


def _values(value: Any, vr: str, wrapped: bool) -> tuple[str, ...]:
    if not vr:
        return (str(value),)
    if not wrapped and value.isascii() and "\\" not in value:
        return (value,)
    return column_values(value[1:-1] if wrapped else value, vr)


def _statement(level: Level) -> tuple[Select[Any], list[tuple[int, str, bool, int]]]:
    """The statement for a level, and for each answered tag its representation and its place in the row."""
    columns: list[Any] = [_TABLES[level].c.pk, patients.c.issuer_of_patient_id, patients.c.patient_id]
    places: list[tuple[int, str, bool, int]] = []
    for above in _ABOVE[level]:
        for attribute in BY_LEVEL[above]:
            places.append((attribute.tag, attribute.vr, attribute.tag in MULTIPLE, len(columns)))
            columns.append(_TABLES[above].c[attribute.name])
    if level is not Level.PATIENT:
        for tag, vr, name in _WRAPPED:
            places.append((tag, vr, True, len(columns)))
            columns.append(studies.c[name])
    for tag, expression in _counts(level):
        places.append((tag, "", False, len(columns)))
        columns.append(expression)
    source: FromClause = _TABLES[level]
    for below, above, name in (
        (Level.IMAGE, Level.SERIES, "series_fk"),
        (Level.SERIES, Level.STUDY, "study_fk"),
        (Level.STUDY, Level.PATIENT, "patient_fk"),
    ):
        if below in _ABOVE[level]:
            source = source.join(_TABLES[above], _TABLES[below].c[name] == _TABLES[above].c.pk)
    return select(*columns).select_from(source), sorted(places)
