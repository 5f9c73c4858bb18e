"""Tables of the catalogue: the ledger of migrations. Transitions are append-only: the database itself refuses to change them."""

from __future__ import annotations

from typing import Final

from sqlalchemy import DDL, BigInteger, Column, Float, Index, Integer, Table, event

from vna_core.catalogue.schema import PK, SHORT, TEXT, metadata


def _pk() -> Column[int]:
    return Column("pk", PK, primary_key=True, autoincrement=True)


def _text(name: str) -> Column[str]:
    return Column(name, TEXT, nullable=False, server_default="")


def _short(name: str) -> Column[str]:
    return Column(name, SHORT, nullable=False, server_default="")


def _number(name: str, default: str = "0") -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=default)


migration_inventories = Table(
    "migration_inventories",
    metadata,
    _pk(),
    Column("campaign", TEXT, nullable=False),
    Column("number", Integer, nullable=False),
    _short("state"),
    _number("started_at"),
    _number("finished_at"),
    _number("studies"),
    _number("instances"),
    _short("digest"),
    _text("details"),
    Index(None, "campaign", "number", unique=True),
    sqlite_autoincrement=True,
    comment="Snapshots of what a source says it holds. Of a complete one, `digest` is the SHA-256 of its sorted lines.",
)

migration_spans = Table(
    "migration_spans",
    metadata,
    Column("inventory_fk", PK, primary_key=True, autoincrement=False),
    Column("span", TEXT, primary_key=True),
    _number("answers"),
    _short("state"),
    comment="Questions of an inventory that were answered, so that an interrupted one goes on. State `capped`: not narrower.",
)

migration_studies = Table(
    "migration_studies",
    metadata,
    _pk(),
    Column("campaign", TEXT, nullable=False),
    Column("study_instance_uid", TEXT, nullable=False),
    *(_text(name) for name in ("patient_id", "issuer", "study_date", "study_time", "modalities", "accession_number")),
    *(_text(name) for name in ("patient_name", "patient_birth_date", "patient_sex")),
    *(_text(name) for name in ("referring_physician_name", "study_id", "study_description", "name_folded", "newest")),
    Column("unknown_modalities", Integer, nullable=False, server_default="2"),
    Column("awaited", Integer, nullable=False, server_default="1"),
    _number("told_instances", "-1"),
    _short("fingerprint"),
    _number("first_inventory"),
    _number("last_inventory"),
    _number("removed_inventory"),
    _number("instances_inventory"),
    _short("state"),
    Column("priority", Integer, nullable=False, server_default="50"),
    _number("position"),
    _number("instances"),
    _number("updated_at"),
    Index(None, "campaign", "study_instance_uid", unique=True),
    Index(None, "campaign", "state", "priority", "position", "pk"),
    Index(None, "campaign", "patient_id"),
    Index(None, "study_instance_uid"),
    Index(None, "campaign", "instances_inventory", "pk"),
    Index(None, "awaited", "newest", "pk"),
    Index(None, "awaited", "name_folded"),
    Index(None, "awaited", "unknown_modalities"),
    Index(None, "accession_number"),
    sqlite_autoincrement=True,
    comment="One row per campaign and study. `told_instances`: what the source counts, -1 where it does not say. "
    "`instances_inventory`: the last inventory for which its instances are known. `awaited`: 1 while its state is one of a study "
    "not yet moved. `newest`: date and time, made for sorting. `name_folded`: the name without case and accents, or `=` and all "
    "its groups where it has several. `unknown_modalities`: 1 where those of some series are not known, 2 those of the study.",
)

migration_cutovers = Table(
    "migration_cutovers",
    metadata,
    Column("campaign", TEXT, primary_key=True),
    Column("answering", Integer, nullable=False),
    _number("changed_at"),
    _text("changed_by"),
    comment="Campaigns for which somebody decided whether the archive answers for the whole source; the others follow the setting.",
)

