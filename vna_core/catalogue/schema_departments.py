"""Tables of the catalogue: labels by which departments see instances, and emergencies in which they see more."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Table

from vna_core.catalogue.schema import PK, SHORT, TEXT, metadata

audiences = Table(
    "audiences",
    metadata,
    Column("pk", PK, primary_key=True, autoincrement=False),
    Column("labels", TEXT, nullable=False),
    Index(None, "labels", unique=True),
    comment="Sets of labels that rows have: departments and collections between semicolons, in order.",
)

audience_labels = Table(
    "audience_labels",
    metadata,
    Column("label", TEXT, primary_key=True),
    Column("audience", PK, ForeignKey("audiences.pk"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
    comment="The same by single labels. Parents have the labels of everything below them.",
)

deliveries = Table(
    "deliveries",
    metadata,
    Column("instance_fk", PK, ForeignKey("instances.pk"), primary_key=True, autoincrement=False),
    Column("source_fk", PK, ForeignKey("sources.pk"), primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
    comment="Sources of other departments that delivered octets which are held already: they see them as well.",
)

emergencies = Table(
    "emergencies",
    metadata,
    Column("principal_kind", SHORT, primary_key=True),
    Column("principal", TEXT, primary_key=True),
    Column("begun_at", BigInteger, primary_key=True, autoincrement=False),
    Column("until", BigInteger, nullable=False),
    Column("address", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    comment="Broken glass: who may see all departments until when, and why. Microseconds since 1970 in UTC.",
)
