"""Tables of the catalogue: answers of the federation that are paged through, and corrections that travel to its members."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table, UniqueConstraint

from vna_core.catalogue.schema import PK, SHORT, TEXT, metadata

federated_answers = Table(
    "federated_answers",
    metadata,
    Column("token", SHORT, primary_key=True),
    Column("question", SHORT, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("content", LargeBinary, nullable=False),
    Index(None, "question", "created_at"),
    Index(None, "created_at"),
    comment="Answers as they were given, so that their pages fit together whichever process is asked. Forgotten after a while.",
)

corrections = Table(
    "corrections",
    metadata,
    Column("pk", PK, primary_key=True, autoincrement=True),
    Column("id", SHORT, nullable=False),
    Column("kind", SHORT, nullable=False),
    Column("subject", TEXT, nullable=False),
    Column("content", TEXT, nullable=False),
    Column("reason", TEXT, nullable=False),
    Column("made_by", TEXT, nullable=False),
    Column("made_at", BigInteger, nullable=False),
    Column("origin", TEXT, nullable=False, server_default=""),
    Column("undoes", SHORT, nullable=False, server_default=""),
    UniqueConstraint("id"),
    Index(None, "subject"),
    sqlite_autoincrement=True,
    comment="What was corrected here or elsewhere and concerns members of the federation. Never removed.",
)

correction_deliveries = Table(
    "correction_deliveries",
    metadata,
    Column("correction_fk", BigInteger, primary_key=True, autoincrement=False),
    Column("member", TEXT, primary_key=True),
    Column("state", SHORT, nullable=False),
    Column("attempts", BigInteger, nullable=False, server_default="0"),
    Column("error", TEXT, nullable=False, server_default=""),
    Column("updated_at", BigInteger, nullable=False),
    Index(None, "member", "state", "correction_fk"),
    comment="Which member has applied which correction, and which has not yet.",
)

rejections = Table(
    "rejections",
    metadata,
    Column("deletion", SHORT, primary_key=True),
    Column("code", SHORT, nullable=False),
    Column("note", TEXT, nullable=False),
    Index(None, "note"),
    comment="Deletions that are rejections (IHE IOCM): hidden by a reason code, never purged. `note`: SOP Instance UID of the note.",
)

awaited_rejections = Table(
    "awaited_rejections",
    metadata,
    Column("sop_instance_uid", TEXT, primary_key=True),
    Column("note", TEXT, primary_key=True),
    Column("study_instance_uid", TEXT, nullable=False),
    Column("code", SHORT, nullable=False),
    Column("principal", TEXT, nullable=False),
    Index(None, "study_instance_uid"),
    comment="Instances that were rejected before they arrived: hidden when they do.",
)