migration_instances = Table(
    "migration_instances",
    metadata,
    _pk(),
    Column("study_fk", PK, nullable=False),
    Column("series_instance_uid", TEXT, nullable=False),
    Column("sop_instance_uid", TEXT, nullable=False),
    _text("sop_class_uid"),
    _short("modality"),
    _text("source_digest"),
    _number("first_inventory"),
    _number("removed_inventory"),
    _short("state"),
    _short("outcome"),
    _text("detail"),
    _short("received_sha256"),
    _number("received_size"),
    _text("stored_sop_instance_uid"),
    _text("quarantine_id"),
    Column("tries", Integer, nullable=False, server_default="0"),
    _short("proof"),
    _number("updated_at"),
    Index("ix_migration_instances_of_study", "study_fk", "series_instance_uid", "sop_instance_uid", "source_digest", unique=True),
    Index(None, "series_instance_uid"),
    Index(None, "sop_instance_uid"),
    sqlite_autoincrement=True,
    comment="One row per instance that a source named, and per file where it named several under one UID by their digests. `received_sha256`: of the octets as received, empty until they were. "
    "`proof`: `digest` when they came back from every copy, `pixel` when a second retrieval had equal pixels too.",
)

migration_transitions = Table(
    "migration_transitions",
    metadata,
    _pk(),
    Column("study_fk", PK, nullable=False),
    _number("instance_fk"),
    Column("old", SHORT, nullable=False),
    Column("new", SHORT, nullable=False),
    _number("at"),
    _text("worker"),
    _text("rule"),
    _text("detail"),
    Index(None, "study_fk", "pk"),
    sqlite_autoincrement=True,
    comment="Every change of state of a study (`instance_fk` 0) or instance, append-only. `at`: microseconds since 1970, UTC.",
)

migration_counts = Table(
    "migration_counts",
    metadata,
    Column("campaign", TEXT, primary_key=True),
    Column("level", SHORT, primary_key=True),
    Column("state", SHORT, primary_key=True),
    Column("outcome", SHORT, primary_key=True),
    _number("number"),
    _number("octets"),
    comment="How many studies and instances are in each state, kept in the transaction of each change: asking costs nothing.",
)

migration_exceptions = Table(
    "migration_exceptions",
    metadata,
    _pk(),
    Column("campaign", TEXT, nullable=False),
    _number("study_fk"),
    _number("instance_fk"),
    Column("reason", SHORT, nullable=False),
    _short("state"),
    _text("detail"),
    _text("sample"),
    _short("cause"),
    _number("times", "1"),
    _number("opened_at"),
    _number("closed_at"),
    _text("closed_by"),
    _text("note"),
    Index(None, "campaign", "study_fk", "instance_fk", "reason", unique=True),
    Index(None, "campaign", "state", "reason", "pk"),
    sqlite_autoincrement=True,
    comment="The worklist: state `open`, `retried`, `accepted` (by a person, with a note) or `solved` (by a later transition). "
    "`cause`: equal as long as what is seen is the same.",
)

migration_sources = Table(
    "migration_sources",
    metadata,
    Column("name", TEXT, primary_key=True),
    _number("free_at"),
    _number("silent_since"),
    _number("silent_until"),
    Column("bound", Float, nullable=False, server_default="0"),
    Column("latency", Float, nullable=False, server_default="0"),
    Column("best_latency", Float, nullable=False, server_default="0"),
    _number("reduced_at"),
    *(
        Column(name, Float, nullable=False, server_default="0")
        for name in ("source_seconds", "pipeline_seconds", "store_seconds")
    ),
    _number("refusals"),
    comment="What all workers share about a source: when the next instance may be asked for, and how many retrievals at once.",
)

migration_slots = Table(
    "migration_slots",
    metadata,
    _pk(),
    Column("source", TEXT, nullable=False),
    _number("job"),
    _number("fence"),
    Index(None, "source"),
    sqlite_autoincrement=True,
    comment="Retrievals that run now: places at a source, each as long as the lease of the job that holds it.",
)

APPEND_ONLY: Final = {
    "sqlite": tuple(
        f"CREATE TRIGGER migration_transitions_no_{what} BEFORE {what} ON migration_transitions "
        "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for what in ("update", "delete")
    ),
    "postgresql": (
        "CREATE OR REPLACE FUNCTION migration_transitions_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$",
        "CREATE TRIGGER migration_transitions_append_only BEFORE UPDATE OR DELETE ON migration_transitions "
        "FOR EACH ROW EXECUTE FUNCTION migration_transitions_append_only()",
    ),
}
"""Statements that make the database refuse changes of transitions, by dialect."""

for _dialect, _statements in APPEND_ONLY.items():
    for _statement in _statements:
        event.listen(
            migration_transitions,
            "after_create",
            DDL(_statement).execute_if(dialect=_dialect),  # type: ignore[no-untyped-call]
        )
