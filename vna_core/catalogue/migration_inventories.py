"""Snapshots of what a source says it holds: numbered, resumed where they were interrupted, and never changed once complete."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, insert, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database
from vna_core.catalogue.entry_form import moment
from vna_core.catalogue.schema_migration import migration_inventories, migration_spans
from vna_core.catalogue.stored_text import from_stored, to_stored

OPEN: Final = "open"
COMPLETE: Final = "complete"
DOUBTED: Final = "doubted"
"""State of a snapshot that lists too little to be believed: nothing is concluded from it."""


@dataclass(frozen=True, slots=True)
class Inventory:
    """One snapshot.

    Attributes
    ----------
    number
        1 for the campaign's first.
    studies, instances, digest
        Of a complete one: how many it lists, and the SHA-256 of its sorted lines (UIDs joined by a tab).
    details
        How it was taken: questions, caps found, what statistics of the source say.
    """

    pk: int
    number: int
    state: str
    started_at: datetime
    finished_at: datetime
    studies: int
    instances: int
    digest: str
    details: Mapping[str, Any] = field(default_factory=dict)


class Inventories:
    """Keeps snapshots."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def newest(self, campaign: str, state: str | None = None) -> Inventory | None:
        """The newest snapshot of a campaign, of this state."""
        columns = migration_inventories.c
        statement = select(*(columns[name] for name in Inventory.__dataclass_fields__)).where(
            columns.campaign == to_stored(campaign)
        )
        if state is not None:
            statement = statement.where(columns.state == state)
        with self._database.session() as session:
            row = session.run(statement.order_by(columns.number.desc()).limit(1)).fetchone()
        if row is None:
            return None
        pk, number, state_, started, finished, studies, instances, digest, details = row
        read = json.loads(details) if details else {}
        return Inventory(pk, number, state_, moment(started), moment(finished), studies, instances, digest, read)

    def begin(self, campaign: str) -> Inventory:
        """The open snapshot of a campaign to go on with, or a new one."""
        newest = self.newest(campaign)
        if newest is not None and newest.state == OPEN:
            return newest
        number = 1 if newest is None else newest.number + 1
        with self._database.transaction() as session:
            session.run(
                insert(migration_inventories).values(
                    campaign=to_stored(campaign), number=number, state=OPEN, started_at=now(), details="{}"
                )
            )
        begun = self.newest(campaign)
        assert begun is not None
        return begun

    def answered(self, inventory: Inventory) -> dict[str, int]:
        """Questions of the snapshot that were answered, before an interruption perhaps, and their numbers of answers."""
        spans = migration_spans.c
        with self._database.session() as session:
            found = session.run(select(spans.span, spans.answers).where(spans.inventory_fk == inventory.pk))
            return {from_stored(row[0]): int(row[1]) for row in found.fetchall()}

    def forget_span(self, inventory: Inventory, span: str) -> None:
        """Have a question asked again."""
        spans = migration_spans.c
        with self._database.transaction() as session:
            session.run(delete(migration_spans).where(spans.inventory_fk == inventory.pk, spans.span == to_stored(span)))

    def note_spans(self, inventory: Inventory, noted: Sequence[tuple[str, int, str]]) -> None:
        """Note that questions were answered: each with its number of answers and its state; ``capped``: perhaps not in full, and it
        could not be narrowed."""
        if not noted:
            return
        spans = migration_spans.c
        rows = [
            {"inventory_fk": inventory.pk, "span": to_stored(span), "answers": answers, "state": state}
            for span, answers, state in noted
        ]
        this = (spans.inventory_fk == inventory.pk) & (spans.span == bindparam("this"))
        with self._database.transaction() as session:
            session.run_many(delete(migration_spans).where(this), [{"this": row["span"]} for row in rows])
            session.run_many(insert(migration_spans), rows)

    def unfinished_spans(self, inventory: Inventory, state: str) -> list[str]:
        """Questions whose answers may be incomplete (state ``capped``), or that were refused and could not be narrowed (``refused``)."""
        spans = migration_spans.c
        with self._database.session() as session:
            found = session.run(select(spans.span).where(spans.inventory_fk == inventory.pk, spans.state == state))
            return [row[0] for row in found.fetchall()]

    def questions(self, inventory: Inventory) -> int:
        """How many questions were answered so far."""
        with self._database.session() as session:
            row = session.run(select(func.count()).where(migration_spans.c.inventory_fk == inventory.pk)).fetchone()
        return int(row[0])

    def keep(self, inventory: Inventory, details: Mapping[str, Any]) -> None:
        """Write down with an open snapshot what was found beside its studies, for when it is gone on with."""
        this = (migration_inventories.c.pk == inventory.pk) & (migration_inventories.c.state == OPEN)
        with self._database.transaction() as session:
            session.run(update(migration_inventories).where(this).values(details=json.dumps(dict(details))))

    def doubt(self, inventory: Inventory) -> None:
        """Close a snapshot that is not believed. The next one asks everything anew."""
        with self._database.transaction() as session:
            session.run(
                update(migration_inventories)
                .where(migration_inventories.c.pk == inventory.pk, migration_inventories.c.state == OPEN)
                .values(state=DOUBTED, finished_at=now())
            )

    def complete(self, inventory: Inventory, studies: int, instances: int, digest: str, details: Mapping[str, Any]) -> None:
        """Close a snapshot. It is not changed any more."""
        with self._database.transaction() as session:
            session.run(
                update(migration_inventories)
                .where(migration_inventories.c.pk == inventory.pk, migration_inventories.c.state == OPEN)
                .values(
                    state=COMPLETE,
                    finished_at=now(),
                    studies=studies,
                    instances=instances,
                    digest=digest,
                    details=json.dumps(dict(details)),
                )
            )
