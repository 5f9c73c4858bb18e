"""For which campaigns the archive answers for the whole source: from the end of the first inventory on, until everything is moved."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import delete, exists, insert, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database
from vna_core.catalogue.migration_inventories import COMPLETE
from vna_core.catalogue.schema import campaigns
from vna_core.catalogue.schema_migration import migration_counts, migration_cutovers, migration_inventories
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.domain.migration import AWAITED, InstanceState

LOOK_EVERY: Final = 2.0
"""Seconds for which it is not looked again which campaigns are in cut-over."""

_OPEN: Final = tuple(state.value for state in AWAITED)


@dataclass(frozen=True, slots=True)
class CutOverState:
    """How one campaign stands.

    Attributes
    ----------
    decided
        What somebody decided for it; None: it follows the setting.
    inventoried
        A whole inventory of its source is known.
    awaited
        Something is still to be had at the source.
    cancelled
        The campaign was given up.
    """

    campaign: str
    source: str
    decided: bool | None
    inventoried: bool
    awaited: bool
    cancelled: bool

    def answering(self, automatic: bool) -> bool:
        """Whether the archive answers for the source."""
        wanted = automatic if self.decided is None else self.decided
        return wanted and self.inventoried and self.awaited and not self.cancelled


class CutOvers:
    """Keeps what was decided, and tells which campaigns are in cut-over.

    Attributes
    ----------
    automatic
        Whether a campaign for which nobody decided is in cut-over.
    issuers
        Source of a campaign to the issuer of its Patient IDs that carry none; `issuer` for the others.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.automatic = True
        self.issuers: Mapping[str, str] = {}
        self.issuer = ""
        self.look_every = LOOK_EVERY
        self._known: Mapping[str, str] = {}
        self._looked = float("-inf")

    def active(self) -> Mapping[str, str]:
        """Campaigns in cut-over, with their issuers; almost always without a question to the database."""
        at = time.monotonic()
        if at - self._looked >= self.look_every:
            found = {
                one.campaign: self.issuers.get(one.source, self.issuer) for one in self.states() if one.answering(self.automatic)
            }
            self._known, self._looked = found, at
        return self._known

    def states(self) -> list[CutOverState]:
        """Every campaign, by name."""
        name = campaigns.c.name
        whole = exists().where(migration_inventories.c.campaign == name, migration_inventories.c.state == COMPLETE)
        counts = migration_counts.c
        open_studies = (counts.level == "study") & counts.state.in_(_OPEN)
        in_quarantine = (counts.level == "instance") & (counts.state == InstanceState.QUARANTINED.value)
        waits = exists().where(counts.campaign == name, open_studies | in_quarantine, counts.number > 0)
        decided = select(migration_cutovers.c.answering).where(migration_cutovers.c.campaign == name).scalar_subquery()
        statement = select(name, campaigns.c.source, decided, whole, waits, campaigns.c.state).order_by(name)
        with self._database.session() as session:
            rows = session.run(statement).fetchall()
        return [
            CutOverState(
                from_stored(row[0]),
                from_stored(row[1]),
                None if row[2] is None else bool(row[2]),
                bool(row[3]),
                bool(row[4]),
                row[5] == "cancelled",
            )
            for row in rows
        ]

    def decide(self, campaign: str, answering: bool | None, by: str) -> None:
        """Say whether the archive answers for a campaign's whole source; None: as the setting says."""
        columns = migration_cutovers.c
        this = columns.campaign == to_stored(campaign)
        values = {"answering": int(bool(answering)), "changed_at": now(), "changed_by": to_stored(by)}
        with self._database.transaction() as session:
            if answering is None:
                session.run(delete(migration_cutovers).where(this))
            elif not session.run(update(migration_cutovers).where(this).values(**values)).rowcount:
                session.run(insert(migration_cutovers).values(campaign=to_stored(campaign), **values))
        self._looked = float("-inf")
