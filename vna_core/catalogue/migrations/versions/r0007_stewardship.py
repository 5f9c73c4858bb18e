"""Scrubs, holds, retention, deletions, and cut copies."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

from vna_core.catalogue.schema import PK, SHORT, TEXT

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_index("ix_locations_store_key", "locations", ["store", "key"])
    _checks()
    _holds()
    _deletions()
    _cut_copies()


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")


def _text(name: str, kind: Any = TEXT) -> sa.Column[str]:
    return sa.Column(name, kind, nullable=False, server_default="")


def _key(name: str, kind: Any = TEXT) -> sa.Column[Any]:
    return sa.Column(name, kind, nullable=False)


def _checks() -> None:
    op.create_table(
        "object_checks",
        _key("store"),
        _key("key"),
        _number("checked_at"),
        _text("outcome", SHORT),
        _text("detail"),
        sa.PrimaryKeyConstraint("store", "key", name="pk_object_checks"),
        sqlite_with_rowid=False,
        comment="Objects of the stores: when each was last read, and what was found. An empty outcome: not read yet, or not due.",
    )
    op.create_index("ix_object_checks_store_checked_at_key", "object_checks", ["store", "checked_at", "key"])
    op.create_index("ix_object_checks_outcome", "object_checks", ["outcome"])
    op.create_table(
        "scrubs",
        _key("id", SHORT),
        _text("state", SHORT),
        _text("scope"),
        _number("started_at"),
        _number("updated_at"),
        _text("position"),
        _text("counts"),
        sa.PrimaryKeyConstraint("id", name="pk_scrubs"),
        comment="Scrubs: `position` is where an interrupted one goes on, `counts` what it found.",
    )


def _holds() -> None:
    op.create_table(
        "holds",
        _key("id", SHORT),
        _text("level", SHORT),
        _text("issuer"),
        _text("identifier"),
        _text("reason"),
        _text("set_by"),
        _number("set_at"),
        _text("released_by"),
        _number("released_at"),
        sa.Column("noted", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_holds"),
        comment="What may not be deleted, by patient, study or series. `noted`: the stores know of it.",
    )
    op.create_index("ix_holds_identifier_level", "holds", ["identifier", "level"])
    op.create_index("ix_holds_noted", "holds", ["noted"])


def _deletions() -> None:
    op.create_table(
        "deletions",
        _key("id", SHORT),
        _text("level", SHORT),
        _text("uid"),
        _text("reason"),
        _text("deleted_by"),
        _number("deleted_at"),
        _text("state", SHORT),
        _text("ended_by"),
        _number("ended_at"),
        sa.Column("noted", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("id", name="pk_deletions"),
        comment="What was deleted: hidden at first, then taken back or purged. Microseconds since 1970, UTC.",
    )
    op.create_index("ix_deletions_state_deleted_at", "deletions", ["state", "deleted_at"])
    op.create_index("ix_deletions_noted", "deletions", ["noted"])
    op.create_table(
        "deleted_versions",
        _key("deletion", SHORT),
        _key("original_sha256", SHORT),
        _key("sop_instance_uid"),
        *(_text(name) for name in ("issuer", "patient_id", "study_instance_uid", "series_instance_uid", "sop_class_uid")),
        _text("sha256", SHORT),
        _number("size"),
        sa.PrimaryKeyConstraint("deletion", "original_sha256", "sop_instance_uid", name="pk_deleted_versions"),
        comment="The versions of a deletion. They stay as the tombstone when their objects are gone.",
    )
    op.create_index(
        "ix_deleted_versions_sop_instance_uid_original_sha256", "deleted_versions", ["sop_instance_uid", "original_sha256"]
    )
    op.create_index("ix_deleted_versions_study_instance_uid", "deleted_versions", ["study_instance_uid"])
    op.create_table(
        "deleted_objects",
        _key("key"),
        _key("store"),
        sa.Column("offset", sa.BigInteger(), nullable=False, autoincrement=False),
        _number("length"),
        _text("deletion", SHORT),
        sa.PrimaryKeyConstraint("key", "store", "offset", name="pk_deleted_objects"),
        sqlite_with_rowid=False,
        comment="Where the octets of deleted versions lie, or lay.",
    )
    op.create_index("ix_deleted_objects_deletion", "deleted_objects", ["deletion"])


def _cut_copies() -> None:
    op.create_table(
        "cut_copies",
        sa.Column("cut_fk", PK, autoincrement=False, nullable=False),
        sa.Column("whole_fk", PK, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["cut_fk"], ["instances.pk"], name="fk_cut_copies_cut_fk"),
        sa.ForeignKeyConstraint(["whole_fk"], ["instances.pk"], name="fk_cut_copies_whole_fk"),
        sa.PrimaryKeyConstraint("cut_fk", "whole_fk", name="pk_cut_copies"),
        sqlite_with_rowid=False,
        comment="Versions that end before their pixels, and those that begin, as received, with the same data set and go on.",
    )
    op.create_index("ix_cut_copies_whole_fk", "cut_copies", ["whole_fk"])


def downgrade() -> None:
    """Remove them."""
    for name in ("cut_copies", "deleted_objects", "deleted_versions", "deletions", "holds", "scrubs", "object_checks"):
        op.drop_table(name)
    op.drop_index("ix_locations_store_key", "locations")
