"""What of a series is stored how: loose objects that can be sealed, and members of packs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, exists, func, or_, select

from vna_core.catalogue.database import Session
from vna_core.catalogue.entry_form import decompress
from vna_core.catalogue.held import held_rows, held_statement
from vna_core.catalogue.schema import generations, headers, instances, locations, series, studies
from vna_core.catalogue.schema_packs import pack_members, packs
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.instance import HeldInstance, Location
from vna_core.domain.packs import SeriesPlace, StoredVersion

LOOSE: Final = "studies/"
PACKED: Final = "packs/"
_PIECE: Final = 500


def beginning_with(column: Any, prefix: str) -> ColumnElement[bool]:
    """A range of keys, so that an index serves it and nothing in a key is a pattern."""
    return and_(column >= prefix, column < prefix[:-1] + chr(ord(prefix[-1]) + 1))


def series_places(session: Session, study: str | None, series_uid: str | None, after: int = 0) -> list[SeriesPlace]:
    """Series by UID, or of a study; all behind a key where neither is given, a page of them."""
    statement = select(series.c.pk, studies.c.study_instance_uid, series.c.series_instance_uid).join(
        studies, studies.c.pk == series.c.study_fk
    )
    if study is not None:
        statement = statement.where(studies.c.study_instance_uid == identifier(study))
    if series_uid is not None:
        statement = statement.where(series.c.series_instance_uid == identifier(series_uid))
    if study is None and series_uid is None:
        statement = statement.where(series.c.pk > after).limit(_PIECE)
    rows = session.run(statement.order_by(series.c.pk)).fetchall()
    return [SeriesPlace(row[0], from_stored(row[1]), from_stored(row[2])) for row in rows]


def loose_summary(session: Session, series_pk: int, store: str) -> tuple[int, int, int]:
    """How many current loose objects a series has in a store, their octets, and when the last came (microseconds since 1970)."""
    wanted = select(func.count(), func.sum(instances.c.size), func.max(instances.c.received_at)).join(
        locations, locations.c.instance_fk == instances.c.pk
    )
    here = (instances.c.series_fk == series_pk) & (locations.c.store == to_stored(store))
    count, size, last = session.run(wanted.where(here, beginning_with(locations.c.key, LOOSE))).fetchone()
    again = select(func.max(generations.c.at)).join(instances, instances.c.pk == generations.c.instance_fk)
    (made,) = session.run(again.where(instances.c.series_fk == series_pk)).fetchone()
    return int(count), int(size or 0), max(int(last or 0), int(made or 0))


def stored_versions(session: Session, series_pk: int, stores: Sequence[str], prefix: str) -> list[StoredVersion]:
    """Objects of all versions of a series, earlier generations included, with a good copy under a key that begins so.

    Parameters
    ----------
    stores
        Where they may lie; each object is given where it lies in the first of them that has it.
    """
    held = held_rows(session.run(held_statement(instances.c.series_fk == series_pk)).fetchall())
    arrived = dict(
        session.run(select(instances.c.pk, instances.c.received_at).where(instances.c.series_fk == series_pk)).fetchall()
    )
    found = []
    for one in held:
        places = [where for where in one.locations if where.store in stores and where.key.startswith(prefix)]
        for where in sorted(places, key=lambda where: stores.index(where.store))[:1]:
            at = arrived[one.pk] // 1_000_000
            found.append(StoredVersion(one, one.sop_instance_uid, one.sha256, one.size, one.current, at, where))
    by_pk = {one.pk: one for one in held}
    known = {(one.location.key, one.location.offset) for one in found}
    for generation in _generations(session, list(by_pk), stores, prefix):
        of = by_pk[generation[0]]
        where = Location(from_stored(generation[5]), from_stored(generation[1]), generation[2], generation[4])
        if (where.key, where.offset) not in known:
            known.add((where.key, where.offset))
            at = arrived[of.pk] // 1_000_000
            found.append(StoredVersion(of, _sop_of(where, of), generation[3], generation[4], False, at, where))
    return found


def _sop_of(where: Location, of: HeldInstance) -> str:
    """The SOP Instance UID that an earlier generation's own key tells; in a pack, the version's."""
    name = where.key.rpartition("/")[2]
    uid = name.split(".dcm")[0].rpartition(".")[0]
    return uid if where.key.startswith(LOOSE) and uid and "~" not in uid else of.sop_instance_uid


def _generations(
    session: Session, pks: list[int], stores: Sequence[str], prefix: str
) -> Iterable[tuple[int, str, int, str, int, str]]:
    names = ("instance_fk", "key", "offset", "sha256", "size", "store")
    columns = tuple(generations.c[name] for name in names)
    named = generations.c.store.in_([to_stored(one) for one in stores])
    for start in range(0, len(pks), _PIECE):
        of = generations.c.instance_fk.in_(pks[start : start + _PIECE])
        wanted = select(*columns).where(of, named, generations.c.is_current == 0)
        yield from session.run(wanted.where(beginning_with(generations.c.key, prefix))).fetchall()


def header_json(session: Session, pks: list[int]) -> dict[int, bytes]:
    """DICOM JSON of versions by key."""
    found: dict[int, bytes] = {}
    for start in range(0, len(pks), _PIECE):
        wanted = select(headers.c.instance_fk, headers.c.json).where(headers.c.instance_fk.in_(pks[start : start + _PIECE]))
        found |= {row[0]: decompress(row[1]) for row in session.run(wanted).fetchall()}
    return found


def is_pointed_at(store: str | None = None) -> ColumnElement[bool]:
    """Whether a member of a pack (of the outer statement) is where some version or generation is; in one store, or in any."""
    places = []
    for table in (locations, generations):
        here = (table.c.instance_fk == pack_members.c.instance_fk) & (table.c.key == packs.c.key)
        here &= table.c.offset == pack_members.c.offset
        if store is not None and table is locations:  # an earlier generation is listed in one store, and kept in all
            here &= table.c.store == to_stored(store)
        places.append(exists().where(here))
    return or_(*places)


def loose_is_pointed_at(session: Session, instance: int, store: str, key: str) -> bool:
    """Whether a version or one of its generations is under a key of its own."""
    for table in (locations, generations):
        here = (table.c.instance_fk == instance) & (table.c.store == to_stored(store)) & (table.c.key == to_stored(key))
        if session.run(select(table.c.instance_fk).where(here).limit(1)).fetchone() is not None:
            return True
    return False
