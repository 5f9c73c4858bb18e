"""The ledger of migrations. What the first schema kept of campaigns goes over, to be compared with what is held by the next run."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from vna_core.catalogue.schema import PK, SHORT, TEXT

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_APPEND_ONLY = {
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
_CARRIED_OVER = (
    "INSERT INTO migration_inventories (campaign, number, state, started_at, finished_at, details) "
    "SELECT name, 1, 'complete', started_at, updated_at, '{}' FROM campaigns",
    "INSERT INTO migration_studies (campaign, study_instance_uid, first_inventory, last_inventory, instances_inventory, state, "
    "instances) SELECT campaign, study_instance_uid, 1, 1, 1, 'inventoried', count(*) FROM inventory "
    "GROUP BY campaign, study_instance_uid",
    "INSERT INTO migration_instances (study_fk, series_instance_uid, sop_instance_uid, sop_class_uid, first_inventory, state) "
    "SELECT s.pk, i.series_instance_uid, i.sop_instance_uid, i.sop_class_uid, 1, 'inventoried' FROM inventory i "
    "JOIN migration_studies s ON s.campaign = i.campaign AND s.study_instance_uid = i.study_instance_uid",
    "INSERT INTO migration_counts (campaign, level, state, outcome, number) "
    "SELECT campaign, 'study', 'inventoried', '', count(*) FROM migration_studies GROUP BY campaign",
    "INSERT INTO migration_counts (campaign, level, state, outcome, number) "
    "SELECT campaign, 'instance', 'inventoried', '', count(*) FROM inventory GROUP BY campaign",
)


def upgrade() -> None:
    """Add the tables, carry the inventories over, and have the database refuse changes of the history."""
    _counts()
    _cutovers()
    _exceptions()
    _instances()
    _inventories()
    _slots()
    _sources()
    _spans()
    _studies()
    _transitions()
    for statement in (*_CARRIED_OVER, *_APPEND_ONLY[op.get_bind().dialect.name]):
        op.execute(statement)
    op.drop_table("inventory")


def downgrade() -> None:
    """Remove the tables. What the ledger says is lost; what was moved stays in the archive."""
    _inventory()
    for name in (
        "migration_transitions",
        "migration_studies",
        "migration_spans",
        "migration_sources",
        "migration_slots",
        "migration_inventories",
        "migration_instances",
        "migration_exceptions",
        "migration_cutovers",
        "migration_counts",
    ):
        op.drop_table(name)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION IF EXISTS migration_transitions_append_only()")


def _counts() -> None:
    op.create_table(
        "migration_counts",
        sa.Column("campaign", TEXT, nullable=False),
        sa.Column("level", SHORT, nullable=False),
        sa.Column("state", SHORT, nullable=False),
        sa.Column("outcome", SHORT, nullable=False),
        sa.Column("number", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("octets", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("campaign", "level", "state", "outcome", name=op.f("pk_migration_counts")),
        comment="How many studies and instances are in each state, kept in the transaction of each change: asking costs nothing.",
    )


def _cutovers() -> None:
    op.create_table(
        "migration_cutovers",
        sa.Column("campaign", TEXT, nullable=False),
        sa.Column("answering", sa.Integer(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("changed_by", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("campaign", name=op.f("pk_migration_cutovers")),
        comment="Campaigns for which somebody decided whether the archive answers for the whole source; the others follow the setting.",
    )


def _exceptions() -> None:
    op.create_table(
        "migration_exceptions",
        sa.Column("pk", PK, autoincrement=True, nullable=False),
        sa.Column("campaign", TEXT, nullable=False),
        sa.Column("study_fk", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("instance_fk", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("reason", SHORT, nullable=False),
        sa.Column("state", SHORT, server_default="", nullable=False),
        sa.Column("detail", TEXT, server_default="", nullable=False),
        sa.Column("sample", TEXT, server_default="", nullable=False),
        sa.Column("cause", SHORT, server_default="", nullable=False),
        sa.Column("times", sa.BigInteger(), server_default="1", nullable=False),
        sa.Column("opened_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("closed_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("closed_by", TEXT, server_default="", nullable=False),
        sa.Column("note", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_migration_exceptions")),
        comment="The worklist: state `open`, `retried`, `accepted` (by a person, with a note) or `solved` (by a later transition). "
        "`cause`: equal as long as what is seen is the same.",
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_migration_exceptions_campaign_state_reason_pk"),
        "migration_exceptions",
        ["campaign", "state", "reason", "pk"],
        unique=False,
    )
    op.create_index(
        op.f("ix_migration_exceptions_campaign_study_fk_instance_fk_reason"),
        "migration_exceptions",
        ["campaign", "study_fk", "instance_fk", "reason"],
        unique=True,
    )


def _instances() -> None:
    op.create_table(
        "migration_instances",
        sa.Column("pk", PK, autoincrement=True, nullable=False),
        sa.Column("study_fk", PK, nullable=False),
        sa.Column("series_instance_uid", TEXT, nullable=False),
        sa.Column("sop_instance_uid", TEXT, nullable=False),
        sa.Column("sop_class_uid", TEXT, server_default="", nullable=False),
        sa.Column("modality", SHORT, server_default="", nullable=False),
        sa.Column("source_digest", TEXT, server_default="", nullable=False),
        sa.Column("first_inventory", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("removed_inventory", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", SHORT, server_default="", nullable=False),
        sa.Column("outcome", SHORT, server_default="", nullable=False),
        sa.Column("detail", TEXT, server_default="", nullable=False),
        sa.Column("received_sha256", SHORT, server_default="", nullable=False),
        sa.Column("received_size", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("stored_sop_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("quarantine_id", TEXT, server_default="", nullable=False),
        sa.Column("tries", sa.Integer(), server_default="0", nullable=False),
        sa.Column("proof", SHORT, server_default="", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_migration_instances")),
        comment="One row per instance that a source named, and per file where it named several under one UID by their digests. `received_sha256`: of the octets as received, empty until they were. `proof`: `digest` when they came back from every copy, `pixel` when a second retrieval had equal pixels too.",
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_migration_instances_of_study",
        "migration_instances",
        ["study_fk", "series_instance_uid", "sop_instance_uid", "source_digest"],
        unique=True,
    )
    for column in ("series_instance_uid", "sop_instance_uid"):
        op.create_index(f"ix_migration_instances_{column}", "migration_instances", [column])


def _inventories() -> None:
    op.create_table(
        "migration_inventories",
        sa.Column("pk", PK, autoincrement=True, nullable=False),
        sa.Column("campaign", TEXT, nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("state", SHORT, server_default="", nullable=False),
        sa.Column("started_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("finished_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("studies", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("instances", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("digest", SHORT, server_default="", nullable=False),
        sa.Column("details", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_migration_inventories")),
        comment="Snapshots of what a source says it holds. Of a complete one, `digest` is the SHA-256 of its sorted lines.",
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_migration_inventories_campaign_number"), "migration_inventories", ["campaign", "number"], unique=True
    )


def _slots() -> None:
    op.create_table(
        "migration_slots",
        sa.Column("pk", PK, autoincrement=True, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("job", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("fence", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_migration_slots")),
        comment="Retrievals that run now: places at a source, each as long as the lease of the job that holds it.",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_migration_slots_source"), "migration_slots", ["source"], unique=False)


def _sources() -> None:
    op.create_table(
        "migration_sources",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("free_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("silent_since", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("silent_until", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bound", sa.Float(), server_default="0", nullable=False),
        sa.Column("latency", sa.Float(), server_default="0", nullable=False),
        sa.Column("best_latency", sa.Float(), server_default="0", nullable=False),
        sa.Column("reduced_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("source_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("pipeline_seconds", sa.Float(), server_default="0", nullable=False),
        sa.Column("store_seconds", sa.Float(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_migration_sources")),
        comment="What all workers share about a source: when the next instance may be asked for, and how many retrievals at once.",
    )


def _spans() -> None:
    op.create_table(
        "migration_spans",
        sa.Column("inventory_fk", PK, autoincrement=False, nullable=False),
        sa.Column("span", TEXT, nullable=False),
        sa.Column("answers", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", SHORT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("inventory_fk", "span", name=op.f("pk_migration_spans")),
        comment="Questions of an inventory that were answered, so that an interrupted one goes on. State `capped`: not narrower.",
    )


def _studies() -> None:
    op.create_table(
        "migration_studies",
        sa.Column("pk", PK, autoincrement=True, nullable=False),
        sa.Column("campaign", TEXT, nullable=False),
        sa.Column("study_instance_uid", TEXT, nullable=False),
        sa.Column("patient_id", TEXT, server_default="", nullable=False),
        sa.Column("issuer", TEXT, server_default="", nullable=False),
        sa.Column("study_date", TEXT, server_default="", nullable=False),
        sa.Column("study_time", TEXT, server_default="", nullable=False),
        sa.Column("modalities", TEXT, server_default="", nullable=False),
        sa.Column("accession_number", TEXT, server_default="", nullable=False),
        sa.Column("patient_name", TEXT, server_default="", nullable=False),
        sa.Column("patient_birth_date", TEXT, server_default="", nullable=False),
        sa.Column("patient_sex", TEXT, server_default="", nullable=False),
        sa.Column("referring_physician_name", TEXT, server_default="", nullable=False),
        sa.Column("study_id", TEXT, server_default="", nullable=False),
        sa.Column("study_description", TEXT, server_default="", nullable=False),
        sa.Column("name_folded", TEXT, server_default="", nullable=False),
        sa.Column("newest", TEXT, server_default="", nullable=False),
        sa.Column("unknown_modalities", sa.Integer(), server_default="2", nullable=False),
        sa.Column("awaited", sa.Integer(), server_default="1", nullable=False),
        sa.Column("told_instances", sa.BigInteger(), server_default="-1", nullable=False),
        sa.Column("fingerprint", SHORT, server_default="", nullable=False),
        sa.Column("first_inventory", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("last_inventory", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("removed_inventory", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("instances_inventory", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", SHORT, server_default="", nullable=False),
        sa.Column("priority", sa.Integer(), server_default="50", nullable=False),
        sa.Column("position", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("instances", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_migration_studies")),
        comment="One row per campaign and study. `told_instances`: what the source counts, -1 where it does not say. `instances_inventory`: the last inventory for which its instances are known. `awaited`: 1 while its state is one of a study not yet moved. `newest`: date and time, made for sorting. `name_folded`: the name without case and accents, or `=` and all its groups where it has several. `unknown_modalities`: 1 where those of some series are not known, 2 those of the study.",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_migration_studies_accession_number"), "migration_studies", ["accession_number"], unique=False)
    op.create_index(
        op.f("ix_migration_studies_awaited_name_folded"), "migration_studies", ["awaited", "name_folded"], unique=False
    )
    op.create_index(
        op.f("ix_migration_studies_awaited_unknown_modalities"),
        "migration_studies",
        ["awaited", "unknown_modalities"],
        unique=False,
    )
    op.create_index(
        op.f("ix_migration_studies_awaited_newest_pk"), "migration_studies", ["awaited", "newest", "pk"], unique=False
    )
    op.create_index(
        op.f("ix_migration_studies_campaign_instances_inventory_pk"),
        "migration_studies",
        ["campaign", "instances_inventory", "pk"],
        unique=False,
    )
    op.create_index(
        op.f("ix_migration_studies_campaign_patient_id"), "migration_studies", ["campaign", "patient_id"], unique=False
    )
    op.create_index(
        op.f("ix_migration_studies_campaign_state_priority_position_pk"),
        "migration_studies",
        ["campaign", "state", "priority", "position", "pk"],
        unique=False,
    )
    op.create_index(
        op.f("ix_migration_studies_campaign_study_instance_uid"),
        "migration_studies",
        ["campaign", "study_instance_uid"],
        unique=True,
    )
    op.create_index(op.f("ix_migration_studies_study_instance_uid"), "migration_studies", ["study_instance_uid"], unique=False)


def _transitions() -> None:
    op.create_table(
        "migration_transitions",
        sa.Column("pk", PK, autoincrement=True, nullable=False),
        sa.Column("study_fk", PK, nullable=False),
        sa.Column("instance_fk", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("old", SHORT, nullable=False),
        sa.Column("new", SHORT, nullable=False),
        sa.Column("at", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("worker", TEXT, server_default="", nullable=False),
        sa.Column("rule", TEXT, server_default="", nullable=False),
        sa.Column("detail", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_migration_transitions")),
        comment="Every change of state of a study (`instance_fk` 0) or instance, append-only. `at`: microseconds since 1970, UTC.",
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_migration_transitions_study_fk_pk"), "migration_transitions", ["study_fk", "pk"], unique=False)


def _inventory() -> None:
    op.create_table(
        "inventory",
        sa.Column("campaign", TEXT, nullable=False),
        sa.Column("study_instance_uid", TEXT, nullable=False),
        sa.Column("series_instance_uid", TEXT, nullable=False),
        sa.Column("sop_instance_uid", TEXT, nullable=False),
        sa.Column("sop_class_uid", TEXT, nullable=False),
        sa.Column("outcome", SHORT, server_default="", nullable=False),
        sa.Column("detail", TEXT, server_default="", nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["campaign"], ["campaigns.name"], name=op.f("fk_inventory_campaign")),
        sa.PrimaryKeyConstraint(
            "campaign", "study_instance_uid", "series_instance_uid", "sop_instance_uid", name=op.f("pk_inventory")
        ),
        comment="What a source said it holds, and how each instance ended. An empty outcome: not yet fetched.",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_inventory_campaign_outcome"), "inventory", ["campaign", "outcome"], unique=False)
