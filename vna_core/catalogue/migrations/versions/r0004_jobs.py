"""Durable jobs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vna_core.catalogue.schema import PK, SHORT, TEXT

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "jobs",
        sa.Column("pk", PK, nullable=False, autoincrement=True),
        sa.Column("kind", SHORT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("payload", TEXT, nullable=False),
        sa.Column("state", SHORT, nullable=False, server_default="open"),
        sa.Column("priority", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("free_at", sa.BigInteger(), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False, server_default="0"),
        sa.Column("attempts", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("deaths", sa.Integer(), nullable=False, server_default="0"),
        sa.Column("asked", sa.BigInteger(), nullable=False, server_default="1"),
        sa.Column("worker", TEXT, nullable=False, server_default=""),
        sa.Column("error", TEXT, nullable=False, server_default=""),
        sa.Column("progress", TEXT, nullable=False, server_default=""),
        sa.Column("waits_for", TEXT, nullable=False, server_default=""),
        sa.PrimaryKeyConstraint("pk", name="pk_jobs"),
        sqlite_autoincrement=True,
        comment="What is to be done, once per kind and key. Free to be taken from `free_at` (microseconds since 1970, UTC) on: "
        "a lease moves it ahead, and so does a pause. `waits_for`: the store without which the last attempt failed. "
        "`deaths`: how often in a row its worker was not heard of again.",
    )
    op.create_index("ix_jobs_kind_key", "jobs", ["kind", "key"], unique=True)
    op.create_index("ix_jobs_state_kind_priority_pk", "jobs", ["state", "kind", "priority", "pk"])
    op.create_index("ix_jobs_waits_for_free_at", "jobs", ["waits_for", "free_at"])


def downgrade() -> None:
    """Remove it."""
    op.drop_table("jobs")
