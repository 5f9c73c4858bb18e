"""Whether the octets of a character value are what PS3.5 section 6.2 allows: one quick answer, kept for values that repeat."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

_COMPONENT: Final = rb"[\x20-\x3c\x3e-\x5b\x5d\x5f-\x7e]*"
_GROUP: Final = rb"(?=[^\\=]{0,64}(?:[\\=]|\Z))%b(?:\^%b){0,4}" % (_COMPONENT, _COMPONENT)
_INSIDE: Final[dict[str, bytes]] = {
    "AE": rb" *[\x21-\x5b\x5d-\x7e][\x20-\x5b\x5d-\x7e]{0,15}",
    "AS": rb"[0-9]{3}[DWMY]",
    "CS": rb"[A-Z0-9_ ]{1,16}",
    "DA": rb"(?!000[01])[0-9]{4}(?:0[1-9]|1[0-2])(?:0[1-9]|[12][0-9]|3[01])",
    "DS": rb"(?=[^\\]{1,16}(?:\\| ?\Z)) *[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)? *",
    "DT": rb"[0-9]{4}(?:(?:0[1-9]|1[0-2])(?:(?:0[1-9]|[12][0-9]|3[01])(?:(?:[01][0-9]|2[0-3])(?:[0-5][0-9]"
    rb"(?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)?)?)?)?(?:[+-][01][0-9][0-5][0-9])? *",
    "IS": rb"(?=[^\\]{1,12}(?:\\| ?\Z)) *[+-]?(?:[0-9]{1,9}|0?1[0-9]{9}|20[0-9]{8}|21[0-3][0-9]{7}|214[0-6][0-9]{6}) *",
    "LO": rb"[\x20-\x5b\x5d-\x7e]{1,64}",
    "LT": rb"[\t\n\f\r\x20-\x7e]+",
    "PN": rb"%b(?:=%b){0,2}" % (_GROUP, _GROUP),
    "SH": rb"[\x20-\x5b\x5d-\x7e]{1,16}",
    "ST": rb"[\t\n\f\r\x20-\x7e]+",
    "TM": rb"(?:[01][0-9]|2[0-3])(?:[0-5][0-9](?:(?:[0-5][0-9]|60)(?:\.[0-9]{1,6})?)?)? *",
    "UC": rb"[\x20-\x5b\x5d-\x7e]+",
    "UI": rb"(?=[^\\]{1,64}(?:\\|\Z))(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*",
    "UR": rb"[\x21-\x7e]+",
    "UT": rb"[\t\n\f\r\x20-\x7e]+",
}
_UNSPLIT: Final = frozenset(("LT", "ST", "UT", "UR"))
_WHOLE: Final = {
    vr: re.compile(rb"(?:%b)?%b" % (one, rb" *" if vr != "UI" else rb"\0?"))
    if vr in _UNSPLIT
    else re.compile(rb"(?:%b)?(?:\\(?:%b)?)*%b" % (one, one, rb" *" if vr != "UI" else rb"\0?"))
    for vr, one in _INSIDE.items()
}
EXAMINED: Final = frozenset(_INSIDE)
_CACHED: Final = 128


def _conforms(vr: str, raw: bytes) -> bool:
    return _WHOLE[vr].fullmatch(raw) is not None


_remembered = lru_cache(maxsize=32_768)(_conforms)


def conforms(vr: str, raw: bytes) -> bool:
    """Whether a value of characters of the default repertoire is legal for its representation, padding included.

    What needs Specific Character Set to be understood is never said to conform; text rules look at it.

    >>> conforms("DA", b"19950127"), conforms("DA", b"1995.01.27"), conforms("SH", b"")
    (True, False, True)
    """
    return _remembered(vr, raw) if len(raw) <= _CACHED else _conforms(vr, raw)


def value_conforms(vr: str, value: bytes) -> bool:
    """The same for one value of a multi-valued element, without padding."""
    return re.fullmatch(_INSIDE[vr], value) is not None
