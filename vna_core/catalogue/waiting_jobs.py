"""Jobs that wait for a store, and having them taken before their pause is over."""

from __future__ import annotations

from typing import Final

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.sql import ClauseElement

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database
from vna_core.catalogue.schema_jobs import OPEN, jobs
from vna_core.catalogue.stored_text import from_stored, to_stored

_PIECE: Final = 500


class WaitingJobs:
    """Reads and wakes. Every method may be called from several threads and processes at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def counts(self) -> dict[str, int]:
        """How many jobs wait for each store that is waited for."""
        waiting = (jobs.c.waits_for != "") & (jobs.c.state == OPEN)
        statement = select(jobs.c.waits_for, func.count()).where(waiting).group_by(jobs.c.waits_for)
        with self._database.session() as session:
            return {from_stored(row[0]): int(row[1]) for row in session.run(statement).fetchall()}

    def any(self, store: str) -> bool:
        """Whether a job waits for a store, or is being tried again that did."""
        with self._database.session() as session:
            return session.run(select(jobs.c.pk).where(_waiting(store)).limit(1)).fetchone() is not None

    def wake_one(self, store: str) -> bool:
        """Free the job that would be tried next, unless one is tried, or free, already; whether any is now."""
        first = select(jobs.c.pk, jobs.c.worker).where(_waiting(store)).order_by(jobs.c.free_at, jobs.c.pk)
        with self._database.transaction() as session:
            rows = session.run(first.where(jobs.c.worker == "").limit(1)).fetchall()
            tried = session.run(first.where(jobs.c.worker != "").limit(1)).fetchone() is not None
            if rows and not tried:
                session.run(_freed(jobs.c.pk == rows[0][0]))
        return tried or bool(rows)

    def wake(self, store: str) -> int:
        """Free all that wait for a store, some hundreds in each transaction; how many were woken. What is free already stays as it is."""
        woken = 0
        waiting = _waiting(store) & (jobs.c.worker == "")
        while True:
            with self._database.transaction() as session:
                paused = select(jobs.c.pk).where(waiting, jobs.c.free_at > now()).limit(_PIECE)
                pks = [row[0] for row in session.run(paused).fetchall()]
                if pks:
                    session.run(_freed(jobs.c.pk.in_(pks)))
            woken += len(pks)
            if len(pks) < _PIECE:
                return woken


def _waiting(store: str) -> ColumnElement[bool]:
    return (jobs.c.waits_for == to_stored(store)) & (jobs.c.state == OPEN)


def _freed(which: ColumnElement[bool]) -> ClauseElement:
    return update(jobs).where(which).values(free_at=now())
