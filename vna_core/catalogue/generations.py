"""Several objects of the same octets: which of them a version is, and the runs that made them.

A version stands for octets as received. Where they were normalized once more, its row tells of the object that is current;
the others stay in the stores and are listed in `generations`. Versions, copies and conflicts thus count as before.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, func, insert, select, update

from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import entry_form, microseconds, moment
from vna_core.catalogue.follow_ups import FollowUps
from vna_core.catalogue.generation_replacing import Replacing, list_first, list_generation
from vna_core.catalogue.held import held_rows, held_statement
from vna_core.catalogue.labelling import delivered
from vna_core.catalogue.recording import Recorder
from vna_core.catalogue.schema import (
    generations,
    instances,
    normalization_runs,
    series,
    sources,
    studies,
)
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.departments import UNDIVIDED, Departments
from vna_core.domain.errors import NotFound
from vna_core.domain.instance import HeldInstance, IndexEntry, Location

RUNNING: Final = "running"
DONE: Final = "done"
UNDOING: Final = "undoing"
UNDONE: Final = "undone"


@dataclass(frozen=True, slots=True)
class Scope:
    """Which versions: those of a source by its name, of a study, or all. Empty: not asked for."""

    source: str = ""
    study: str = ""

    @property
    def text(self) -> str:
        """As the ledger keeps it."""
        return json.dumps({"source": self.source, "study": self.study}, sort_keys=True)


@dataclass(frozen=True, slots=True)
class NormalizationRun:
    """One run.

    Attributes
    ----------
    position, until
        Versions of a primary key up to `position` are done; those up to `until` belong to the run.
    state
        ``running``, ``done``, ``undoing`` or ``undone``.
    """

    id: str
    scope: str
    rule_set: str
    started_at: datetime
    until: int
    state: str = RUNNING
    position: int = 0
    counts: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Generation:
    """One object made of a version's octets."""

    instance: int
    number: int
    is_current: bool
    run: str
    at: datetime
    rule_set: str
    sha256: str
    size: int
    location: Location


@dataclass(frozen=True, slots=True)
class Replacement:
    """A version and the object that is to stand for it; None as `generation`: one that is listed already."""

    pk: int
    entry: IndexEntry
    generation: int | None = None


