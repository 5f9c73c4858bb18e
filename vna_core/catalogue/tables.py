"""Every table of the catalogue in one metadata: what a new database is made of, and what migrations lead to."""

from __future__ import annotations

from vna_core.catalogue import (
    schema,
    schema_departments,
    schema_federation,
    schema_identity,
    schema_jobs,
    schema_migration,
    schema_packs,
    schema_placement,
    schema_stewardship,
)
from vna_core.catalogue.schema import metadata

TOPICS = (
    schema,
    schema_departments,
    schema_federation,
    schema_identity,
    schema_jobs,
    schema_migration,
    schema_packs,
    schema_placement,
    schema_stewardship,
)
"""The modules whose tables these are."""

__all__ = ["TOPICS", "metadata"]
