"""Who still needs an object of a store: the one place that is asked before anything is removed from one."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, exists, select

from vna_core.catalogue.database import Session
from vna_core.catalogue.holds import refuse_held
from vna_core.catalogue.schema import generations, instances, locations, series, studies
from vna_core.catalogue.schema_stewardship import deleted_objects, deleted_versions, deletions
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.errors import UnderHold
from vna_core.domain.placement import COLD, OK
from vna_core.domain.stewardship import HIDDEN, PURGING, UNDOING, DeletedVersion


def is_kept_for_deletion(session: Session, store: str, key: str) -> bool:
    """Whether something deleted lies in an object that may be taken back, or that a hold keeps from being purged."""
    here = (deleted_objects.c.store == to_stored(store)) & (deleted_objects.c.key == to_stored(key))
    named = select(deletions.c.id, deletions.c.state).join(deleted_objects, deleted_objects.c.deletion == deletions.c.id)
    found = session.run(named.where(here, deletions.c.state.in_((HIDDEN, UNDOING, PURGING))).distinct()).fetchall()
    return any(state != PURGING or _is_held(session, deletion) for deletion, state in found)


def _is_held(session: Session, deletion: str) -> bool:
    names = tuple(DeletedVersion.__dataclass_fields__)
    wanted = select(*(deleted_versions.c[name] for name in names)).where(deleted_versions.c.deletion == deletion)
    versions = []
    for row in session.run(wanted).fetchall():
        values: dict[str, Any] = {
            name: from_stored(value) if isinstance(value, str) else value for name, value in zip(names, row, strict=True)
        }
        versions.append(DeletedVersion(**values))
    try:
        refuse_held(session, versions)
    except UnderHold:
        return True
    return False


def is_read(session: Session, store: str, key: str) -> bool:
    """Whether a version is read from an object, or an earlier object of a version lies in it.

    Where an earlier object lies is noted for one store only, and kept in all.
    """
    here = (locations.c.store == to_stored(store)) & (locations.c.key == to_stored(key))
    for place in (
        select(locations.c.instance_fk).where(here),
        select(generations.c.instance_fk).where(generations.c.key == to_stored(key)),
    ):
        if session.run(place.limit(1)).fetchone() is not None:
            return True
    return False


def earlier_objects_stay(session: Session, store: str, key: str) -> bool:
    """Whether earlier objects that are noted as lying in this one have another copy, once it is gone."""
    here = (generations.c.store == to_stored(store)) & (generations.c.key == to_stored(key))
    if session.run(select(generations.c.instance_fk).where(here).limit(1)).fetchone() is None:
        return True
    return other_store(session, store, key) is not None


def other_store(session: Session, store: str, key: str) -> str | None:
    """Another store with a good copy of the same object, as it is stored; None: there is none."""
    elsewhere = (locations.c.key == to_stored(key)) & (locations.c.store != to_stored(store)) & locations.c.state.in_((OK, COLD))
    row = session.run(select(locations.c.store).where(elsewhere).order_by(locations.c.store).limit(1)).fetchone()
    return None if row is None else str(row[0])


def is_unreadable(session: Session, instance: int) -> bool:
    """Whether every copy of a version is damaged or missing."""
    return session.run(select(instances.c.pk).where(instances.c.pk == instance, _has_bad_copies_alone())).fetchone() is not None


def has_unreadable(session: Session, study_instance_uid: str, series_instance_uid: str) -> bool:
    """Whether a series, of whatever patient, has a version of which every copy is damaged or missing."""
    joined = instances.join(series, series.c.pk == instances.c.series_fk).join(studies, studies.c.pk == series.c.study_fk)
    named = (studies.c.study_instance_uid == identifier(study_instance_uid)) & (
        series.c.series_instance_uid == identifier(series_instance_uid)
    )
    found = select(instances.c.pk).select_from(joined).where(named, _has_bad_copies_alone()).limit(1)
    return session.run(found).fetchone() is not None


def _has_bad_copies_alone() -> ColumnElement[bool]:
    of_version = locations.c.instance_fk == instances.c.pk
    return exists().where(of_version) & ~exists().where(of_version, locations.c.state.in_((OK, COLD)))
