"""Tables of the catalogue: packs: sealed series."""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, Table

from vna_core.catalogue.schema import PK, SHORT, TEXT, metadata

packs = Table(
    "packs",
    metadata,
    Column("pk", PK, primary_key=True, autoincrement=True),
    Column("key", TEXT, nullable=False),
    Column("sha256", SHORT, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("study_instance_uid", TEXT, nullable=False),
    Column("series_instance_uid", TEXT, nullable=False),
    Column("frames", BigInteger, nullable=False),
    Column("sealed_at", BigInteger, nullable=False),
    Index(None, "key", unique=True),
    Index(None, "study_instance_uid", "series_instance_uid"),
    sqlite_autoincrement=True,
    comment="One object that holds the objects of a series. Where its copies are: `pack_copies`; what is read: `locations`.",
)

pack_members = Table(
    "pack_members",
    metadata,
    Column("pack_fk", PK, ForeignKey("packs.pk"), primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("instance_fk", PK, nullable=False),
    Column("sha256", SHORT, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Index(None, "instance_fk"),
    sqlite_with_rowid=False,
    comment="`instance_fk`: the version whose object this is, or was: no reference, as versions can be deleted and packs cannot.",
)

pack_copies = Table(
    "pack_copies",
    metadata,
    Column("pack_fk", PK, ForeignKey("packs.pk"), primary_key=True, autoincrement=False),
    Column("store", TEXT, primary_key=True),
    Column("verified_at", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    comment="Stores where every octet of the pack was read back and found right.",
)

pack_leftovers = Table(
    "pack_leftovers",
    metadata,
    Column("store", TEXT, primary_key=True),
    Column("key", TEXT, primary_key=True),
    Column("instance_fk", PK, nullable=False, server_default="0"),
    Column("not_before", BigInteger, nullable=False),
    Index(None, "not_before"),
    sqlite_with_rowid=False,
    comment="Objects that nothing points at any more, of the version named (0: packs): removed when nobody can still read them.",
)

pack_claims = Table(
    "pack_claims",
    metadata,
    Column("study_instance_uid", TEXT, primary_key=True),
    Column("series_instance_uid", TEXT, primary_key=True),
    Column("token", SHORT, nullable=False),
    Column("until", BigInteger, nullable=False),
    sqlite_with_rowid=False,
    comment="Who seals or compacts a series now. What is written under a claim that was lost is not taken over.",
)

pack_watch = Table(
    "pack_watch",
    metadata,
    Column("pk", Integer, primary_key=True, autoincrement=False),
    Column("noticed", BigInteger, nullable=False),
    Column("noticed_runs", BigInteger, nullable=False, server_default="0"),
    comment="One row: versions of a primary key up to `noticed`, and runs of re-normalization that ended up to `noticed_runs`, have "
    "made their series wait until it has settled.",
)
