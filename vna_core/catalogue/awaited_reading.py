"""Rows of inventories that are not moved yet, and what of them the catalogue holds all the same."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import ColumnElement, func, literal, select

from vna_core.catalogue.awaited_matching import Asked
from vna_core.catalogue.awaited_rows import (
    COLUMNS,
    MODALITIES,
    MODALITY,
    SOP_CLASS,
    AwaitedInstance,
    AwaitedStudy,
    study_of_row,
)
from vna_core.catalogue.database import Database
from vna_core.catalogue.schema import instances, series, studies
from vna_core.catalogue.schema_migration import migration_instances, migration_studies
from vna_core.catalogue.stored_text import from_stored, identifier, to_stored
from vna_core.domain.migration import InstanceState, UnknownModalities

_PIECE: Final = 500
_GONE: Final = (InstanceState.DELETED_AT_SOURCE.value, InstanceState.EXCLUDED.value)


@dataclass(frozen=True, slots=True)
class Part:
    """What of an awaited study is not held: how many instances (-1: not known), and in how many series that are not held either."""

    instances: int
    new_series: int
    overlaps: bool = False
    by_series: Mapping[str, int] = field(default_factory=dict)


class AwaitedReader:
    """Reads awaited studies of given campaigns; `issuers` are those campaigns with their issuers."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def walk(self, issuers: Mapping[str, str], asked: Asked, newest_first: bool) -> Iterator[list[AwaitedStudy]]:
        """Studies that may match, in pieces: newest first, or in the order they were listed."""
        columns = migration_studies.c
        last: tuple[Any, ...] = ()
        newest: Any = columns.newest
        if asked.leads:  # the index of the order must not be preferred to the one that leads to the few
            newest = columns.newest + literal("")
        while True:
            conditions = [*_awaited(issuers), *asked.narrowing]
            if last and newest_first:
                conditions.append((newest < last[0]) | ((newest == last[0]) & (columns.pk < last[1])))
            elif last:
                conditions.append(columns.pk > last[1])
            order = (newest.desc(), columns.pk.desc()) if newest_first else (columns.pk,)
            with self._database.session() as session:
                rows = session.run(select(*COLUMNS).where(*conditions).order_by(*order).limit(_PIECE)).fetchall()
            if rows:
                yield [study_of_row(row, issuers) for row in rows]
            if len(rows) < _PIECE:
                return
            last = (rows[-1][6], rows[-1][0])

    def unknown(self, issuers: Mapping[str, str], asked: Asked) -> tuple[int, ...]:
        """Tags of conditions that some study, series or instance of the inventories may fulfil without anybody knowing it."""
        columns, found = migration_studies.c, []
        studies_asked = select(columns.pk).where(*_awaited(issuers), *asked.narrowing)
        with self._database.session() as session:
            for tag, least in ((MODALITIES, UnknownModalities.OF_STUDY), (MODALITY, UnknownModalities.OF_SERIES)):
                there = studies_asked.where(columns.unknown_modalities >= least.value).limit(1)
                if tag in asked.tags and session.run(there).fetchone():
                    found.append(tag)
            below = migration_instances.alias()  # narrowing may look into the same table
            nameless = (below.c.sop_class_uid == "") & below.c.state.not_in(_GONE)
            joined = studies_asked.join(below, below.c.study_fk == columns.pk).where(nameless).limit(1)
            if SOP_CLASS in asked.tags and session.run(joined).fetchone():
                found.append(SOP_CLASS)
        return tuple(found)

    def by_uid(self, issuers: Mapping[str, str], study_instance_uids: Sequence[str]) -> dict[str, list[AwaitedStudy]]:
        """Awaited studies by their UIDs."""
        return self._by("study_instance_uid", issuers, study_instance_uids, lambda one: one.study_instance_uid)

    def by_patient(self, issuers: Mapping[str, str], patient_ids: Sequence[str]) -> dict[str, list[AwaitedStudy]]:
        """Awaited studies by Patient ID, whatever the issuer."""
        return self._by("patient_id", issuers, patient_ids, lambda one: one.patient.patient_id)

    def _by(self, column: str, issuers: Mapping[str, str], values: Sequence[str], key: Any) -> dict[str, list[AwaitedStudy]]:
        found: dict[str, list[AwaitedStudy]] = {}
        wanted = [identifier(one) for one in values]
        with self._database.session() as session:
            for at in range(0, len(wanted), _PIECE):
                here = migration_studies.c[column].in_(wanted[at : at + _PIECE])
                rows = session.run(select(*COLUMNS).where(*_awaited(issuers), here)).fetchall()
                for one in (study_of_row(row, issuers) for row in rows):
                    found.setdefault(key(one), []).append(one)
        return found

    # -- what is held of them ---------------------------------------------------------------------------------------------

    def held_studies(self, study_instance_uids: Sequence[str]) -> set[str]:
        """Which of these studies something is held of, in whatever department."""
        found: set[str] = set()
        wanted = [identifier(uid) for uid in study_instance_uids]
        with self._database.session() as session:
            for at in range(0, len(wanted), _PIECE):
                here = studies.c.study_instance_uid.in_(wanted[at : at + _PIECE])
                rows = session.run(select(studies.c.study_instance_uid).where(here)).fetchall()
                found |= {from_stored(row[0]) for row in rows}
        return found

    def parts(self, awaited: Sequence[AwaitedStudy]) -> dict[int, Part]:
        """What of studies is not held, by key."""
        overlapping = self.held_studies([one.study_instance_uid for one in awaited])
        found: dict[int, Part] = {}
        counts = self._series_counts([one.pk for one in awaited if one.study_instance_uid not in overlapping])
        for one in awaited:
            if one.study_instance_uid not in overlapping:
                found[one.pk] = Part(one.instances, counts.get(one.pk, 0))
                continue
            missing = self.missing(one)
            by_series: dict[str, int] = {}
            for instance in missing:
                by_series[instance.series_instance_uid] = by_series.get(instance.series_instance_uid, 0) + 1
            held = {uid for uid, _ in self._held(one.study_instance_uid)}
            unknown = -1 if one.instances < 0 else len(missing)
            found[one.pk] = Part(unknown, sum(uid not in held for uid in by_series), True, by_series)
        return found

    def _series_counts(self, keys: Sequence[int]) -> dict[int, int]:
        counts: dict[int, int] = {}
        columns = migration_instances.c
        with self._database.session() as session:
            for at in range(0, len(keys), _PIECE):
                these = columns.study_fk.in_(list(keys[at : at + _PIECE])) & columns.state.not_in(_GONE)
                counted = func.count(columns.series_instance_uid.distinct())
                statement = select(columns.study_fk, counted).where(these).group_by(columns.study_fk)
                counts |= {row[0]: int(row[1]) for row in session.run(statement).fetchall()}
        return counts

    def missing(self, study: AwaitedStudy) -> list[AwaitedInstance]:
        """Instances that the source lists in a study, and that are not held in it. What was moved and deleted here since is not
        among them; what was moved and is filed in another study is."""
        columns = migration_instances.c
        fields = (columns.series_instance_uid, columns.sop_instance_uid, columns.sop_class_uid, columns.modality, columns.detail)
        statement = (
            select(*fields, columns.state).where(columns.study_fk == study.pk, columns.state.not_in(_GONE)).order_by(columns.pk)
        )
        with self._database.session() as session:
            rows = session.run(statement).fetchall()
        held = {sop for _, sop in self._held(study.study_instance_uid)}
        absent = [row for row in rows if from_stored(row[1]) not in held]
        moved = [row[1] for row in absent if row[5] == InstanceState.STORED.value]
        gone = set(moved) - self._held_anywhere(moved) if moved else set()
        return [AwaitedInstance(*(from_stored(text) for text in row[:5])) for row in absent if row[1] not in gone]

    def _held_anywhere(self, sop_instance_uids: Sequence[str]) -> set[str]:
        found: set[str] = set()
        with self._database.session() as session:
            for at in range(0, len(sop_instance_uids), _PIECE):
                here = instances.c.sop_instance_uid.in_(list(sop_instance_uids[at : at + _PIECE]))
                found |= {row[0] for row in session.run(select(instances.c.sop_instance_uid).where(here)).fetchall()}
        return found

    def _held(self, study_instance_uid: str) -> list[tuple[str, str]]:
        """Series and SOP Instance UID of everything held in a study."""
        joined = instances.join(series, series.c.pk == instances.c.series_fk).join(studies, studies.c.pk == series.c.study_fk)
        statement = select(series.c.series_instance_uid, instances.c.sop_instance_uid).select_from(joined)
        with self._database.session() as session:
            here = studies.c.study_instance_uid == identifier(study_instance_uid)
            rows = session.run(statement.where(here)).fetchall()
        return [(from_stored(row[0]), from_stored(row[1])) for row in rows]

    def accounted(self, issuers: Mapping[str, str], study_instance_uid: str) -> list[AwaitedStudy]:
        """A study in the inventories, whether or not it was moved: what it had at the source must be accounted for."""
        columns = migration_studies.c
        here = (
            columns.campaign.in_([to_stored(one) for one in issuers])
            & (columns.removed_inventory == 0)
            & (columns.study_instance_uid == identifier(study_instance_uid))
        )
        with self._database.session() as session:
            rows = session.run(select(*COLUMNS).where(here).order_by(columns.pk)).fetchall()
        return [study_of_row(row, issuers) for row in rows]


def _awaited(issuers: Mapping[str, str]) -> list[ColumnElement[bool]]:
    columns = migration_studies.c
    campaigns = columns.campaign.in_([to_stored(one) for one in issuers])
    return [columns.awaited == 1, campaigns, columns.removed_inventory == 0]
