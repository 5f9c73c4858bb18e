"""Whose instance it is and what it is: findings, and blanks around the Patient ID (I09 to I14).

An identifier means something only together with who gave it out. Where the data set does not say, the issuer that the
configuration knows for the source names the patient's domain in the catalogue; into the data set it comes by a site rule only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.octets import Source
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.amendments import Amender, Record
from vna_core.ingest.normalize.engine import Journal, Layer, Rule

_PATIENT_ID: Final = 0x00100020
_ISSUER: Final = 0x00100021
_SOP_CLASS: Final = 0x00080016
_WANTED: Final = ((0x00100020, "Patient ID"), (0x00080060, "Modality"), (0x00080070, "Manufacturer"))
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."

RETIRED: Final[dict[str, str]] = {
    _STORAGE + "3": "Ultrasound Multi-frame Image Storage (1.2.840.10008.5.1.4.1.1.3.1)",
    _STORAGE + "5": "Nuclear Medicine Image Storage (1.2.840.10008.5.1.4.1.1.20)",
    _STORAGE + "6": "Ultrasound Image Storage (1.2.840.10008.5.1.4.1.1.6.1)",
    _STORAGE + "8": "",
    _STORAGE + "9": "",
    _STORAGE + "9.1": "",
    _STORAGE + "10": "Modality LUT in the image",
    _STORAGE + "11": "Grayscale Softcopy Presentation State Storage (1.2.840.10008.5.1.4.1.1.11.1)",
    _STORAGE + "12.3": "X-Ray Angiographic Image Storage (1.2.840.10008.5.1.4.1.1.12.1)",
    _STORAGE + "88.1": "Basic Text SR Storage (1.2.840.10008.5.1.4.1.1.88.11)",
    _STORAGE + "88.2": "Enhanced SR Storage (1.2.840.10008.5.1.4.1.1.88.22)",
    _STORAGE + "88.3": "Enhanced SR Storage (1.2.840.10008.5.1.4.1.1.88.22)",
    _STORAGE + "88.4": "Comprehensive SR Storage (1.2.840.10008.5.1.4.1.1.88.33)",
    _STORAGE + "128.1": "",
}
"""Storage SOP classes that the standard retired (PS3.4 annex B, PS3.6 annex A), and what took their place."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A data set as it will be written, and where it came from."""

    revised: RevisedDataSet
    source: Source

    def is_empty(self, tag: int) -> bool:
        """Whether a top-level element is absent or has no characters but padding."""
        return not self.revised.text(tag)


Noticed = tuple[int, str] | None
"""The attribute, and what is to be said about it."""


def _issuer_by_source(origin: Origin) -> Noticed:
    source = origin.source
    if not source.issuer or not origin.is_empty(_ISSUER) or origin.is_empty(_PATIENT_ID):
        return None
    name = f"{source.kind} {source.name}".strip()
    return _ISSUER, f"No issuer: {source.issuer}, by the configuration of the source ({name}), in the catalogue alone."


def _missing(origin: Origin) -> Noticed:
    names = [name for tag, name in _WANTED if origin.is_empty(tag)]
    return (_WANTED[0][0], f"{', '.join(names)} missing or empty: kept so.") if names else None


def _retired(origin: Origin) -> Noticed:
    successor = RETIRED.get(origin.revised.text(_SOP_CLASS))
    if successor is None:
        return None
    return _SOP_CLASS, "SOP class that the standard retired: kept." + (f" Its successor: {successor}." if successor else "")


def _rule(id_: str, apply: Callable[[Origin], Noticed], summary: str) -> Rule[Origin, Noticed]:
    return Rule(id_, 1, Layer.VALUES, Confidence.PROVEN, apply, summary)


DOMAIN_RULES: Final[tuple[Rule[Origin, Noticed], ...]] = (
    _rule("I09", _issuer_by_source, "Patient ID without issuer: the source's names its domain in the catalogue; written by a site rule only."),
    _rule("I11", _missing, "Patient ID, Modality or Manufacturer is missing or empty: kept so."),
    _rule("I14", _retired, "SOP class that the standard retired: kept, its successor is named."),
)  # fmt: skip


PADDING_RULES: Final[tuple[Rule[bytes, bytes], ...]] = (
    Rule("I10", 1, Layer.VALUES, Confidence.PROVEN, lambda raw: raw.strip(b" \0"), "Patient ID with blanks before it: without; leading zeros are never taken away."),
)  # fmt: skip


def trim_patient_id(amender: Amender) -> None:
    """Take blanks before the Patient ID away, which are no part of it (PS3.5 table 6.2-1, LO)."""
    place = amender.root(_PATIENT_ID)
    element = amender.element(place)
    if element is None or element.items is not None or element.vr != "LO":
        return
    raw = amender.revised.value(element)
    for rule in PADDING_RULES:
        if raw[:1] == b" " and rule.apply(raw):
            amender.put(place, "LO", rule.apply(raw), rule.id, rule.confidence, record=Record.NONE, detail="blanks before it")


def note_domains(revised: RevisedDataSet, source: Source, journal: Journal) -> None:
    """Record what stands out."""
    origin = Origin(revised, source)
    for rule in DOMAIN_RULES:
        noticed = rule.apply(origin)
        if noticed is not None:
            journal.find(rule.id, noticed[1], noticed[0])
