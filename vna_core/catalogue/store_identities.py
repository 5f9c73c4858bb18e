"""By which identity each store is known, and what it must hold if it is that store."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Select, case, select, update

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.schema import locations, quarantine
from vna_core.catalogue.schema_placement import known_stores, quarantine_copies
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.catalogue.upserts import upsert
from vna_core.domain.placement import COLD, OK

_FEW: Final = 4
_SEEN: Final = 1
_REPLACED: Final = 2


@dataclass(frozen=True, slots=True)
class KnownStore:
    """A store as the catalogue knows it.

    Attributes
    ----------
    identity
        Empty: none was agreed on yet.
    marked
        It was seen in the store. Until then it may have to be written there still.
    replaced
        The store took the place of another, and no scrub has compared since what it holds with what it should hold.
    """

    name: str
    identity: str = ""
    marked: bool = False
    replaced: bool = False


class StoreIdentities:
    """Reads and keeps the identities of stores."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def of(self, name: str) -> KnownStore:
        """A store by its name; one without an identity where the catalogue does not know it."""
        return next(iter(self._found(known_stores.c.name == to_stored(name))), KnownStore(name))

    def bearer(self, identity: str) -> str:
        """Name of the store that has an identity; empty: none."""
        found = self._found((known_stores.c.identity == identity) & (known_stores.c.marked >= _SEEN))
        return found[0].name if found else ""

    def _found(self, *conditions: object) -> list[KnownStore]:
        columns = (known_stores.c.name, known_stores.c.identity, known_stores.c.marked)
        with self._database.session() as session:
            rows = session.run(select(*columns).where(*conditions)).fetchall()  # type: ignore[arg-type]
        return [KnownStore(from_stored(name), identity, bool(marked), marked == _REPLACED) for name, identity, marked in rows]

    def propose(self, name: str, identity: str) -> str:
        """Agree with every other process on what a store is to be called: the first proposal stands, and is returned."""
        row = upsert(self._database.is_postgresql, known_stores).values(name=to_stored(name), identity=identity)
        proposal = row.on_conflict_do_update(
            index_elements=[known_stores.c.name], set_={"identity": identity}, where=known_stores.c.identity == ""
        )
        with self._database.transaction() as session:
            session.run(proposal)
            return _identity(session, name)

    def settle(self, name: str, identity: str, *, replaced: bool = False) -> None:
        """Keep that the store of this name was seen to have this identity, or `replaced` another. No other store has it any more."""
        seen = _REPLACED if replaced else _SEEN
        row = upsert(self._database.is_postgresql, known_stores).values(name=to_stored(name), identity=identity, marked=seen)
        still = case((known_stores.c.marked > seen, known_stores.c.marked), else_=seen)
        now = row.on_conflict_do_update(index_elements=[known_stores.c.name], set_={"identity": identity, "marked": still})
        former = (known_stores.c.identity == identity) & (known_stores.c.name != to_stored(name))
        with self._database.transaction() as session:
            session.run(update(known_stores).where(former).values(identity="", marked=0))
            session.run(now)

    def compared(self, name: str) -> None:
        """What a store holds was compared with what it should hold: that it was replaced is of no more interest."""
        replaced = (known_stores.c.name == to_stored(name)) & (known_stores.c.marked == _REPLACED)
        with self._database.transaction() as session:
            session.run(update(known_stores).where(replaced).values(marked=_SEEN))

    def keys_in(self, name: str) -> list[str]:
        """A few keys of objects that the store must hold, from both ends of their order; none where it need not hold any."""
        stored = to_stored(name)
        copies = select(locations.c.key).where(locations.c.store == stored, locations.c.state.in_((OK, COLD)))
        landed = select(quarantine.c.key).where(quarantine.c.store == stored)
        copied = select(quarantine.c.key).join(quarantine_copies, quarantine_copies.c.id == quarantine.c.id)
        with self._database.session() as session:
            found = [
                *_few(session, copies.order_by(locations.c.key)),
                *_few(session, copies.order_by(locations.c.key.desc())),
                *_few(session, landed),
                *_few(session, copied.where(quarantine_copies.c.store == stored)),
            ]
        return list(dict.fromkeys(found))


def _few(session: Session, statement: Select[tuple[str]]) -> list[str]:
    return [from_stored(row[0]) for row in session.run(statement.limit(_FEW)).fetchall()]


def _identity(session: Session, name: str) -> str:
    (identity,) = session.run(select(known_stores.c.identity).where(known_stores.c.name == to_stored(name))).fetchone()
    return str(identity)
