"""The ledger of migrations: what a source said it holds, and how each instance ended (decision D10)."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

from sqlalchemy import bindparam, func, insert, select, update

from vna_core.catalogue.database import Database
from vna_core.catalogue.schema import campaigns, instances, inventory
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored

_PIECE: Final = 500

Uids = tuple[str, str, str, str]
"""Study, series and SOP Instance UID, and SOP Class UID (empty: not told)."""


@dataclass(frozen=True, slots=True)
class Campaign:
    """One migration from one source. `details` is whatever its runner wants to find again (JSON)."""

    name: str
    source: str
    state: str = "running"
    details: Mapping[str, Any] = field(default_factory=dict)


class Campaigns:
    """Keeps campaigns and their inventories."""

    def __init__(self, database: Database) -> None:
        self._database = database
        keys = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")
        names = ("campaign", *keys, "sop_class_uid", "outcome", "detail", "updated_at")
        row: dict[str, Any] = {name: bindparam(name) for name in names}
        self._insert = database.prepare(insert(inventory).values(row))
        self._insert_sql = f"{self._insert.sql} ON CONFLICT DO NOTHING"
        this = [inventory.c[name] == bindparam(f"this_{name}") for name in ("campaign", *keys)]
        self._fetched = database.prepare(
            update(inventory)
            .where(*this)
            .values(outcome=bindparam("outcome"), detail=bindparam("detail"), updated_at=bindparam("updated_at"))
        )

    def save(self, campaign: Campaign) -> None:
        """Add a campaign, or change its state and details."""
        now = time.time_ns() // 1000
        name, source = to_stored(campaign.name), to_stored(campaign.source)
        values = {"source": source, "state": campaign.state, "updated_at": now, "details": json.dumps(dict(campaign.details))}
        with self._database.transaction() as session:
            changed = session.run(update(campaigns).where(campaigns.c.name == name).values(**values))
            if not changed.rowcount:
                session.run(insert(campaigns).values(name=name, started_at=now, **values))

    def load(self, name: str) -> Campaign | None:
        """One campaign by its name."""
        columns = (campaigns.c.name, campaigns.c.source, campaigns.c.state, campaigns.c.details)
        with self._database.session() as session:
            row = session.run(select(*columns).where(campaigns.c.name == to_stored(name))).fetchone()
        return None if row is None else Campaign(from_stored(row[0]), from_stored(row[1]), row[2], json.loads(row[3]))

    def record_inventory(self, campaign: str, found: Iterable[Uids]) -> None:
        """Add what the source says it holds; what is in the inventory already stays as it is."""
        rest = iter(found)
        while piece := list(islice(rest, 5000)):
            now = time.time_ns() // 1000
            rows = [
                self._insert.arrange(
                    {
                        "campaign": to_stored(campaign),
                        "study_instance_uid": identifier(study),
                        "series_instance_uid": identifier(series),
                        "sop_instance_uid": identifier(sop),
                        "sop_class_uid": identifier(sop_class),
                        "outcome": "",
                        "detail": "",
                        "updated_at": now,
                    }
                )
                for study, series, sop, sop_class in piece
            ]
            with self._database.transaction() as session:
                session.executemany(self._insert_sql, rows)

    def record_fetched(self, campaign: str, results: Iterable[tuple[str, str, str, str, str]]) -> None:
        """Note how instances ended: study, series and SOP Instance UID, outcome, detail. Unknown ones are passed over."""
        now = time.time_ns() // 1000
        rows = [
            self._fetched.arrange(
                {
                    "this_campaign": to_stored(campaign),
                    "this_study_instance_uid": identifier(study),
                    "this_series_instance_uid": identifier(series),
                    "this_sop_instance_uid": identifier(sop),
                    "outcome": outcome,
                    "detail": to_stored(detail),
                    "updated_at": now,
                }
            )
            for study, series, sop, outcome, detail in results
        ]
        with self._database.transaction() as session:
            session.executemany(self._fetched.sql, rows)

    def inventoried(self, campaign: str, study: str | None = None) -> Iterator[tuple[Uids, str]]:
        """Everything in the inventory (of one study) with its outcome, by UID; read in pieces."""
        keys = (inventory.c.study_instance_uid, inventory.c.series_instance_uid, inventory.c.sop_instance_uid)
        last: tuple[str, ...] | None = None
        while True:
            statement = select(*keys, inventory.c.sop_class_uid, inventory.c.outcome).where(
                inventory.c.campaign == to_stored(campaign)
            )
            if study is not None:
                statement = statement.where(inventory.c.study_instance_uid == identifier(study))
            if last is not None:
                statement = statement.where(_tuple_after(keys, last))
            with self._database.session() as session:
                rows = session.run(statement.order_by(*keys).limit(_PIECE)).fetchall()
            for row in rows:
                yield (from_stored(row[0]), from_stored(row[1]), from_stored(row[2]), from_stored(row[3])), row[4]
            if len(rows) < _PIECE:
                return
            last = tuple(rows[-1][:3])

    def missing(self, campaign: str) -> Iterator[Uids]:
        """What the source says it holds and the catalogue does not, by UID."""
        pieces = self.inventoried(campaign)
        while piece := list(islice(pieces, _PIECE)):
            wanted = [identifier(uids[2]) for uids, _ in piece]
            with self._database.session() as session:
                statement = select(instances.c.sop_instance_uid).where(instances.c.sop_instance_uid.in_(wanted))
                held = {row[0] for row in session.run(statement).fetchall()}
            yield from (uids for uids, _ in piece if identifier(uids[2]) not in held)

    def outcomes(self, campaign: str) -> dict[str, int]:
        """How many instances of the inventory ended in each way; an empty outcome: not fetched yet."""
        statement = select(inventory.c.outcome, func.count()).where(inventory.c.campaign == to_stored(campaign))
        with self._database.session() as session:
            return {row[0]: int(row[1]) for row in session.run(statement.group_by(inventory.c.outcome)).fetchall()}


def _tuple_after(columns: Any, values: tuple[str, ...]) -> Any:
    """Rows after `values` in the order of `columns`."""
    one, two, three = columns
    return (one > values[0]) | ((one == values[0]) & ((two > values[1]) | ((two == values[1]) & (three > values[2]))))
