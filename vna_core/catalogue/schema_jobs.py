"""Tables of the catalogue: durable jobs."""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from vna_core.catalogue.schema import PK, SHORT, TEXT, metadata

OPEN: Final = "open"
FAILED: Final = "failed"

jobs = Table(
    "jobs",
    metadata,
    Column("pk", PK, primary_key=True, autoincrement=True),
    Column("kind", SHORT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("payload", TEXT, nullable=False),
    Column("state", SHORT, nullable=False, server_default=OPEN),
    Column("priority", Integer, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("free_at", BigInteger, nullable=False),
    Column("fence", BigInteger, nullable=False, server_default="0"),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("deaths", Integer, nullable=False, server_default="0"),
    Column("asked", BigInteger, nullable=False, server_default="1"),
    Column("worker", TEXT, nullable=False, server_default=""),
    Column("error", TEXT, nullable=False, server_default=""),
    Column("progress", TEXT, nullable=False, server_default=""),
    Column("waits_for", TEXT, nullable=False, server_default=""),
    Index(None, "kind", "key", unique=True),
    Index(None, "state", "kind", "priority", "pk"),
    Index(None, "waits_for", "free_at"),
    sqlite_autoincrement=True,
    comment="What is to be done, once per kind and key. Free to be taken from `free_at` (microseconds since 1970, UTC) on: "
    "a lease moves it ahead, and so does a pause. `waits_for`: the store without which the last attempt failed. "
    "`deaths`: how often in a row its worker was not heard of again.",
)
