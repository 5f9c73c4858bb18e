"""Cross-references of patients."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TEXT: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SHORT: Final = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
PK: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the tables."""
    op.create_table(
        "patient_links",
        sa.Column("pk", PK, autoincrement=True, nullable=False),
        sa.Column("kind", SHORT, nullable=False),
        sa.Column("first_issuer", TEXT, nullable=False),
        sa.Column("first_id", TEXT, nullable=False),
        sa.Column("second_issuer", TEXT, nullable=False),
        sa.Column("second_id", TEXT, nullable=False),
        sa.Column("study_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("origin", SHORT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.Column("made_by", TEXT, nullable=False),
        sa.Column("made_at", sa.BigInteger(), nullable=False),
        sa.Column("undone_by", TEXT, server_default="", nullable=False),
        sa.Column("undone_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("undone_reason", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_patient_links")),
        sqlite_autoincrement=True,
        comment="Two Patient IDs are one person (link), one goes up in the other (merge), a study is another's (move). Never deleted, undone.",
    )
    op.create_index(op.f("ix_patient_links_first_id_first_issuer"), "patient_links", ["first_id", "first_issuer"], unique=False)
    op.create_index(
        op.f("ix_patient_links_second_id_second_issuer"), "patient_links", ["second_id", "second_issuer"], unique=False
    )
    op.create_index(op.f("ix_patient_links_study_instance_uid"), "patient_links", ["study_instance_uid"], unique=False)
    op.create_table(
        "demographics",
        sa.Column("issuer", TEXT, nullable=False),
        sa.Column("patient_id", TEXT, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.Column("birth_date", TEXT, nullable=False),
        sa.Column("sex", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("issuer", "patient_id", name=op.f("pk_demographics")),
        comment="What patient administration says about a Patient ID, by the latest message.",
    )
    op.create_index(op.f("ix_demographics_birth_date_sex"), "demographics", ["birth_date", "sex"], unique=False)


def downgrade() -> None:
    """Remove them."""
    op.drop_table("demographics")
    op.drop_table("patient_links")
