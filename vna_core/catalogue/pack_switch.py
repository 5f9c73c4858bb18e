"""What is written about packs: each function is a part of one transaction, so that an object is always where the catalogue says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Table, bindparam, delete, func, insert, select, update

from vna_core.catalogue.database import Session
from vna_core.catalogue.object_uses import has_unreadable, is_kept_for_deletion, is_read, is_unreadable, other_store
from vna_core.catalogue.pack_contents import LOOSE, is_pointed_at, loose_is_pointed_at
from vna_core.catalogue.schema import generations, locations
from vna_core.catalogue.schema_packs import pack_copies, pack_leftovers, pack_members, packs
from vna_core.catalogue.store_holds import is_held_in_store
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.identifiers import identifier_of_segment
from vna_core.domain.packs import Leftover, NewPack, StoredVersion
from vna_core.domain.placement import BAD, OK

_PIECE: Final = 500
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
    names = ("pack_fk", "ordinal", "instance_fk", "sha256", "offset", "length")
    rows = ((pk, at, one.instance, one.sha256, one.offset, one.length) for at, one in enumerate(new.members))
    session.run_many(insert(pack_members), [dict(zip(names, row, strict=True)) for row in rows])
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

    What was taken from another store gets a further copy: what it is read from there stays until that store has the pack. A
    damaged copy in the store is made good by it and forgotten.
    """
    moved = tuple(moved)
    offsets = {(one.instance, one.sha256): one.offset for one in new.members}
    key = to_stored(new.key)
    moves: list[dict[str, Any]] = [
        {
            "instance": one.held.pk,
            "from_store": to_stored(one.location.store),
            "from_key": to_stored(one.location.key),
            "from_offset": one.location.offset,
            "to_offset": offsets[one.held.pk, one.sha256],
            "size": one.size,
        }
        for one in moved
    ]
    here = {"key": key, "offset": bindparam("to_offset")}
    session.run_many(update(generations).where(_was_at(generations)).values(store=to_stored(store), **here), moves)
    ours = [move for move in moves if move["from_store"] == to_stored(store)]
    session.run_many(update(locations).where(_was_at(locations), _in_store()).values(**here), ours)
    for move in moves:
        if move["from_store"] != to_stored(store) and session.run(_found_at(move)).fetchone() is not None:
            _add_location(session, move["instance"], store, key=key, offset=move["to_offset"], length=move["size"])
    damaged = (locations.c.instance_fk == bindparam("instance")) & (locations.c.store == to_stored(store))
    current = [{"instance": one.held.pk} for one in moved if one.sha256 == one.held.sha256]
    session.run_many(delete(locations).where(damaged, locations.c.key != key, locations.c.state == BAD), current)


def _was_at(table: Table) -> ColumnElement[bool]:
    """Where a moved object was before; its values come later."""
    there = (table.c.instance_fk == bindparam("instance")) & (table.c.key == bindparam("from_key"))
    return there & (table.c.offset == bindparam("from_offset"))


def _in_store() -> ColumnElement[bool]:
    return locations.c.store == bindparam("from_store")


def _found_at(move: Mapping[str, Any]) -> Any:
    where = (locations.c.instance_fk == move["instance"]) & (locations.c.store == move["from_store"])
    return select(locations.c.ordinal).where(
        where, locations.c.key == move["from_key"], locations.c.offset == move["from_offset"]
    )


def _add_location(session: Session, instance: int, store: str, **where: Any) -> None:
    last = select(func.max(locations.c.ordinal)).where(locations.c.instance_fk == instance)
    number = (session.run(last).fetchone()[0] or 0) + 1
    session.run(insert(locations).values(instance_fk=instance, ordinal=number, store=to_stored(store), **where))


def leave(session: Session, store: str, objects: Iterable[tuple[str, int]], not_before: int) -> None:
    """Have objects (key and version, 0 for a pack) removed later."""
    new: dict[str, int] = {}
    for key, instance in objects:
        new.setdefault(to_stored(key), instance)
    name = to_stored(store)
    keys = list(new)
    for at in range(0, len(keys), _PIECE):
        these = pack_leftovers.c.key.in_(keys[at : at + _PIECE])
        waiting = select(pack_leftovers.c.key).where(pack_leftovers.c.store == name, these)
        for (key,) in session.run(waiting).fetchall():
            del new[key]
    rows = [{"store": name, "key": key, "instance_fk": pk, "not_before": not_before} for key, pk in new.items()]
    session.run_many(insert(pack_leftovers), rows)


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
    columns = (pack_members.c.instance_fk, pack_members.c.sha256, pack_members.c.offset, pack_members.c.length)
    listed = session.run(select(*columns).where(pack_members.c.pack_fk == pack)).fetchall()
    noted = _locations_of(session, pack)
    left: list[tuple[str, int]] = []
    gone, new = list[dict[str, Any]](), list[dict[str, Any]]()
    for instance, sha256, offset, length in listed:
        places = noted.get(instance, [])
        if not any((one.key, one.offset) == (key, offset) for one in places):
            left += _copy_generation(session, (instance, sha256, offset, length), key, store)
            continue
        others = [one for one in places if one.store == store and (one.key, one.offset) != (key, offset)]
        left += [(one.key, instance if one.offset == 0 else 0) for one in others]
        gone += [{"instance": instance, "number": one.ordinal} for one in others]
        stay = [one for one in places if one not in others]
        if not any(one.store == store for one in stay):
            added = _Noted(max(one.ordinal for one in places) + 1, store, key, offset)
            new.append(_row_of(instance, added, length))
            stay.append(added)
        noted[instance] = stay
    this = (locations.c.instance_fk == bindparam("instance")) & (locations.c.ordinal == bindparam("number"))
    session.run_many(delete(locations).where(this), gone)
    session.run_many(insert(locations), new)
    return left


