"""Values of elements as the catalogue and DICOM JSON carry them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from struct import Struct
from typing import Final

from vna_core.dicom.character_sets import decode_text
from vna_core.dicom.value_representations import TEXT, UNIT

_FORMAT: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_STRUCTS: Final[dict[tuple[str, bool], Struct]] = {
    (vr, little): Struct(("<" if little else ">") + code) for vr, code in _FORMAT.items() for little in (True, False)
}

Number = int | float


def numbers(raw: bytes, vr: str, little_endian: bool) -> list[Number]:
    """Binary numbers of US, SS, UL, SL, UV, SV, FL and FD; a rest shorter than one value is left out."""
    size = UNIT[vr]
    usable = len(raw) - len(raw) % size
    return [value for (value,) in _STRUCTS[vr, little_endian].iter_unpack(raw[:usable])]


def tags(raw: bytes, little_endian: bool) -> list[str]:
    """Values of an AT element as eight hexadecimal digits each (PS3.18 table F.2.3-1)."""
    order = "little" if little_endian else "big"
    return [
        f"{int.from_bytes(raw[at : at + 2], order):04X}{int.from_bytes(raw[at + 2 : at + 4], order):04X}"  # type: ignore[arg-type]
        for at in range(0, len(raw) - 3, 4)
    ]


def decimal(text: str) -> Number | str:
    """A DS or IS value as a number; the text itself where it is none that JSON can carry."""
    stripped = text.strip()
    if "_" in stripped:
        return text
    try:
        return int(stripped)
    except ValueError:
        pass  # not an integer: it may still be a decimal
    try:
        value = float(stripped)
    except ValueError:
        return text
    return value if math.isfinite(value) else text


def strings(raw: bytes, vr: str, little_endian: bool, character_sets: Sequence[str]) -> tuple[str, ...]:
    """Values of any indexable element as text; empty for an empty element or a binary one that is not indexed."""
    if vr in TEXT:
        return tuple(decode_text(raw, vr, tuple(character_sets)))
    if vr in _FORMAT:
        return tuple(str(value) for value in numbers(raw, vr, little_endian))
    if vr == "AT":
        return tuple(tags(raw, little_endian))
    if vr == "UN" and raw.isascii():
        return tuple(decode_text(raw, "LO", ()))
    return ()
