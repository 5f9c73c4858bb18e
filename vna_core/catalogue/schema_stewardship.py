"""Tables of the catalogue: checks of stored objects, holds and deletions."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table

from vna_core.catalogue.schema import PK, SHORT, TEXT, locations, metadata


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _text(name: str, kind: Any = TEXT) -> Column[str]:
    return Column(name, kind, nullable=False, server_default="")


OF_STORE = Index("ix_locations_store_key", locations.c.store, locations.c.key)
"""Copies in the order of a store's listing, so that both are walked side by side."""

object_checks = Table(
    "object_checks",
    metadata,
    Column("store", TEXT, primary_key=True),
    Column("key", TEXT, primary_key=True),
    _number("checked_at"),
    _text("outcome", SHORT),
    _text("detail"),
    Index(None, "store", "checked_at", "key"),
    Index(None, "outcome"),
    sqlite_with_rowid=False,
    comment="Objects of the stores: when each was last read, and what was found. An empty outcome: not read yet, or not due.",
)

scrubs = Table(
    "scrubs",
    metadata,
    Column("id", SHORT, primary_key=True),
    _text("state", SHORT),
    _text("scope"),
    _number("started_at"),
    _number("updated_at"),
    _text("position"),
    _text("counts"),
    comment="Scrubs: `position` is where an interrupted one goes on, `counts` what it found.",
)

holds = Table(
    "holds",
    metadata,
    Column("id", SHORT, primary_key=True),
    _text("level", SHORT),
    _text("issuer"),
    _text("identifier"),
    _text("reason"),
    _text("set_by"),
    _number("set_at"),
    _text("released_by"),
    _number("released_at"),
    Column("noted", Integer, nullable=False, server_default="0"),
    Index(None, "identifier", "level"),
    Index(None, "noted"),
    comment="What may not be deleted, by patient, study or series. `noted`: the stores know of it.",
)

deletions = Table(
    "deletions",
    metadata,
    Column("id", SHORT, primary_key=True),
    _text("level", SHORT),
    _text("uid"),
    _text("reason"),
    _text("deleted_by"),
    _number("deleted_at"),
    _text("state", SHORT),
    _text("ended_by"),
    _number("ended_at"),
    Column("noted", Integer, nullable=False, server_default="0"),
    Index(None, "state", "deleted_at"),
    Index(None, "noted"),
    comment="What was deleted: hidden at first, then taken back or purged. Microseconds since 1970, UTC.",
)

deleted_versions = Table(
    "deleted_versions",
    metadata,
    Column("deletion", SHORT, primary_key=True),
    Column("original_sha256", SHORT, primary_key=True),
    Column("sop_instance_uid", TEXT, primary_key=True),
    _text("issuer"),
    _text("patient_id"),
    _text("study_instance_uid"),
    _text("series_instance_uid"),
    _text("sop_class_uid"),
    _text("sha256", SHORT),
    _number("size"),
    Index(None, "sop_instance_uid", "original_sha256"),
    Index(None, "study_instance_uid"),
    comment="The versions of a deletion. They stay as the tombstone when their objects are gone.",
)

deleted_objects = Table(
    "deleted_objects",
    metadata,
    Column("key", TEXT, primary_key=True),
    Column("store", TEXT, primary_key=True),
    Column("offset", BigInteger, primary_key=True, autoincrement=False),
    _number("length"),
    _text("deletion", SHORT),
    Index(None, "deletion"),
    sqlite_with_rowid=False,
    comment="Where the octets of deleted versions lie, or lay.",
)

cut_copies = Table(
    "cut_copies",
    metadata,
    Column("cut_fk", PK, ForeignKey("instances.pk"), primary_key=True, autoincrement=False),
    Column("whole_fk", PK, ForeignKey("instances.pk"), primary_key=True, autoincrement=False),
    Index(None, "whole_fk"),
    sqlite_with_rowid=False,
    comment="Versions that end before their pixels, and those that begin, as received, with the same data set and go on.",
)
