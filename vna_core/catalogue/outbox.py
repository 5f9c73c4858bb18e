"""The outbox: what must be told or done later, written in the transaction of the thing it is about (decision D10).

An item is leased to whoever takes it; when the lease runs out it can be taken again, so work is done at least once.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Insert, delete, insert, select, update

from vna_core.catalogue.database import Database
from vna_core.catalogue.schema import outbox


@dataclass(frozen=True, slots=True)
class OutboxItem:
    """One thing to do. `attempts` counts how often it was taken, this time included."""

    pk: int
    topic: str
    payload: Mapping[str, Any]
    attempts: int


def append_statement(topic: str, payload: Mapping[str, Any], now: int) -> Insert:
    """The statement that adds an item."""
    return insert(outbox).values(topic=topic, payload=json.dumps(payload), created_at=now)


class Outbox:
    """Takes and finishes items."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, topic: str, payload: Mapping[str, Any]) -> None:
        """Add an item in a transaction of its own."""
        with self._database.transaction() as session:
            session.run(append_statement(topic, payload, time.time_ns() // 1000))

    def take(self, topic: str, limit: int = 100, lease: float = 60.0) -> list[OutboxItem]:
        """Lease the oldest free items of a topic for `lease` seconds. Two callers never get the same item at once."""
        now = time.time_ns() // 1000
        free = (outbox.c.topic == topic) & (outbox.c.lease_until <= now) & (outbox.c.not_before <= now)
        with self._database.transaction() as session:
            found = (
                select(outbox.c.pk, outbox.c.topic, outbox.c.payload, outbox.c.attempts)
                .where(free)
                .order_by(outbox.c.pk)
                .limit(limit)
            )
            rows = session.run(found).fetchall()
            if rows:
                taken = outbox.c.pk.in_([row[0] for row in rows])
                session.run(
                    update(outbox).where(taken).values(lease_until=now + round(lease * 1e6), attempts=outbox.c.attempts + 1)
                )
        return [OutboxItem(pk, name, json.loads(payload), attempts + 1) for pk, name, payload, attempts in rows]

    def done(self, pks: Sequence[int]) -> None:
        """Remove finished items. Unknown ones are passed over."""
        if pks:
            with self._database.transaction() as session:
                session.run(delete(outbox).where(outbox.c.pk.in_(list(pks))))

    def put_back(self, pk: int, delay: float) -> None:
        """End the lease of an item that failed; it is free again after `delay` seconds."""
        with self._database.transaction() as session:
            later = time.time_ns() // 1000 + round(delay * 1e6)
            session.run(update(outbox).where(outbox.c.pk == pk).values(lease_until=0, not_before=later))
