"""What is written about packs: each function is a part of one transaction, so that an object is always where the catalogue says."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, delete, func, insert, select, update

from vna_core.catalogue.database import Session
from vna_core.catalogue.object_uses import is_kept_for_deletion, is_read, other_store
from vna_core.catalogue.pack_contents import LOOSE, is_pointed_at, loose_is_pointed_at
from vna_core.catalogue.schema import generations, locations
from vna_core.catalogue.schema_packs import pack_copies, pack_leftovers, pack_members, packs
from vna_core.catalogue.store_holds import is_held_in_store
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.packs import Leftover, NewPack, StoredVersion
from vna_core.domain.placement import OK

WHEN_PACKED: Final = 1 << 62
"""Moment of what is left over in a store as soon as that has the pack, which it may never get."""


def list_pack(session: Session, new: NewPack, now: int) -> int:
    """Add a pack with its members, unless it is listed; its key."""
    known = session.run(select(packs.c.pk).where(packs.c.key == to_stored(new.key))).fetchone()
    if known is not None:
        return int(known[0])
    session.run(
        insert(packs).values(
            key=to_stored(new.key),
            sha256=new.sha256,
            size=new.size,
            study_instance_uid=identifier(new.study_instance_uid),
            series_instance_uid=identifier(new.series_instance_uid),
            frames=new.frames,
            sealed_at=now,
        )
    )
    (pk,) = session.run(select(packs.c.pk).where(packs.c.key == to_stored(new.key))).fetchone()
    for ordinal, one in enumerate(new.members):
        session.run(
            insert(pack_members).values(
                pack_fk=pk, ordinal=ordinal, instance_fk=one.instance, sha256=one.sha256, offset=one.offset, length=one.length
            )
        )
    return int(pk)


def add_copy(session: Session, pack: int, store: str, now: int) -> None:
    """Note that a store has a proven copy of a pack."""
    session.run(delete(pack_copies).where(pack_copies.c.pack_fk == pack, pack_copies.c.store == to_stored(store)))
    session.run(insert(pack_copies).values(pack_fk=pack, store=to_stored(store), verified_at=now))


def forget_copy(session: Session, store: str, key: str) -> None:
    """A store has an object no longer: what is noted about it there is noted about another copy, or not at all."""
    elsewhere = other_store(session, store, key)
    if elsewhere is not None:
        here = (generations.c.store == to_stored(store)) & (generations.c.key == to_stored(key))
        session.run(update(generations).where(here).values(store=elsewhere))
    row = session.run(select(packs.c.pk).where(packs.c.key == to_stored(key))).fetchone()
    if row is not None:
        session.run(delete(pack_copies).where(pack_copies.c.pack_fk == row[0], pack_copies.c.store == to_stored(store)))
        _forget_pack(session, row[0])


def _forget_pack(session: Session, pack: int) -> None:
    """Unlist a pack that no store has and nothing points at."""
    (copies,) = session.run(select(func.count()).where(pack_copies.c.pack_fk == pack)).fetchone()
    live = select(pack_members.c.ordinal).join(packs, packs.c.pk == pack_members.c.pack_fk).where(packs.c.pk == pack)
    if not copies and session.run(live.where(is_pointed_at()).limit(1)).fetchone() is None:
        session.run(delete(pack_members).where(pack_members.c.pack_fk == pack))
        session.run(delete(packs).where(packs.c.pk == pack))


def point_into(session: Session, new: NewPack, store: str, moved: Iterable[StoredVersion]) -> None:
    """Point versions and generations at members of a pack in a store; what moved on meanwhile stays where it is.

    What was taken from another store gets a further copy: what it is read from there stays until that store has the pack.
    """
    offsets = {(one.instance, one.sha256): one.offset for one in new.members}
    for one in moved:
        here = {"key": to_stored(new.key), "offset": offsets[one.held.pk, one.sha256]}
        of = {table: _was_at(table, one) for table in (locations, generations)}
        session.run(update(generations).where(of[generations]).values(store=to_stored(store), **here))
        if one.location.store == store:
            session.run(update(locations).where(of[locations]).values(**here))
        elif session.run(select(locations.c.ordinal).where(of[locations])).fetchone() is not None:
            _add_location(session, one.held.pk, store, length=one.size, **here)


def _was_at(table: Table, one: StoredVersion) -> ColumnElement[bool]:
    where = one.location
    there = (table.c.instance_fk == one.held.pk) & (table.c.key == to_stored(where.key)) & (table.c.offset == where.offset)
    return there & (table.c.store == to_stored(where.store)) if table is locations else there


def _add_location(session: Session, instance: int, store: str, **where: Any) -> None:
    last = select(func.max(locations.c.ordinal)).where(locations.c.instance_fk == instance)
    number = (session.run(last).fetchone()[0] or 0) + 1
    session.run(insert(locations).values(instance_fk=instance, ordinal=number, store=to_stored(store), **where))


def leave(session: Session, store: str, objects: Iterable[tuple[str, int]], not_before: int) -> None:
    """Have objects (key and version, 0 for a pack) removed later."""
    for key, instance in objects:
        here = (pack_leftovers.c.store == to_stored(store)) & (pack_leftovers.c.key == to_stored(key))
        if session.run(select(pack_leftovers.c.key).where(here)).fetchone() is None:
            session.run(
                insert(pack_leftovers).values(
                    store=to_stored(store), key=to_stored(key), instance_fk=instance, not_before=not_before
                )
            )


def leave_empty_packs(session: Session, store: str, study: str, series: str, not_before: int) -> None:
    """Forget copies of packs in a store that nothing points at any more, and have them removed later."""
    here = select(packs.c.pk, packs.c.key).join(pack_copies, pack_copies.c.pack_fk == packs.c.pk)
    of_series = (packs.c.study_instance_uid == identifier(study)) & (packs.c.series_instance_uid == identifier(series))
    for pk, key in session.run(here.where(of_series, pack_copies.c.store == to_stored(store))).fetchall():
        live = select(pack_members.c.ordinal).join(packs, packs.c.pk == pack_members.c.pack_fk)
        if session.run(live.where(packs.c.pk == pk, is_pointed_at(store)).limit(1)).fetchone() is not None:
            continue
        session.run(delete(pack_copies).where(pack_copies.c.pack_fk == pk, pack_copies.c.store == to_stored(store)))
        leave(session, store, [(from_stored(key), 0)], not_before)
        _forget_pack(session, pk)


def copy_everything(session: Session, pack: int, key: str, store: str) -> list[tuple[str, int]]:
    """Point versions at a pack's copy in another store, instead of their loose objects there; those, as (key, version)."""
    listed = session.run(select(pack_members).where(pack_members.c.pack_fk == pack)).fetchall()
    left: list[tuple[str, int]] = []
    for _, _, instance, sha256, offset, length in listed:
        left += _copy_one(session, (instance, sha256, offset, length), key, store)
    return left


