"""The parts that key object selections and presentation states share: whose they are, who made them, and their UIDs."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

from pydicom.dataset import Dataset

from vna_core import __version__
from vna_core.catalogue.source_headers import SourceHeader
from vna_core.dicom.key_objects import part10
from vna_core.domain.indexed_attributes import INDEXED
from vna_core.domain.migration import WORK_PRODUCT_DEVICE
from vna_core.domain.query import Level
from vna_core.migration.work_product.finding import Document

_NAMESPACE: Final = uuid.UUID("6f1a2d0e-3f7b-5e0c-9a51-1d6f6c3b7a10")

_INSTITUTION: Final = ("00080080", "00081040")
_TIMEZONE: Final = 0x00080201
_COPIED: Final = (
    *(f"{one.tag:08X}" for one in INDEXED.values() if one.level in (Level.PATIENT, Level.STUDY) and one.tag != _TIMEZONE),
    *_INSTITUTION,
)
"""Patient, study and institution: what people are let see by is that of the images (their equipment did not make it, though)."""

_TYPE_2: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"),
)


def made_uid(*parts: str) -> str:
    """A UID that is the same for the same parts, everywhere and always (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"


def begun(document: Document, sop_class: str, sop: str, series: str, modality: str, at: datetime) -> Dataset:
    """A data set with the patient and study of an image, and with the series and equipment of what is made (PS3.3 C.7)."""
    made = Dataset.from_json({tag: document[tag] for tag in _COPIED if tag in document}, _no_bulk)
    for keyword in _TYPE_2:
        if keyword not in made:
            setattr(made, keyword, "")
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = sop_class, sop
    made.SeriesInstanceUID, made.SeriesNumber, made.InstanceNumber, made.Modality = series, "9000", "1", modality
    made.InstanceCreationDate, made.InstanceCreationTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    made.TimezoneOffsetFromUTC = "+0000"
    made.Manufacturer, made.ManufacturerModelName, made.SoftwareVersions = *WORK_PRODUCT_DEVICE, __version__
    made.DeviceSerialNumber = made_uid("device")[-16:]
    return made


def institution(document: Document) -> tuple[str, ...]:
    """Institution and department in the header of an image, by which its readers may be told apart."""
    return tuple(str(next(iter(document.get(tag, {}).get("Value") or ()), "") or "") for tag in _INSTITUTION)


def made_series(kind: str, image: SourceHeader, document: Document) -> str:
    """UID of the series of what is made of images of one patient, study and institution."""
    return made_uid(kind, image.patient.issuer, image.patient.patient_id, image.study_instance_uid, *institution(document))


def _no_bulk(*_: Any) -> None:
    """What stands apart is not copied."""


def in_order(headers: Iterable[SourceHeader]) -> list[SourceHeader]:
    """Instances by the UIDs of series and instance, so that the same ones make the same document."""
    return sorted(headers, key=lambda one: (one.series_instance_uid, one.sop_instance_uid))


def finished(made: Dataset) -> bytes:
    """The data set as a Part 10 file."""
    return part10(made, made_uid("implementation"))
