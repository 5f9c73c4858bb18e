"""At which level of the information model a sequence belongs (PS3.4 tables C.6-1 to C.6-5; modules of PS3.3 C.7.1 to C.7.5)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from vna_core.domain.data_dictionary import ELEMENTS
from vna_core.domain.query import Level

SEQUENCES: Final[Mapping[int, Level]] = {
    **dict.fromkeys(
        (
            0x00081120,  # Referenced Patient
            0x00100024,  # Issuer of Patient ID Qualifiers
            0x00100026,  # Source Patient Group Identification
            0x00100027,  # Group of Patients Identification
            0x00101002,  # Other Patient IDs
            0x00102202,  # Patient Species Code
            0x00102293,  # Patient Breed Code
            0x00102294,  # Breed Registration
            0x00120064,  # De-identification Method Code
        ),
        Level.PATIENT,
    ),
    **dict.fromkeys(
        (
            0x00080051,  # Issuer of Accession Number
            0x00080096,  # Referring Physician Identification
            0x0008009D,  # Consulting Physician Identification
            0x00081032,  # Procedure Code
            0x00081049,  # Physician(s) of Record Identification
            0x00081062,  # Physician(s) Reading Study Identification
            0x00081084,  # Admitting Diagnoses Code
            0x00081110,  # Referenced Study
            0x00101021,  # Patient's Size Code
            0x00321034,  # Requesting Service Code
            0x00380014,  # Issuer of Admission ID
            0x00380064,  # Issuer of Service Episode ID
            0x00401012,  # Reason for Performed Procedure Code
        ),
        Level.STUDY,
    ),
    **dict.fromkeys(
        (
            0x00080082,  # Institution Code
            0x0008103F,  # Series Description Code
            0x00081052,  # Performing Physician Identification
            0x00081072,  # Operator Identification
            0x00081111,  # Referenced Performed Procedure Step
            0x00081250,  # Related Series
            0x00400260,  # Performed Protocol Code
            0x00400275,  # Request Attributes
        ),
        Level.SERIES,
    ),
}
"""Sequences of patients, studies and series; every other one is of the instance."""


@lru_cache(maxsize=4096)  # asked of the few attributes that clients ask for
def level_of_sequence(tag: int) -> Level | None:
    """The level of a standard sequence; None for what is none, or is private."""
    entry = ELEMENTS.get(tag)
    return SEQUENCES.get(tag, Level.IMAGE) if entry is not None and entry[0] == "SQ" else None
