"""Several objects of the same octets: which of them a version is, and the runs that made them.

A version stands for octets as received. Where they were normalized once more, its row tells of the object that is current;
the others stay in the stores and are listed in `generations`. Versions, copies and conflicts thus count as before.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, func, insert, select, update

from vna_core.catalogue.availability import refresh_series
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import EntryForm, entry_form, microseconds, moment
from vna_core.catalogue.follow_ups import FollowUps
from vna_core.catalogue.held import held_rows, held_statement
from vna_core.catalogue.labelling import delivered
from vna_core.catalogue.parent_changes import ParentChanges
from vna_core.catalogue.parents import Parents
from vna_core.catalogue.recording import Recorder, RecordingBatch
from vna_core.catalogue.schema import (
    generations,
    headers,
    instances,
    locations,
    normalization_runs,
    series,
    sources,
    studies,
    totals,
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
            _list_first(session, pk)
            _list(session, pk, entry, is_current=False)

    def replace(self, changes: Sequence[Replacement], run: NormalizationRun | None = None) -> None:
        """Make other objects stand for versions, and note how far the run is: all in one transaction.

        Parents are those the new objects name; what they take from versions is looked for again.
        """
        with self._database.transaction() as session:
            among = delivered(session, [change.pk for change in changes]) if self._departments.divided else {}
            forms = [
                (change, entry_form(change.entry, {}, (), self._departments, among.get(change.pk, ()))) for change in changes
            ]
            if forms:
                _Replacing(self._database, self._recorder, session).replace(forms)
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
    now = time.time_ns() // 1000
    values = {
        "state": run.state,
        "updated_at": now,
        "position": run.position,
        "until": run.until,
        "counts": to_stored(json.dumps(dict(run.counts))),
    }
    changed = session.run(update(normalization_runs).where(normalization_runs.c.id == run.id).values(**values))
    if not changed.rowcount:
        first = {"scope": to_stored(run.scope), "rule_set": run.rule_set, "started_at": microseconds(run.started_at)}
        session.run(insert(normalization_runs).values(id=run.id, **first, **values))


def _list_first(session: Session, pk: int) -> None:
    """List the object made on arrival, when it was the only one up to now."""
    if session.run(select(generations.c.generation).where(generations.c.instance_fk == pk).limit(1)).fetchone() is not None:
        return
    columns = (instances.c.received_at, instances.c.rule_set, instances.c.sha256, instances.c.size)
    place = (locations.c.store, locations.c.key, locations.c.offset)
    joined = instances.outerjoin(locations, locations.c.instance_fk == instances.c.pk)
    statement = select(*columns, *place).select_from(joined).where(instances.c.pk == pk).order_by(locations.c.ordinal).limit(1)
    at, rule_set, sha256, size, store, key, offset = session.run(statement).fetchone()
    session.run(
        insert(generations).values(
            instance_fk=pk,
            generation=0,
            is_current=1,
            run="",
            at=at,
            rule_set=rule_set,
            sha256=sha256,
            size=size,
            store=store or "",
            key=key or "",
            offset=offset or 0,
        )
    )


def _list(session: Session, pk: int, entry: IndexEntry, *, is_current: bool) -> None:
    made = entry.renormalization
    number = made.generation if made is not None else 0
    listed = (generations.c.instance_fk == pk) & (generations.c.generation == number)
    session.run(delete(generations).where(listed))
    session.run(
        insert(generations).values(
            instance_fk=pk,
            generation=number,
            is_current=int(is_current),
            run=made.run if made is not None else "",
            at=microseconds(made.at if made is not None else entry.received_at),
            rule_set=entry.rule_set,
            sha256=entry.sha256,
            size=entry.size,
            store=to_stored(entry.location.store),
            key=to_stored(entry.location.key),
            offset=entry.location.offset,
        )
    )


class _Replacing:
    """One transaction that makes other objects stand for versions."""

    def __init__(self, database: Database, recorder: Recorder, session: Session) -> None:
        self._session = session
        self._batch = RecordingBatch(recorder, session)
        self._parents = Parents(database)
        self._gone: set[tuple[int, str]] = set()
        self._series: set[int] = set()
        self._chains: set[tuple[int, str]] = set()

    def replace(self, forms: Iterable[tuple[Replacement, EntryForm]]) -> None:
        """Everything that changes, rows first, then what depends on them."""
        for change, form in forms:
            self._replace(change.pk, form)
        self._batch.flush()
        for series_pk, uid in sorted(self._chains):
            self._order(series_pk, uid)
        self._bring_parents_up_to_date()
        for series_pk in sorted(self._series):
            refresh_series(self._session, series_pk)
        self._batch.touched |= self._series
        self._batch.finish()
        self._session.run(update(totals).where(totals.c.pk == 1).values(changes_of_parents=totals.c.changes_of_parents + 1))

    def _replace(self, pk: int, form: EntryForm) -> None:
        entry, session = form.entry, self._session
        columns = (instances.c.series_fk, instances.c.sop_instance_uid, instances.c.received_at, instances.c.sha256)
        row = session.run(select(*columns, instances.c.size).where(instances.c.pk == pk)).fetchone()
        if row is None:
            raise NotFound("The catalogue holds no such version.", pk=pk)
        series_before, uid_before, received_at, sha256, size = row
        _list_first(session, pk)
        patient = self._parents.patient(self._batch, form)
        study = self._parents.study(self._batch, patient, form)
        series_pk = self._parents.series_of(self._batch, study, form).pk
        self._batch.flush()
        session.run(delete(locations).where(locations.c.instance_fk == pk))
        store, key, offset, length = form.location
        session.run(
            insert(locations).values(instance_fk=pk, ordinal=0, store=store, key=key, offset=offset, length=length, state="ok")
        )
        audience = self._parents.audiences.key(self._batch, form.labels)
        session.run(
            update(instances).where(instances.c.pk == pk).values(series_fk=series_pk, audience=audience, **_columns(form))
        )
        session.run(update(headers).where(headers.c.instance_fk == pk).values(json=form.header, provenance=form.provenance))
        session.run(update(generations).where(generations.c.instance_fk == pk).values(is_current=0))
        _list(session, pk, entry, is_current=True)
        self._batch.count("bytes", entry.size - size)
        self._gone.add((received_at, sha256))
        self._series |= {series_before, series_pk}
        self._chains |= {(series_before, uid_before), (series_pk, form.sop_instance_uid)}

    def _order(self, series_pk: int, uid: str) -> None:
        """Number the versions of an instance in a series by time of arrival; the first is current."""
        columns = (instances.c.received_at, instances.c.sha256, instances.c.pk)
        statement = select(*columns).where(instances.c.series_fk == series_pk, instances.c.sop_instance_uid == uid)
        for number, (_, _, pk) in enumerate(sorted(tuple(row) for row in self._session.run(statement).fetchall()), 1):
            self._session.run(update(instances).where(instances.c.pk == pk).values(version=number, is_current=int(number == 1)))

    def _bring_parents_up_to_date(self) -> None:
        changes = ParentChanges(self._batch, self._parents, frozenset(self._gone))
        above = select(series.c.pk, series.c.study_fk, studies.c.patient_fk).join(studies, studies.c.pk == series.c.study_fk)
        rows = self._session.run(above.where(series.c.pk.in_(sorted(self._series)))).fetchall()
        for pk in sorted({row[0] for row in rows}):
            changes.series(pk)
        for pk in sorted({row[1] for row in rows}):
            changes.study(pk)
        for pk in sorted({row[2] for row in rows}):
            changes.patient(pk)


def _columns(form: EntryForm) -> dict[str, Any]:
    """Columns of `instances` that an object decides, but its series."""
    entry = form.entry
    names = [column.name for column in instances.columns]
    first = names.index("series_fk") + 1
    return dict(zip(names[first : first + len(form.image)], form.image, strict=True)) | {
        "transfer_syntax_uid": entry.transfer_syntax_uid,
        "sha256": entry.sha256,
        "size": entry.size,
        "data_set_offset": entry.data_set_offset,
        "trailer_offset": entry.trailer_offset,
        "pixel_offset": form.pixels[0],
        "pixel_length": form.pixels[1],
        "frame_count": entry.number_of_frames,
        "rule_set": entry.rule_set,
        "crc32c": entry.crc32c,
    }


def advanced(run: NormalizationRun, position: int, **more: int) -> NormalizationRun:
    """The run a step further."""
    counts = {name: run.counts.get(name, 0) + more.get(name, 0) for name in {*run.counts, *more}}
    return replace(run, position=position, counts=counts)
