"""The tables of the catalogue. Everything here can be rebuilt from the stores alone, but the ledgers of jobs.

Absent text is the empty string, never NULL, so that comparisons have two values. Text compares by code point on both databases.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import BigInteger, Column, ForeignKey, Index, Integer, LargeBinary, MetaData, String, Table, Text

from vna_core.domain.indexed_attributes import INDEXED, IndexedAttribute
from vna_core.domain.query import Level

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

TEXT: Final = Text().with_variant(Text(collation="C"), "postgresql")
SHORT: Final = String(64).with_variant(String(64, collation="C"), "postgresql")
PK: Final = BigInteger().with_variant(Integer, "sqlite")

MULTIPLE: Final = frozenset({0x00101000, 0x00080008})
"""Attributes that may have several values; kept between backslashes, so that one value is found inside (PS3.4 C.2.2.2.1)."""

BY_LEVEL: Final[dict[Level, tuple[IndexedAttribute, ...]]] = {
    level: tuple(attribute for attribute in INDEXED.values() if attribute.level is level) for level in Level
}
FOLDED: Final = tuple(attribute for level in (Level.STUDY, Level.SERIES) for attribute in BY_LEVEL[level] if attribute.vr == "PN")
"""Names of persons below the patient, with a folded side column each."""


def _key() -> Column[int]:
    return Column("pk", PK, primary_key=True, autoincrement=False)


def _text(name: str) -> Column[str]:
    return Column(name, TEXT, nullable=False, server_default="")


def _number(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default="0")


def _audience() -> Column[int]:
    """Key of the set of labels that the row has (table `audiences`); 0: none."""
    return Column("audience", PK, nullable=False, server_default="0")


def _parent(name: str, target: str) -> Column[int]:
    return Column(name, PK, ForeignKey(target), nullable=False)


def _attributes(level: Level) -> list[Column[str]]:
    columns = [_text(attribute.name) for attribute in BY_LEVEL[level]]
    return columns + [_text(f"{attribute.name}_folded") for attribute in FOLDED if attribute.level is level]


patients = Table(
    "patients",
    metadata,
    _key(),
    *_attributes(Level.PATIENT),
    _text("only_study"),
    _text("name_alphabetic"),
    _text("name_ideographic"),
    _text("name_phonetic"),
    _text("stamps"),
    _audience(),
    Index(None, "patient_id", "issuer_of_patient_id", "only_study", unique=True),
    comment="One row per Patient ID and issuer; without an ID one per study, as nothing says that two nameless ones are one.",
)

name_keys = Table(
    "name_keys",
    metadata,
    Column("kind", Integer, primary_key=True, autoincrement=False),
    Column("text", TEXT, primary_key=True),
    Column("patient_fk", PK, ForeignKey("patients.pk"), primary_key=True, autoincrement=False),
    Index(None, "patient_fk"),
    sqlite_with_rowid=False,
    comment="Kind 0: suffixes of folded name groups; kind 1: phonetic codes of words; kind 2: suffixes of the Patient ID.",
)

studies = Table(
    "studies",
    metadata,
    _key(),
    _parent("patient_fk", "patients.pk"),
    *_attributes(Level.STUDY),
    _text("newest"),
    _text("modalities"),
    _text("sop_classes"),
    _text("stamps"),
    _audience(),
    Index(None, "study_instance_uid", "patient_fk", unique=True),
    Index(None, "patient_fk"),
    Index(None, "newest", "pk"),
    Index(None, "audience", "newest", "pk"),
    Index(None, "accession_number"),
    comment="`newest` is the study's date and time, made for sorting.",
)

series = Table(
    "series",
    metadata,
    _key(),
    _parent("study_fk", "studies.pk"),
    *_attributes(Level.SERIES),
    _text("stamps"),
    _number("number_of_instances"),
    _audience(),
    Index(None, "series_instance_uid", "study_fk", unique=True),
    Index(None, "study_fk"),
)

sources = Table(
    "sources",
    metadata,
    _key(),
    _text("kind"),
    _text("name"),
    _text("address"),
    _text("issuer"),
    Column("digest", SHORT, nullable=False),
    Index(None, "digest", unique=True),
    comment="Where octets came from. An address may be long, so equality is looked up by `digest`.",
)

instances = Table(
    "instances",
    metadata,
    _key(),
    _parent("series_fk", "series.pk"),
    *_attributes(Level.IMAGE),
    Column("transfer_syntax_uid", TEXT, nullable=False),
    Column("version", Integer, nullable=False),
    Column("is_current", Integer, nullable=False),
    Column("sha256", SHORT, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("data_set_offset", BigInteger, nullable=False),
    Column("trailer_offset", BigInteger, nullable=False),
    Column("pixel_offset", BigInteger),
    Column("pixel_length", BigInteger),
    Column("frame_count", BigInteger, nullable=False),
    Column("original_sha256", SHORT, nullable=False),
    Column("original_size", BigInteger, nullable=False),
    _parent("source_fk", "sources.pk"),
    Column("received_at", BigInteger, nullable=False),
    Column("rule_set", TEXT, nullable=False),
    Column("crc32c", BigInteger),
    _audience(),
    Index(None, "sop_instance_uid", "series_fk", "version"),
    Index(None, "series_fk", "is_current", "audience"),
    comment="One row per held version. `received_at` counts microseconds since 1970 in UTC.",
)

locations = Table(
    "locations",
    metadata,
    Column("instance_fk", PK, ForeignKey("instances.pk"), primary_key=True, autoincrement=False),
    Column("ordinal", Integer, primary_key=True, autoincrement=False),
    Column("store", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("offset", BigInteger, nullable=False),
    Column("length", BigInteger, nullable=False),
    Column("state", SHORT, nullable=False, server_default="ok"),
    sqlite_with_rowid=False,
)

headers = Table(
    "headers",
    metadata,
    Column("instance_fk", PK, ForeignKey("instances.pk"), primary_key=True, autoincrement=False),
    Column("json", LargeBinary, nullable=False),
    Column("provenance", LargeBinary),
    comment="DICOM JSON of the data set, and transformations with findings, both zstd. No provenance: nothing changed.",
)

conflicts = Table(
    "conflicts",
    metadata,
    _key(),
    Column("sop_instance_uid", TEXT, nullable=False, index=True),
    _parent("first_fk", "instances.pk"),
    _parent("second_fk", "instances.pk"),
    Column("classification", SHORT, nullable=False),
    Column("detected_at", BigInteger, nullable=False),
    comment="Versions under one SOP Instance UID that differ in content, or in the patient, study or series they name.",
)

totals = Table(
    "totals",
    metadata,
    Column("pk", Integer, primary_key=True, autoincrement=False),
    *(_number(name) for name in ("last_pk", "patients", "studies", "series", "instances", "versions", "conflicts", "bytes")),
    _number("changes_of_parents"),
    comment="One row: what `statistics` answers, and the last primary key given out.",
)

generations = Table(
    "generations",
    metadata,
    Column("instance_fk", PK, ForeignKey("instances.pk"), primary_key=True, autoincrement=False),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("is_current", Integer, nullable=False),
    Column("run", TEXT, nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("rule_set", TEXT, nullable=False),
    Column("sha256", SHORT, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("store", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("offset", BigInteger, nullable=False, server_default="0"),
    Index(None, "run", "instance_fk"),
    Index(None, "key"),
    sqlite_with_rowid=False,
    comment="Objects made of the same octets, where there are several: 0 on arrival, the others by runs of re-normalization.",
)

normalization_runs = Table(
    "normalization_runs",
    metadata,
    Column("id", SHORT, primary_key=True),
    Column("scope", TEXT, nullable=False),
    Column("rule_set", TEXT, nullable=False),
    Column("state", SHORT, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("position", BigInteger, nullable=False),
    Column("until", BigInteger, nullable=False),
    Column("counts", TEXT, nullable=False),
    comment="Runs of re-normalization: versions of a primary key up to `position` are done, those up to `until` belong to it.",
)

quarantine = Table(
    "quarantine",
    metadata,
    Column("id", SHORT, primary_key=True),
    Column("sha256", SHORT, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("store", TEXT, nullable=False),
    Column("key", TEXT, nullable=False),
    Column("code", TEXT, nullable=False),
    Column("message", TEXT, nullable=False),
    Column("source_kind", TEXT, nullable=False),
    Column("source_name", TEXT, nullable=False),
    Column("source_address", TEXT, nullable=False),
    Column("source_issuer", TEXT, nullable=False),
    Column("transfer_syntax_uid", TEXT, nullable=False),
    Column("sop_class_uid", TEXT, nullable=False),
    Column("sop_instance_uid", TEXT, nullable=False),
    Column("received_at", BigInteger, nullable=False),
    Column("times", Integer, nullable=False, server_default="1"),
    Column("resolution", TEXT, nullable=False, server_default=""),
    Index(None, "resolution", "id"),
)

commitments = Table(
    "commitments",
    metadata,
    Column("transaction_uid", TEXT, primary_key=True),
    Column("peer", TEXT, primary_key=True),
    Column("requested_at", BigInteger, nullable=False),
    Column("instances", TEXT, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("not_before", BigInteger, nullable=False, server_default="0"),
    Column("state", SHORT, nullable=False, server_default="pending"),
    Index(None, "state", "not_before"),
    comment="Storage commitment requests (PS3.4 annex J) that wait for their report.",
)

campaigns = Table(
    "campaigns",
    metadata,
    Column("name", TEXT, primary_key=True),
    Column("source", TEXT, nullable=False),
    Column("state", SHORT, nullable=False),
    Column("started_at", BigInteger, nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("details", TEXT, nullable=False),
)
