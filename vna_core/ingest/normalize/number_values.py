"""Decimal and integer strings written in another way than PS3.5 section 6.2 (D07 to D09)."""

from __future__ import annotations

import math
import re
from typing import Final

from vna_core.dicom import dictionary
from vna_core.ingest.normalize.value_verdicts import SuspectValue, Verdict, each_value

_DECIMAL: Final = re.compile(rb"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,4})?")
_COMMA: Final = re.compile(rb"[+-]?[0-9]*,[0-9]+(?:[eE][+-]?[0-9]{1,4})?")
_THOUSANDS: Final = re.compile(rb"[+-]?[1-9][0-9]{0,2},[0-9]{3}")
"""Where a comma may group digits as well: 1,500 is one and a half or fifteen hundred."""

_FORTRAN: Final = re.compile(rb"([+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))[dD]([+-]?[0-9]{1,4})")
_INTEGER: Final = re.compile(rb"[+-]?[0-9]{1,11}")
_WHOLE: Final = re.compile(rb"([+-]?[0-9]{1,10})\.0{0,32}")
_LONGEST_DECIMAL: Final = 16
_LONGEST_INTEGER: Final = 12
_INTEGERS: Final = range(-(2**31), 2**31)


def long_decimal(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "DS":
        return None
    values = suspect.values
    if not all(_DECIMAL.fullmatch(value) for value in values if value) or all(len(value) <= _LONGEST_DECIMAL for value in values):
        return None
    shorter = each_value(suspect, _shortened)
    if shorter is None:
        return Verdict(finding="Decimal string of more than 16 characters that cannot be shortened without losing digits.")
    return Verdict(shorter)


def _shortened(value: bytes) -> bytes | None:
    """The same double in at most 16 characters; None where there is no such form."""
    number = float(value)
    if not math.isfinite(number):
        return None
    shortest = repr(number)
    for text in (shortest, shortest.replace("0.", ".", 1) if shortest.lstrip("-").startswith("0.") else "", f"{number:.16e}"):
        compact = _compact(text)
        if compact and len(compact) <= _LONGEST_DECIMAL and float(compact) == number:
            return compact.encode()
    return None


def _compact(text: str) -> str:
    """Without needless zeros in fraction and exponent."""
    mantissa, _, exponent = text.partition("e")
    if "." in mantissa and exponent:
        mantissa = mantissa.rstrip("0").rstrip(".")
    return f"{mantissa}e{int(exponent)}" if exponent else mantissa.removesuffix(".0")


def fortran_decimal(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "DS":
        return None

    def change(value: bytes) -> bytes | None:
        match = _FORTRAN.fullmatch(value)
        return _fitting(match[1] + b"E" + match[2]) if match else None

    written = each_value(suspect, change)
    return None if written is None else Verdict(written)


def decimal_comma(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "DS":
        return None
    if b"," not in suspect.raw:
        return Verdict(finding="Not a decimal string.")
    least, most = dictionary.value_multiplicity_of(suspect.place.tag)
    if not least == most == len(suspect.values) or any(_THOUSANDS.fullmatch(value) for value in suspect.values):
        return Verdict(finding="A comma that may divide values, digits or decimals.")

    def change(value: bytes) -> bytes | None:
        if not _COMMA.fullmatch(value):
            return None
        value = value.replace(b",", b".")
        return _fitting(value.replace(b".", b"0.", 1) if value.lstrip(b"+-").startswith(b".") else value)

    written = each_value(suspect, change)
    return Verdict(finding="Not a decimal string.") if written is None else Verdict(written)


def _fitting(value: bytes) -> bytes | None:
    return value if len(value) <= _LONGEST_DECIMAL else _shortened(value)


def odd_integer(suspect: SuspectValue) -> Verdict | None:
    if suspect.vr != "IS":
        return None

    def change(value: bytes) -> bytes | None:
        match = _WHOLE.fullmatch(value)
        return match[1] if match and int(match[1]) in _INTEGERS and len(match[1]) <= _LONGEST_INTEGER else None

    if all(_INTEGER.fullmatch(value) and int(value) in _INTEGERS for value in suspect.values if value):
        return None

    written = each_value(suspect, change)
    return Verdict(finding="Not an integer string.") if written is None else Verdict(written)
