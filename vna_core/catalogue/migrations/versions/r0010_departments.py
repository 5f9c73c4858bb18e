"""Departments, policy and the audit trail."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

TEXT: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SHORT: Final = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
PK: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_LABELLED: Final = ("patients", "studies", "series", "instances")


def upgrade() -> None:
    """Add the tables, and to every level the set of labels that a row has."""
    for name in _LABELLED:
        op.add_column(name, sa.Column("audience", PK, server_default="0", nullable=False))
    op.create_index(op.f("ix_studies_audience_newest_pk"), "studies", ["audience", "newest", "pk"], unique=False)
    op.drop_index(op.f("ix_instances_series_fk_is_current"), "instances")
    op.create_index(
        op.f("ix_instances_series_fk_is_current_audience"), "instances", ["series_fk", "is_current", "audience"], unique=False
    )
    op.create_table(
        "audiences",
        sa.Column("pk", PK, autoincrement=False, nullable=False),
        sa.Column("labels", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_audiences")),
        comment="Sets of labels that rows have: departments and collections between semicolons, in order.",
    )
    op.create_index(op.f("ix_audiences_labels"), "audiences", ["labels"], unique=True)
    op.create_table(
        "audience_labels",
        sa.Column("label", TEXT, nullable=False),
        sa.Column("audience", PK, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["audience"], ["audiences.pk"], name=op.f("fk_audience_labels_audience")),
        sa.PrimaryKeyConstraint("label", "audience", name=op.f("pk_audience_labels")),
        sqlite_with_rowid=False,
        comment="The same by single labels. Parents have the labels of everything below them.",
    )
    op.create_table(
        "deliveries",
        sa.Column("instance_fk", PK, autoincrement=False, nullable=False),
        sa.Column("source_fk", PK, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["instance_fk"], ["instances.pk"], name=op.f("fk_deliveries_instance_fk")),
        sa.ForeignKeyConstraint(["source_fk"], ["sources.pk"], name=op.f("fk_deliveries_source_fk")),
        sa.PrimaryKeyConstraint("instance_fk", "source_fk", name=op.f("pk_deliveries")),
        sqlite_with_rowid=False,
        comment="Sources of other departments that delivered octets which are held already: they see them as well.",
    )
    op.create_table(
        "emergencies",
        sa.Column("principal_kind", SHORT, nullable=False),
        sa.Column("principal", TEXT, nullable=False),
        sa.Column("begun_at", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.Column("address", TEXT, nullable=False),
        sa.Column("reason", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("principal_kind", "principal", "begun_at", name=op.f("pk_emergencies")),
        comment="Broken glass: who may see all departments until when, and why. Microseconds since 1970 in UTC.",
    )


def downgrade() -> None:
    """Remove them."""
    for name in ("emergencies", "deliveries", "audience_labels", "audiences"):
        op.drop_table(name)
    op.drop_index(op.f("ix_instances_series_fk_is_current_audience"), "instances")
    op.create_index(op.f("ix_instances_series_fk_is_current"), "instances", ["series_fk", "is_current"], unique=False)
    op.drop_index(op.f("ix_studies_audience_newest_pk"), "studies")
    for name in _LABELLED:
        op.drop_column(name, "audience")
