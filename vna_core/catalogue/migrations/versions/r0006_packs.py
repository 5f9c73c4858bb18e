"""Packs: sealed series."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vna_core.catalogue.schema import PK, SHORT, TEXT

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables, and where in a pack an object that was made again may be."""
    op.add_column("generations", sa.Column("offset", sa.BigInteger(), nullable=False, server_default="0"))
    op.create_table(
        "packs",
        sa.Column("pk", PK, nullable=False, autoincrement=True),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("sha256", SHORT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("study_instance_uid", TEXT, nullable=False),
        sa.Column("series_instance_uid", TEXT, nullable=False),
        sa.Column("frames", sa.BigInteger(), nullable=False),
        sa.Column("sealed_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("pk", name="pk_packs"),
        sqlite_autoincrement=True,
        comment="One object that holds the objects of a series. Where its copies are: `pack_copies`; what is read: `locations`.",
    )
    op.create_index("ix_packs_key", "packs", ["key"], unique=True)
    op.create_index("ix_packs_study_instance_uid_series_instance_uid", "packs", ["study_instance_uid", "series_instance_uid"])
    op.create_table(
        "pack_members",
        sa.Column("pack_fk", PK, nullable=False, autoincrement=False),
        sa.Column("ordinal", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("instance_fk", PK, nullable=False),
        sa.Column("sha256", SHORT, nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["pack_fk"], ["packs.pk"], name="fk_pack_members_pack_fk"),
        sa.PrimaryKeyConstraint("pack_fk", "ordinal", name="pk_pack_members"),
        sqlite_with_rowid=False,
        comment="`instance_fk`: the version whose object this is, or was: no reference, as versions can be deleted and packs cannot.",
    )
    op.create_index("ix_pack_members_instance_fk", "pack_members", ["instance_fk"])
    _create_states()


def _create_states() -> None:
    op.create_table(
        "pack_copies",
        sa.Column("pack_fk", PK, nullable=False, autoincrement=False),
        sa.Column("store", TEXT, nullable=False),
        sa.Column("verified_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["pack_fk"], ["packs.pk"], name="fk_pack_copies_pack_fk"),
        sa.PrimaryKeyConstraint("pack_fk", "store", name="pk_pack_copies"),
        sqlite_with_rowid=False,
        comment="Stores where every octet of the pack was read back and found right.",
    )
    op.create_table(
        "pack_leftovers",
        sa.Column("store", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("instance_fk", PK, nullable=False, server_default="0"),
        sa.Column("not_before", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("store", "key", name="pk_pack_leftovers"),
        sqlite_with_rowid=False,
        comment="Objects that nothing points at any more, of the version named (0: packs): removed when nobody can still read them.",
    )
    op.create_index("ix_pack_leftovers_not_before", "pack_leftovers", ["not_before"])
    op.create_table(
        "pack_claims",
        sa.Column("study_instance_uid", TEXT, nullable=False),
        sa.Column("series_instance_uid", TEXT, nullable=False),
        sa.Column("token", SHORT, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("study_instance_uid", "series_instance_uid", name="pk_pack_claims"),
        sqlite_with_rowid=False,
        comment="Who seals or compacts a series now. What is written under a claim that was lost is not taken over.",
    )
    op.create_table(
        "pack_watch",
        sa.Column("pk", sa.Integer(), nullable=False, autoincrement=False),
        sa.Column("noticed", sa.BigInteger(), nullable=False),
        sa.Column("noticed_runs", sa.BigInteger(), nullable=False, server_default="0"),
        sa.PrimaryKeyConstraint("pk", name="pk_pack_watch"),
        comment="One row: versions of a primary key up to `noticed`, and runs of re-normalization that ended up to `noticed_runs`, have "
        "made their series wait until it has settled.",
    )


def downgrade() -> None:
    """Remove them. Locations in packs stay what they are."""
    for table in ("pack_watch", "pack_claims", "pack_leftovers", "pack_copies", "pack_members", "packs"):
        op.drop_table(table)
    op.drop_column("generations", "offset")
