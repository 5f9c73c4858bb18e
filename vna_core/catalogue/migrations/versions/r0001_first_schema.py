"""The first schema."""

from __future__ import annotations

from typing import Final

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT: Final = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
SHORT: Final = sa.String(64).with_variant(sa.String(64, collation="C"), "postgresql")
PK: Final = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _campaigns() -> None:
    op.create_table(
        "campaigns",
        sa.Column("name", TEXT, nullable=False),
        sa.Column("source", TEXT, nullable=False),
        sa.Column("state", SHORT, nullable=False),
        sa.Column("started_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("details", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_campaigns")),
    )


def _commitments() -> None:
    op.create_table(
        "commitments",
        sa.Column("transaction_uid", TEXT, nullable=False),
        sa.Column("peer", TEXT, nullable=False),
        sa.Column("requested_at", sa.BigInteger(), nullable=False),
        sa.Column("instances", TEXT, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("not_before", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("state", SHORT, server_default="pending", nullable=False),
        sa.PrimaryKeyConstraint("transaction_uid", "peer", name=op.f("pk_commitments")),
        comment="Storage commitment requests (PS3.4 annex J) that wait for their report.",
    )
    op.create_index(op.f("ix_commitments_state_not_before"), "commitments", ["state", "not_before"], unique=False)


def _patients() -> None:
    op.create_table(
        "patients",
        sa.Column("pk", PK, autoincrement=False, nullable=False),
        sa.Column("patient_name", TEXT, server_default="", nullable=False),
        sa.Column("patient_id", TEXT, server_default="", nullable=False),
        sa.Column("issuer_of_patient_id", TEXT, server_default="", nullable=False),
        sa.Column("patient_birth_date", TEXT, server_default="", nullable=False),
        sa.Column("patient_birth_time", TEXT, server_default="", nullable=False),
        sa.Column("patient_sex", TEXT, server_default="", nullable=False),
        sa.Column("other_patient_ids", TEXT, server_default="", nullable=False),
        sa.Column("ethnic_group", TEXT, server_default="", nullable=False),
        sa.Column("patient_comments", TEXT, server_default="", nullable=False),
        sa.Column("only_study", TEXT, server_default="", nullable=False),
        sa.Column("name_alphabetic", TEXT, server_default="", nullable=False),
        sa.Column("name_ideographic", TEXT, server_default="", nullable=False),
        sa.Column("name_phonetic", TEXT, server_default="", nullable=False),
        sa.Column("stamps", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_patients")),
        comment="One row per Patient ID and issuer; without an ID one per study, as nothing says that two nameless ones are one.",
    )
    op.create_index(
        op.f("ix_patients_patient_id_issuer_of_patient_id_only_study"),
        "patients",
        ["patient_id", "issuer_of_patient_id", "only_study"],
        unique=True,
    )


def _quarantine() -> None:
    op.create_table(
        "quarantine",
        sa.Column("id", SHORT, nullable=False),
        sa.Column("sha256", SHORT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("store", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("code", TEXT, nullable=False),
        sa.Column("message", TEXT, nullable=False),
        sa.Column("source_kind", TEXT, nullable=False),
        sa.Column("source_name", TEXT, nullable=False),
        sa.Column("source_address", TEXT, nullable=False),
        sa.Column("source_issuer", TEXT, nullable=False),
        sa.Column("transfer_syntax_uid", TEXT, nullable=False),
        sa.Column("sop_class_uid", TEXT, nullable=False),
        sa.Column("sop_instance_uid", TEXT, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("times", sa.Integer(), server_default="1", nullable=False),
        sa.Column("resolution", TEXT, server_default="", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_quarantine")),
    )
    op.create_index(op.f("ix_quarantine_resolution_id"), "quarantine", ["resolution", "id"], unique=False)


def _sources() -> None:
    op.create_table(
        "sources",
        sa.Column("pk", PK, autoincrement=False, nullable=False),
        sa.Column("kind", TEXT, server_default="", nullable=False),
        sa.Column("name", TEXT, server_default="", nullable=False),
        sa.Column("address", TEXT, server_default="", nullable=False),
        sa.Column("issuer", TEXT, server_default="", nullable=False),
        sa.Column("digest", SHORT, nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_sources")),
        comment="Where octets came from. An address may be long, so equality is looked up by `digest`.",
    )
    op.create_index(op.f("ix_sources_digest"), "sources", ["digest"], unique=True)


def _totals() -> None:
    op.create_table(
        "totals",
        sa.Column("pk", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("last_pk", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("patients", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("studies", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("series", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("instances", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("versions", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("conflicts", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("bytes", sa.BigInteger(), server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_totals")),
        comment="One row: what `statistics` answers, and the last primary key given out.",
    )


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


def _name_keys() -> None:
    op.create_table(
        "name_keys",
        sa.Column("kind", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", TEXT, nullable=False),
        sa.Column("patient_fk", PK, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(["patient_fk"], ["patients.pk"], name=op.f("fk_name_keys_patient_fk")),
        sa.PrimaryKeyConstraint("kind", "text", "patient_fk", name=op.f("pk_name_keys")),
        comment="Kind 0: suffixes of folded name groups; kind 1: phonetic codes of words; kind 2: suffixes of the Patient ID.",
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_name_keys_patient_fk"), "name_keys", ["patient_fk"], unique=False)


def _studies() -> None:
    op.create_table(
        "studies",
        sa.Column("pk", PK, autoincrement=False, nullable=False),
        sa.Column("patient_fk", PK, nullable=False),
        sa.Column("study_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("study_date", TEXT, server_default="", nullable=False),
        sa.Column("study_time", TEXT, server_default="", nullable=False),
        sa.Column("accession_number", TEXT, server_default="", nullable=False),
        sa.Column("referring_physician_name", TEXT, server_default="", nullable=False),
        sa.Column("study_id", TEXT, server_default="", nullable=False),
        sa.Column("study_description", TEXT, server_default="", nullable=False),
        sa.Column("name_of_physicians_reading_study", TEXT, server_default="", nullable=False),
        sa.Column("patient_age", TEXT, server_default="", nullable=False),
        sa.Column("patient_size", TEXT, server_default="", nullable=False),
        sa.Column("patient_weight", TEXT, server_default="", nullable=False),
        sa.Column("occupation", TEXT, server_default="", nullable=False),
        sa.Column("additional_patient_history", TEXT, server_default="", nullable=False),
        sa.Column("timezone_offset_from_utc", TEXT, server_default="", nullable=False),
        sa.Column("referring_physician_name_folded", TEXT, server_default="", nullable=False),
        sa.Column("name_of_physicians_reading_study_folded", TEXT, server_default="", nullable=False),
        sa.Column("newest", TEXT, server_default="", nullable=False),
        sa.Column("modalities", TEXT, server_default="", nullable=False),
        sa.Column("sop_classes", TEXT, server_default="", nullable=False),
        sa.Column("stamps", TEXT, server_default="", nullable=False),
        sa.ForeignKeyConstraint(["patient_fk"], ["patients.pk"], name=op.f("fk_studies_patient_fk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_studies")),
        comment="`newest` is the study's date and time, made for sorting.",
    )
    op.create_index(op.f("ix_studies_accession_number"), "studies", ["accession_number"], unique=False)
    op.create_index(op.f("ix_studies_newest_pk"), "studies", ["newest", "pk"], unique=False)
    op.create_index(op.f("ix_studies_patient_fk"), "studies", ["patient_fk"], unique=False)
    op.create_index(
        op.f("ix_studies_study_instance_uid_patient_fk"), "studies", ["study_instance_uid", "patient_fk"], unique=True
    )


def _series() -> None:
    op.create_table(
        "series",
        sa.Column("pk", PK, autoincrement=False, nullable=False),
        sa.Column("study_fk", PK, nullable=False),
        sa.Column("series_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("modality", TEXT, server_default="", nullable=False),
        sa.Column("series_number", TEXT, server_default="", nullable=False),
        sa.Column("series_description", TEXT, server_default="", nullable=False),
        sa.Column("series_date", TEXT, server_default="", nullable=False),
        sa.Column("series_time", TEXT, server_default="", nullable=False),
        sa.Column("body_part_examined", TEXT, server_default="", nullable=False),
        sa.Column("laterality", TEXT, server_default="", nullable=False),
        sa.Column("protocol_name", TEXT, server_default="", nullable=False),
        sa.Column("manufacturer", TEXT, server_default="", nullable=False),
        sa.Column("manufacturer_model_name", TEXT, server_default="", nullable=False),
        sa.Column("station_name", TEXT, server_default="", nullable=False),
        sa.Column("institution_name", TEXT, server_default="", nullable=False),
        sa.Column("institutional_department_name", TEXT, server_default="", nullable=False),
        sa.Column("performing_physician_name", TEXT, server_default="", nullable=False),
        sa.Column("performed_procedure_step_start_date", TEXT, server_default="", nullable=False),
        sa.Column("performed_procedure_step_start_time", TEXT, server_default="", nullable=False),
        sa.Column("performing_physician_name_folded", TEXT, server_default="", nullable=False),
        sa.Column("stamps", TEXT, server_default="", nullable=False),
        sa.Column("number_of_instances", sa.BigInteger(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["study_fk"], ["studies.pk"], name=op.f("fk_series_study_fk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_series")),
    )
    op.create_index(op.f("ix_series_series_instance_uid_study_fk"), "series", ["series_instance_uid", "study_fk"], unique=True)
    op.create_index(op.f("ix_series_study_fk"), "series", ["study_fk"], unique=False)


def _instances() -> None:
    op.create_table(
        "instances",
        sa.Column("pk", PK, autoincrement=False, nullable=False),
        sa.Column("series_fk", PK, nullable=False),
        sa.Column("sop_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("sop_class_uid", TEXT, server_default="", nullable=False),
        sa.Column("instance_number", TEXT, server_default="", nullable=False),
        sa.Column("acquisition_number", TEXT, server_default="", nullable=False),
        sa.Column("image_type", TEXT, server_default="", nullable=False),
        sa.Column("content_date", TEXT, server_default="", nullable=False),
        sa.Column("content_time", TEXT, server_default="", nullable=False),
        sa.Column("acquisition_date", TEXT, server_default="", nullable=False),
        sa.Column("acquisition_time", TEXT, server_default="", nullable=False),
        sa.Column("rows", TEXT, server_default="", nullable=False),
        sa.Column("columns", TEXT, server_default="", nullable=False),
        sa.Column("bits_allocated", TEXT, server_default="", nullable=False),
        sa.Column("samples_per_pixel", TEXT, server_default="", nullable=False),
        sa.Column("photometric_interpretation", TEXT, server_default="", nullable=False),
        sa.Column("number_of_frames", TEXT, server_default="", nullable=False),
        sa.Column("transfer_syntax_uid", TEXT, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("is_current", sa.Integer(), nullable=False),
        sa.Column("sha256", SHORT, nullable=False),
        sa.Column("size", sa.BigInteger(), nullable=False),
        sa.Column("data_set_offset", sa.BigInteger(), nullable=False),
        sa.Column("trailer_offset", sa.BigInteger(), nullable=False),
        sa.Column("pixel_offset", sa.BigInteger(), nullable=True),
        sa.Column("pixel_length", sa.BigInteger(), nullable=True),
        sa.Column("frame_count", sa.BigInteger(), nullable=False),
        sa.Column("original_sha256", SHORT, nullable=False),
        sa.Column("original_size", sa.BigInteger(), nullable=False),
        sa.Column("source_fk", PK, nullable=False),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("rule_set", TEXT, nullable=False),
        sa.ForeignKeyConstraint(["series_fk"], ["series.pk"], name=op.f("fk_instances_series_fk")),
        sa.ForeignKeyConstraint(["source_fk"], ["sources.pk"], name=op.f("fk_instances_source_fk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_instances")),
        comment="One row per held version. `received_at` counts microseconds since 1970 in UTC.",
    )
    op.create_index(op.f("ix_instances_series_fk_is_current"), "instances", ["series_fk", "is_current"], unique=False)
    op.create_index(
        op.f("ix_instances_sop_instance_uid_series_fk_version"),
        "instances",
        ["sop_instance_uid", "series_fk", "version"],
        unique=False,
    )


def _conflicts() -> None:
    op.create_table(
        "conflicts",
        sa.Column("pk", PK, autoincrement=False, nullable=False),
        sa.Column("sop_instance_uid", TEXT, nullable=False),
        sa.Column("first_fk", PK, nullable=False),
        sa.Column("second_fk", PK, nullable=False),
        sa.Column("classification", SHORT, nullable=False),
        sa.Column("detected_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["first_fk"], ["instances.pk"], name=op.f("fk_conflicts_first_fk")),
        sa.ForeignKeyConstraint(["second_fk"], ["instances.pk"], name=op.f("fk_conflicts_second_fk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_conflicts")),
        comment="Versions under one SOP Instance UID that differ in content, or in the patient, study or series they name.",
    )
    op.create_index(op.f("ix_conflicts_sop_instance_uid"), "conflicts", ["sop_instance_uid"], unique=False)


def _headers() -> None:
    op.create_table(
        "headers",
        sa.Column("instance_fk", PK, autoincrement=False, nullable=False),
        sa.Column("json", sa.LargeBinary(), nullable=False),
        sa.Column("provenance", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["instance_fk"], ["instances.pk"], name=op.f("fk_headers_instance_fk")),
        sa.PrimaryKeyConstraint("instance_fk", name=op.f("pk_headers")),
        comment="DICOM JSON of the data set, and transformations with findings, both zstd. No provenance: nothing changed.",
    )


def _locations() -> None:
    op.create_table(
        "locations",
        sa.Column("instance_fk", PK, autoincrement=False, nullable=False),
        sa.Column("ordinal", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("store", TEXT, nullable=False),
        sa.Column("key", TEXT, nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("length", sa.BigInteger(), nullable=False),
        sa.Column("state", SHORT, server_default="ok", nullable=False),
        sa.ForeignKeyConstraint(["instance_fk"], ["instances.pk"], name=op.f("fk_locations_instance_fk")),
        sa.PrimaryKeyConstraint("instance_fk", "ordinal", name=op.f("pk_locations")),
        sqlite_with_rowid=False,
    )


def upgrade() -> None:
    """Make every table."""
    _campaigns()
    _commitments()
    _patients()
    _quarantine()
    _sources()
    _totals()
    _inventory()
    _name_keys()
    _studies()
    _series()
    _instances()
    _conflicts()
    _headers()
    _locations()
    op.execute("INSERT INTO totals (pk, last_pk) VALUES (1, 0)")


def downgrade() -> None:
    """Remove every table."""
    op.drop_table("locations")
    op.drop_table("headers")
    op.drop_table("conflicts")
    op.drop_table("instances")
    op.drop_table("series")
    op.drop_table("studies")
    op.drop_table("name_keys")
    op.drop_table("inventory")
    op.drop_table("totals")
    op.drop_table("sources")
    op.drop_table("quarantine")
    op.drop_table("patients")
    op.drop_table("commitments")
    op.drop_table("campaigns")
