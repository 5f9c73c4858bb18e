"""Sums over the ledger of a migration for its reports; each reads the campaign once."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import case, func, select

from vna_core.catalogue.database import Database
from vna_core.catalogue.schema_migration import migration_instances, migration_studies, migration_transitions
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.domain.migration import WAITED_FOR, InstanceState, StudyState

_DAY: Final = 86_400_000_000


class LedgerSums:
    """Answers the reports."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def moved_by_day(self, campaign: str) -> list[tuple[str, int, int]]:
        """Day (UTC), studies and instances that came to be stored on it."""
        columns, day = migration_transitions.c, migration_transitions.c.at // _DAY
        of_study = columns.instance_fk == 0
        statement = (
            select(day, func.sum(case((of_study, 1), else_=0)), func.sum(case((of_study, 0), else_=1)))
            .select_from(migration_transitions.join(migration_studies, migration_studies.c.pk == columns.study_fk))
            .where(
                migration_studies.c.campaign == to_stored(campaign),
                columns.new == StudyState.STORED.value,
                columns.old != columns.new,
            )
            .group_by(day)
            .order_by(day)
        )
        return [
            (datetime.fromtimestamp(row[0] * _DAY / 1e6, UTC).date().isoformat(), int(row[1]), int(row[2]))
            for row in self._rows(statement)
        ]

    def ends(self, campaign: str) -> list[tuple[str, str, str, str, int]]:
        """Year of the study date, modalities, state and outcome of instances, and how many there are."""
        year = func.substr(migration_studies.c.study_date, 1, 4)
        columns = (year, migration_studies.c.modalities, migration_instances.c.state, migration_instances.c.outcome)
        statement = (
            select(*columns, func.count())
            .select_from(migration_instances.join(migration_studies, migration_studies.c.pk == migration_instances.c.study_fk))
            .where(migration_studies.c.campaign == to_stored(campaign))
            .group_by(*columns)
            .order_by(*columns)
        )
        return [(from_stored(row[0]), from_stored(row[1]), row[2], row[3], int(row[4])) for row in self._rows(statement)]

    def issuers(self, campaign: str) -> list[tuple[str, int, int, int]]:
        """Issuer of Patient IDs (empty: none told), patients, studies, and studies without a Patient ID."""
        columns = migration_studies.c
        statement = (
            select(
                columns.issuer,
                func.count(func.distinct(columns.patient_id)),
                func.count(),
                func.sum(case((columns.patient_id == "", 1), else_=0)),
            )
            .where(columns.campaign == to_stored(campaign))
            .group_by(columns.issuer)
            .order_by(columns.issuer)
        )
        return [(from_stored(row[0]), int(row[1]), int(row[2]), int(row[3])) for row in self._rows(statement)]

    def proofs(self, campaign: str) -> dict[str, int]:
        """How many stored instances have which proof; empty: compared by UID and by the digest at their arrival."""
        statement = (
            select(migration_instances.c.proof, func.count())
            .select_from(migration_instances.join(migration_studies, migration_studies.c.pk == migration_instances.c.study_fk))
            .where(
                migration_studies.c.campaign == to_stored(campaign),
                migration_instances.c.state == InstanceState.STORED.value,
            )
            .group_by(migration_instances.c.proof)
        )
        return {row[0]: int(row[1]) for row in self._rows(statement)}

    def waited_for(self, campaign: str) -> list[tuple[str, float]]:
        """Of each time that a study was fetched while somebody waited: the state it came to (empty: none yet), and after how many
        seconds."""
        columns, waited = migration_transitions.c, migration_transitions.alias("waited")
        ends = (StudyState.STORED.value, StudyState.PARTIAL.value)
        end = (
            select(columns.pk)
            .where(
                columns.study_fk == waited.c.study_fk, columns.instance_fk == 0, columns.pk > waited.c.pk, columns.new.in_(ends)
            )
            .order_by(columns.pk)
            .limit(1)
            .scalar_subquery()
        )
        ended = migration_transitions.alias("ended")
        statement = (
            select(ended.c.new, waited.c.at, ended.c.at)
            .select_from(
                waited.join(migration_studies, migration_studies.c.pk == waited.c.study_fk).outerjoin(ended, ended.c.pk == end)
            )
            .where(
                migration_studies.c.campaign == to_stored(campaign),
                waited.c.new == StudyState.QUEUED.value,
                waited.c.rule == WAITED_FOR,
            )
        )
        rows = self._rows(statement)
        return [(row[0] or "", (row[2] - row[1]) / 1e6 if row[0] else 0.0) for row in rows]

    def _rows(self, statement: Any) -> list[Any]:
        with self._database.session() as session:
            return list(session.run(statement).fetchall())
