"""Migrations from one source each: their state and what their runner wants to find again. What they move is in the ledger."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import insert, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database
from vna_core.catalogue.schema import campaigns
from vna_core.catalogue.stored_text import from_stored, to_stored


@dataclass(frozen=True, slots=True)
class Campaign:
    """One migration from one source.

    Attributes
    ----------
    source
        URL of the source without secrets, or its name in the configuration.
    state
        ``planned``, ``running``, ``paused``, ``cancelled``, ``complete`` or ``incomplete``.
    details
        Whatever its runner wants to find again (JSON).
    """

    name: str
    source: str
    state: str = "running"
    details: Mapping[str, Any] = field(default_factory=dict)


class Campaigns:
    """Keeps campaigns."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def save(self, campaign: Campaign) -> None:
        """Add a campaign, or change its state and details."""
        at = now()
        name, source = to_stored(campaign.name), to_stored(campaign.source)
        values = {"source": source, "state": campaign.state, "updated_at": at, "details": json.dumps(dict(campaign.details))}
        with self._database.transaction() as session:
            changed = session.run(update(campaigns).where(campaigns.c.name == name).values(**values))
            if not changed.rowcount:
                session.run(insert(campaigns).values(name=name, started_at=at, **values))

    def set_state(self, name: str, state: str) -> None:
        """Change the state alone. An unknown campaign is passed over."""
        with self._database.transaction() as session:
            session.run(update(campaigns).where(campaigns.c.name == to_stored(name)).values(state=state, updated_at=now()))

    def load(self, name: str) -> Campaign | None:
        """One campaign by its name."""
        found = self._select(campaigns.c.name == to_stored(name))
        return found[0] if found else None

    def listed(self) -> list[Campaign]:
        """All campaigns, by name."""
        return self._select()

    def _select(self, *conditions: Any) -> list[Campaign]:
        columns = (campaigns.c.name, campaigns.c.source, campaigns.c.state, campaigns.c.details)
        with self._database.session() as session:
            rows = session.run(select(*columns).where(*conditions).order_by(campaigns.c.name)).fetchall()
        return [Campaign(from_stored(row[0]), from_stored(row[1]), row[2], json.loads(row[3])) for row in rows]
