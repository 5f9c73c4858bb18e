"""What the placement policy must know, read series by series."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, select

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import microseconds
from vna_core.catalogue.schema import instances, locations, series, sources, studies
from vna_core.catalogue.schema_departments import audiences
from vna_core.catalogue.schema_packs import packs
from vna_core.catalogue.schema_placement import object_terms, study_accesses
from vna_core.catalogue.stored_text import from_stored
from vna_core.domain.placement import HeldCopy, PlacedInstance

_SERIES: Final = 5000
"""Series whose keys are read at once."""
_FIELDS: Final = (
    instances.c.pk,
    instances.c.sop_instance_uid,
    series.c.modality,
    sources.c.kind,
    sources.c.name,
    instances.c.size,
    instances.c.sha256,
    instances.c.received_at,
    studies.c.study_date,
    studies.c.study_time,
    study_accesses.c.at,
    audiences.c.labels,
    locations.c.store,
    locations.c.key,
    locations.c.offset,
    locations.c.length,
    locations.c.state,
    object_terms.c.tier,
    object_terms.c.tier_since,
    object_terms.c.locked_until,
    object_terms.c.readable_until,
    packs.c.pk,
    object_terms.c.legal_hold,
)
_FIRST_COPY: Final = 12


def placed_instances(session: Session, condition: ColumnElement[bool]) -> list[PlacedInstance]:
    """Every version that fulfils `condition`, with its copies in the order they are read."""
    return list(_grouped(session.run(_statement(condition)).fetchall()))


def series_keys(database: Database, after: int = 0) -> Iterator[int]:
    """Primary keys of all series behind `after`, in order."""
    while True:
        with database.session() as session:
            statement = select(series.c.pk).where(series.c.pk > after).order_by(series.c.pk).limit(_SERIES)
            page = [int(row[0]) for row in session.run(statement).fetchall()]
        yield from page
        if len(page) < _SERIES:
            return
        after = page[-1]


def _statement(condition: ColumnElement[bool]) -> Select[Any]:
    same_object = (object_terms.c.store == locations.c.store) & (object_terms.c.key == locations.c.key)
    joined = (
        instances.join(series, instances.c.series_fk == series.c.pk)
        .join(studies, series.c.study_fk == studies.c.pk)
        .join(sources, instances.c.source_fk == sources.c.pk)
        .outerjoin(audiences, audiences.c.pk == instances.c.audience)
        .outerjoin(study_accesses, study_accesses.c.study_instance_uid == studies.c.study_instance_uid)
        .outerjoin(locations, locations.c.instance_fk == instances.c.pk)
        .outerjoin(object_terms, same_object)
        .outerjoin(packs, packs.c.key == locations.c.key)
    )
    return select(*_FIELDS).select_from(joined).where(condition).order_by(instances.c.pk, locations.c.ordinal)


def _grouped(rows: Iterable[Sequence[Any]]) -> Iterator[PlacedInstance]:
    last, copies = None, list[HeldCopy]()
    for row in rows:
        if last is not None and row[0] != last[0]:
            yield _placed(last, copies)
            copies = []
        last = row
        if row[_FIRST_COPY] is not None:
            store, key, offset, length, state, tier, since, locked, readable, sealed, held = row[_FIRST_COPY:]
            place = (from_stored(store), from_stored(key), offset, length, state)
            copies.append(HeldCopy(*place, tier or "", since or 0, locked or 0, readable or 0, sealed or 0, bool(held)))
    if last is not None:
        yield _placed(last, copies)


def _placed(row: Sequence[Any], copies: list[HeldCopy]) -> PlacedInstance:
    return PlacedInstance(
        pk=row[0],
        sop_instance_uid=from_stored(row[1]),
        modality=from_stored(row[2]),
        source_kind=from_stored(row[3]),
        source=from_stored(row[4]),
        size=row[5],
        sha256=row[6],
        received_at=row[7],
        studied_at=moment_of(row[8], row[9]),
        accessed_at=row[10] or 0,
        departments=tuple(filter(None, (row[11] or "").split(";"))),
        copies=tuple(copies),
    )


def moment_of(date: str, time: str) -> int:
    """A Study Date and Time as microseconds since 1970, taken as UTC; 0 for a date that is none."""
    digits = f"{time[:6]:0<6}" if time[:6].isdigit() else "000000"
    try:
        moment = datetime.strptime(date[:8] + digits, "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return 0
    return microseconds(moment)