class Generations:
    """Changes and reads which objects stand for versions."""

    def __init__(self, database: Database, follow_ups: FollowUps, departments: Departments = UNDIVIDED) -> None:
        self._database = database
        self._departments = departments
        self._recorder = Recorder(database, follow_ups)

    def save(self, run: NormalizationRun) -> None:
        """Add a run, or change its state, position and counts."""
        with self._database.transaction() as session:
            _save(session, run)

    def begin(self, run_id: str, scope: Scope, rule_set: str, started_at: datetime) -> NormalizationRun:
        """Add a run over everything that is held now."""
        with self._database.transaction() as session:
            (last,) = session.run(select(func.max(instances.c.pk))).fetchone()
            run = NormalizationRun(run_id, scope.text, rule_set, started_at, int(last or 0))
            _save(session, run)
        return run

    def run(self, run_id: str) -> NormalizationRun:
        """One run. Raises NotFound."""
        found = self._runs(normalization_runs.c.id == run_id)
        if not found:
            raise NotFound("No run of re-normalization has this id.", run=run_id)
        return found[0]

    def unfinished(self, scope: Scope, rule_set: str) -> NormalizationRun | None:
        """The run of this scope and these rules that did not come to its end."""
        columns = normalization_runs.c
        wanted = (columns.scope == to_stored(scope.text)) & (columns.rule_set == rule_set) & (columns.state == RUNNING)
        return next(iter(self._runs(wanted)), None)

    def runs(self) -> list[NormalizationRun]:
        """All runs, oldest first."""
        return self._runs()

    def _runs(self, *conditions: ColumnElement[bool]) -> list[NormalizationRun]:
        columns = normalization_runs.c
        statement = select(*columns).where(*conditions).order_by(columns.started_at, columns.id)
        with self._database.session() as session:
            rows = session.run(statement).fetchall()
        return [
            NormalizationRun(
                row[0], from_stored(row[1]), row[2], moment(row[4]), row[7], row[3], row[6], json.loads(from_stored(row[8]))
            )
            for row in rows
        ]

    def count(self, scope: Scope, after: int, until: int) -> int:
        """How many versions a scope has between two primary keys."""
        statement = _of_scope(select(func.count(instances.c.pk)), scope)
        with self._database.session() as session:
            row = session.run(statement.where(instances.c.pk > after, instances.c.pk <= until)).fetchone()
        return int(row[0])

    def page(self, scope: Scope, after: int, until: int, limit: int = 100) -> list[HeldInstance]:
        """Versions of a scope, current or not, by primary key."""
        wanted = _of_scope(select(instances.c.pk), scope).where(instances.c.pk > after, instances.c.pk <= until)
        with self._database.session() as session:
            pks = [row[0] for row in session.run(wanted.order_by(instances.c.pk).limit(limit)).fetchall()]
            return held_rows(session.run(held_statement(instances.c.pk.in_(pks))).fetchall()) if pks else []

    def last(self) -> int:
        """The highest primary key of a version."""
        with self._database.session() as session:
            row = session.run(select(func.max(instances.c.pk))).fetchone()
        return int(row[0] or 0)

    def of_version(self, pk: int) -> list[Generation]:
        """All objects made of a version's octets by number; empty when there is only the one made on arrival."""
        return self._listed(generations.c.instance_fk == pk)

    def of_run(self, run_id: str, after: int, limit: int = 100) -> list[Generation]:
        """Objects that a run made, by the primary key of their version."""
        return self._listed((generations.c.run == run_id) & (generations.c.instance_fk > after), limit)

    def knows(self, key: str, offset: int = 0) -> bool:
        """Whether an object under this key, at this offset of it, is listed, current or not."""
        return bool(self._listed((generations.c.key == to_stored(key)) & (generations.c.offset == offset), 1))

    def _listed(self, condition: ColumnElement[bool], limit: int = 10_000) -> list[Generation]:
        columns = generations.c
        statement = select(*columns).where(condition).order_by(columns.instance_fk, columns.generation).limit(limit)
        with self._database.session() as session:
            rows = session.run(statement).fetchall()
        return [
            Generation(
                row[0],
                row[1],
                bool(row[2]),
                row[3],
                moment(row[4]),
                row[5],
                row[6],
                row[7],
                Location(from_stored(row[8]), from_stored(row[9]), row[10], row[7]),
            )
            for row in rows
        ]

    def list_only(self, pk: int, entry: IndexEntry) -> None:
        """List an object of a version's octets that is not to be current."""
        with self._database.transaction() as session:
            list_first(session, pk)
            list_generation(session, pk, entry, is_current=False)

    def replace(self, changes: Sequence[Replacement], run: NormalizationRun | None = None) -> None:
        """Make other objects stand for versions, and note how far the run is: all in one transaction.

        Parents are those the new objects name; what they take from versions is looked for again.
        """
        with self._database.transaction() as session:
            among = delivered(session, [change.pk for change in changes]) if self._departments.divided else {}
            forms = [
                (change.pk, entry_form(change.entry, {}, (), self._departments, among.get(change.pk, ()))) for change in changes
            ]
            if forms:
                Replacing(self._database, self._recorder, session).replace(forms)
            if run is not None:
                _save(session, run)


def _of_scope(statement: Any, scope: Scope) -> Any:
    if scope.source:
        statement = statement.join(sources, sources.c.pk == instances.c.source_fk).where(
            sources.c.name == to_stored(scope.source)
        )
    if scope.study:
        statement = (
            statement.join(series, series.c.pk == instances.c.series_fk)
            .join(studies, studies.c.pk == series.c.study_fk)
            .where(studies.c.study_instance_uid == identifier(scope.study))
        )
    return statement


def _save(session: Session, run: NormalizationRun) -> None:
    at = now()
    values = {
        "state": run.state,
        "updated_at": at,
        "position": run.position,
        "until": run.until,
        "counts": to_stored(json.dumps(dict(run.counts))),
    }
    changed = session.run(update(normalization_runs).where(normalization_runs.c.id == run.id).values(**values))
    if not changed.rowcount:
        first = {"scope": to_stored(run.scope), "rule_set": run.rule_set, "started_at": microseconds(run.started_at)}
        session.run(insert(normalization_runs).values(id=run.id, **first, **values))


def advanced(run: NormalizationRun, position: int, **more: int) -> NormalizationRun:
    """The run a step further."""
    counts = {name: run.counts.get(name, 0) + more.get(name, 0) for name in {*run.counts, *more}}
    return replace(run, position=position, counts=counts)
