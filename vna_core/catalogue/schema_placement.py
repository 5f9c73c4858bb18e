"""Tables of the catalogue: copies of versions: what placement wants and what is done."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, Table

from vna_core.catalogue.schema import PK, SHORT, TEXT, metadata

object_terms = Table(
    "object_terms",
    metadata,
    Column("store", TEXT, primary_key=True),
    Column("key", TEXT, primary_key=True),
    Column("tier", TEXT, nullable=False, server_default=""),
    Column("tier_since", BigInteger, nullable=False, server_default="0"),
    Column("locked_until", BigInteger, nullable=False, server_default="0"),
    Column("readable_until", BigInteger, nullable=False, server_default="0"),
    Column("legal_hold", Integer, nullable=False, server_default="0"),
    Index(None, "readable_until"),
    sqlite_with_rowid=False,
    comment="Objects that are in a tier, locked, held, or recalled for a time; others have no row. Times are microseconds since 1970.",
)

placements = Table(
    "placements",
    metadata,
    Column("series_fk", PK, primary_key=True, autoincrement=False),
    Column("policy", SHORT, nullable=False),
    Column("met", Integer, nullable=False),
    Column("evaluated_at", BigInteger, nullable=False),
    Column("due_at", BigInteger, nullable=False, server_default="0"),
    Index(None, "due_at"),
    Index(None, "met"),
    sqlite_with_rowid=False,
    comment="What a policy said about each series when it was last asked, and when it must be asked again (0: never).",
)

series_nearline = Table(
    "series_nearline",
    metadata,
    Column("series_fk", PK, primary_key=True, autoincrement=False),
    Column("instances", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    comment="Series with current versions that must be recalled before they can be read, and how many; others have no row.",
)

study_accesses = Table(
    "study_accesses",
    metadata,
    Column("study_instance_uid", TEXT, primary_key=True),
    Column("at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    comment="When a study was last retrieved, to the day; kept where the policy asks for it.",
)

known_stores = Table(
    "known_stores",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("identity", SHORT, nullable=False, server_default=""),
    Column("marked", Integer, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
    comment="Every store that was ever configured: copies in one that no longer is are offline. `identity` lies in the store "
    "itself, where it was seen if `marked`; 2: it took the place of another, and no scrub has looked since what it lacks.",
)

missing_copies = Table(
    "missing_copies",
    metadata,
    Column("series_fk", PK, primary_key=True, autoincrement=False),
    Column("store", TEXT, primary_key=True),
    Column("copies", BigInteger, nullable=False),
    Column("octets", BigInteger, nullable=False),
    Column("since", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    comment="Copies that the policy asked for when it was last asked about a series, and that are not there or not locked as it says. "
    "Series that have all have no row.",
)

store_counts = Table(
    "store_counts",
    metadata,
    Column("store", TEXT, primary_key=True),
    Column("state", SHORT, primary_key=True),
    Column("copies", BigInteger, nullable=False),
    Column("octets", BigInteger, nullable=False),
    Column("counted_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    comment="Copies of versions by store and state, as they were counted last; an empty state says that all were.",
)

quarantine_copies = Table(
    "quarantine_copies",
    metadata,
    Column("id", SHORT, primary_key=True),
    Column("store", TEXT, primary_key=True),
    sqlite_with_rowid=False,
    comment="Stores that have a verified copy of an item of the quarantine, besides the one it landed in.",
)

placement_scans = Table(
    "placement_scans",
    metadata,
    Column("policy", SHORT, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("series", BigInteger, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("finished_at", BigInteger, nullable=False, server_default="0"),
    sqlite_with_rowid=False,
    comment="How far all series have been asked for by a policy: those of a primary key up to `position` are.",
)
