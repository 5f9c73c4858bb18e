"""The ledger of durable jobs (decision D10): asked for in the transaction of the thing they are about, leased, fenced, done at least once."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any, Final

from sqlalchemy import ColumnElement, case, delete, func, insert, select, update
from sqlalchemy.sql import ClauseElement

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.schema_jobs import FAILED, OPEN, jobs
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.catalogue.upserts import upsert
from vna_core.domain.errors import LeaseLost, NotFound
from vna_core.domain.jobs import AWAIT_STORE, NORMAL, SUSPECT, URGENT, WELL, Job

_ERROR_LENGTH = 500
_PIECE = 500
_ANEW: Final = {"state": OPEN, "free_at": 0, "attempts": 0, "deaths": 0, "worker": "", "error": "", "waits_for": ""}
"""Values of a job that is free as if it had never been tried."""
LOOK_EVERY: Final = 20.0
"""Seconds between looks whether a store answers again that jobs wait for."""


@dataclass(frozen=True, slots=True)
class ListedJob:
    """A job as people see it. `free_at` is the end of the lease while it runs, or the moment from which it may be taken.

    `waits_for` is the store without which the last attempt failed; empty: none.
    """

    pk: int
    kind: str
    key: str
    state: str
    priority: int
    attempts: int
    worker: str
    error: str
    progress: Mapping[str, Any]
    payload: Mapping[str, Any]
    waits_for: str
    created_at: datetime
    free_at: datetime


class Jobs:
    """Asks for, takes and finishes jobs. Every method may be called from several threads and processes at once."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(
        self,
        kind: str,
        key: str,
        payload: Mapping[str, Any] | None = None,
        *,
        priority: int = NORMAL,
        delay: float = 0.0,
        postpone: bool = False,
    ) -> None:
        """Ask for a job in a transaction of its own; see `add_in`."""
        with self._database.transaction() as session:
            self.add_in(session, kind, key, payload, priority=priority, delay=delay, postpone=postpone)

    def add_in(
        self,
        session: Session,
        kind: str,
        key: str,
        payload: Mapping[str, Any] | None = None,
        *,
        priority: int = NORMAL,
        delay: float = 0.0,
        postpone: bool = False,
    ) -> None:
        """Ask for a job inside a transaction of the catalogue.

        Where a job of this kind and key is there already it is asked for again: with the new payload, the more urgent of both
        priorities, and the earlier of both moments. One that failed is open again; one that runs is done once more afterwards.

        Parameters
        ----------
        delay
            Seconds before it may be taken.
        postpone
            Take the later of both moments instead: for work that waits until something has been quiet for `delay` seconds.
        """
        session.run(asking(self._database.is_postgresql, kind, key, payload or {}, priority, delay, postpone))

    def ensure(self, kind: str, key: str, payload: Mapping[str, Any] | None = None, *, priority: int = NORMAL) -> None:
        """Ask for a job unless there is one of this kind and key that is open: for periodic work, at every start, which ends a failure."""
        row = _row(kind, key, payload or {}, priority, now())
        with self._database.transaction() as session:
            there = session.run(select(jobs.c.state).where(_is(kind, key))).fetchone()
            if there is None:
                session.run(insert(jobs).values(row))
            elif there[0] == FAILED:
                session.run(update(jobs).where(_is(kind, key)).values(**_ANEW, fence=jobs.c.fence + 1))

    def waits(self, kinds: Sequence[str]) -> bool:
        """Whether a job of these kinds is free now."""
        free = (jobs.c.state == OPEN) & jobs.c.kind.in_(list(kinds)) & (jobs.c.free_at <= now())
        with self._database.session() as session:
            return session.run(select(jobs.c.pk).where(free).limit(1)).fetchone() is not None

    def take(self, kinds: Sequence[str], limit: int, lease: float, worker: str, *, idle: bool = True) -> list[Job]:
        """Lease the most urgent free jobs of these kinds for `lease` seconds. Two workers never get the same job at once.

        A suspect is taken alone, and by a worker that does nothing it would cost (`idle`): where it is the most urgent, another worker gets
        nothing more before it is idle.
        """
        at = now()
        columns = (
            jobs.c.pk,
            jobs.c.kind,
            jobs.c.key,
            jobs.c.payload,
            jobs.c.priority,
            jobs.c.attempts,
            jobs.c.fence,
            jobs.c.asked,
            jobs.c.waits_for,
            _deaths(),
        )
        free = (jobs.c.state == OPEN) & jobs.c.kind.in_(list(kinds)) & (jobs.c.free_at <= at)
        wanted = select(*columns).where(free).order_by(jobs.c.priority, jobs.c.pk).limit(limit)
        if not self.waits(kinds):  # looking needs no lock; most looks find nothing
            return []
        with self._database.transaction() as session:
            rows = _side_by_side(session.run(wanted).fetchall(), idle)
            if rows:
                session.run(
                    update(jobs)
                    .where(jobs.c.pk.in_([row[0] for row in rows]))
                    .values(
                        free_at=at + round(lease * 1e6),
                        fence=jobs.c.fence + 1,
                        attempts=jobs.c.attempts + 1,
                        deaths=_deaths(),
                        worker=to_stored(worker),
                    )
                )
        return [
            Job(
                pk,
                kind,
                from_stored(key),
                json.loads(payload),
                priority,
                attempts + 1,
                fence + 1,
                asked,
                from_stored(store),
                deaths,
            )
            for pk, kind, key, payload, priority, attempts, fence, asked, store, deaths in rows
        ]

    def renew(self, job: Job, lease: float, progress: Mapping[str, Any] | None = None) -> None:
        """Keep a job for another `lease` seconds, and note how far it is. Raises LeaseLost."""
        values: dict[str, Any] = {"free_at": now() + round(lease * 1e6)}
        if progress is not None:
            values["progress"] = json.dumps(dict(progress))
        with self._database.transaction() as session:
            if not session.run(update(jobs).where(_held(job)).values(**values)).rowcount:
                raise LeaseLost("Another worker has taken this job over.", kind=job.kind, key=job.key)

    def done(self, job: Job) -> None:
        """Finish a job. One that was asked for again meanwhile is open again. A lost lease changes nothing.

        What waits for the same store as it did is looked at now.
        """
        with self._database.transaction() as session:
            ended = session.run(delete(jobs).where(_held(job), jobs.c.asked == job.asked)).rowcount
            if not ended:
                ended = session.run(_freed(job, 0.0).values(attempts=0, deaths=0, error="", progress="", waits_for="")).rowcount
            if ended:
                self._went_well(session, job)

    def later(self, job: Job, delay: float, error: str = "", waits_for: str = "") -> None:
        """Have a job done again after `delay` seconds: it failed with `error`, or went well so far. A lost lease changes nothing.

        Parameters
        ----------
        waits_for
            The store without which it failed: the job is woken earlier when that answers again.
        """
        values: dict[str, Any] = {"error": to_stored(error[:_ERROR_LENGTH]), "waits_for": to_stored(waits_for), "deaths": 0}
        if not error:
            values["attempts"] = 0
        with self._database.transaction() as session:
            if not session.run(_freed(job, delay).values(**values)).rowcount:
                return
            if waits_for:
                self.add_in(session, AWAIT_STORE, waits_for, priority=URGENT, delay=LOOK_EVERY)
            elif not error:
                self._went_well(session, job)

    def _went_well(self, session: Session, job: Job) -> None:
        """Have the store looked at for which a job had waited, and what else waits for it woken."""
        if job.waited_for:
            self.add_in(session, AWAIT_STORE, job.waited_for, {WELL: True}, priority=URGENT)

    def hand_back(self, job: Job, delay: float = 0.0) -> bool:
        """Let another worker take a job after `delay` seconds: this one ends before it is done, which counts as no attempt.

        Whoever still works on it has lost the lease. False where it was lost already; then nothing changes.
        """
        with self._database.transaction() as session:
            freed = _freed(job, delay).values(fence=jobs.c.fence + 1, attempts=max(0, job.attempts - 1), deaths=0)
            return bool(session.run(freed).rowcount)

    def fail(self, job: Job, error: str) -> None:
        """Leave a job to people: it stays as failed until it is asked for again. A lost lease changes nothing."""
        with self._database.transaction() as session:
            session.run(_freed(job, 0.0).values(state=FAILED, error=to_stored(error[:_ERROR_LENGTH]), waits_for=""))

    def reopen(self, pk: int) -> None:
        """Have a job taken as soon as possible, failed or waiting. Raises NotFound."""
        with self._database.transaction() as session:
            changed = session.run(update(jobs).where(jobs.c.pk == pk).values(**_ANEW, fence=jobs.c.fence + 1)).rowcount
        if not changed:
            raise NotFound("There is no such job.", pk=pk)

    def free(self, pk: int, worker: str) -> None:
        """Have the job of a worker that is known to be dead taken at once, not when its lease ends."""
        of_worker = (jobs.c.pk == pk) & (jobs.c.worker == to_stored(worker))
        freed = {"free_at": 0, "worker": "", "fence": jobs.c.fence + 1, "deaths": jobs.c.deaths + 1}
        with self._database.transaction() as session:
            session.run(update(jobs).where(of_worker, jobs.c.state == OPEN).values(**freed))

    def cancel(self, pk: int) -> None:
        """Forget a job; a worker that has it finishes what it does without effect on the ledger. Raises NotFound."""
        with self._database.transaction() as session:
            if not session.run(delete(jobs).where(jobs.c.pk == pk)).rowcount:
                raise NotFound("There is no such job.", pk=pk)

    def forget(self, kind: str, key: str) -> None:
        """Forget the job of this kind and key, if there is one: what it was to do is done."""
        with self._database.transaction() as session:
            session.run(delete(jobs).where(_is(kind, key)))

    def listed(
        self,
        *,
        kind: str | None = None,
        state: str | None = None,
        waits_for: str | None = None,
        after: int = 0,
        limit: int = 100,
    ) -> list[ListedJob]:
        """Jobs in the order they were asked for, from the one behind `after` on."""
        columns = tuple(jobs.c[name] for name in ListedJob.__dataclass_fields__)
        statement = select(*columns).where(jobs.c.pk > after).order_by(jobs.c.pk).limit(limit)
        if kind is not None:
            statement = statement.where(jobs.c.kind == kind)
        if state is not None:
            statement = statement.where(jobs.c.state == state)
        if waits_for is not None:
            statement = statement.where(jobs.c.waits_for == to_stored(waits_for))
        with self._database.session() as session:
            return [_listed(row) for row in session.run(statement).fetchall()]

    def every(self, *, kind: str | None = None, state: str | None = None, waits_for: str | None = None) -> Iterator[ListedJob]:
        """The same, however many there are: read in pieces."""
        after = 0
        while page := self.listed(kind=kind, state=state, waits_for=waits_for, after=after, limit=_PIECE):
            yield from page
            after = page[-1].pk

    def of(self, kind: str, key: str) -> ListedJob | None:
        """The job of this kind and key; None when there is none, or none any more."""
        columns = tuple(jobs.c[name] for name in ListedJob.__dataclass_fields__)
        with self._database.session() as session:
            row = session.run(select(*columns).where(_is(kind, key))).fetchone()
        return None if row is None else _listed(row)

    def known(self, kind: str, keys: Sequence[str]) -> set[str]:
        """Which of these keys there is a job of this kind for, whatever its state."""
        found: set[str] = set()
        with self._database.session() as session:
            for at in range(0, len(keys), _PIECE):
                wanted = [to_stored(key) for key in keys[at : at + _PIECE]]
                rows = session.run(select(jobs.c.key).where(jobs.c.kind == kind, jobs.c.key.in_(wanted))).fetchall()
                found |= {from_stored(row[0]) for row in rows}
        return found

    def counts(self) -> dict[tuple[str, str], int]:
        """How many jobs of each kind are in each state."""
        statement = select(jobs.c.kind, jobs.c.state, func.count()).group_by(jobs.c.kind, jobs.c.state)
        with self._database.session() as session:
            return {(row[0], row[1]): int(row[2]) for row in session.run(statement).fetchall()}

    def failing(self) -> dict[str, float]:
        """Of each kind of which there are jobs: seconds since the oldest open one was asked for whose last attempt failed; 0 without one."""
        failed = (jobs.c.state == OPEN) & (jobs.c.error != "")
        oldest = func.min(case((failed, jobs.c.created_at)))
        at = now()
        with self._database.session() as session:
            rows = session.run(select(jobs.c.kind, oldest).group_by(jobs.c.kind)).fetchall()
        return {kind: 0.0 if since is None else max(0.0, (at - since) / 1e6) for kind, since in rows}


