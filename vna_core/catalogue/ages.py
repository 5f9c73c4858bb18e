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
from vna_core.catalogue.schema_departments import audiences
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.domain.departments import COLLECTION

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
    departments
        Departments that its instances belong to; the empty text is among them where one belongs to none.
    institutional_departments
        Institutional Department Name (0008,1040) of every series.
    """

    study_instance_uid: str
    study_date: str
    arrived_at: datetime
    modalities: frozenset[str]
    departments: frozenset[str]
    sources: frozenset[str]
    versions: int
    institutional_departments: frozenset[str] = frozenset()


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
    """One row per series, source and set of labels."""
    parts = (studies.c.study_instance_uid, studies.c.study_date, series.c.modality, series.c.institutional_department_name)
    joined = studies.join(series, series.c.study_fk == studies.c.pk).join(instances, instances.c.series_fk == series.c.pk)
    joined = joined.join(sources, sources.c.pk == instances.c.source_fk)
    joined = joined.outerjoin(audiences, audiences.c.pk == instances.c.audience)
    columns = (*parts, sources.c.name, audiences.c.labels)
    counted = select(*columns, func.max(instances.c.received_at), func.count()).select_from(joined)
    return counted.where(studies.c.study_instance_uid.in_(uids)).group_by(*columns)


def _age(uid: str, parts: list[Any]) -> StudyAge:
    dates = [from_stored(row[1]) for row in parts]
    modalities, institutional, names = (frozenset(from_stored(row[place]) for row in parts) for place in (2, 3, 4))
    return StudyAge(
        from_stored(uid),
        max(dates) if all(dates) else "",
        moment(max(row[6] for row in parts)),
        modalities,
        frozenset(one for row in parts for one in _departments(row[5] or "")),
        names,
        sum(row[7] for row in parts),
        institutional,
    )


def _departments(labels: str) -> list[str]:
    """Departments among the labels of an instance, or the empty text where there are none."""
    found = [label for label in from_stored(labels).split(";") if label and not label.startswith(COLLECTION)]
    return found or [""]
