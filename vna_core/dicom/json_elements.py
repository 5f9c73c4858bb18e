"""Elements of DICOM JSON that somebody else wrote (PS3.18 annex F.2): whether they are what they should be before they are passed on."""

from __future__ import annotations

import re
from functools import lru_cache
from math import isfinite
from typing import Any, Final

from vna_core.dicom.json_values import COMPONENT_GROUPS
from vna_core.dicom.value_representations import BINARY, TEXT

_TAG: Final = re.compile("[0-9A-F]{8}")
_TEXT: Final = TEXT - {"PN"} | {"AT", "SV", "UV"}
_NUMBERS: Final = frozenset(["DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"])
_OTHERS: Final = _NUMBERS | BINARY | {"PN", "SQ"}
_GROUPS: Final = frozenset(COMPONENT_GROUPS)
_DEEPEST: Final = 16
"""Sequences in one another."""


def is_element(tag: object, element: object, depth: int = 0) -> bool:
    """Whether a name and what it stands for are an element, with those in its items.

    >>> is_element("00100010", {"vr": "PN", "Value": [{"Alphabetic": "Doe"}]}), is_element("00100010", {"vr": "PN", "Value": "Doe"})
    (True, False)
    """
    if type(element) is not dict or not _is_tag(tag):
        return False
    vr = element.get("vr")
    if type(vr) is not str:
        return False
    values = element.get("Value", ())
    if not values:
        return values in ((), []) and (vr in _TEXT or vr in _OTHERS)
    if type(values) is not list:
        return False
    is_text = vr in _TEXT
    for value in values:
        if type(value) is str:
            if not is_text:
                return False
        elif value is not None and not _is_value(vr, value, depth):
            return False
    return True


@lru_cache(maxsize=1024)  # rows of one answer have the same few
def _is_tag(text: object) -> bool:
    return isinstance(text, str) and _TAG.fullmatch(text) is not None


def _is_value(vr: str, value: Any, depth: int) -> bool:
    if isinstance(value, dict):
        if vr == "PN":
            return value.keys() <= _GROUPS and all(isinstance(group, str) for group in value.values())
        return vr == "SQ" and depth < _DEEPEST and all(is_element(tag, below, depth + 1) for tag, below in value.items())
    return vr in _NUMBERS and not isinstance(value, bool) and isinstance(value, (int, float)) and isfinite(value)
