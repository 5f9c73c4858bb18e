"""What the ledger of migrations answers. Whatever may be large is read in pieces by key, so that memory stays flat."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Column, func, literal, or_, select, union_all

from vna_core.catalogue.awaited_rows import COLUMNS, study_of_row
from vna_core.catalogue.database import Database
from vna_core.catalogue.entry_form import moment
from vna_core.catalogue.migration_decoding import INSTANCE, STUDY, instance_of, instances_of, study_of
from vna_core.catalogue.migration_rows import ExceptionEntry, LedgerInstance, LedgerStudy, Tally, Transition
from vna_core.catalogue.schema import instances, patients, series, sources, studies
from vna_core.catalogue.schema_federation import rejections
from vna_core.catalogue.schema_migration import (
    migration_counts,
    migration_exceptions,
    migration_instances,
    migration_studies,
    migration_transitions,
)
from vna_core.catalogue.schema_stewardship import deleted_versions, deletions
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.errors import NotFound
from vna_core.domain.migration import MOVED, InstanceState, StudyState
from vna_core.domain.stewardship import UNDOING, UNDONE, Extent

_PIECE: Final = 500
_UNTOLD: Final = (literal(0), literal(""))
"""Size and source of what is hidden: nobody asks for them."""


@dataclass(frozen=True, slots=True)
class HeldBefore:
    """What the catalogue holds under a SOP Instance UID: where it is filed, which octets, and from which source."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    original_sha256: str
    original_size: int
    source: str


