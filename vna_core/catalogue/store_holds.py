"""Which objects of the stores are, and must be, held there against deletion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.holds import covers_series
from vna_core.catalogue.pack_contents import beginning_with
from vna_core.catalogue.schema import instances, locations
from vna_core.catalogue.schema_placement import object_terms
from vna_core.catalogue.stored_text import from_stored, to_stored


@dataclass(frozen=True, slots=True)
class HoldOnObject:
    """One object of a store: whether it is held there, as far as is known, and whether it must be."""

    store: str
    key: str
    held: bool
    wanted: bool


class StoreHolds:
    """Reads and notes legal holds on objects."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of_series(self, series_pk: int, folders: Sequence[str]) -> list[HoldOnObject]:
        """Every object in which versions of a series lie, and what is still held below `folders`, where its objects lay before.

        An object in which several series lie is held for any of them.
        """
        with self._database.session() as session:
            covered: dict[int, bool] = {}
            found = {}
            for store, key in _objects(session, series_pk):
                parts = _series_in(session, store, key)
                for pk in parts - covered.keys():
                    covered[pk] = covers_series(session, pk)
                found[store, key] = any(covered[pk] for pk in parts)
            held = set(_held_below(session, folders))
            if held - found.keys():
                wanted = covers_series(session, series_pk)
                found |= dict.fromkeys(held - found.keys(), wanted)
            held |= {place for place in found if _is_held(session, *place)}
        return [
            HoldOnObject(from_stored(store), from_stored(key), (store, key) in held, wanted)
            for (store, key), wanted in sorted(found.items())
        ]

    def note(self, store: str, key: str, *, held: bool) -> None:
        """A store holds an object, or does no longer."""
        place = {"store": to_stored(store), "key": to_stored(key)}
        this = (object_terms.c.store == place["store"]) & (object_terms.c.key == place["key"])
        with self._database.transaction() as session:
            if not session.run(update(object_terms).where(this).values(legal_hold=int(held))).rowcount:
                session.run(insert(object_terms).values(**place, legal_hold=int(held)))


def is_held_in_store(session: Session, store: str, key: str) -> bool:
    """Whether an object was put under a legal hold at its store."""
    return _is_held(session, to_stored(store), to_stored(key))


def _is_held(session: Session, store: str, key: str) -> bool:
    this = (object_terms.c.store == store) & (object_terms.c.key == key) & (object_terms.c.legal_hold == 1)
    return session.run(select(object_terms.c.key).where(this)).fetchone() is not None


def _objects(session: Session, series_pk: int) -> Iterator[tuple[str, str]]:
    joined = select(locations.c.store, locations.c.key).join(instances, instances.c.pk == locations.c.instance_fk)
    rows: list[Any] = session.run(joined.where(instances.c.series_fk == series_pk).distinct()).fetchall()
    yield from ((row[0], row[1]) for row in rows)


def _series_in(session: Session, store: str, key: str) -> set[int]:
    joined = select(instances.c.series_fk).join(locations, instances.c.pk == locations.c.instance_fk)
    here = (locations.c.store == store) & (locations.c.key == key)
    return {int(row[0]) for row in session.run(joined.where(here).distinct()).fetchall()}


def _held_below(session: Session, folders: Sequence[str]) -> Iterator[tuple[str, str]]:
    for folder in folders:
        below = beginning_with(object_terms.c.key, to_stored(folder)) & (object_terms.c.legal_hold == 1)
        yield from (
            (row[0], row[1]) for row in session.run(select(object_terms.c.store, object_terms.c.key).where(below)).fetchall()
        )
