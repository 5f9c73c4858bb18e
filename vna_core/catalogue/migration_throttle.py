"""What all workers on all machines share about one source: its rate, and how many retrievals at once it bears now.

The number at once follows the source's latency: it grows by one for every round of good retrievals and is halved when the
source fails or becomes much slower than at its best (additive increase, multiplicative decrease).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, exists, func, insert, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database
from vna_core.catalogue.entry_form import moment
from vna_core.catalogue.schema_jobs import jobs
from vna_core.catalogue.schema_migration import migration_slots, migration_sources
from vna_core.catalogue.stored_text import to_stored
from vna_core.domain.jobs import Job

SLOWER: Final = 3.0
"""A source this many times slower an instance than at its best is given less to do."""

UNHURT: Final = 0.02
"""Seconds an instance below which no source is taken to be slow: such differences are our own load, or that of the network."""

REST: Final = 5.0
"""Seconds after a reduction in which no further one is made: what runs then still shows the old load."""

RATE: Final = "limit (rate)"

SHORTEST_SILENCE: Final = 2.0
LONGEST_SILENCE: Final = 60.0
"""Seconds between two attempts at a source that does not answer: half as long as it has been silent, within these bounds."""

_SMOOTH: Final = 0.2
_FORGET: Final = 0.002


@dataclass(frozen=True, slots=True)
class Load:
    """How a source bears the work. Seconds are sums over all retrievals since the campaign began, by stage.

    Attributes
    ----------
    bound
        Retrievals at once that it bears now; 0.0 before the first.
    rate_limited
        The next retrieval waits for the rate of the campaign, though the source would bear it.
    silent_since
        Since when the source does not answer, or lets us in nowhere; None: it does.
    refusals
        How often in a row it let us in nowhere, with a rest before each time but the first.
    """

    bound: float
    running: int
    latency: float
    best_latency: float
    source_seconds: float
    pipeline_seconds: float
    store_seconds: float
    rate_limited: bool = False
    silent_since: datetime | None = None
    refusals: int = 0

    @property
    def bottleneck(self) -> str:
        """What holds the campaign up: its own ``limit (rate)``, or the stage that takes the most of the time, ``source``, ``pipeline``
        or ``store``; empty before anything was fetched. A source that does not answer holds up everything else."""
        if self.silent_since is not None:
            return "source"
        if self.rate_limited:
            return RATE
        stages = {"source": self.source_seconds, "pipeline": self.pipeline_seconds, "store": self.store_seconds}
        return max(stages, key=lambda name: stages[name]) if any(stages.values()) else ""


@dataclass(frozen=True, slots=True)
class Slot:
    """One retrieval that may run."""

    pk: int
    source: str


class Throttle:
    """Shared limits of sources."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def acquire(self, source: str, job: Job, most: int, *, asked: bool = False) -> Slot | None:
        """A place for one retrieval, for as long as the lease of its job is held; None when the source has enough to do, or does not
        answer and is left alone for a while.

        `most` bounds what the source's good behaviour may lead to; for what somebody waits for (`asked`) a silent source is tried at once.
        """
        name = to_stored(source)
        slots, sources = migration_slots.c, migration_sources.c
        with self._database.transaction() as session:
            row = session.run(select(sources.bound, sources.silent_until).where(sources.name == name)).fetchone()
            if row is None:
                session.run(insert(migration_sources).values(name=name, bound=float(most)))
            elif row[1] > now() and not asked:
                return None
            bound = min(float(most), row[0] if row is not None and row[0] else float(most))
            session.run(delete(migration_slots).where(slots.source == name, ~_held()))
            running = session.run(select(func.count()).where(slots.source == name)).fetchone()[0]
            if running >= max(1, int(bound)):
                return None
            values = {"source": name, "job": job.pk, "fence": job.fence}
            pk = session.run(insert(migration_slots).values(values).returning(slots.pk)).fetchone()[0]
        return Slot(int(pk), source)

    def forget(self, slot: Slot) -> None:
        """Give a place back that was not used."""
        with self._database.transaction() as session:
            session.run(delete(migration_slots).where(migration_slots.c.pk == slot.pk))

    def release(
        self,
        slot: Slot,
        most: int,
        instances: int,
        seconds: Mapping[str, float],
        failed: bool = False,
        answered: bool = True,
    ) -> None:
        """Give a place back, and tell how the retrieval went.

        Parameters
        ----------
        instances
            How many were fetched.
        seconds
            Time by stage: ``source``, ``pipeline``, ``store``.
        failed
            The source did not answer, or refused.
        answered
            It did answer: it is not silent any more.
        """
        name = to_stored(slot.source)
        with self._database.transaction() as session:
            session.run(delete(migration_slots).where(migration_slots.c.pk == slot.pk))
            columns = migration_sources.c
            fields = (columns.bound, columns.latency, columns.best_latency, columns.reduced_at)
            row = session.run(select(*fields).where(columns.name == name)).fetchone()
            if row is None:
                return
            values = _adapted(row, most, instances, seconds.get("source", 0.0), failed)
            if answered:
                values |= {"silent_since": 0, "silent_until": 0, "refusals": 0}
            for stage in ("source", "pipeline", "store"):
                column = columns[f"{stage}_seconds"]
                values[column.name] = column + seconds.get(stage, 0.0)
            session.run(update(migration_sources).where(columns.name == name).values(**values))

    def silent(self, source: str, *, refused: bool = False) -> bool:
        """Note that a source did not answer: it is left alone for a while, the longer the longer it has been silent; whether it was.

        Parameters
        ----------
        refused
            It did answer, and lets us in nowhere. Retrievals that hear this side by side count as one.
        """
        name, columns, at = to_stored(source), migration_sources.c, now()
        with self._database.transaction() as session:
            fields = (columns.silent_since, columns.silent_until, columns.refusals)
            row = session.run(select(*fields).where(columns.name == name)).fetchone()
            if row is None:
                session.run(insert(migration_sources).values(name=name))
            since = row[0] if row is not None and row[0] else at
            pause = min(LONGEST_SILENCE, max(SHORTEST_SILENCE, (at - since) / 2e6))
            before, told = (0, 0) if row is None else (row[2], row[1] if row[2] else 0)
            refusals = before + (at >= told) if refused else 0
            values = {"silent_since": since, "silent_until": at + round(pause * 1e6), "refusals": refusals}
            session.run(update(migration_sources).where(columns.name == name).values(**values))
        return row is not None and bool(row[0])

    def count_anew(self, source: str) -> None:
        """A source has just answered: it is silent no more, and refusals count from here on."""
        columns = migration_sources.c
        with self._database.transaction() as session:
            this = update(migration_sources).where(columns.name == to_stored(source))
            session.run(this.values(refusals=0, silent_since=0, silent_until=0))

    def silence(self, source: str) -> float:
        """Seconds for which a source that does not answer is to be left alone; 0.0: none."""
        columns = migration_sources.c
        with self._database.session() as session:
            row = session.run(select(columns.silent_until).where(columns.name == to_stored(source))).fetchone()
        return max(0.0, (row[0] - now()) / 1e6) if row is not None else 0.0

    def reserve(self, source: str, instances: int, rate: float) -> float:
        """Reserve `instances` at `rate` a second: 0.0 when they may be asked for now, else the seconds to wait (nothing reserved)."""
        name, at = to_stored(source), now()
        columns = migration_sources.c
        with self._database.transaction() as session:
            row = session.run(select(columns.free_at).where(columns.name == name)).fetchone()
            if row is None:
                session.run(insert(migration_sources).values(name=name))
            free_at = row[0] if row is not None else 0
            if free_at > at:
                return float(free_at - at) / 1e6
            taken = at + round(instances / rate * 1e6)
            session.run(update(migration_sources).where(columns.name == name).values(free_at=taken))
        return 0.0

    def load(self, source: str) -> Load:
        """How the source bears the work."""
        name, columns = to_stored(source), migration_sources.c
        names = (
            "silent_since",
            "refusals",
            "free_at",
            "bound",
            "latency",
            "best_latency",
            "source_seconds",
            "pipeline_seconds",
            "store_seconds",
        )
        with self._database.session() as session:
            row = session.run(select(*(columns[one] for one in names)).where(columns.name == name)).fetchone()
            slots = migration_slots.c
            counted = select(func.count()).where(slots.source == name, _held())
            running = session.run(counted).fetchone()[0]
        if row is None:
            return Load(0.0, 0, 0.0, 0.0, 0.0, 0.0, 0.0)
        silent, refusals, free_at, bound, latency, best, source_s, pipeline_s, store_s = row
        limited = free_at > now() and running < max(1.0, bound)
        since = moment(silent) if silent else None
        return Load(bound, int(running), latency, best, source_s, pipeline_s, store_s, limited, since, int(refusals))