def _copy_one(session: Session, member: tuple[int, str, int, int], key: str, store: str) -> list[tuple[str, int]]:
    instance, sha256, offset, length = member
    columns = (locations.c.ordinal, locations.c.store, locations.c.key, locations.c.offset)
    rows = session.run(select(*columns).where(locations.c.instance_fk == instance)).fetchall()
    if not any(from_stored(row[2]) == key and row[3] == offset for row in rows):
        return _copy_generation(session, member, key, store)
    others = [row for row in rows if from_stored(row[1]) == store and (from_stored(row[2]), row[3]) != (key, offset)]
    for row in others:
        session.run(delete(locations).where(locations.c.instance_fk == instance, locations.c.ordinal == row[0]))
    if not any(from_stored(row[1]) == store and row not in others for row in rows):
        _add_location(session, instance, store, key=to_stored(key), offset=offset, length=length)
    return [(from_stored(row[2]), instance if row[3] == 0 else 0) for row in others]


def _copy_generation(session: Session, member: tuple[int, str, int, int], key: str, store: str) -> list[tuple[str, int]]:
    """An earlier generation is listed in one store only: it moves where that is this one."""
    instance, sha256, offset, _ = member
    here = (generations.c.instance_fk == instance) & (generations.c.sha256 == sha256) & (generations.c.store == to_stored(store))
    row = session.run(select(generations.c.key, generations.c.offset).where(here)).fetchone()
    if row is None or (from_stored(row[0]), row[1]) == (key, offset):
        return []
    session.run(update(generations).where(here).values(key=to_stored(key), offset=offset))
    return [(from_stored(row[0]), instance if row[1] == 0 else 0)]


def leave_where_packed(session: Session, stores: Iterable[str], moved: Iterable[StoredVersion]) -> None:
    """Earlier objects are noted in one store and kept in all: have them removed from each other one when that has the pack."""
    for one in moved:
        if one.location.key.startswith(LOOSE) and one.sha256 != one.held.sha256:
            for store in stores:
                leave(session, store, [(one.location.key, one.held.pk)], WHEN_PACKED)


def release_where_packed(session: Session, pack: int, store: str, not_before: int) -> None:
    """A store has the pack now."""
    members = select(pack_members.c.instance_fk).where(pack_members.c.pack_fk == pack)
    waiting = (pack_leftovers.c.store == to_stored(store)) & (pack_leftovers.c.not_before == WHEN_PACKED)
    session.run(update(pack_leftovers).where(waiting, pack_leftovers.c.instance_fk.in_(members)).values(not_before=not_before))


def fate_of(session: Session, store: str, key: str, instance: int, *, everywhere: bool) -> Leftover:
    """What becomes of an object that is to be removed.

    Parameters
    ----------
    everywhere
        What a version was in before it was packed stays until each store that has it has it in a pack.
    """
    if is_kept_for_deletion(session, store, key) or is_held_in_store(session, store, key):
        return Leftover.WAITS
    if loose_is_pointed_at(session, instance, store, key) if instance else is_read(session, store, key):
        return Leftover.IN_USE
    if instance and everywhere:
        loose = (locations.c.instance_fk == instance) & (locations.c.key == to_stored(key)) & (locations.c.state == OK)
        if session.run(select(locations.c.ordinal).where(loose).limit(1)).fetchone() is not None:
            return Leftover.WAITS
    return Leftover.FREE


def postpone_leftovers(session: Session, store: str, keys: Sequence[str], until: int) -> None:
    """They are looked at again later."""
    for key in keys:
        here = (pack_leftovers.c.store == to_stored(store)) & (pack_leftovers.c.key == to_stored(key))
        session.run(update(pack_leftovers).where(here).values(not_before=until))


def forget_leftovers(session: Session, store: str, keys: Sequence[str]) -> None:
    """They are gone, or in use again."""
    for key in keys:
        here = (pack_leftovers.c.store == to_stored(store)) & (pack_leftovers.c.key == to_stored(key))
        session.run(delete(pack_leftovers).where(here))
