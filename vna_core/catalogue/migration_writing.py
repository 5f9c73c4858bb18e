"""One transaction that changes the ledger of a migration: rows, their history and the counts go together or not at all."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import bindparam, case, insert, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.migration_rows import InstanceEnd, LedgerInstance
from vna_core.catalogue.schema_migration import (
    migration_counts,
    migration_exceptions,
    migration_instances,
    migration_studies,
    migration_transitions,
)
from vna_core.catalogue.stored_text import identifier, to_stored
from vna_core.catalogue.upserts import upsert
from vna_core.domain.migration import AWAITED, OF_A_MOMENT, StudyState, may_follow

DETAIL: Final = 300
"""Characters of a detail that are kept."""

FETCHES: Final = ("fetch", "fetch-again")
"""Rules by which an instance ends whose octets came from the source."""

FETCHED: Final = "fetched"
UNLISTED: Final = "unlisted"
"""Levels of counts beside those of studies and instances: what was fetched, and studies that the source does not list any more."""

_PIECE: Final = 400
_HISTORY: Final = ("study_fk", "instance_fk", "old", "new", "at", "worker", "rule", "detail")


class Statements:
    """Statements compiled once for a database."""

    def __init__(self, database: Database) -> None:
        self.history = database.prepare(insert(migration_transitions).values({name: bindparam(name) for name in _HISTORY}))
        changed = ("state", "outcome", "detail", "received_sha256", "received_size", "stored_sop_instance_uid", "quarantine_id")
        self.instance = database.prepare(
            update(migration_instances)
            .where(migration_instances.c.pk == bindparam("this"))
            .values({name: bindparam(name) for name in (*changed, "updated_at")} | {"tries": migration_instances.c.tries + 1})
        )
        counting = upsert(database.is_postgresql, migration_counts)
        keys = ("campaign", "level", "state", "outcome")
        counting = counting.values({name: bindparam(name) for name in (*keys, "number", "octets")})
        counted = {name: migration_counts.c[name] + counting.excluded[name] for name in ("number", "octets")}
        self.count = database.prepare(counting.on_conflict_do_update(index_elements=list(keys), set_=counted))
        opened = upsert(database.is_postgresql, migration_exceptions)
        names = ("campaign", "study_fk", "instance_fk", "reason", "state", "detail", "sample", "cause", "opened_at")
        opened = opened.values({name: bindparam(name) for name in names})
        held = migration_exceptions.c
        accepted = (held.state == "accepted") & (held.cause == opened.excluded.cause)
        again = {"state": case((accepted, "accepted"), else_="open"), "times": held.times + 1} | {
            name: opened.excluded[name] for name in ("detail", "sample", "cause")
        }
        self.exception = database.prepare(
            opened.on_conflict_do_update(index_elements=["campaign", "study_fk", "instance_fk", "reason"], set_=again)
        )


class Writing:
    """What one worker changes in one transaction; `close` writes the history and the counts."""

    def __init__(self, statements: Statements, session: Session, campaign: str, worker: str) -> None:
        self._statements, self.session = statements, session
        self._campaign, self._worker = to_stored(campaign), to_stored(worker)
        self._history: list[list[Any]] = []
        self._counts: dict[tuple[str, str, str], list[int]] = defaultdict(lambda: [0, 0])
        self.at = now()

    def note(self, study: int, instance: int, old: str, new: str, rule: str, detail: str = "") -> None:
        """Add one entry to the history."""
        values = {
            "study_fk": study,
            "instance_fk": instance,
            "old": old,
            "new": new,
            "at": self.at,
            "worker": self._worker,
            "rule": to_stored(rule),
            "detail": to_stored(detail[:DETAIL]),
        }
        self._history.append(self._statements.history.arrange(values))

    def count(self, level: str, state: str, outcome: str = "", number: int = 1, octets: int = 0) -> None:
        """Change a count."""
        held = self._counts[level, state, outcome]
        held[0] += number
        held[1] += octets

    def move_study(
        self, pk: int, new: StudyState, rule: str, detail: str = "", only_from: Sequence[StudyState] = (), **values: Any
    ) -> bool:
        """Bring a study to a state where the table of moves allows it; whether it was."""
        row = self.session.run(select(migration_studies.c.state).where(migration_studies.c.pk == pk)).fetchone()
        if row is None:
            return False
        old = StudyState(row[0])
        if not may_follow(old, new) or (only_from and old not in only_from):
            return False
        self.session.run(
            update(migration_studies)
            .where(migration_studies.c.pk == pk)
            .values(state=new.value, awaited=int(new in AWAITED), updated_at=self.at, **values)
        )
        self.note(pk, 0, old.value, new.value, rule, detail)
        self.count("study", old.value, number=-1)
        self.count("study", new.value)
        return True

    def end_instances(self, study: int, ends: Sequence[InstanceEnd]) -> None:
        """Note how instances of one study ended."""
        rows = []
        for end in ends:
            old = end.instance
            rows.append(
                self._statements.instance.arrange(
                    {
                        "this": old.pk,
                        "state": end.state.value,
                        "outcome": end.outcome,
                        "detail": to_stored(end.detail[:DETAIL]),
                        "received_sha256": end.received_sha256,
                        "received_size": end.received_size,
                        "stored_sop_instance_uid": identifier(end.stored_sop_instance_uid),
                        "quarantine_id": to_stored(end.quarantine_id),
                        "updated_at": self.at,
                    }
                )
            )
            self.note(study, old.pk, old.state.value, end.state.value, end.rule, end.outcome or end.detail)
            self.count("instance", old.state.value, old.outcome, -1, -old.received_size)
            self.count("instance", end.state.value, end.outcome, 1, end.received_size)
            if end.rule in FETCHES and end.received_sha256:
                self.count(FETCHED, "delivered", number=1, octets=end.received_size)
        self.session.executemany(self._statements.instance.sql, rows)

    def prove(self, study: int, instances: Sequence[LedgerInstance], proof: str) -> None:
        """Note what was proven about instances: ``digest`` or ``pixel``."""
        for one in instances:
            self.session.run(update(migration_instances).where(migration_instances.c.pk == one.pk).values(proof=proof))
            self.note(study, one.pk, one.state.value, one.state.value, f"verify-{proof}")

    def except_(
        self, reason: str, study: int = 0, instance: int = 0, detail: str = "", sample: str = "", cause: str = ""
    ) -> None:
        """Put something on the worklist, or count it there once more. What somebody accepted stays so while its cause is the same.

        Parameters
        ----------
        cause
            What tells this from another matter that reads alike, beside `detail` and `sample`: digests, say.
        """
        moment = str(self.at) if reason in OF_A_MOMENT else ""
        values = {
            "campaign": self._campaign,
            "study_fk": study,
            "instance_fk": instance,
            "reason": reason,
            "state": "open",
            "detail": to_stored(detail[:DETAIL]),
            "sample": to_stored(sample[:DETAIL]),
            "cause": _digest(detail, sample, cause, moment),
            "opened_at": self.at,
        }
        self.session.execute(self._statements.exception.sql, self._statements.exception.arrange(values))

    def is_accepted(self, reason: str, study: int, instance: int) -> bool:
        """Whether somebody accepted an entry of the worklist, and it stands so."""
        held = migration_exceptions.c
        this = (held.campaign == self._campaign) & (held.study_fk == study) & (held.instance_fk == instance)
        accepted = select(held.pk).where(this, held.reason == reason, held.state == "accepted")
        return self.session.run(accepted).fetchone() is not None

    def solve(
        self,
        study: int,
        reasons: Sequence[str],
        rule: str,
        instance: int | None = None,
        states: Sequence[str] = ("open", "retried"),
    ) -> None:
        """Take from the worklist what a later transition has cured, where it stands there in one of these states."""
        exceptions = migration_exceptions.c
        of_study = (exceptions.campaign == self._campaign) & (exceptions.study_fk == study) & exceptions.reason.in_(list(reasons))
        if instance is not None:
            of_study &= exceptions.instance_fk == instance
        self.session.run(
            update(migration_exceptions)
            .where(of_study, exceptions.state.in_(list(states)))
            .values(state="solved", closed_at=self.at, closed_by=self._worker, note=to_stored(rule))
        )

    def retried(self, keys: Sequence[int], note: str) -> None:
        """Take entries of the worklist whose matter is asked for again from it, by their keys."""
        exceptions = migration_exceptions.c
        for at in range(0, len(keys), _PIECE):
            these = exceptions.pk.in_(list(keys[at : at + _PIECE])) & (exceptions.state == "open")
            closed = {"state": "retried", "closed_at": self.at, "closed_by": self._worker, "note": to_stored(note)}
            self.session.run(update(migration_exceptions).where(these).values(**closed))

    def reopen(self, study: int, reasons: Sequence[str], detail: str, instance: int = 0) -> None:
        """Put what was asked for again, and is as it was, back on the worklist."""
        exceptions = migration_exceptions.c
        these = (exceptions.campaign == self._campaign) & (exceptions.study_fk == study) & (exceptions.instance_fk == instance)
        self.session.run(
            update(migration_exceptions)
            .where(these, exceptions.reason.in_(list(reasons)), exceptions.state == "retried")
            .values(state="open", detail=to_stored(detail[:DETAIL]), times=exceptions.times + 1)
        )

    def accept(self, study: int, reason: str, by: str, note: str) -> None:
        """Close an entry of the worklist that somebody had accepted beforehand."""
        exceptions = migration_exceptions.c
        this = (exceptions.campaign == self._campaign) & (exceptions.study_fk == study) & (exceptions.reason == reason)
        self.session.run(
            update(migration_exceptions)
            .where(this, exceptions.state == "open")
            .values(state="accepted", closed_at=self.at, closed_by=to_stored(by), note=to_stored(note))
        )

    def close(self) -> None:
        """Write what was noted and counted."""
        self.session.executemany(self._statements.history.sql, self._history)
        rows = [
            self._statements.count.arrange(
                {
                    "campaign": self._campaign,
                    "level": level,
                    "state": state,
                    "outcome": outcome,
                    "number": number,
                    "octets": octets,
                }
            )
            for (level, state, outcome), (number, octets) in self._counts.items()
            if number or octets
        ]
        self.session.executemany(self._statements.count.sql, rows)


def _digest(*told: str) -> str:
    return hashlib.sha256("\0".join(told).encode("utf-8", "surrogatepass")).hexdigest()[:32]
