"""What every store should hold, when each object was read last, and what was found wrong: the ledger of scrubs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from heapq import merge
from itertools import groupby
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, delete, func, insert, literal, select, update

from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import microseconds, moment
from vna_core.catalogue.held import held_rows, held_statement
from vna_core.catalogue.schema import generations, instances, locations, quarantine
from vna_core.catalogue.schema_packs import pack_copies, packs
from vna_core.catalogue.schema_placement import quarantine_copies
from vna_core.catalogue.schema_stewardship import deleted_objects, object_checks, scrubs
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.catalogue.upserts import upsert
from vna_core.domain.instance import HeldInstance
from vna_core.domain.placement import COLD

OK: Final = "ok"
SOUND: Final = ("", OK)
RUNNING: Final = "running"
DONE: Final = "done"

_PAGE: Final = 1000
_PIECE: Final = 200


@dataclass(frozen=True, slots=True)
class ExpectedObject:
    """An object that the catalogue knows in a store.

    Attributes
    ----------
    size
        Octets; at least so many when `packed`.
    sha256
        Empty where it is not known.
    packed
        Several versions lie in it, or it holds more than one version's octets.
    """

    key: str
    size: int
    sha256: str = ""
    packed: bool = False


@dataclass(frozen=True, slots=True)
class Member:
    """One version's octets in an object."""

    instance: int
    offset: int
    length: int
    sha256: str
    state: str


@dataclass(frozen=True, slots=True)
class ObjectCheck:
    """When an object was read last (None: never), and what was found: ``ok``, empty (not read), or what is wrong."""

    store: str
    key: str
    checked_at: datetime | None = None
    outcome: str = ""
    detail: str = ""


@dataclass(frozen=True, slots=True)
class ScrubRun:
    """One scrub. `position` says where it goes on; `counts` adds up what it did and found."""

    id: str
    scope: str
    started_at: datetime
    state: str = RUNNING
    updated_at: datetime | None = None
    position: Mapping[str, Any] = field(default_factory=dict)
    counts: Mapping[str, int] = field(default_factory=dict)

    def advanced(self, position: Mapping[str, Any], **more: int) -> ScrubRun:
        """The run a step further."""
        counts = {name: self.counts.get(name, 0) + more.get(name, 0) for name in {*self.counts, *more}}
        return replace(self, position=position, counts=counts)


