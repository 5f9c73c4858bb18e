"""Whether octets read as a value of a representation (PS3.5 section 6.2), for elements written as another."""

from __future__ import annotations

import re
import struct
from typing import Final

from vna_core.dicom.character_sets import UNSPLIT
from vna_core.dicom.elements import Element
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.value_representations import LONG_NAMES, TEXT, UNIT
from vna_core.domain.data_dictionary import ELEMENTS

_SHORT_MAXIMUM: Final = 0xFFFE
_EXAMINED: Final = 1 << 20
_CHOICES: Final = {
    tag: frozenset(entry[0].replace("_", " or ").split(" or "))
    for tag, entry in ELEMENTS.items()
    if " or " in entry[0] or "_" in entry[0]
}
_PATTERNS: Final[dict[str, re.Pattern[bytes]]] = {
    vr: re.compile(rb"(?:%b)?(?:\\(?:%b)?)*" % (pattern, pattern))
    for vr, pattern in {
        "AS": rb"[0-9]{3}[DWMY]",
        "CS": rb" *[A-Z0-9_][A-Z0-9_ ]{0,15}",
        "DA": rb"[0-9]{8}",
        "DS": rb" *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *",
        "DT": rb"[0-9]{4,14}(?:\.[0-9]{1,6})?(?:[+-][0-9]{4})? *",
        "IS": rb" *[+-]?[0-9]{1,12} *",
        "TM": rb"[0-9]{2,6}(?:\.[0-9]{1,6})? *",
        "UI": rb"[0-9.]{1,64}",
        "AE": rb"[\x20-\x5b\x5d-\x7e]{1,16}",
    }.items()
}
_INTEGERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q"}
_MOST_INTEGERS: Final = 256
_CONTROLS: Final = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f\x7f]")


def may_be(tag: int, vr: str) -> bool:
    """Whether the standard allows this representation among several for an element."""
    choices = _CHOICES.get(tag)
    return choices is not None and vr in choices or (tag & 0xFF00FFFF == 0x60003000 and vr in ("OB", "OW"))


def parses_as(revised: RevisedDataSet, element: Element, wanted: str) -> bool:
    """Whether the value of an element that is written as UN or as other characters reads as `wanted` without changing."""
    vr, length = element.vr, element.length
    if wanted not in LONG_NAMES and length > _SHORT_MAXIMUM:
        return False
    if wanted not in TEXT:
        return vr == "UN" and wanted != "SQ" and length % UNIT.get(wanted, 1) == 0
    if vr != "UN" and vr not in TEXT:
        return False
    if length > _EXAMINED:
        return False
    raw = revised.value(element)
    text = raw.rstrip(b" \0")
    if vr in TEXT and b"\\" in text and (vr in UNSPLIT) != (wanted in UNSPLIT):
        return False
    pattern = _PATTERNS.get(wanted)
    if pattern is not None:
        return pattern.fullmatch(text) is not None
    return _CONTROLS.search(text) is None


def same_integers(revised: RevisedDataSet, element: Element, wanted: str) -> bytes | None:
    """The value of an element that is written in integers of another size or sign, as `wanted`; None where one does not fit.

    >>> from vna_core.dicom.elements import DataSet
    >>> same_integers(RevisedDataSet(b"\\x06\\0\\0\\0", DataSet([])), Element(0x00280010, "UL", 0, 4, None), "US")
    b'\\x06\\x00'
    """
    written, needed = _INTEGERS.get(element.vr), _INTEGERS.get(wanted)
    if written is None or needed is None or element.length % UNIT[element.vr] or element.length > 8 * _MOST_INTEGERS:
        return None
    count = element.length // UNIT[element.vr]
    try:
        return struct.pack(f"<{count}{needed}", *struct.unpack(f"<{count}{written}", revised.value(element)))
    except struct.error:
        return None
