"""CRC-32C of the stored object beside its SHA-256. Empty for what is held already; `vna rebuild` into a new catalogue fills it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which costs no pass over the table."""
    op.add_column("instances", sa.Column("crc32c", sa.BigInteger(), nullable=True))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("instances", "crc32c")