def _is(kind: str, key: str) -> ColumnElement[bool]:
    return (jobs.c.kind == kind) & (jobs.c.key == to_stored(key))


def _held(job: Job) -> ColumnElement[bool]:
    return (jobs.c.pk == job.pk) & (jobs.c.fence == job.fence)


def _freed(job: Job, delay: float) -> Any:
    return update(jobs).where(_held(job)).values(free_at=now() + round(delay * 1e6), worker="")


def _deaths() -> Any:
    """How often in a row a job was taken by somebody who was not heard of again: whoever ends an attempt leaves no name."""
    return case((jobs.c.worker != "", jobs.c.deaths + 1), else_=jobs.c.deaths)


def _side_by_side(rows: Sequence[Any], idle: bool) -> Sequence[Any]:
    """Of free jobs, the most urgent first, those that one worker may do at once. The last column is that of `_deaths`."""
    if rows and rows[0][-1] >= SUSPECT:
        return rows[:1] if idle else []
    return list(takewhile(lambda row: row[-1] < SUSPECT, rows))


def _row(kind: str, key: str, payload: Mapping[str, Any], priority: int, free_at: int) -> dict[str, Any]:
    return {
        "kind": kind,
        "key": to_stored(key),
        "payload": json.dumps(dict(payload)),
        "priority": priority,
        "created_at": now(),
        "free_at": free_at,
    }


