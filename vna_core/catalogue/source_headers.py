"""Headers of what one source delivered, study by study."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from vna_core.catalogue.database import Database
from vna_core.catalogue.entry_form import decompress
from vna_core.catalogue.schema import headers, instances, patients, series, sources, studies
from vna_core.catalogue.stored_text import from_stored, to_stored
from vna_core.domain.identifiers import PatientKey

_PIECE: Final = 200


@dataclass(frozen=True, slots=True)
class SourceHeader:
    """One current version. `patient` is whose it is here, `json` its header in DICOM JSON without bulk data."""

    patient: PatientKey
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    json: bytes


def source_headers(database: Database, source: str) -> Iterator[SourceHeader]:
    """Current versions that a source delivered, by its name, all of a study together; read in pieces, so that memory stays flat."""
    of_study = (
        select(studies.c.pk)
        .where(
            studies.c.pk.in_(
                select(series.c.study_fk)
                .select_from(series.join(instances, instances.c.series_fk == series.c.pk))
                .join(sources, sources.c.pk == instances.c.source_fk)
                .where(sources.c.name == to_stored(source))
            )
        )
        .order_by(studies.c.pk)
        .limit(_PIECE)
    )
    last = 0
    while True:
        with database.session() as session:
            keys = [row[0] for row in session.run(of_study.where(studies.c.pk > last)).fetchall()]
        for key in keys:
            yield from _of_study(database, source, key)
        if len(keys) < _PIECE:
            return
        last = keys[-1]


def _of_study(database: Database, source: str, study: int) -> Iterator[SourceHeader]:
    patient = (patients.c.issuer_of_patient_id, patients.c.patient_id)
    uids = (studies.c.study_instance_uid, series.c.series_instance_uid, instances.c.sop_instance_uid, instances.c.sop_class_uid)
    joined = (
        instances.join(series, series.c.pk == instances.c.series_fk)
        .join(studies, studies.c.pk == series.c.study_fk)
        .join(patients, patients.c.pk == studies.c.patient_fk)
        .join(headers, headers.c.instance_fk == instances.c.pk)
        .join(sources, sources.c.pk == instances.c.source_fk)
    )
    wanted = (series.c.study_fk == study) & (instances.c.is_current == 1) & (sources.c.name == to_stored(source))
    statement = select(instances.c.pk, *patient, *uids, headers.c.json).select_from(joined).order_by(instances.c.pk).limit(_PIECE)
    last = 0
    while True:
        with database.session() as session:
            rows = session.run(statement.where(wanted, instances.c.pk > last)).fetchall()
        for row in rows:
            issuer, patient_id, study_uid, series_uid, sop, sop_class = (from_stored(text) for text in row[1:7])
            yield SourceHeader(PatientKey(issuer, patient_id), study_uid, series_uid, sop, sop_class, decompress(row[7]))
        if len(rows) < _PIECE:
            return
        last = rows[-1][0]
