"""Tables of the catalogue: answers of the federation that are paged through."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, LargeBinary, Table

from vna_core.catalogue.schema import SHORT, metadata

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
