"""How old studies are, and what they consist of: what rules of retention ask."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from sqlalchemy import func, select

from vna_core.catalogue.database import Database
from vna_core.catalogue.entry_form import moment
from vna_core.catalogue.schema import instances, series, sources, studies
from vna_core.catalogue.stored_text import from_stored, to_stored

_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class StudyAge:
    """Everything that is held under one Study Instance UID.

    Attributes
    ----------
    study_date
        The latest of them (DA); empty where one has none.
    arrived_at
        When the last of it came.
    """

    study_instance_uid: str
    study_date: str
    arrived_at: datetime
    modalities: frozenset[str]
    departments: frozenset[str]
    sources: frozenset[str]
    versions: int


class Ages:
    """Reads studies in the order of their UIDs."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def __call__(self) -> Iterator[StudyAge]:
        """Every study. Holds nothing open in between."""
        last = ""
        while True:
            wanted = select(studies.c.study_instance_uid).where(studies.c.study_instance_uid > to_stored(last)).distinct()
            with self._database.session() as session:
                page = [row[0] for row in session.run(wanted.order_by(studies.c.study_instance_uid).limit(_PAGE)).fetchall()]
                if not page:
                    return
                rows = session.run(_parts(page)).fetchall()
            for uid, parts in groupby(sorted(rows), key=lambda row: row[0]):
                yield _age(uid, list(parts))
            last = from_stored(page[-1])


def _parts(uids: list[str]) -> Any:
    """One row per series and source."""
    parts = (studies.c.study_instance_uid, studies.c.study_date, series.c.modality, series.c.institutional_department_name)
    joined = studies.join(series, series.c.study_fk == studies.c.pk).join(instances, instances.c.series_fk == series.c.pk)
    joined = joined.join(sources, sources.c.pk == instances.c.source_fk)
    columns = (*parts, sources.c.name)
    counted = select(*columns, func.max(instances.c.received_at), func.count()).select_from(joined)
    return counted.where(studies.c.study_instance_uid.in_(uids)).group_by(*columns)


def _age(uid: str, parts: list[Any]) -> StudyAge:
    dates = [from_stored(row[1]) for row in parts]
    modalities, departments, names = (frozenset(from_stored(row[place]) for row in parts) for place in (2, 3, 4))
    return StudyAge(
        from_stored(uid),
        max(dates) if all(dates) else "",
        moment(max(row[5] for row in parts)),
        modalities,
        departments,
        names,
        sum(row[6] for row in parts),
    )
