"""What a source tells of a study, as the ledger keeps it: for its order, for its report, and to be found before it is moved."""

from __future__ import annotations

from typing import Any, Final

from vna_core.catalogue import person_names
from vna_core.catalogue.migration_modalities import as_told
from vna_core.catalogue.migration_rows import ListedStudy
from vna_core.catalogue.stored_text import identifier, significant, to_stored

SEVERAL_GROUPS: Final = "="
"""Begins the folded form of a name that has an ideographic or phonetic group: no folded alphabetic group begins so."""

_PLAIN: Final = {
    "study_date": "DA",
    "study_time": "TM",
    "accession_number": "SH",
    "patient_name": "PN",
    "patient_birth_date": "DA",
    "patient_sex": "CS",
    "referring_physician_name": "PN",
    "study_id": "SH",
    "study_description": "LO",
}
_FIRST_TIME: Final = "000000.000000"


def telling(study: ListedStudy) -> dict[str, Any]:
    """Columns of a study's row that repeat, or are made of, what the source tells of it."""
    told = {name: to_stored(significant(getattr(study, name), vr)) for name, vr in _PLAIN.items()}
    return {
        **told,
        "patient_id": identifier(study.patient_id),
        "issuer": identifier(study.issuer),
        **as_told(study.modalities),
        "newest": to_stored(newest(study.study_date, study.study_time)),
        "name_folded": to_stored(name_folded(study.patient_name)),
    }


def newest(date: str, time: str) -> str:
    """Date and time in the form by which held studies are sorted; empty without a date."""
    day, moment = significant(date, "DA"), significant(time, "TM")
    return day + moment + _FIRST_TIME[len(moment) :] if day else ""


def name_folded(name: str) -> str:
    """A name without case and accents; of several groups all, behind `SEVERAL_GROUPS`."""
    groups = person_names.groups(name)
    return SEVERAL_GROUPS + SEVERAL_GROUPS.join(groups) if any(groups[1:]) else groups[0]
