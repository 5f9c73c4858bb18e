"""Copies of versions: what placement wants and what is done."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vna_core.catalogue.schema import PK, SHORT, TEXT

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "object_terms",
        sa.Column("store", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("tier", TEXT, nullable=False, server_default=""),
        *(_number(name) for name in ("tier_since", "locked_until", "readable_until")),
        sa.Column("legal_hold", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("store", "key", name="pk_object_terms"),
        sqlite_with_rowid=False,
        comment="Objects that are in a tier, locked, held, or recalled for a time; others have no row. Times are microseconds since 1970.",
    )
    op.create_index("ix_object_terms_readable_until", "object_terms", ["readable_until"])
    op.create_table(
        "placements",
        sa.Column("series_fk", PK, nullable=False, autoincrement=False),
        sa.Column("policy", SHORT, nullable=False),
        sa.Column("met", sa.Integer(), nullable=False),
        sa.Column("evaluated_at", sa.BigInteger(), nullable=False),
        _number("due_at"),
        sa.PrimaryKeyConstraint("series_fk", name="pk_placements"),
        sqlite_with_rowid=False,
        comment="What a policy said about each series when it was last asked, and when it must be asked again (0: never).",
    )
    op.create_index("ix_placements_due_at", "placements", ["due_at"])
    op.create_index("ix_placements_met", "placements", ["met"])
    op.create_table(
        "series_nearline",
        sa.Column("series_fk", PK, nullable=False, autoincrement=False),
        sa.Column("instances", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("series_fk", name="pk_series_nearline"),
        sqlite_with_rowid=False,
        comment="Series with current versions that must be recalled before they can be read, and how many; others have no row.",
    )
    op.create_table(
        "study_accesses",
        sa.Column("study_instance_uid", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", name="pk_study_accesses"),
        sqlite_with_rowid=False,
        comment="When a study was last retrieved, to the day; kept where the policy asks for it.",
    )
    op.create_table(
        "known_stores",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("identity", SHORT, nullable=False, server_default=""),
        sa.Column("marked", sa.Integer(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("name", name="pk_known_stores"),
        sqlite_with_rowid=False,
        comment="Every store that was ever configured: copies in one that no longer is are offline. `identity` lies in the store "
        "itself, where it was seen if `marked`; 2: it took the place of another, and no scrub has looked since what it lacks.",
    )
    op.create_table(
        "missing_copies",
        sa.Column("series_fk", PK, nullable=False, autoincrement=False),
        sa.Column("store", TEXT, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("copies", "octets", "since")),
        sa.PrimaryKeyConstraint("series_fk", "store", name="pk_missing_copies"),
        sqlite_with_rowid=False,
        comment="Copies that the policy asked for when it was last asked about a series, and that are not there or not locked as it says. "
        "Series that have all have no row.",
    )
    op.create_table(
        "store_counts",
        sa.Column("store", TEXT, nullable=False),
        sa.Column("state", SHORT, nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("copies", "octets", "counted_at")),
        sa.PrimaryKeyConstraint("store", "state", name="pk_store_counts"),
        sqlite_with_rowid=False,
        comment="Copies of versions by store and state, as they were counted last; an empty state says that all were.",
    )
    op.create_table(
        "quarantine_copies",
        sa.Column("id", SHORT, nullable=False),
        sa.Column("store", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", "store", name="pk_quarantine_copies"),
        sqlite_with_rowid=False,
        comment="Stores that have a verified copy of an item of the quarantine, besides the one it landed in.",
    )
    op.create_table(
        "placement_scans",
        sa.Column("policy", SHORT, nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("series", sa.BigInteger(), nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        _number("finished_at"),
        sa.PrimaryKeyConstraint("policy", name="pk_placement_scans"),
        sqlite_with_rowid=False,
        comment="How far all series have been asked for by a policy: those of a primary key up to `position` are.",
    )


def downgrade() -> None:
    """Remove them."""
    for name in (
        "placement_scans",
        "quarantine_copies",
        "store_counts",
        "missing_copies",
        "known_stores",
        "study_accesses",
        "series_nearline",
        "placements",
        "object_terms",
    ):
        op.drop_table(name)


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.BigInteger(), nullable=False, server_default="0")
