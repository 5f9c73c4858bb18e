"""Jobs that are asked for in every transaction that adds or replaces versions, one for each series it touches."""

from __future__ import annotations

from collections.abc import Iterable

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database, Prepared, Session
from vna_core.catalogue.jobs import asking
from vna_core.domain.jobs import NORMAL


class FollowUps:
    """Kinds of jobs that follow a change; none, until somebody asks for one. Their key is the primary key of the series."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kinds: dict[str, tuple[Prepared, int]] = {}

    def follow(self, kind: str, *, delay: float, postpone: bool = False, priority: int = NORMAL) -> None:
        """Have jobs of a kind follow, free `delay` seconds after the first change, or after the last one (`postpone`)."""
        statement = asking(self._database.is_postgresql, kind, "", {}, priority, delay, postpone)
        self._kinds[kind] = (self._database.prepare(statement), round(delay * 1e6))

    def ask(self, session: Session, series_pks: Iterable[int]) -> None:
        """Ask for the jobs about some series inside a transaction."""
        if not self._kinds:
            return
        at, pks = now(), sorted(series_pks)
        for prepared, delay in self._kinds.values():
            rows = [prepared.arrange({"key": str(pk), "created_at": at, "free_at": at + delay}) for pk in pks]
            session.executemany(prepared.sql, rows)