def _held() -> ColumnElement[bool]:
    """Whether the job of a place is still held by whoever took the place: a worker that died loses both at once."""
    slots = migration_slots.c
    leased = (jobs.c.pk == slots.job) & (jobs.c.fence == slots.fence) & (jobs.c.free_at >= now())
    return exists(select(jobs.c.pk).where(leased).correlate(migration_slots))


def _adapted(row: Any, most: int, instances: int, seconds: float, failed: bool) -> dict[str, Any]:
    bound, latency, best, reduced_at = row
    bound = min(float(most), bound or float(most))
    at = now()
    seen = seconds / instances if instances else latency
    latency = seen if not latency else latency + _SMOOTH * (seen - latency)
    if instances:
        best = min(best, seen) if best else seen
        best += _FORGET * (latency - best)  # what was best long ago is no measure for ever
    rested = at - reduced_at > REST * 1e6
    slow = bool(best) and latency > max(SLOWER * best, UNHURT) and instances > 0
    if (failed or slow) and rested:
        return {"bound": max(1.0, bound / 2), "latency": latency, "best_latency": best, "reduced_at": at}
    if not failed and not slow:
        bound = min(float(most), bound + 1.0 / max(bound, 1.0))
    return {"bound": bound, "latency": latency, "best_latency": best}
