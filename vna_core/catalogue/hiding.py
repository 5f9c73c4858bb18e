"""What a deletion hides: which versions it means, what is held of them, and where their octets lie."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Select, literal, select

from vna_core.catalogue.audiences import labels_of
from vna_core.catalogue.database import Session
from vna_core.catalogue.held import OF_INSTANCE
from vna_core.catalogue.schema import generations, instances, locations, patients, series, studies
from vna_core.catalogue.schema_departments import audiences
from vna_core.catalogue.schema_packs import pack_leftovers
from vna_core.catalogue.stored_text import from_stored, identifier
from vna_core.domain.errors import InvalidRequest, NotFound
from vna_core.domain.stewardship import DeletedObject, DeletedVersion, Deletion, Extent

T = TypeVar("T")

_PIECE: Final = 300
_VERSION: Final = (
    studies.c.study_instance_uid,
    series.c.series_instance_uid,
    instances.c.sop_instance_uid,
    instances.c.sop_class_uid,
    patients.c.issuer_of_patient_id,
    patients.c.patient_id,
    instances.c.original_sha256,
    instances.c.sha256,
    instances.c.size,
)
NAMES: Final = tuple(DeletedVersion.__dataclass_fields__)
"""What is remembered of a version, in the order of the rows that `version_of` takes."""


def named_versions(session: Session, deletion: Deletion, only: Collection[str] | None) -> list[int]:
    """Keys of the versions under the UID of a deletion, of `only` these instances. Raises NotFound."""
    rows = session.run(_under(select(instances.c.pk, instances.c.sop_instance_uid), deletion.level, deletion.uid)).fetchall()
    pks = [pk for pk, sop in rows if only is None or from_stored(sop) in only]
    if not pks:
        raise NotFound(f"No {deletion.level.value} is held under this UID.", uid=deletion.uid)
    return pks


def passed_over(session: Session, pks: Collection[int]) -> list[int]:
    """Keys of versions of which each has another one of its instance beside it that stays, and is seen by whoever sees it.

    Raises InvalidRequest.
    """
    chains: set[tuple[int, str]] = set()
    for piece in pieces(sorted(pks)):
        columns = (instances.c.series_fk, instances.c.sop_instance_uid)
        chains |= {tuple(row) for row in session.run(select(*columns).where(instances.c.pk.in_(piece))).fetchall()}
    wanted, found = set(pks), 0
    joined = instances.outerjoin(audiences, audiences.c.pk == instances.c.audience)
    for series_pk, uid in chains:
        same = (instances.c.series_fk == series_pk) & (instances.c.sop_instance_uid == uid)
        rows = session.run(select(instances.c.pk, audiences.c.labels).select_from(joined).where(same)).fetchall()
        labels = {pk: labels_of(text) for pk, text in rows}
        going = {pk for pk in labels if pk in wanted}
        staying = [labels[pk] for pk in labels.keys() - going]
        found += len(going)
        if not staying:
            raise InvalidRequest("No version of the instance would be left. Look again: `vna conflicts`.", uid=from_stored(uid))
        if not all(any(labels[pk] <= seen for seen in staying) for pk in going):
            message = "A department that sees what is set aside does not see the version that stays: it would see none."
            raise InvalidRequest(message, uid=from_stored(uid))
    if not wanted or found != len(wanted):
        raise InvalidRequest("A version that was to be set aside is not held any more. Look again: `vna conflicts`.")
    return sorted(wanted)


def _under(statement: Select[Any], level: Extent, uid: str) -> Select[Any]:
    column = {
        Extent.STUDY: studies.c.study_instance_uid,
        Extent.SERIES: series.c.series_instance_uid,
        Extent.INSTANCE: instances.c.sop_instance_uid,
    }[level]
    return statement.select_from(OF_INSTANCE).where(column == identifier(uid)).order_by(instances.c.pk)


def pieces(keys: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many keys at a time as one statement names."""
    for at in range(0, len(keys), _PIECE):
        yield keys[at : at + _PIECE]


def held_versions(session: Session, pks: Sequence[int]) -> list[DeletedVersion]:
    found = []
    for piece in pieces(pks):
        rows = session.run(select(*_VERSION).select_from(OF_INSTANCE).where(instances.c.pk.in_(piece))).fetchall()
        found += [version_of(row) for row in rows]
    return found


def objects_of(session: Session, pks: Sequence[int]) -> list[DeletedObject]:
    """Everything made of the octets of these versions, current or not; of length 0 what a pack has taken over, there or not."""
    found = {}
    for piece in pieces(pks):
        copies = select(locations.c.store, locations.c.key, locations.c.offset, locations.c.length)
        rows = session.run(copies.where(locations.c.instance_fk.in_(piece))).fetchall()
        others = select(generations.c.store, generations.c.key, generations.c.offset, generations.c.size).where(
            generations.c.instance_fk.in_(piece)
        )
        rows += [row for row in session.run(others).fetchall() if row[1]]
        left = select(pack_leftovers.c.store, pack_leftovers.c.key, literal(0), literal(0))
        rows = [*session.run(left.where(pack_leftovers.c.instance_fk.in_(piece))).fetchall(), *rows]
        for store, key, offset, length in rows:
            found[store, key, offset] = DeletedObject(from_stored(store), from_stored(key), offset, length)
    return list(found.values())


def version_of(row: Any) -> DeletedVersion:
    values: dict[str, Any] = {
        name: from_stored(value) if isinstance(value, str) else value for name, value in zip(NAMES, row, strict=True)
    }
    return DeletedVersion(**values)
