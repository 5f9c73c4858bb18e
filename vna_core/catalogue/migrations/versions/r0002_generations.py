"""Objects made again of the same octets, and the runs that made them."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

TEXT: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SHORT: Final = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
PK: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables, and the counter that tells other processes to forget what they know of parents."""
    op.add_column("totals", sa.Column("changes_of_parents", sa.BigInteger(), server_default="0", nullable=False))
    op.create_table(
        "generations",
        sa.Column("instance_fk", PK, autoincrement=False, nullable=False),
        sa.Column("generation", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("is_current", sa.Integer(), nullable=False),
        sa.Column("run", TEXT, nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("rule_set", TEXT, nullable=False),
        sa.Column("sha256", SHORT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("store", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["instance_fk"], ["instances.pk"], name=op.f("fk_generations_instance_fk")),
        sa.PrimaryKeyConstraint("instance_fk", "generation", name=op.f("pk_generations")),
        sqlite_with_rowid=False,
        comment="Objects made of the same octets, where there are several: 0 on arrival, the others by runs of re-normalization.",
    )
    op.create_index(op.f("ix_generations_run_instance_fk"), "generations", ["run", "instance_fk"], unique=False)
    op.create_index(op.f("ix_generations_key"), "generations", ["key"], unique=False)
    op.create_table(
        "normalization_runs",
        sa.Column("id", SHORT, nullable=False),
        sa.Column("scope", TEXT, nullable=False),
        sa.Column("rule_set", TEXT, nullable=False),
        sa.Column("state", SHORT, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("counts", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_normalization_runs")),
        comment="Runs of re-normalization: versions of a primary key up to `position` are done, those up to `until` belong to it.",
    )


def downgrade() -> None:
    """Remove them."""
    op.drop_table("normalization_runs")
    op.drop_table("generations")
    op.drop_column("totals", "changes_of_parents")
