"""Tables of the catalogue: cross-references of patients and corrections."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Table

from vna_core.catalogue.schema import PK, SHORT, TEXT, metadata

patient_links = Table(
    "patient_links",
    metadata,
    Column("pk", PK, primary_key=True, autoincrement=True),
    Column("kind", SHORT, nullable=False),
    Column("first_issuer", TEXT, nullable=False),
    Column("first_id", TEXT, nullable=False),
    Column("second_issuer", TEXT, nullable=False),
    Column("second_id", TEXT, nullable=False),
    Column("study_instance_uid", TEXT, nullable=False, server_default=""),
    Column("origin", SHORT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("made_by", TEXT, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("undone_by", TEXT, nullable=False, server_default=""),
    Column("undone_at", BigInteger, nullable=False, server_default="0"),
    Column("undone_reason", TEXT, nullable=False, server_default=""),
    Index(None, "first_id", "first_issuer"),
    Index(None, "second_id", "second_issuer"),
    Index(None, "study_instance_uid"),
    sqlite_autoincrement=True,
    comment="Two Patient IDs are one person (link), one goes up in the other (merge), a study is another's (move). Never deleted, undone.",
)

demographics = Table(
    "demographics",
    metadata,
    Column("issuer", TEXT, primary_key=True),
    Column("patient_id", TEXT, primary_key=True),
    Column("name", TEXT, nullable=False),
    Column("birth_date", TEXT, nullable=False),
    Column("sex", TEXT, nullable=False),
    Column("source", TEXT, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Index(None, "birth_date", "sex"),
    comment="What patient administration says about a Patient ID, by the latest message.",
)
