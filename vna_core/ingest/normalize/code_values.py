"""Identifiers, codes, names and padding written in another way than PS3.5 section 6.2 (I01 to I03, T09 to T12)."""

from __future__ import annotations

import re
from typing import Final

from vna_core.dicom.character_sets import CHARACTER_SET_REPRESENTATIONS, UNSPLIT
from vna_core.dicom.value_representations import TEXT
from vna_core.ingest.normalize.amendments import Record
from vna_core.ingest.normalize.conforming import conforms
from vna_core.ingest.normalize.value_verdicts import SuspectValue, Verdict, each_value

_LEADING_ZERO: Final = re.compile(rb"[0-9]+(?:\.[0-9]+)*")
_LINE_ENDS: Final = re.compile(rb"[\t\n\f\r]+")
_CONTROLS: Final = re.compile(rb"[\x00-\x1f\x7f]")
_CONTROLS_IN_TEXT: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")
_LONGEST: Final[dict[str, int]] = {"AE": 16, "CS": 16, "LO": 64, "SH": 16}

_MODALITIES: Final = frozenset(
    b"AR AU BDUS BI BMD CF CP CR CT CTPROTOCOL DF DG DM DOC DX ECG EEG EMG EOG EPS ES FID GM HC HD IO IOL IVOCT IVUS KER KO LEN LP "
    b"LS M3D MA MG MR MS NM OAM OCT OP OPM OPR OPT OPTBSV OPTENF OPV OSS OT PA PLAN POS PR PT PX REG RESP RF RG RTDOSE RTIMAGE "
    b"RTPLAN RTRECORD RTSTRUCT RWV SEG SM SMR SR SRF ST STAIN TEXTUREMAP TG US VA VF XA XAPROTOCOL XC".split()
)
_YES_NO: Final = frozenset((b"YES", b"NO"))
_LATERALITY: Final = frozenset((b"L", b"R", b"U", b"B"))
_TERMS: Final[dict[int, frozenset[bytes]]] = {
    0x00080060: _MODALITIES,
    0x00080061: _MODALITIES,
    0x00080064: frozenset((b"DV", b"DI", b"DF", b"WSD", b"SD", b"SI", b"DRW", b"SYN")),
    0x00080008: frozenset((b"ORIGINAL", b"DERIVED", b"PRIMARY", b"SECONDARY", b"AXIAL", b"LOCALIZER", b"MIXED", b"OTHER")),
    0x00100040: frozenset((b"M", b"F", b"O")),
    0x00185100: frozenset((b"HFS", b"HFP", b"FFS", b"FFP", b"HFDR", b"HFDL", b"FFDR", b"FFDL", b"LFP", b"LFS", b"RFP", b"RFS")),
    0x00185101: frozenset((b"AP", b"PA", b"LL", b"RL", b"RLD", b"LLD", b"RLO", b"LLO")),
    0x00200060: _LATERALITY,
    0x00200062: _LATERALITY,
    0x00280004: frozenset(
        (b"MONOCHROME1", b"MONOCHROME2", b"RGB", b"PALETTE COLOR", b"YBR_FULL", b"YBR_FULL_422", b"YBR_ICT", b"YBR_RCT", b"YBR_PARTIAL_420")
    ),
    0x00280301: _YES_NO,
    0x00280302: _YES_NO,
    0x00281040: frozenset((b"LIN", b"LOG", b"DISP")),
    0x00282110: frozenset((b"00", b"01")),
}  # fmt: skip
"""Defined and enumerated terms of attributes whose values are seen in lower case (PS3.3)."""


def uid_padding(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "UI" or b" " not in suspect.raw:
        return None
    stripped = b"\\".join(suspect.values)
    padded = stripped + b"\0" * (len(stripped) & 1)
    return Verdict(padded, Record.NONE) if padded != suspect.raw else None


def uid_leading_zero(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "UI" or not all(len(value) <= 64 and _LEADING_ZERO.fullmatch(value) for value in suspect.values if value):
        return None
    return Verdict(finding="UID component with a leading zero.")


def uid_illegal(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "UI" or all(_LEADING_ZERO.fullmatch(value) and len(value) <= 64 for value in suspect.values if value):
        return None
    return Verdict(finding="Not a UID by PS3.5 section 9.1.")


def padding(suspect: SuspectValue) -> Verdict | None:
    """NUL at the end, and spaces around values of which they are no part."""
    if suspect.vr not in TEXT or suspect.vr == "UI" or not suspect.raw.endswith(b"\0"):
        return None
    stripped = suspect.raw.rstrip(b"\0") if suspect.vr in UNSPLIT else suspect.raw.rstrip(b" \0")
    return Verdict(stripped + b" " * (len(stripped) & 1), Record.NONE, detail="NUL")


def controls(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr not in CHARACTER_SET_REPRESENTATIONS and suspect.vr not in ("AE", "CS"):
        return None
    pattern = _CONTROLS_IN_TEXT if suspect.vr in UNSPLIT else _CONTROLS
    spaced = suspect.raw if suspect.vr in UNSPLIT else _LINE_ENDS.sub(b" ", suspect.raw)
    cleaned = pattern.sub(b"", spaced)
    return Verdict(cleaned) if cleaned != suspect.raw else None


def code_case(suspect: SuspectValue) -> Verdict | None:
    terms = _TERMS.get(suspect.place.tag)
    if suspect.vr != "CS" or terms is None:
        return None
    value = each_value(suspect, lambda value: value.upper() if value.upper() in terms else None)
    return None if value is None else Verdict(value)


def code_illegal(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr not in ("CS", "AE", "UR") or _too_long(suspect):
        return None
    return Verdict(finding="Characters that a code or address cannot have.")


def too_long(suspect: SuspectValue) -> Verdict | None:
    return Verdict(finding=f"Text longer than {suspect.vr} allows.") if _too_long(suspect) else None


def _too_long(suspect: SuspectValue) -> bool:
    most = _LONGEST.get(suspect.vr)
    return most is not None and any(len(value.decode("utf-8", "replace")) > most for value in suspect.values)


def odd_name(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "PN" or conforms("PN", suspect.raw):
        return None
    return Verdict(finding="Person name with more components, groups or characters than there are.")