class LedgerReader:
    """Reads the ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def study(self, pk: int) -> LedgerStudy:
        """One study by its key. Raises NotFound."""
        found = self._studies(migration_studies.c.pk == pk)
        if not found:
            raise NotFound("The ledger has no such study.", pk=pk)
        return found[0]

    def study_by_uid(self, campaign: str, study_instance_uid: str) -> LedgerStudy | None:
        """One study of a campaign."""
        columns = migration_studies.c
        found = self._studies(
            columns.campaign == to_stored(campaign), columns.study_instance_uid == identifier(study_instance_uid)
        )
        return found[0] if found else None

    def studies(self, campaign: str, states: Sequence[StudyState] = ()) -> Iterator[LedgerStudy]:
        """Studies of a campaign (in these states) by key."""
        columns, last = migration_studies.c, 0
        wanted = [columns.state.in_([state.value for state in states])] if states else []
        while piece := self._studies(columns.campaign == to_stored(campaign), columns.pk > last, *wanted, limit=_PIECE):
            yield from piece
            last = piece[-1].pk

    def to_be_asked(self, campaign: str, inventory: int, limit: int = _PIECE, after: int = 0) -> list[LedgerStudy]:
        """Studies of an inventory whose instances it does not know yet, by key, behind the key `after`."""
        columns = migration_studies.c
        return self._studies(
            columns.campaign == to_stored(campaign),
            columns.instances_inventory < inventory,
            columns.last_inventory == inventory,
            columns.pk > after,
            limit=limit,
        )

    def fetched_before(self, campaign: str) -> tuple[str, str, str] | None:
        """Study, series and SOP Instance UID of something that the source delivered and still lists; None: it has not yet."""
        mine = (migration_studies.c.campaign == to_stored(campaign)) & migration_studies.c.state.in_([one.value for one in MOVED])
        came = (migration_instances.c.state == InstanceState.STORED.value) & (migration_instances.c.received_sha256 != "")
        listed = came & (migration_instances.c.removed_inventory == 0)
        uids = (migration_instances.c.series_instance_uid, migration_instances.c.sop_instance_uid)
        joined = migration_studies.join(migration_instances, migration_instances.c.study_fk == migration_studies.c.pk)
        statement = select(migration_studies.c.study_instance_uid, *uids).select_from(joined).where(mine, listed).limit(1)
        with self._database.session() as session:
            row = session.run(statement).fetchone()
        return None if row is None else (from_stored(row[0]), from_stored(row[1]), from_stored(row[2]))

    def _studies(self, *conditions: Any, limit: int | None = None) -> list[LedgerStudy]:
        statement = select(*STUDY).where(*conditions).order_by(migration_studies.c.pk)
        with self._database.session() as session:
            rows = session.run(statement if limit is None else statement.limit(limit)).fetchall()
        return [study_of(row) for row in rows]

    def instances(self, study: int) -> list[LedgerInstance]:
        """Every instance of a study that an inventory named, in the order it was first named."""
        with self._database.session() as session:
            return instances_of(session, study)

    def snapshot(self, campaign: str, inventory: int) -> Iterator[tuple[str, str, str, str]]:
        """Study, series, SOP Instance and SOP Class UID of what an inventory lists, sorted."""
        for study, rows in self.by_uid(campaign):
            for one, first, removed in rows:
                if first <= inventory and (removed == 0 or removed > inventory):
                    yield study.study_instance_uid, one.series_instance_uid, one.sop_instance_uid, one.sop_class_uid

    def by_uid(self, campaign: str) -> Iterator[tuple[LedgerStudy, list[tuple[LedgerInstance, int, int]]]]:
        """Studies in the order of their UIDs with their instances in that of theirs, each with the number of the inventory that
        named it first and of the one that named it no more (0: it still does)."""
        for row, found in self._by_uid(campaign, STUDY):
            yield study_of(row), found

    def described(self, campaign: str) -> Iterator[tuple[Mapping[int, tuple[str, ...]], list[tuple[LedgerInstance, int, int]]]]:
        """As `by_uid`, with everything that the source tells of a study, by tag."""
        for row, found in self._by_uid(campaign, COLUMNS):
            yield study_of_row(row, {}).attributes, found

    def _by_uid(
        self, campaign: str, wanted: Sequence[Column[Any]]
    ) -> Iterator[tuple[Sequence[Any], list[tuple[LedgerInstance, int, int]]]]:
        columns, last = migration_studies.c, ""
        of_uid = [one.name for one in wanted].index("study_instance_uid")
        extra = (migration_instances.c.first_inventory, migration_instances.c.removed_inventory)
        order = (migration_instances.c.series_instance_uid, migration_instances.c.sop_instance_uid)
        with self._database.session() as session:
            while True:
                statement = select(*wanted).where(columns.campaign == to_stored(campaign), columns.study_instance_uid > last)
                rows = session.run(statement.order_by(columns.study_instance_uid).limit(_PIECE)).fetchall()
                for row in rows:
                    below = select(*INSTANCE, *extra).where(migration_instances.c.study_fk == row[0]).order_by(*order)
                    found = session.run(below).fetchall()
                    yield row, [(instance_of(one[:-2]), one[-2], one[-1]) for one in found]
                if len(rows) < _PIECE:
                    return
                last = rows[-1][of_uid]

    def tallies(self, campaign: str) -> list[Tally]:
        """How many studies and instances are in each state; the cost does not grow with the campaign."""
        columns = tuple(migration_counts.c[name] for name in Tally.__dataclass_fields__)
        with self._database.session() as session:
            rows = session.run(select(*columns).where(migration_counts.c.campaign == to_stored(campaign))).fetchall()
        return [Tally(*row) for row in rows if row[3]]

    def transitions(self, study: int, instance: int | None = None) -> list[Transition]:
        """History of a study and its instances, in the order it happened."""
        columns = migration_transitions.c
        statement = select(
            columns.study_fk,
            columns.instance_fk,
            columns.old,
            columns.new,
            columns.at,
            columns.worker,
            columns.rule,
            columns.detail,
        ).where(columns.study_fk == study)
        if instance is not None:
            statement = statement.where(columns.instance_fk == instance)
        with self._database.session() as session:
            rows = session.run(statement.order_by(columns.pk)).fetchall()
        return [_transition(row) for row in rows]

    def exceptions(
        self, campaign: str, *, reason: str | None = None, state: str | None = "open", after: int = 0, limit: int = 1000
    ) -> list[ExceptionEntry]:
        """Entries of the worklist, oldest first, behind the key `after`."""
        columns = migration_exceptions.c
        joined = migration_exceptions.outerjoin(migration_studies, migration_studies.c.pk == columns.study_fk).outerjoin(
            migration_instances, migration_instances.c.pk == columns.instance_fk
        )
        wanted = [columns.campaign == to_stored(campaign), columns.pk > after]
        wanted += [] if reason is None else [columns.reason == reason]
        wanted += [] if state is None else [columns.state == state]
        fields = (
            "pk",
            "study_fk",
            "instance_fk",
            "reason",
            "state",
            "detail",
            "sample",
            "times",
            "opened_at",
            "closed_by",
            "note",
        )
        other = tuple(migration_studies.c[name] for name in ("study_instance_uid", "study_date", "modalities"))
        statement = select(*(columns[name] for name in fields), *other, migration_instances.c.sop_instance_uid)
        with self._database.session() as session:
            rows = session.run(statement.select_from(joined).where(*wanted).order_by(columns.pk).limit(limit)).fetchall()
        return [_exception(row) for row in rows]

    def exception_counts(self, campaign: str) -> dict[tuple[str, str], int]:
        """How many entries of each reason are in each state."""
        columns = migration_exceptions.c
        statement = select(columns.reason, columns.state, func.count()).where(columns.campaign == to_stored(campaign))
        with self._database.session() as session:
            rows = session.run(statement.group_by(columns.reason, columns.state)).fetchall()
        return {(row[0], row[1]): int(row[2]) for row in rows}

    # -- against the catalogue --------------------------------------------------------------------------------------------

    def held(self, sop_instance_uids: Sequence[str]) -> list[HeldBefore]:
        """Versions that the catalogue holds of instances, by UID; also those that are hidden while their octets are kept: rejected, or set aside."""
        found: list[HeldBefore] = []
        away = deleted_versions.c
        rejected = (
            select(away.study_instance_uid, away.series_instance_uid, away.sop_instance_uid, away.original_sha256, *_UNTOLD)
            .join(deletions, deletions.c.id == away.deletion)
            .outerjoin(rejections, rejections.c.deletion == away.deletion)
            .where(or_(rejections.c.code.is_not(None), deletions.c.level == Extent.VERSION.value))
            .where(deletions.c.state.not_in((UNDOING, UNDONE)))
        )
        uids = (studies.c.study_instance_uid, series.c.series_instance_uid, instances.c.sop_instance_uid)
        columns = (*uids, instances.c.original_sha256, instances.c.original_size, sources.c.name)
        joined = (
            instances.join(sources, sources.c.pk == instances.c.source_fk)
            .join(series, series.c.pk == instances.c.series_fk)
            .join(studies, studies.c.pk == series.c.study_fk)
        )
        with self._database.session() as session:
            for at in range(0, len(sop_instance_uids), _PIECE):
                wanted = [identifier(uid) for uid in sop_instance_uids[at : at + _PIECE]]
                here = select(*columns).select_from(joined).where(instances.c.sop_instance_uid.in_(wanted))
                statement = union_all(here, rejected.where(away.sop_instance_uid.in_(wanted)))
                found += [_held_before(row) for row in session.run(statement).fetchall()]
        return found

    def filed(self, study_instance_uid: str) -> set[tuple[str, str]]:
        """Patient ID and accession number under which a study is held."""
        statement = select(patients.c.patient_id, studies.c.accession_number).select_from(
            studies.join(patients, patients.c.pk == studies.c.patient_fk)
        )
        with self._database.session() as session:
            found = session.run(statement.where(studies.c.study_instance_uid == identifier(study_instance_uid)))
            return {(from_stored(row[0]), from_stored(row[1])) for row in found.fetchall()}

    def manufacturers(self, study_instance_uids: Sequence[str]) -> dict[str, str]:
        """Manufacturer of the first series held of each study; absent where nothing is held."""
        found: dict[str, str] = {}
        statement = select(studies.c.study_instance_uid, series.c.manufacturer).select_from(
            studies.join(series, series.c.study_fk == studies.c.pk)
        )
        with self._database.session() as session:
            for at in range(0, len(study_instance_uids), _PIECE):
                wanted = [identifier(uid) for uid in study_instance_uids[at : at + _PIECE]]
                for row in session.run(
                    statement.where(studies.c.study_instance_uid.in_(wanted)).order_by(series.c.pk)
                ).fetchall():
                    found.setdefault(from_stored(row[0]), from_stored(row[1]))
        return found


def _transition(row: Sequence[Any]) -> Transition:
    study, instance, old, new, at, worker, rule, detail = row
    return Transition(study, instance, old, new, moment(at), from_stored(worker), from_stored(rule), from_stored(detail))


def _held_before(row: Sequence[Any]) -> HeldBefore:
    study, series_uid, sop, digest, size, source = row
    return HeldBefore(from_stored(study), from_stored(series_uid), from_stored(sop), digest, size, from_stored(source))


def _exception(row: Sequence[Any]) -> ExceptionEntry:
    texts: list[Any] = [from_stored(value) if isinstance(value, str) else value for value in row]
    texts[8] = moment(row[8])
    values: list[Any] = ["" if value is None else value for value in texts]
    return ExceptionEntry(*values)
