"""Labels after the arrival: of octets that a second department delivered, and of everything when the site's rules change."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import func, insert, select, update

from vna_core.catalogue.availability import refresh_series
from vna_core.catalogue.clock import now
from vna_core.catalogue.database import Database, Session
from vna_core.catalogue.entry_form import decompress, source_digest
from vna_core.catalogue.follow_ups import FollowUps
from vna_core.catalogue.header_attributes import header_attributes
from vna_core.catalogue.held import OF_INSTANCE
from vna_core.catalogue.recording import Recorder, RecordingBatch
from vna_core.catalogue.schema import headers, instances, patients, series, sources, studies, totals
from vna_core.catalogue.schema_departments import audience_labels, audiences, deliveries, emergencies
from vna_core.catalogue.standing import order_cut_versions
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.domain.access import Principal
from vna_core.domain.departments import Departments
from vna_core.domain.octets import Source

_PIECE: Final = 500
_SOURCE: Final = (sources.c.kind, sources.c.name, sources.c.address, sources.c.issuer)


@dataclass(frozen=True, slots=True)
class LabelCount:
    """How many current instances and studies have a label."""

    label: str
    studies: int
    instances: int


def delivered(session: Session, pks: Sequence[int]) -> dict[int, tuple[Source, ...]]:
    """Further sources that delivered the octets of versions, by version."""
    statement = select(deliveries.c.instance_fk, *_SOURCE).join(sources, sources.c.pk == deliveries.c.source_fk)
    found: dict[int, tuple[Source, ...]] = {}
    for pk, *texts in session.run(statement.where(deliveries.c.instance_fk.in_(list(pks)))).fetchall():
        found[pk] = (*found.get(pk, ()), Source(*(from_stored(text) for text in texts)))
    return found


class Labelling:
    """Gives versions and their parents the labels that the rules say."""

    def __init__(self, database: Database, follow_ups: FollowUps, departments: Departments) -> None:
        self._database = database
        self._departments = departments
        self._recorder = Recorder(database, follow_ups)

    def widens(self, pk: int, source: Source) -> bool:
        """Whether it would give a version further labels that another source delivered its octets. Writes nothing."""
        if not self._departments.divided:
            return False
        with self._database.session() as session:
            after = self._departments.labels(*self._facts(session, [pk])[pk], among=(source,))
            row = session.run(select(instances.c.audience).where(instances.c.pk == pk)).fetchone()
            text = session.run(select(audiences.c.labels).where(audiences.c.pk == row[0])).fetchone()
        return not set(after) <= set((text[0] if text else "").split(";"))

    def deliver(self, pk: int, source: Source) -> bool:
        """Note that another source delivered the octets of a version, where that gives it further labels.

        Returns whether it did. May be called twice.
        """
        if not self._departments.divided:
            return False
        with self._database.transaction() as session:
            batch = RecordingBatch(self._recorder, session)
            before, known = self._labels_of(session, [pk])[pk], delivered(session, [pk]).get(pk, ())
            facts = self._facts(session, [pk])[pk]
            after = self._departments.labels(*facts, among=(*known, source))
            if set(after) <= set(before):
                return False
            session.run(insert(deliveries).values(instance_fk=pk, source_fk=self._source(batch, source)))
            self._relabel(batch, {pk: frozenset(after)})
            batch.finish()
        self._recorder.parents.forget()
        return True

    def relabel_all(self, progress: Callable[[int], object] = lambda done: None) -> int:
        """Give every version the labels that the rules say now; how many changed.

        In steps of 500, each a transaction; an interrupted run is simply made again.
        """
        position, changed = 0, 0
        while True:
            with self._database.transaction() as session:
                wanted = select(instances.c.pk).where(instances.c.pk > position).order_by(instances.c.pk).limit(_PIECE)
                pks = [row[0] for row in session.run(wanted).fetchall()]
                if not pks:
                    return changed
                among, before = delivered(session, pks), self._labels_of(session, pks)
                new = {
                    pk: frozenset(self._departments.labels(*facts, among=among.get(pk, ())))
                    for pk, facts in self._facts(session, pks).items()
                }
                different = {pk: labels for pk, labels in new.items() if labels != before[pk]}
                if different:
                    batch = RecordingBatch(self._recorder, session)
                    self._relabel(batch, different)
                    batch.finish()
            self._recorder.parents.forget()
            position, changed = pks[-1], changed + len(different)
            progress(len(pks))

    def counts(self) -> list[LabelCount]:
        """Every label with how much has it, by name."""
        of_label = audience_labels.c.audience
        current = select(func.count()).where(instances.c.is_current == 1, instances.c.audience == of_label).scalar_subquery()
        of_studies = select(func.count()).where(studies.c.audience == of_label).scalar_subquery()
        statement = select(audience_labels.c.label, func.sum(of_studies), func.sum(current)).group_by(audience_labels.c.label)
        with self._database.session() as session:
            rows = session.run(statement.order_by(audience_labels.c.label)).fetchall()
        return [LabelCount(label, int(of_studies), int(of_instances)) for label, of_studies, of_instances in rows]

    def _relabel(self, batch: RecordingBatch, new: dict[int, frozenset[str]]) -> None:
        sets = self._recorder.parents.audiences
        for pk, labels in new.items():
            batch.session.run(update(instances).where(instances.c.pk == pk).values(audience=sets.key(batch, labels)))
        for series_pk in order_cut_versions(batch.session, new):  # a whole one stands for all who see the cut one, or for nobody
            refresh_series(batch.session, series_pk)
        above = select(series.c.pk, series.c.study_fk, studies.c.patient_fk).join(studies, studies.c.pk == series.c.study_fk)
        below = select(instances.c.series_fk).where(instances.c.pk.in_(list(new)))
        rows = batch.session.run(above.where(series.c.pk.in_(below))).fetchall()
        batch.touched |= {row[0] for row in rows}
        for level, table in enumerate((series, studies, patients)):
            for pk in sorted({row[level] for row in rows}):
                sets.refresh(batch, table, pk)
        batch.session.run(update(totals).where(totals.c.pk == 1).values(changes_of_parents=totals.c.changes_of_parents + 1))

    def _labels_of(self, session: Session, pks: Sequence[int]) -> dict[int, frozenset[str]]:
        sets = self._recorder.parents.audiences
        rows = session.run(select(instances.c.pk, instances.c.audience).where(instances.c.pk.in_(list(pks)))).fetchall()
        return {pk: sets.labels(session, key) for pk, key in rows}

    def _facts(self, session: Session, pks: Sequence[int]) -> dict[int, tuple[Source, str, Any]]:
        """Source, Study Instance UID and indexed attributes of versions: what the rules ask about."""
        joined = OF_INSTANCE.join(sources, sources.c.pk == instances.c.source_fk).join(
            headers, headers.c.instance_fk == instances.c.pk
        )
        columns = (instances.c.pk, studies.c.study_instance_uid, headers.c.json, *_SOURCE)
        rows = session.run(select(*columns).select_from(joined).where(instances.c.pk.in_(list(pks)))).fetchall()
        return {
            pk: (Source(*(from_stored(text) for text in texts)), from_stored(study), header_attributes(decompress(packed)))
            for pk, study, packed, *texts in rows
        }

    def _source(self, batch: RecordingBatch, source: Source) -> int:
        digest = source_digest(source)
        row = batch.session.run(select(sources.c.pk).where(sources.c.digest == digest)).fetchone()
        if row is not None:
            return int(row[0])
        pk = batch.next_pk()
        texts = {name: to_stored(getattr(source, name)) for name in ("kind", "name", "address", "issuer")}
        batch.session.run(insert(sources).values(pk=pk, digest=digest, **texts))
        return pk


class Emergencies:
    """Broken glass: who sees all departments at the moment."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def begin(self, principal: Principal, reason: str, minutes: int) -> bool:
        """Break the glass for somebody, unless it is broken; whether it was whole before."""
        at = now()
        with self._database.transaction() as session:
            if session.run(_open(principal, at)).fetchone() is not None:
                return False
            session.run(
                insert(emergencies).values(
                    principal_kind=principal.kind.value,
                    principal=to_stored(principal.name),
                    begun_at=at,
                    until=at + minutes * 60_000_000,
                    address=to_stored(principal.address),
                    reason=to_stored(reason),
                )
            )
        return True

    def reason(self, principal: Principal) -> str | None:
        """Why the glass is broken for somebody now; None while it is whole."""
        with self._database.session() as session:
            row = session.run(_open(principal, now())).fetchone()
        return None if row is None else from_stored(row[0])


def _open(principal: Principal, at: int) -> Any:
    return select(emergencies.c.reason).where(
        emergencies.c.principal_kind == principal.kind.value,
        emergencies.c.principal == to_stored(principal.name),
        emergencies.c.until > at,
    )
