"""Indexed attributes read back from a header in DICOM JSON (PS3.18 annex F)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from vna_core.domain.indexed_attributes import INDEXED

_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")


def header_attributes(header: bytes) -> Mapping[int, tuple[str, ...]]:
    """Values by tag as an index entry carries them; absent and empty elements are left out."""
    document = json.loads(header, parse_float=str, parse_int=str)
    found: dict[int, tuple[str, ...]] = {}
    for tag in INDEXED:
        member = document.get(f"{tag:08X}")
        if member is not None:
            values = tuple(_text(value) for value in member.get("Value", ()))
            if any(values):
                found[tag] = values
    return found


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return "=".join(str(value.get(group, "")) for group in _GROUPS).rstrip("=")
    return str(value)
