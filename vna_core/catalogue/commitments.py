"""Storage commitment requests that wait for their report (PS3.4 annex J)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, insert, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database
from vna_core.catalogue.schema import commitments
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored


@dataclass(frozen=True, slots=True)
class Commitment:
    """One request: the peer that asked, and the SOP Class and Instance UIDs it wants committed.

    `requested_at` counts seconds since 1970.
    """

    transaction_uid: str
    peer: str
    instances: tuple[tuple[str, str], ...]
    attempts: int = 0
    requested_at: float = 0.0


class Commitments:
    """The ledger of requests."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, transaction_uid: str, peer: str, instances: Sequence[tuple[str, str]]) -> None:
        """Keep a request; the same transaction of the same peer replaces the earlier one."""
        key = {"transaction_uid": identifier(transaction_uid), "peer": to_stored(peer)}
        this = (commitments.c.transaction_uid == key["transaction_uid"]) & (commitments.c.peer == key["peer"])
        content = json.dumps([list(pair) for pair in instances])
        with self._database.transaction() as session:
            session.run(delete(commitments).where(this))
            session.run(insert(commitments).values(**key, requested_at=now(), instances=content))

    def pending(self, limit: int = 100) -> list[Commitment]:
        """Requests whose report is due, oldest first."""
        due = (commitments.c.state == "pending") & (commitments.c.not_before <= now())
        with self._database.session() as session:
            names = ("transaction_uid", "peer", "instances", "attempts", "requested_at")
            columns = tuple(commitments.c[name] for name in names)
            rows = session.run(select(*columns).where(due).order_by(commitments.c.requested_at).limit(limit)).fetchall()
        return [
            Commitment(
                from_stored(uid), from_stored(peer), tuple((one, two) for one, two in json.loads(content)), attempts, at / 1e6
            )
            for uid, peer, content, attempts, at in rows
        ]

    def reported(self, transaction_uid: str, peer: str) -> None:
        """The peer has taken the report."""
        self._update(transaction_uid, peer, state="reported")

    def postpone(self, transaction_uid: str, peer: str, delay: float) -> None:
        """The report could not be delivered; it is due again after `delay` seconds."""
        self._update(transaction_uid, peer, attempts=commitments.c.attempts + 1, not_before=now() + round(delay * 1e6))

    def abandon(self, transaction_uid: str, peer: str) -> None:
        """Give up: the peer never took the report."""
        self._update(transaction_uid, peer, state="abandoned")

    def _update(self, transaction_uid: str, peer: str, **values: object) -> None:
        this = (commitments.c.transaction_uid == identifier(transaction_uid)) & (commitments.c.peer == to_stored(peer))
        with self._database.transaction() as session:
            session.run(update(commitments).where(this).values(**values))
