"""Rows of the ledger of migrations as values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import select

from vna_core.catalogue.database import Session
from vna_core.catalogue.migration_rows import LedgerInstance, LedgerStudy
from vna_core.catalogue.schema_migration import migration_instances, migration_studies
from vna_core.catalogue.stored_text import from_stored
from vna_core.domain.migration import OPEN, InstanceState, StudyState

STUDY: Final = tuple(migration_studies.c[name] for name in LedgerStudy.__dataclass_fields__)
INSTANCE: Final = tuple(migration_instances.c[name] for name in LedgerInstance.__dataclass_fields__)
OPEN_STATES: Final = tuple(state.value for state in OPEN)


def study_of(row: Sequence[Any]) -> LedgerStudy:
    """A study out of a row."""
    values = dict(zip(LedgerStudy.__dataclass_fields__, row, strict=True))
    for name in ("campaign", "study_instance_uid", "patient_id", "issuer", "study_date", "modalities", "accession_number"):
        values[name] = from_stored(values[name])
    return LedgerStudy(**{**values, "state": StudyState(values["state"])})


def instance_of(row: Sequence[Any]) -> LedgerInstance:
    """An instance out of a row."""
    values: dict[str, Any] = {
        name: from_stored(value) if isinstance(value, str) else value
        for name, value in zip(LedgerInstance.__dataclass_fields__, row, strict=True)
    }
    return LedgerInstance(**{**values, "state": InstanceState(values["state"])})


def instances_of(session: Session, study: int) -> list[LedgerInstance]:
    """All instances of a study, by its key."""
    statement = select(*INSTANCE).where(migration_instances.c.study_fk == study).order_by(migration_instances.c.pk)
    return [instance_of(row) for row in session.run(statement).fetchall()]