class Checks:
    """Reads and keeps what scrub and repair need."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def stores(self) -> list[str]:
        """Names of the stores that hold anything, configured or not."""
        found, last = list[str](), ""
        with self._database.session() as session:
            while True:
                wanted = select(func.min(locations.c.store)).where(locations.c.store > last)
                (name,) = session.run(wanted).fetchone()
                if name is None:
                    return found
                found.append(from_stored(name))
                last = name

    def copies_in(self, store: str) -> int:
        """How many copies of versions a store holds."""
        wanted = select(func.count()).select_from(locations).where(locations.c.store == to_stored(store))
        with self._database.session() as session:
            return int(session.run(wanted).fetchone()[0])

    def expected(self, store: str, after: str = "") -> Iterator[ExpectedObject]:
        """Everything the catalogue knows in a store, in key order: copies, earlier objects, what was deleted, quarantine."""
        sources = (self._pages(statement, after) for statement in _expected(store))
        for _, same in groupby(merge(*sources, key=lambda one: one.key), key=lambda one: one.key):
            yield next(iter(same))

    def expected_at(self, store: str, keys: Sequence[str]) -> dict[str, ExpectedObject]:
        """The same for single keys."""
        found: dict[str, ExpectedObject] = {}
        with self._database.session() as session:
            for at in range(0, len(keys), _PIECE):
                piece = [to_stored(key) for key in keys[at : at + _PIECE]]
                for statement, column in _expected(store):
                    for row in session.run(statement.where(column.in_(piece)).limit(_PIECE)).fetchall():
                        one = _expected_object(row)
                        found.setdefault(one.key, one)
        return found

    def _pages(self, source: tuple[Select[Any], Any], after: str) -> Iterator[ExpectedObject]:
        statement, column = source
        last = to_stored(after)
        while True:
            with self._database.session() as session:
                rows = session.run(statement.where(column > last).order_by(column).limit(_PAGE)).fetchall()
            for row in rows:
                yield _expected_object(row)
            if len(rows) < _PAGE:
                return
            last = rows[-1][0]

    def members(self, store: str, key: str) -> list[Member]:
        """Which versions' octets an object holds, in its order."""
        columns = (locations.c.instance_fk, locations.c.offset, locations.c.length, instances.c.sha256, locations.c.state)
        joined = select(*columns).join(instances, instances.c.pk == locations.c.instance_fk).where(_at(store, key))
        with self._database.session() as session:
            return [Member(*row) for row in session.run(joined.order_by(locations.c.offset)).fetchall()]

    def versions_at(self, store: str, key: str) -> list[HeldInstance]:
        """The versions of which an object is a copy, or holds one."""
        inside = instances.c.pk.in_(select(locations.c.instance_fk).where(_at(store, key)))
        with self._database.session() as session:
            return held_rows(session.run(held_statement(inside)).fetchall())

    def unreadable_at(self, store: str, key: str) -> list[HeldInstance]:
        """Those of them that have no good copy, neither there nor anywhere else."""
        here = select(locations.c.instance_fk).where(_at(store, key))
        good = select(locations.c.instance_fk).where(locations.c.state.in_((OK, COLD)), locations.c.instance_fk.in_(here))
        bad_alone = instances.c.pk.in_(here) & instances.c.pk.not_in(good)
        with self._database.session() as session:
            return held_rows(session.run(held_statement(bad_alone)).fetchall())

    def mark(self, store: str, key: str, state: str, instance: int | None = None) -> None:
        """Mark copies in an object ``ok`` or ``bad``: all of them, or one version's."""
        wanted = _at(store, key) if instance is None else _at(store, key) & (locations.c.instance_fk == instance)
        with self._database.transaction() as session:
            session.run(update(locations).where(wanted).values(state=state))

    def registered(self, store: str, after: str = "") -> Iterator[ObjectCheck]:
        """Objects of a store that were noted, in key order."""
        last = to_stored(after)
        while True:
            page = self._found(object_checks.c.store == to_stored(store), object_checks.c.key > last, limit=_PAGE)
            yield from page
            if len(page) < _PAGE:
                return
            last = to_stored(page[-1].key)

    def due(self, store: str, before: datetime, limit: int) -> list[ObjectCheck]:
        """Objects that were not read since, those first that were not read for longest."""
        of_store = object_checks.c.store == to_stored(store)
        earlier = object_checks.c.checked_at < microseconds(before)
        statement = select(*object_checks.c).where(of_store, earlier, object_checks.c.outcome != "missing")
        with self._database.session() as session:
            ordered = statement.order_by(object_checks.c.checked_at, object_checks.c.key).limit(limit)
            return [_check(row) for row in session.run(ordered).fetchall()]

    def count(self, store: str) -> int:
        """How many objects of a store are noted."""
        wanted = select(func.count()).select_from(object_checks).where(object_checks.c.store == to_stored(store))
        with self._database.session() as session:
            return int(session.run(wanted).fetchone()[0])

    def findings(self, *, store: str | None = None, after: tuple[str, str] = ("", ""), limit: int = _PAGE) -> list[ObjectCheck]:
        """What is wrong, by store and key."""
        wrong = object_checks.c.outcome.not_in(SOUND)
        name, key = (to_stored(text) for text in after)
        later = (object_checks.c.store > name) | ((object_checks.c.store == name) & (object_checks.c.key > key))
        of_store = [] if store is None else [object_checks.c.store == to_stored(store)]
        return self._found(wrong, later, *of_store, limit=limit)

    def _found(self, *conditions: ColumnElement[bool], limit: int) -> list[ObjectCheck]:
        statement = select(*object_checks.c).where(*conditions).order_by(object_checks.c.store, object_checks.c.key)
        with self._database.session() as session:
            return [_check(row) for row in session.run(statement.limit(limit)).fetchall()]

    def note(self, checks: Sequence[ObjectCheck], gone: Sequence[ObjectCheck] = (), run: ScrubRun | None = None) -> None:
        """Keep what was found, forget what is nowhere any more, and note how far the scrub is, in one transaction.

        What is found bad or missing is marked so for reading as well.
        """
        with self._database.transaction() as session:
            for check in checks:
                session.run(self._upsert(check))
                if check.outcome in BAD and not check.detail.startswith(MEMBERS):
                    session.run(update(locations).where(_at(check.store, check.key)).values(state="bad"))
                elif check.outcome == OK:
                    was_bad = _at(check.store, check.key) & (locations.c.state != "ok")
                    session.run(update(locations).where(was_bad).values(state="ok"))
            for check in gone:
                session.run(delete(object_checks).where(_noted(check)))
            if run is not None:
                _save(session, run)

    def _upsert(self, check: ObjectCheck) -> Any:
        values = {
            "checked_at": microseconds(check.checked_at) if check.checked_at else 0,
            "outcome": check.outcome,
            "detail": to_stored(check.detail),
        }
        row = upsert(self._database.is_postgresql, object_checks).values(
            store=to_stored(check.store), key=to_stored(check.key), **values
        )
        return row.on_conflict_do_update(index_elements=[object_checks.c.store, object_checks.c.key], set_=values)

    def save(self, run: ScrubRun) -> None:
        """Add a run, or change its state, position and counts."""
        with self._database.transaction() as session:
            _save(session, run)

    def unfinished(self, scope: str) -> ScrubRun | None:
        """The scrub of this scope that did not come to its end."""
        return next(iter(self._runs((scrubs.c.scope == to_stored(scope)) & (scrubs.c.state == RUNNING))), None)

    def runs(self, limit: int = 100) -> list[ScrubRun]:
        """The latest scrubs, newest first."""
        return self._runs(literal(1) == literal(1))[:limit]

    def _runs(self, wanted: ColumnElement[bool]) -> list[ScrubRun]:
        columns = tuple(scrubs.c[name] for name in ScrubRun.__dataclass_fields__)
        with self._database.session() as session:
            rows = session.run(select(*columns).where(wanted).order_by(scrubs.c.started_at.desc(), scrubs.c.id)).fetchall()
        return [
            ScrubRun(
                run_id,
                from_stored(scope),
                moment(started),
                state,
                moment(updated),
                json.loads(position or "{}"),
                json.loads(counts),
            )
            for run_id, scope, started, state, updated, position, counts in rows
        ]


