"""Storage commitment requests that wait for their report (PS3.4 annex J)."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, insert, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database
from vna_core.catalogue.schema import commitments
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored

LEASE: Final = 600.0
"""Seconds that a request belongs to whoever took it: enough to read what it names. A process that dies meanwhile delays the report by as much."""


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
        """Keep a request; the same transaction of the same peer replaces the earlier one.

        It belongs to whoever records it, as after `take`: its report follows the answer to the request.
        """
        key = {"transaction_uid": identifier(transaction_uid), "peer": to_stored(peer)}
        this = (commitments.c.transaction_uid == key["transaction_uid"]) & (commitments.c.peer == key["peer"])
        content = json.dumps([list(pair) for pair in instances])
        at = now()
        with self._database.transaction() as session:
            session.run(delete(commitments).where(this))
            session.run(insert(commitments).values(**key, requested_at=at, instances=content, not_before=at + round(LEASE * 1e6)))

    def take(self) -> Commitment | None:
        """The oldest request whose report is due; nobody else gets it for `LEASE` seconds. None: there is none."""
        names = ("transaction_uid", "peer", "instances", "attempts", "requested_at")
        columns = tuple(commitments.c[name] for name in names)
        at = now()
        due = (commitments.c.state == "pending") & (commitments.c.not_before <= at)
        wanted = select(*columns).where(due).order_by(commitments.c.requested_at).limit(1)
        with self._database.session() as session:  # looking needs no lock; most looks find nothing
            if session.run(wanted).fetchone() is None:
                return None
        with self._database.transaction() as session:
            row = session.run(wanted).fetchone()
            if row is None:
                return None
            this = (commitments.c.transaction_uid == row[0]) & (commitments.c.peer == row[1])
            session.run(update(commitments).where(this).values(not_before=at + round(LEASE * 1e6)))
        uid, peer, content, attempts, asked = row
        instances = tuple((one, two) for one, two in json.loads(content))
        return Commitment(from_stored(uid), from_stored(peer), instances, attempts, asked / 1e6)

    def reported(self, transaction_uid: str, peer: str) -> None:
        """The peer has taken the report. Which instances it was about is not kept: the lists of years would outgrow what they are about."""
        self._update(transaction_uid, peer, state="reported", instances="[]")

    def postpone(self, transaction_uid: str, peer: str, delay: float) -> None:
        """The report could not be delivered; it is due again after `delay` seconds."""
        self._update(transaction_uid, peer, attempts=commitments.c.attempts + 1, not_before=now() + round(delay * 1e6))

    def abandon(self, transaction_uid: str, peer: str) -> None:
        """Give up: the peer never took the report. As of those that were taken, no list is kept: some modalities never take one."""
        self._update(transaction_uid, peer, state="abandoned", instances="[]")

    def _update(self, transaction_uid: str, peer: str, **values: object) -> None:
        this = (commitments.c.transaction_uid == identifier(transaction_uid)) & (commitments.c.peer == to_stored(peer))
        with self._database.transaction() as session:
            session.run(update(commitments).where(this).values(**values))
