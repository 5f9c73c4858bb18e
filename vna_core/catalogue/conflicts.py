"""Conflicts: versions under one SOP Instance UID that do not say the same, listed for somebody to decide."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from vna_core.catalogue.database import Database
from vna_core.catalogue.entry_form import moment
from vna_core.catalogue.held import held_rows, held_statement
from vna_core.catalogue.schema import conflicts, instances
from vna_core.catalogue.stored_text import from_stored
from vna_core.domain.instance import HeldInstance
from vna_core.domain.outcome import HELD_IS_CUT, NEW_IS_CUT


@dataclass(frozen=True, slots=True)
class Conflict:
    """Two versions that differ: ``cut-first``, ``cut-second``, ``header``, ``pixel``, ``other-parent`` or ``unclassified``."""

    pk: int
    sop_instance_uid: str
    classification: str
    detected_at: datetime
    first: HeldInstance
    second: HeldInstance

    @property
    def why(self) -> str:
        """Which of the two is current, and why."""
        if self.first.place != self.second.place:
            return "They are filed under another patient, study or series: each has its own current version."
        current = next((one for one in (self.first, self.second) if one.current), None)
        if self.classification in (HELD_IS_CUT, NEW_IS_CUT):
            cut, whole = (self.first, self.second) if self.classification == HELD_IS_CUT else (self.second, self.first)
            proof = f"version {cut.version} ends before its pixels and is, as received, how version {whole.version} begins"
            if current is cut:
                return f"Version {cut.version} is current, although {proof}: not everybody who sees it may see the whole one."
            return f"Version {whole.version} is current: {proof}." if current else f"Another version is current; {proof}."
        return "Another version is current." if current is None else f"Version {current.version} is current: it arrived first."


def listed_conflicts(database: Database, after: int, limit: int) -> list[Conflict]:
    """Conflicts in the order they were found, at most `limit` after the key `after`."""
    statement = select(*conflicts.columns).where(conflicts.c.pk > after).order_by(conflicts.c.pk).limit(limit)
    with database.session() as session:
        rows = session.run(statement).fetchall()
        wanted = sorted({pk for row in rows for pk in row[2:4]})
        held = (
            {one.pk: one for one in held_rows(session.run(held_statement(instances.c.pk.in_(wanted))).fetchall())}
            if wanted
            else {}
        )
    return [
        Conflict(pk, from_stored(uid), kind, moment(at), held[first], held[second]) for pk, uid, first, second, kind, at in rows
    ]
