"""Federation members and cut-over."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vna_core.catalogue.schema import SHORT

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "federated_answers",
        sa.Column("token", SHORT, nullable=False),
        sa.Column("question", SHORT, nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("token", name="pk_federated_answers"),
        comment="Answers as they were given, so that their pages fit together whichever process is asked. Forgotten after a while.",
    )
    op.create_index("ix_federated_answers_question_created_at", "federated_answers", ["question", "created_at"])
    op.create_index("ix_federated_answers_created_at", "federated_answers", ["created_at"])


def downgrade() -> None:
    """Remove them."""
    op.drop_table("federated_answers")
