"""The catalogue's content without its keys: equal for two catalogues that hold the same, in whatever order it was recorded."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy import func, select

from vna_core.catalogue.database import Database
from vna_core.catalogue.entry_form import decompress
from vna_core.catalogue.held import OF_INSTANCE
from vna_core.catalogue.schema import (
    conflicts,
    headers,
    instances,
    locations,
    patients,
    quarantine,
    series,
    sources,
    studies,
    totals,
)
from vna_core.catalogue.schema_departments import audiences
from vna_core.catalogue.schema_packs import pack_members, packs
from vna_core.catalogue.schema_stewardship import deleted_objects, deleted_versions, deletions, holds


def fingerprint(database: Database) -> dict[str, Any]:
    """Every table's rows as sorted tuples, parents named by their identifiers; headers by their digests.

    Left out is what a rebuild cannot know or need not keep: keys, when conflicts were noticed and between which versions.
    """
    of_series = series.join(studies, series.c.study_fk == studies.c.pk).join(patients, studies.c.patient_fk == patients.c.pk)
    person = (patients.c.issuer_of_patient_id, patients.c.patient_id, patients.c.only_study)
    parents = (*person, studies.c.study_instance_uid, series.c.series_instance_uid)
    joined = OF_INSTANCE.join(headers, headers.c.instance_fk == instances.c.pk).join(
        sources, sources.c.pk == instances.c.source_fk
    )
    statements = {
        "patients": select(*_own(patients)),
        "studies": select(*person, *_own(studies)).select_from(of_series).distinct(),
        "series": select(*parents, *_own(series)).select_from(of_series),
        "sources": select(sources.c.kind, sources.c.name, sources.c.address, sources.c.issuer),
        "locations": select(instances.c.sop_instance_uid, instances.c.sha256, *_own(locations, "ordinal")).join(
            instances, instances.c.pk == locations.c.instance_fk
        ),
        "conflicts": select(conflicts.c.sop_instance_uid, func.count()).group_by(conflicts.c.sop_instance_uid),
        "quarantine": select(quarantine.c.id, quarantine.c.sha256, quarantine.c.size, quarantine.c.code).where(
            quarantine.c.resolution == ""
        ),
        "holds": select(*_own(holds, "noted")),
        "deletions": select(*_own(deletions, "noted")),
        "deleted_versions": select(*deleted_versions.c),
        "deleted_objects": select(*deleted_objects.c),
        "packs": select(*_own(packs, "sealed_at")),
        "pack_members": select(packs.c.key, *_own(pack_members)).join(pack_members, pack_members.c.pack_fk == packs.c.pk),
        "labels": select(instances.c.sop_instance_uid, instances.c.sha256, audiences.c.labels).join(
            audiences, audiences.c.pk == instances.c.audience
        ),
        "labels of studies": select(studies.c.study_instance_uid, audiences.c.labels).join(
            audiences, audiences.c.pk == studies.c.audience
        ),
        "totals": select(*_own(totals, "last_pk", "changes_of_parents")),
    }
    content: dict[str, Any] = {}
    with database.session() as session:
        for name, statement in statements.items():
            content[name] = sorted(tuple(row) for row in session.run(statement).fetchall())
        columns = (headers.c.json, headers.c.provenance, *parents, sources.c.digest, *_own(instances))
        found = session.run(select(*columns).select_from(joined)).fetchall()
    rows = [tuple("" if value is None else value for value in row[2:]) + (_digest(row[0]), _digest(row[1])) for row in found]
    content["instances"] = sorted(rows, key=repr)
    return content


def _own(table: Any, *without: str) -> list[Any]:
    left_out = {"pk", "stamps", "audience", *without}
    return [column for column in table.columns if column.name not in left_out and not column.name.endswith("_fk")]


def _digest(packed: bytes | None) -> str:
    return "" if packed is None else hashlib.sha256(decompress(packed)).hexdigest()
