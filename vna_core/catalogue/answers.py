"""Matches read by their keys: attributes of the level and those above it, and the counts and lists made from below."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, Table, func, select

from vna_core.catalogue.audiences import LABELS, stands, visible
from vna_core.catalogue.database import Database, Prepared, Session
from vna_core.catalogue.schema import BY_LEVEL, MULTIPLE, instances, patients, series, studies
from vna_core.catalogue.stored_text import column_values, from_stored
from vna_core.domain.access import EVERYTHING, Scope
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import Demographics
from vna_core.domain.query import Level

_TABLES: Final[dict[Level, Table]] = {Level.PATIENT: patients, Level.STUDY: studies, Level.SERIES: series, Level.IMAGE: instances}
_ABOVE: Final = {
    Level.PATIENT: (Level.PATIENT,),
    Level.STUDY: (Level.STUDY, Level.PATIENT),
    Level.SERIES: (Level.SERIES, Level.STUDY, Level.PATIENT),
    Level.IMAGE: (Level.IMAGE, Level.SERIES, Level.STUDY, Level.PATIENT),
}
_WRAPPED: Final = ((0x00080061, "CS", "modalities"), (0x00080062, "UI", "sop_classes"))


_OF_PATIENT: Final = (0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040)

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

    __slots__ = ("_columns", "_shown", "level", "pk", "position", "row")

    def __init__(
        self, level: Level, row: tuple[Any, ...], columns: Columns, position: tuple[Any, ...], shown: Demographics | None = None
    ) -> None:
        self.level = level
        self.row = row
        self.pk: int = row[0]
        self.position = position
        self._columns = columns
        self._shown = shown
        if shown is not None:  # what is told of the row depends on it, so it is part of what rows are compared by
            self.row = (*row, (shown.patient.issuer, shown.patient.patient_id, shown.name, shown.birth_date, shown.sex))

    @property
    def available(self) -> str:
        """Instance Availability (0008,0056) where it is known without a look at the copies; else empty."""
        return ""

    def shown_as(self, shown: Demographics) -> Match:
        """The same as another patient's."""
        return Match(self.level, self.row, self._columns, self.position, shown)

    @property
    def attributes(self) -> dict[int, tuple[str, ...]]:
        """Values by tag: the level's own attributes, those of the levels above, and the counts and lists of PS3.4 C.3.4 that
        belong to the level. Absent and empty ones are left out."""
        return self.told(None)

    def told(self, tags: frozenset[int] | None) -> dict[int, tuple[str, ...]]:
        """`attributes`, as far as they are among `tags`; None: all. What nobody asked for is not decoded."""
        row, columns = self.row, self._columns
        found = {
            tag: _values(row[index], vr, wrapped)
            for tag, vr, wrapped, index in columns
            if (tags is None or tag in tags) and row[index]
        }
        if self._shown is not None:
            shown = self._shown
            told = (shown.name, shown.patient.patient_id, shown.patient.issuer, shown.birth_date, shown.sex)
            for tag, value in zip(_OF_PATIENT, told, strict=True):
                found.pop(tag, None)
                if value and (tags is None or tag in tags):
                    found[tag] = (value,)
        return found

    @property
    def patient(self) -> PatientKey:
        """Issuer and ID of the patient it is filed under."""
        return PatientKey(from_stored(self.row[1]), from_stored(self.row[2]))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Match) and (self.level, self.row) == (other.level, other.row)

    def __hash__(self) -> int:
        return hash((self.level, self.row))

    def __repr__(self) -> str:
        return f"Match({self.level.value}, {self.pk})"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What lies in a scope, as conditions whose parameter is `LABELS`."""

    is_postgresql: bool

    def of(self, table: Table) -> ColumnElement[bool]:
        """That a row lies in it."""
        return visible(table.c.audience, self.is_postgresql)

    @property
    def standing(self) -> ColumnElement[bool]:
        """That a version of those that lie in it stands for its instance."""
        return stands(self.is_postgresql)


def _counts(level: Level, seen: _Seen | None) -> tuple[tuple[int, Any], ...]:
    """Tags of counts, and the expressions that make them; `seen` says what counts (None: everything)."""

    def of(table: Table) -> list[ColumnElement[bool]]:
        return [seen.of(table)] if seen is not None else []

    standing = instances.c.is_current == 1 if seen is None else seen.standing

    if level is Level.SERIES:
        current = (instances.c.series_fk == series.c.pk, standing)
        counted = select(func.count()).select_from(instances).where(*current, *of(instances)).correlate(series).scalar_subquery()
        return ((0x00201209, series.c.number_of_instances if seen is None else counted),)
    if level not in (Level.STUDY, Level.PATIENT):
        return ()
    above = studies if level is Level.STUDY else patients
    parent = series.c.study_fk == studies.c.pk if level is Level.STUDY else studies.c.patient_fk == patients.c.pk
    below: FromClause = series if level is Level.STUDY else series.join(studies, series.c.study_fk == studies.c.pk)
    number_of_series = select(func.count()).select_from(below).where(parent, *of(series)).correlate(above)
    if seen is None:
        number_of_instances = select(func.sum(series.c.number_of_instances)).select_from(below).where(parent).correlate(above)
    else:
        images = below.join(instances, instances.c.series_fk == series.c.pk)
        current_images = (parent, standing, *of(instances))
        number_of_instances = select(func.count()).select_from(images).where(*current_images).correlate(above)
    if level is Level.STUDY:
        return (0x00201206, number_of_series.scalar_subquery()), (0x00201208, number_of_instances.scalar_subquery())
    number_of_studies = select(func.count()).select_from(studies).where(parent, *of(studies)).correlate(patients)
    return (
        (0x00201200, number_of_studies.scalar_subquery()),
        (0x00201202, number_of_series.scalar_subquery()),
        (0x00201204, number_of_instances.scalar_subquery()),
    )


class AnswerReader:
    """Reads matches of each level."""

    def __init__(self, database: Database) -> None:
        self._database, self._is_postgresql = database, database.is_postgresql
        self._shapes: dict[tuple[Level, bool], tuple[Prepared, Columns]] = {}
        self._wanted = "= ANY(%s)" if self._is_postgresql else "IN (SELECT value FROM json_each(?))"

    def _shape(self, level: Level, scoped: bool) -> tuple[Prepared, Columns]:
        """The statement and its columns, made when they are first asked for."""
        found = self._shapes.get((level, scoped))
        if found is None:
            statement, columns = _statement(level, _Seen(self._is_postgresql) if scoped else None)
            found = self._shapes[level, scoped] = self._database.prepare(statement), columns
        return found

    def read(self, session: Session, level: Level, positions: Sequence[Sequence[Any]], scope: Scope = EVERYTHING) -> list[Match]:
        """The rows at `positions`, in their order; counts are of the scope. A row that went away in between is left out."""
        keys = [position[0] for position in positions]
        parameter: Any = keys if self._is_postgresql else f"[{','.join(map(str, keys))}]"
        prepared, columns = self._shape(level, not scope.is_everything)
        parameters = [*prepared.arrange({LABELS: scope.text}), parameter]
        sql = f"{prepared.sql} WHERE {_TABLES[level].name}.pk {self._wanted}"
        rows = {row[0]: row for row in session.execute(sql, parameters).fetchall()}
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


def _statement(level: Level, seen: _Seen | None) -> tuple[Select[Any], Columns]:
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
    for tag, expression in _counts(level, seen):
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
