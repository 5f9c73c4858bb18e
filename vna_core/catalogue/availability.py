"""Instance Availability (0008,0056) of what is held: can it be read at once, after a recall, or not at all."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, exists, func, insert, select

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.schema import instances, locations, patients, series, studies
from vna_core.catalogue.schema_placement import series_nearline
from vna_core.catalogue.stored_text import to_stored
from vna_core.domain.placement import COLD, OK
from vna_core.domain.query import Level

ONLINE: Final = "ONLINE"
NEARLINE: Final = "NEARLINE"
OFFLINE: Final = "OFFLINE"

_KEYS: Final = {Level.PATIENT: patients.c.pk, Level.STUDY: studies.c.pk, Level.SERIES: series.c.pk, Level.IMAGE: instances.c.pk}
_ABOVE: Final = (
    instances.join(series, instances.c.series_fk == series.c.pk)
    .join(studies, series.c.study_fk == studies.c.pk)
    .join(patients, studies.c.patient_fk == patients.c.pk)
)


def refresh_series(session: Session, series_pk: int) -> None:
    """Bring `series_nearline` up to date for one series. To be called wherever the state of a copy changes."""
    nearline = ~_has_copy(OK) & _has_copy(COLD)
    counted = select(func.count()).where(instances.c.series_fk == series_pk, instances.c.is_current == 1, nearline)
    (number,) = session.run(counted).fetchone()
    session.run(delete(series_nearline).where(series_nearline.c.series_fk == series_pk))
    if number:
        session.run(insert(series_nearline).values(series_fk=series_pk, instances=number))


class Availabilities:
    """Answers how readily matches of a query are available."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._any_nearline = database.prepare(select(series_nearline.c.series_fk).limit(1))

    def nearline(self, level: Level, pks: Sequence[int]) -> set[int]:
        """Those of some patients, studies, series or current versions of which something must be recalled before it is read."""
        with self._database.session() as session:
            if not pks or session.execute(self._any_nearline.sql, self._any_nearline.arrange({})).fetchone() is None:
                return set()
            return {int(row[0]) for row in session.run(_nearline(level, pks)).fetchall()}

    def unreadable(self, level: Level, pks: Sequence[int], offline: Collection[str]) -> tuple[set[int], set[int]]:
        """The same while some stores do not answer: nearline, and those of which something is in these stores alone; of versions also those that are not current.

        Costs a look at every current version below, unlike `nearline`.
        """
        if not pks:
            return set(), set()
        answering = locations.c.store.not_in([to_stored(name) for name in offline])
        key = _KEYS[level]
        current = (key.in_(list(pks)), *((instances.c.is_current == 1,) if level is not Level.IMAGE else ()))
        found = []
        with self._database.session() as session:
            for none_of in (~_has_copy(OK, answering), ~_has_copy(OK, answering) & ~_has_copy(COLD, answering)):
                rows = session.run(select(key).select_from(_ABOVE).where(*current, none_of).distinct()).fetchall()
                found.append({int(row[0]) for row in rows})
        return found[0] - found[1], found[1]


def _nearline(level: Level, pks: Sequence[int]) -> Any:
    if level is Level.IMAGE:
        hinted = instances.join(series_nearline, series_nearline.c.series_fk == instances.c.series_fk)
        wanted = (instances.c.pk.in_(list(pks)), ~_has_copy(OK), _has_copy(COLD))
        return select(instances.c.pk).select_from(hinted).where(*wanted)
    joined: Any = series_nearline.join(series, series_nearline.c.series_fk == series.c.pk)
    if level is not Level.SERIES:
        joined = joined.join(studies, series.c.study_fk == studies.c.pk)
    if level is Level.PATIENT:
        joined = joined.join(patients, studies.c.patient_fk == patients.c.pk)
    key = _KEYS[level]
    return select(key).select_from(joined).where(key.in_(list(pks))).distinct()


def _has_copy(state: str, *conditions: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(locations.c.instance_fk == instances.c.pk, locations.c.state == state, *conditions)