@dataclass(frozen=True, slots=True)
class _Noted:
    """One row of `locations`, of a known version."""

    ordinal: int
    store: str
    key: str
    offset: int


def _locations_of(session: Session, pack: int) -> dict[int, list[_Noted]]:
    """Where the versions that a pack has members of are, by their keys."""
    columns = (locations.c.instance_fk, locations.c.ordinal, locations.c.store, locations.c.key, locations.c.offset)
    members = select(pack_members.c.instance_fk).where(pack_members.c.pack_fk == pack)
    noted: dict[int, list[_Noted]] = {}
    for row in session.run(select(*columns).where(locations.c.instance_fk.in_(members))).fetchall():
        noted.setdefault(row[0], []).append(_Noted(row[1], from_stored(row[2]), from_stored(row[3]), row[4]))
    return noted


def _row_of(instance: int, one: _Noted, length: int) -> dict[str, Any]:
    where = {"store": to_stored(one.store), "key": to_stored(one.key), "offset": one.offset, "length": length}
    return {"instance_fk": instance, "ordinal": one.ordinal, **where}


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
    """Have loose objects removed from each other store when that has the pack, also should they be earlier ones by then.

    Earlier objects are noted in one store and kept in all.
    """
    loose: dict[str, list[tuple[str, int]]] = {}
    for one in moved:
        if one.location.key.startswith(LOOSE):
            is_earlier, noted = one.sha256 != one.held.sha256, {where.store for where in one.held.locations}
            for store in stores:
                if is_earlier or store in noted:
                    loose.setdefault(store, []).append((one.location.key, one.held.pk))
    for store, objects in loose.items():
        leave(session, store, objects, WHEN_PACKED)


def release_where_packed(session: Session, pack: int, store: str, not_before: int) -> None:
    """A store has the pack now."""
    members = select(pack_members.c.instance_fk).where(pack_members.c.pack_fk == pack)
    waiting = (pack_leftovers.c.store == to_stored(store)) & (pack_leftovers.c.not_before == WHEN_PACKED)
    session.run(update(pack_leftovers).where(waiting, pack_leftovers.c.instance_fk.in_(members)).values(not_before=not_before))


def fate_of(session: Session, store: str, key: str, instance: int, *, everywhere: bool) -> Leftover:
    """What becomes of an object that is to be removed.

    While the pack that took it over is damaged wherever it is, it may be the last that holds an instance, and stays.

    Parameters
    ----------
    everywhere
        What a version was in before it was packed stays until each store that has it has it in a pack.
    """
    if is_kept_for_deletion(session, store, key) or is_held_in_store(session, store, key):
        return Leftover.WAITS
    if loose_is_pointed_at(session, instance, store, key) if instance else is_read(session, store, key):
        return Leftover.IN_USE
    if is_unreadable(session, instance) if instance else has_unreadable(session, *_series_of(key)):
        return Leftover.WAITS
    if instance and everywhere:
        loose = (locations.c.instance_fk == instance) & (locations.c.key == to_stored(key)) & (locations.c.state == OK)
        if session.run(select(locations.c.ordinal).where(loose).limit(1)).fetchone() is not None:
            return Leftover.WAITS
    return Leftover.FREE


def _series_of(pack: str) -> tuple[str, str]:
    """Study and Series Instance UID in the key of a pack."""
    _, _, study, of_study, _, _ = pack.split("/")
    return identifier_of_segment(study), identifier_of_segment(of_study)


def postpone_leftovers(session: Session, store: str, keys: Sequence[str], until: int) -> None:
    """They are looked at again later."""
    session.run_many(update(pack_leftovers).where(_of_store(store)).values(not_before=until), _named(keys))


def forget_leftovers(session: Session, store: str, keys: Sequence[str]) -> None:
    """They are gone, or in use again."""
    session.run_many(delete(pack_leftovers).where(_of_store(store)), _named(keys))


def _of_store(store: str) -> ColumnElement[bool]:
    """One object that is left over in a store; its key comes later."""
    return (pack_leftovers.c.store == to_stored(store)) & (pack_leftovers.c.key == bindparam("left"))


def _named(keys: Sequence[str]) -> list[dict[str, Any]]:
    return [{"left": to_stored(key)} for key in keys]