MEMBERS: Final = "members "
"""Beginning of the detail of a finding that concerns some of the versions in an object, which are marked one by one."""

BAD: Final = frozenset({"missing", "truncated", "bit-rot"})
"""Outcomes that say a copy cannot be used."""


def _at(store: str, key: str) -> ColumnElement[bool]:
    return (locations.c.store == to_stored(store)) & (locations.c.key == to_stored(key))


def _noted(check: ObjectCheck) -> ColumnElement[bool]:
    return (object_checks.c.store == to_stored(check.store)) & (object_checks.c.key == to_stored(check.key))


def _expected(store: str) -> tuple[tuple[Select[Any], Any], ...]:
    """Statements that give key, size, digest and whether the object holds several versions; and their key column.

    What tells more about an object comes first.
    """
    name = to_stored(store)
    of_copy = locations.join(instances, instances.c.pk == locations.c.instance_fk)
    end = locations.c.offset + locations.c.length
    single = func.min(instances.c.sha256)
    several = func.max(locations.c.offset) + func.count() - 1
    copies = select(locations.c.key, func.max(end), single, several).select_from(of_copy).where(locations.c.store == name)
    earlier = select(generations.c.key, generations.c.size, generations.c.sha256, literal(0)).where(generations.c.store == name)
    length = func.max(deleted_objects.c.offset + deleted_objects.c.length)
    offset = func.max(deleted_objects.c.offset)
    is_known = (deleted_objects.c.store == name) & (deleted_objects.c.length > 0)  # what is left over may be gone already
    hidden = select(deleted_objects.c.key, length, literal(""), offset).where(is_known)
    waiting = select(quarantine.c.key, quarantine.c.size, quarantine.c.sha256, literal(0)).where(quarantine.c.store == name)
    of_item = quarantine.join(quarantine_copies, quarantine_copies.c.id == quarantine.c.id)
    beside = select(quarantine.c.key, quarantine.c.size, quarantine.c.sha256, literal(0)).select_from(of_item)
    whole = select(packs.c.key, packs.c.size, packs.c.sha256, literal(0)).join(pack_copies, pack_copies.c.pack_fk == packs.c.pk)
    return (
        (whole.where(pack_copies.c.store == name), packs.c.key),
        (copies.group_by(locations.c.key), locations.c.key),
        (earlier, generations.c.key),
        (hidden.group_by(deleted_objects.c.key), deleted_objects.c.key),
        (waiting, quarantine.c.key),
        (beside.where(quarantine_copies.c.store == name), quarantine.c.key),
    )


def _expected_object(row: Sequence[Any]) -> ExpectedObject:
    key, size, sha256, several = row
    return ExpectedObject(from_stored(key), int(size), "" if several else sha256, bool(several))


def _check(row: Sequence[Any]) -> ObjectCheck:
    store, key, checked_at, outcome, detail = row
    at = moment(checked_at) if checked_at else None
    return ObjectCheck(from_stored(store), from_stored(key), at, outcome, from_stored(detail))


def _save(session: Session, run: ScrubRun) -> None:
    values = {
        "state": run.state,
        "scope": to_stored(run.scope),
        "started_at": microseconds(run.started_at),
        "updated_at": microseconds(run.updated_at or run.started_at),
        "position": json.dumps(dict(run.position)),
        "counts": json.dumps(dict(run.counts)),
    }
    if not session.run(update(scrubs).where(scrubs.c.id == run.id).values(**values)).rowcount:
        session.run(insert(scrubs).values(id=run.id, **values))


def outcomes(checks: Iterable[ObjectCheck]) -> dict[str, int]:
    """How many of each outcome."""
    counted: dict[str, int] = {}
    for check in checks:
        counted[check.outcome] = counted.get(check.outcome, 0) + 1
    return counted
