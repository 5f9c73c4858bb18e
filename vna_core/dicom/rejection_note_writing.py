"""Rejection notes (IHE IOCM) as the archive writes them; `rejection_note` reads them, and needs less for it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from pydicom.dataset import Dataset

from vna_core.dicom.key_objects import coded, description, part10, select, selected
from vna_core.dicom.rejection_note import Rejected
from vna_core.domain.class_pixels import has_no_pixels
from vna_core.domain.corrections import KEY_OBJECT_SELECTION, Rejection
from vna_core.domain.identifiers import PatientKey

_WAVEFORMS: Final = ("1.2.840.10008.5.1.4.1.1.9.",)


def write_note(uid: str, title: Rejection, reason: str, patient: PatientKey, rejected: Sequence[Rejected], at: datetime) -> bytes:
    """A rejection note of one study as a Part 10 file in Explicit VR Little Endian.

    Parameters
    ----------
    uid
        Its SOP Instance UID; the series gets it with ``.0`` behind it.
    rejected
        At least one; all of one study.
    """
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.SOPClassUID, ds.SOPInstanceUID = KEY_OBJECT_SELECTION, uid
    ds.StudyDate = ds.StudyTime = ds.AccessionNumber = ds.ReferringPhysicianName = ds.StudyID = ""
    ds.ContentDate, ds.ContentTime = f"{at:%Y%m%d}", f"{at:%H%M%S}"
    ds.Modality, ds.Manufacturer = "KO", "VNA"
    ds.SeriesDescription = title.meaning
    ds.PatientName = ds.PatientBirthDate = ds.PatientSex = ""
    ds.PatientID = patient.patient_id
    if patient.issuer:
        ds.IssuerOfPatientID = patient.issuer
    ds.StudyInstanceUID, ds.SeriesInstanceUID = rejected[0].study_instance_uid, f"{uid}.0"
    ds.SeriesNumber, ds.InstanceNumber = 1, 1
    described = [description(reason[:1024])] if reason else []
    named = [selected(one, _value_type(one.sop_class_uid)) for one in rejected]
    select(ds, coded(title.value, title.meaning), rejected, [*described, *named])
    return part10(ds)


def _value_type(sop_class_uid: str) -> str:
    if sop_class_uid.startswith(_WAVEFORMS):
        return "WAVEFORM"
    return "COMPOSITE" if has_no_pixels(sop_class_uid) else "IMAGE"
