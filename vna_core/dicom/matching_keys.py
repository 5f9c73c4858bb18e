"""Matching keys of C-FIND, QIDO-RS and the command line as conditions (PS3.4 C.2.2.2)."""

from __future__ import annotations

import re
from typing import Final

from vna_core.dicom.dictionary import vr_of
from vna_core.domain.errors import InvalidRequest
from vna_core.domain.query import Between, Condition, Equals, Wildcard

MAX_VALUE: Final = 65_536
"""Longest value of a matching key, in characters (a list of a thousand UIDs)."""

_TEMPORAL: Final = frozenset(("DA", "TM", "DT"))
_WILD: Final = frozenset(("AE", "CS", "LO", "LT", "PN", "SH", "ST", "UC", "UR", "UT"))
_LISTED: Final = frozenset(("UI", "CS", "IS"))


def condition(tag: int, value: str, fuzzy: bool = False) -> Condition | None:
    """How one value matches (PS3.4 C.2.2.2); None for universal matching."""
    if len(value) > MAX_VALUE or "\0" in value:
        raise InvalidRequest("A matching value is too long or holds a null character.")
    representation = vr_of(tag)
    if value in ("", '""') or (value.strip("*") == "" and representation in _WILD):
        return None
    if representation in _TEMPORAL:
        return _temporal(tag, representation, value)
    if representation == "PN" and fuzzy:
        return Wildcard(tag, value, fuzzy=True)
    if representation in _LISTED and ("," in value or "\\" in value):
        return Equals(tag, tuple(one.strip() for one in re.split(r"[,\\]", value) if one.strip()))
    if representation in _WILD and ("*" in value or "?" in value):
        return Wildcard(tag, value)
    return Equals(tag, (value,))


def _temporal(tag: int, representation: str, value: str) -> Condition:
    allowed = r"[0-9.+\-: ]{1,60}"
    if not re.fullmatch(allowed, value):
        raise InvalidRequest("A date or time is malformed.", tag=f"{tag:08X}")
    if representation == "DT":  # an offset from UTC has a hyphen of its own: -0500 right behind a time
        if re.fullmatch(r"\d[\d.]*[+-](0\d|1[0-4])[0-5]\d", value):
            return Equals(tag, (value,))
        parts = re.fullmatch(r"(\d[\d.]*(?:[+-]\d{4})?)?-(\d[\d.]*(?:[+-]\d{4})?)?", value)
        return Equals(tag, (value,)) if parts is None else Between(tag, parts[1] or "", parts[2] or "")
    low, hyphen, high = value.partition("-")
    if not hyphen:
        return Equals(tag, (value,))
    if "-" in high:  # 2024-01-31: not a form of DA, but the only thing it can mean
        raise InvalidRequest("A date is written YYYYMMDD, a range YYYYMMDD-YYYYMMDD.", tag=f"{tag:08X}")
    return Between(tag, low.strip(), high.strip())
