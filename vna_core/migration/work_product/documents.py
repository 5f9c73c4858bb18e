"""The parts that key object selections and presentation states share: whose they are, who made them, and their UIDs."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from datetime import datetime
from io import BytesIO
from typing import Any, Final

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from vna_core import __version__
from vna_core.catalogue.source_headers import SourceHeader
from vna_core.migration.work_product.finding import Document

_NAMESPACE: Final = uuid.UUID("6f1a2d0e-3f7b-5e0c-9a51-1d6f6c3b7a10")
DEVICE: Final = "VNA work-product rescue"

_OF_PATIENT_AND_STUDY: Final = (
    *("00100010", "00100020", "00100021", "00100030", "00100040"),
    *("0020000D", "00080020", "00080030", "00080050", "00080090", "00200010", "00081030"),
)
_TYPE_2: Final = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex"),
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"),
)


def made_uid(*parts: str) -> str:
    """A UID that is the same for the same parts, everywhere and always (PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(_NAMESPACE, chr(0).join(parts)).int}"


def begun(document: Document, sop_class: str, sop: str, series: str, modality: str, at: datetime) -> Dataset:
    """A data set with the patient and study of an image, and with the series and equipment of what is made (PS3.3 C.7)."""
    made = Dataset.from_json({tag: document[tag] for tag in _OF_PATIENT_AND_STUDY if tag in document}, _no_bulk)
    for keyword in _TYPE_2:
        if keyword not in made:
            setattr(made, keyword, "")
    made.SpecificCharacterSet = "ISO_IR 192"
    made.SOPClassUID, made.SOPInstanceUID = sop_class, sop
    made.SeriesInstanceUID, made.SeriesNumber, made.InstanceNumber, made.Modality = series, "9000", "1", modality
    made.InstanceCreationDate, made.InstanceCreationTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    made.TimezoneOffsetFromUTC = "+0000"
    made.Manufacturer, made.ManufacturerModelName, made.SoftwareVersions = "vna-core", DEVICE, __version__
    made.DeviceSerialNumber = made_uid("device")[-16:]
    return made


def _no_bulk(*_: Any) -> None:
    """What stands apart is not copied."""


def coded(value: str, meaning: str, scheme: str = "DCM") -> Dataset:
    """A code of the standard (PS3.3 8.8)."""
    one = Dataset()
    one.CodeValue, one.CodingSchemeDesignator, one.CodeMeaning = value, scheme, meaning
    return one


def reference(header: SourceHeader) -> Dataset:
    """A reference to an instance (PS3.3 10.8)."""
    one = Dataset()
    one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = header.sop_class_uid, header.sop_instance_uid
    return one


def by_series(headers: Sequence[SourceHeader]) -> dict[str, list[SourceHeader]]:
    """Instances by their series, in the order of UIDs."""
    found: dict[str, list[SourceHeader]] = {}
    for one in sorted(headers, key=lambda one: (one.series_instance_uid, one.sop_instance_uid)):
        found.setdefault(one.series_instance_uid, []).append(one)
    return found


def part10(made: Dataset) -> bytes:
    """The data set as a Part 10 file in Explicit VR Little Endian."""
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = made.SOPClassUID, made.SOPInstanceUID
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.ImplementationClassUID = made_uid("implementation")
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()
