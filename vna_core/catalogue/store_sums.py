"""What each store holds and lacks, in numbers that are cheap to read: what metrics tell of stores.

Copies are counted now and then, and the sums kept; what is missing, damaged or waited for is counted when it is asked for, which costs
as much as there is of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, func, insert, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.schema import instances, locations, series
from vna_core.catalogue.schema_placement import known_stores, missing_copies, store_counts
from vna_core.catalogue.schema_stewardship import object_checks
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.domain.placement import MissingCopies

_SPAN: Final = 20_000
"""Primary keys whose copies are counted by one statement: some tens of milliseconds."""
_COUNTED: Final = ""

Sums = dict[tuple[str, str], tuple[int, int]]
"""Copies and octets by store and state."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Copies as they were counted last. `age` is in seconds; None: they never were."""

    copies: Mapping[tuple[str, str], tuple[int, int]]
    age: float | None


@dataclass(frozen=True, slots=True)
class Missing:
    """Copies that a store must have and has not. `seconds`: for how long the first of them is known to be missing."""

    copies: int
    octets: int
    seconds: float


class StoreSums:
    """Counts, and keeps what was counted."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def known(self) -> list[str]:
        """Stores that are or were configured."""
        with self._database.session() as session:
            return sorted(from_stored(row[0]) for row in session.run(select(known_stores.c.name)).fetchall())

    def count(self, stopping: Callable[[], bool] = lambda: False) -> Sums | None:
        """Read every copy, a piece after the other so that nobody waits for it, and keep the sums. None, and nothing is kept: stopped."""
        sums: Sums = {}
        for rows in self._pieces():
            if stopping():
                return None
            _add(sums, rows)
        at = now()
        kept = [
            {"store": store, "state": state, "copies": copies, "octets": octets, "counted_at": at}
            for (store, state), (copies, octets) in {**sums, ("", _COUNTED): (0, 0)}.items()
        ]
        with self._database.transaction() as session:
            session.run(delete(store_counts))
            for row in kept:
                session.run(insert(store_counts).values(**row))
        return {(from_stored(store), state): found for (store, state), found in sums.items()}

    def _pieces(self) -> Iterator[Sequence[tuple[str, str, int, int]]]:
        columns = (locations.c.store, locations.c.state)
        sums = select(*columns, func.count(), func.sum(locations.c.length)).group_by(*columns)
        with self._database.session() as session:
            last = session.run(select(func.max(instances.c.pk))).fetchone()[0] or 0
        for after in range(0, last, _SPAN):
            piece = (locations.c.instance_fk > after) & (locations.c.instance_fk <= after + _SPAN)
            with self._database.session() as session:
                yield session.run(sums.where(piece)).fetchall()

    def counted(self) -> Counted:
        """What `count` found last."""
        columns = (
            store_counts.c.store,
            store_counts.c.state,
            store_counts.c.copies,
            store_counts.c.octets,
            store_counts.c.counted_at,
        )
        with self._database.session() as session:
            rows = session.run(select(*columns)).fetchall()
        found = {(from_stored(store), state): (int(copies), int(octets)) for store, state, copies, octets, _ in rows if state}
        return Counted(found, max(0.0, (now() - rows[0][4]) / 1e6) if rows else None)

    def missing(self) -> dict[str, Missing]:
        """By store, of what the policy asked for. Series that are gone have none."""
        sums = (func.sum(missing_copies.c.copies), func.sum(missing_copies.c.octets), func.min(missing_copies.c.since))
        held = missing_copies.join(series, series.c.pk == missing_copies.c.series_fk)
        statement = select(missing_copies.c.store, *sums).select_from(held).group_by(missing_copies.c.store)
        at = now()
        with self._database.session() as session:
            rows = session.run(statement).fetchall()
        return {
            from_stored(store): Missing(int(copies), int(octets), max(0.0, (at - since) / 1e6))
            for store, copies, octets, since in rows
        }

    def forget_missing(self, everything: bool) -> None:
        """Forget what was missing of series that are gone; of all, where there is no policy any more."""
        gone = delete(missing_copies)
        if not everything:
            gone = gone.where(missing_copies.c.series_fk.not_in(select(series.c.pk)))
        with self._database.transaction() as session:
            session.run(gone)

    def findings(self, outcomes: Iterable[str]) -> dict[tuple[str, str], int]:
        """Objects by store and by what the last look at them found, of these outcomes."""
        columns = (object_checks.c.store, object_checks.c.outcome)
        wanted = select(*columns, func.count()).where(object_checks.c.outcome.in_(sorted(outcomes))).group_by(*columns)
        with self._database.session() as session:
            return {(from_stored(row[0]), row[1]): int(row[2]) for row in session.run(wanted).fetchall()}


def note_missing(session: Session, series_pk: int, missing: Sequence[MissingCopies]) -> None:
    """Keep which copies a series has not; since when stays where they were missing before."""
    of_series = missing_copies.c.series_fk == series_pk
    stores = [to_stored(one.store) for one in missing]
    session.run(delete(missing_copies).where(of_series, missing_copies.c.store.not_in(stores)))
    for store, one in zip(stores, missing, strict=True):
        values = {"copies": one.copies, "octets": one.octets}
        if not session.run(update(missing_copies).where(of_series, missing_copies.c.store == store).values(**values)).rowcount:
            session.run(insert(missing_copies).values(series_fk=series_pk, store=store, since=now(), **values))


def _add(sums: Sums, rows: Iterable[tuple[str, str, int, int]]) -> None:
    for store, state, copies, octets in rows:
        before = sums.get((store, state), (0, 0))
        sums[store, state] = (before[0] + int(copies), before[1] + int(octets))
