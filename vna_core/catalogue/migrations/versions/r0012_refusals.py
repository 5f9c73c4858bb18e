"""How often in a row a source let us in nowhere. Catalogues that were made before this revision was may have the column."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column, which costs no pass over the table."""
    if all(column["name"] != "refusals" for column in sa.inspect(op.get_bind()).get_columns("migration_sources")):
        op.add_column("migration_sources", sa.Column("refusals", sa.BigInteger(), server_default="0", nullable=False))


def downgrade() -> None:
    """Remove it."""
    op.drop_column("migration_sources", "refusals")
