"""Answers of members as rows of DICOM JSON: what one value is, and to whom a row belongs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from vna_core.dicom.json_values import value_text
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.query import Level

Row = Mapping[str, Any]

PATIENT_ID, ISSUER = "00100020", "00100021"
STUDY, SERIES, SOP = "0020000D", "0020000E", "00080018"
RETRIEVE_AE_TITLE, AVAILABILITY, RETRIEVE_URL = "00080054", "00080056", "00081190"
MODALITIES, SOP_CLASSES = "00080061", "00080062"
COUNTS: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.PATIENT: ("00201200", "00201202", "00201204"),
    Level.STUDY: ("00201206", "00201208"),
    Level.SERIES: ("00201209",),
    Level.IMAGE: (),
}
"""Numbers of what is below, by level: of the union only a union can tell."""

ABOUT_THE_COPY: Final = frozenset(
    (
        RETRIEVE_AE_TITLE,
        AVAILABILITY,
        RETRIEVE_URL,
        MODALITIES,
        SOP_CLASSES,
        "00080052",
        "00080005",
        "00080201",
        "00090010",
        "00091001",
        "00091002",
        "00091003",
        "00091004",
        "00091005",
    )
).union(*COUNTS.values())
"""Attributes that may differ between copies of the same."""

_AROUND: Final = 3
"""Quotation marks and what stands between values."""
_NUMBER: Final = 4

_UIDS: Final = {Level.STUDY: (STUDY,), Level.SERIES: (STUDY, SERIES), Level.IMAGE: (STUDY, SERIES, SOP)}


def text(row: Row, tag: str) -> str:
    """The first value as text; names as their groups joined with ``=``."""
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return value_text(values[0]) if isinstance(values, list) and values else ""


def texts(row: Row, tag: str) -> list[str]:
    """All values as text."""
    element = row.get(tag)
    values = element.get("Value") if isinstance(element, dict) else None
    return [str(value) for value in values if value is not None] if isinstance(values, list) else []


def octets_of_sequences(row: Row) -> int:
    """About how long, as DICOM JSON, are the items that a row tells, and values that JSON has no text for."""
    octets = 0
    for element in row.values():
        if isinstance(element, dict) and (element.get("vr") == "SQ" or "InlineBinary" in element):
            octets += _length(element)
    return octets


def _length(told: Any) -> int:
    """Of a value with all that is in it. Walks without recursion: a source decides how deep it is."""
    octets, waiting = 0, [told]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            octets += sum(len(name) + _AROUND for name in one)
            waiting += one.values()
        elif isinstance(one, list):
            waiting += one
        else:
            octets += (len(one) if isinstance(one, str) else _NUMBER) + _AROUND
    return octets


def uids(row: Row, level: Level) -> tuple[str, ...]:
    """The unique keys of the levels down to this one."""
    return tuple(text(row, tag).rstrip("\0 ") for tag in _UIDS[level])


def patient_of(row: Row, issuer: str) -> PatientKey:
    """To whom a row belongs; `issuer` is that of the member where the row names none.

    Rows of series and instances need not name their patient at all: then it is nobody of that issuer, but unknown.
    """
    patient_id = text(row, PATIENT_ID).strip()
    return PatientKey(text(row, ISSUER).strip() or (issuer if patient_id else ""), patient_id)


def significant(row: Row, tag: str) -> str:
    """A value as two copies are compared: names by their letters, everything without padding."""
    value = text(row, tag).strip()
    return " ".join(value.replace("^", " ").split()).casefold() if row.get(tag, {}).get("vr") == "PN" else value