def asking(
    on_postgresql: bool, kind: str, key: str, payload: Mapping[str, Any], priority: int, delay: float, postpone: bool
) -> ClauseElement:
    """The statement that asks for a job, or asks again for the one that is there."""
    row = _row(kind, key, payload, priority, now() + round(delay * 1e6))
    least, greatest = (func.least, func.greatest) if on_postgresql else (func.min, func.max)
    statement: Any = upsert(on_postgresql, jobs).values(row)
    new = statement.excluded
    return statement.on_conflict_do_update(  # type: ignore[no-any-return]
        index_elements=[jobs.c.kind, jobs.c.key],
        set_={
            "payload": new.payload,
            "priority": least(jobs.c.priority, new.priority),
            "free_at": _moment(jobs.c, new, least, greatest, postpone),
            "attempts": 0,
            "deaths": case((jobs.c.state == FAILED, 0), else_=jobs.c.deaths),
            "state": OPEN,
            "error": "",
            "waits_for": "",
            "asked": jobs.c.asked + 1,
        },
    )


def _moment(old: Any, new: Any, least: Any, greatest: Any, postpone: bool) -> Any:
    """When a job asked for again is free: a running one stays leased, whatever was asked."""
    chosen = greatest(old.free_at, new.free_at) if postpone else least(old.free_at, new.free_at)
    return case((old.worker != "", old.free_at), else_=chosen)


def _listed(row: Sequence[Any]) -> ListedJob:
    values = dict(zip(ListedJob.__dataclass_fields__, row, strict=True))
    for name in ("created_at", "free_at"):
        values[name] = datetime.fromtimestamp(values[name] / 1e6, UTC)
    for name in ("key", "worker", "error", "waits_for"):
        values[name] = from_stored(values[name])
    values["payload"] = json.loads(values["payload"])
    values["progress"] = json.loads(values["progress"]) if values["progress"] else {}
    return ListedJob(**values)
