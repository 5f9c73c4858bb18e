"""Which attributes the catalogue keeps in columns, and at which level they belong (PS3.4 C.6, PS3.18 tables 10.6.1-5).

Every other top-level attribute is answered from the instance's stored header, and can be declared searchable later.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vna_core.domain.query import Level


@dataclass(frozen=True, slots=True)
class IndexedAttribute:
    """One indexed element: `name` is its keyword in snake case, used as the column's name."""

    tag: int
    keyword: str
    vr: str
    level: Level
    name: str


def _table(level: Level, *rows: tuple[int, str, str, str]) -> dict[int, IndexedAttribute]:
    return {tag: IndexedAttribute(tag, keyword, vr, level, name) for tag, keyword, vr, name in rows}


INDEXED: Final[dict[int, IndexedAttribute]] = {
    **_table(
        Level.PATIENT,
        (0x00100010, "PatientName", "PN", "patient_name"),
        (0x00100020, "PatientID", "LO", "patient_id"),
        (0x00100021, "IssuerOfPatientID", "LO", "issuer_of_patient_id"),
        (0x00100030, "PatientBirthDate", "DA", "patient_birth_date"),
        (0x00100032, "PatientBirthTime", "TM", "patient_birth_time"),
        (0x00100040, "PatientSex", "CS", "patient_sex"),
        (0x00101000, "OtherPatientIDs", "LO", "other_patient_ids"),
        (0x00102160, "EthnicGroup", "SH", "ethnic_group"),
        (0x00104000, "PatientComments", "LT", "patient_comments"),
    ),
    **_table(
        Level.STUDY,
        (0x0020000D, "StudyInstanceUID", "UI", "study_instance_uid"),
        (0x00080020, "StudyDate", "DA", "study_date"),
        (0x00080030, "StudyTime", "TM", "study_time"),
        (0x00080050, "AccessionNumber", "SH", "accession_number"),
        (0x00080090, "ReferringPhysicianName", "PN", "referring_physician_name"),
        (0x00200010, "StudyID", "SH", "study_id"),
        (0x00081030, "StudyDescription", "LO", "study_description"),
        (0x00081060, "NameOfPhysiciansReadingStudy", "PN", "name_of_physicians_reading_study"),
        (0x00101010, "PatientAge", "AS", "patient_age"),
        (0x00101020, "PatientSize", "DS", "patient_size"),
        (0x00101030, "PatientWeight", "DS", "patient_weight"),
        (0x00102180, "Occupation", "SH", "occupation"),
        (0x001021B0, "AdditionalPatientHistory", "LT", "additional_patient_history"),
        (0x00080201, "TimezoneOffsetFromUTC", "SH", "timezone_offset_from_utc"),
    ),
    **_table(
        Level.SERIES,
        (0x0020000E, "SeriesInstanceUID", "UI", "series_instance_uid"),
        (0x00080060, "Modality", "CS", "modality"),
        (0x00200011, "SeriesNumber", "IS", "series_number"),
        (0x0008103E, "SeriesDescription", "LO", "series_description"),
        (0x00080021, "SeriesDate", "DA", "series_date"),
        (0x00080031, "SeriesTime", "TM", "series_time"),
        (0x00180015, "BodyPartExamined", "CS", "body_part_examined"),
        (0x00200060, "Laterality", "CS", "laterality"),
        (0x00181030, "ProtocolName", "LO", "protocol_name"),
        (0x00080070, "Manufacturer", "LO", "manufacturer"),
        (0x00081090, "ManufacturerModelName", "LO", "manufacturer_model_name"),
        (0x00081010, "StationName", "SH", "station_name"),
        (0x00080080, "InstitutionName", "LO", "institution_name"),
        (0x00081040, "InstitutionalDepartmentName", "LO", "institutional_department_name"),
        (0x00081050, "PerformingPhysicianName", "PN", "performing_physician_name"),
        (0x00400244, "PerformedProcedureStepStartDate", "DA", "performed_procedure_step_start_date"),
        (0x00400245, "PerformedProcedureStepStartTime", "TM", "performed_procedure_step_start_time"),
    ),
    **_table(
        Level.IMAGE,
        (0x00080018, "SOPInstanceUID", "UI", "sop_instance_uid"),
        (0x00080016, "SOPClassUID", "UI", "sop_class_uid"),
        (0x00200013, "InstanceNumber", "IS", "instance_number"),
        (0x00200012, "AcquisitionNumber", "IS", "acquisition_number"),
        (0x00080008, "ImageType", "CS", "image_type"),
        (0x00080023, "ContentDate", "DA", "content_date"),
        (0x00080033, "ContentTime", "TM", "content_time"),
        (0x00080022, "AcquisitionDate", "DA", "acquisition_date"),
        (0x00080032, "AcquisitionTime", "TM", "acquisition_time"),
        (0x00280010, "Rows", "US", "rows"),
        (0x00280011, "Columns", "US", "columns"),
        (0x00280100, "BitsAllocated", "US", "bits_allocated"),
        (0x00280002, "SamplesPerPixel", "US", "samples_per_pixel"),
        (0x00280004, "PhotometricInterpretation", "CS", "photometric_interpretation"),
        (0x00280008, "NumberOfFrames", "IS", "number_of_frames"),
    ),
}
"""Indexed attributes by tag number."""
