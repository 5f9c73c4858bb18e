"""What a source answers at the study level (DICOM JSON), as the ledger keeps it."""

from __future__ import annotations

from collections.abc import Iterator

from vna_core.catalogue.migration_rows import ListedStudy
from vna_core.domain.numbers import whole_number
from vna_core.ports.pacs import DicomJson


def listed(answer: DicomJson) -> ListedStudy:
    """A study out of the source's answer (DICOM JSON)."""
    count = whole_number(value(answer, "00201208"))
    return ListedStudy(
        study_instance_uid=value(answer, "0020000D"),
        patient_id=value(answer, "00100020"),
        issuer=value(answer, "00100021"),
        study_date=value(answer, "00080020"),
        study_time=value(answer, "00080030"),
        modalities="\\".join(values(answer, "00080061")),
        accession_number=value(answer, "00080050"),
        instances=-1 if count is None else count,
        described="\0".join((value(answer, "00100010"), value(answer, "00081030"))),
        patient_name=value(answer, "00100010"),
        patient_birth_date=value(answer, "00100030"),
        patient_sex=value(answer, "00100040"),
        referring_physician_name=value(answer, "00080090"),
        study_id=value(answer, "00200010"),
        study_description=value(answer, "00081030"),
    )


def value(answer: DicomJson, tag: str) -> str:
    """First value of an element as text; empty where there is none."""
    return next(iter(values(answer, tag)), "")


def values(answer: DicomJson, tag: str) -> Iterator[str]:
    """Values of an element as text; of a person's name its groups joined by ``=``."""
    for one in answer.get(tag, {}).get("Value") or ():
        if isinstance(one, dict):
            yield "=".join(str(one.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")
        elif one is not None:
            yield str(one)
