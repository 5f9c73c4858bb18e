"""Federation: kept answers, corrections that travel, rejections."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vna_core.catalogue.schema import PK, SHORT, TEXT

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
    op.create_table(
        "corrections",
        sa.Column("pk", PK, autoincrement=True, nullable=False),
        sa.Column("id", SHORT, nullable=False),
        sa.Column("kind", SHORT, nullable=False),
        sa.Column("subject", TEXT, nullable=False),
        sa.Column("content", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("made_by", TEXT, nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("origin", TEXT, server_default="", nullable=False),
        sa.Column("undoes", SHORT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("pk", name="pk_corrections"),
        sa.UniqueConstraint("id", name="uq_corrections_id"),
        sqlite_autoincrement=True,
        comment="What was corrected here or elsewhere and concerns members of the federation. Never removed.",
    )
    op.create_index("ix_corrections_subject", "corrections", ["subject"])
    op.create_table(
        "correction_deliveries",
        sa.Column("correction_fk", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("member", TEXT, nullable=False),
        sa.Column("state", SHORT, nullable=False),
        sa.Column("attempts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("error", TEXT, server_default="", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("correction_fk", "member", name="pk_correction_deliveries"),
        comment="Which member has applied which correction, and which has not yet.",
    )
    op.create_index(
        "ix_correction_deliveries_member_state_correction_fk", "correction_deliveries", ["member", "state", "correction_fk"]
    )
    op.create_table(
        "rejections",
        sa.Column("deletion", SHORT, nullable=False),
        sa.Column("code", SHORT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("deletion", name="pk_rejections"),
        comment="Deletions that are rejections (IHE IOCM): hidden by a reason code, never purged. `note`: SOP Instance UID of the note.",
    )
    op.create_index("ix_rejections_note", "rejections", ["note"])
    op.create_table(
        "awaited_rejections",
        sa.Column("sop_instance_uid", TEXT, nullable=False),
        sa.Column("note", TEXT, nullable=False),
        sa.Column("study_instance_uid", TEXT, nullable=False),
        sa.Column("code", SHORT, nullable=False),
        sa.Column("principal", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("sop_instance_uid", "note", name="pk_awaited_rejections"),
        comment="Instances that were rejected before they arrived: hidden when they do.",
    )
    op.create_index("ix_awaited_rejections_study_instance_uid", "awaited_rejections", ["study_instance_uid"])


def downgrade() -> None:
    """Remove them."""
    for name in ("awaited_rejections", "rejections", "correction_deliveries", "corrections", "federated_answers"):
        op.drop_table(name)
