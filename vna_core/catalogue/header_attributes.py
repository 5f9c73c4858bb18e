"""Indexed attributes read back from a header in DICOM JSON (PS3.18 annex F)."""

from __future__ import annotations

import json
from collections.abc import Mapping

from vna_core.dicom.json_values import value_text
from vna_core.domain.indexed_attributes import INDEXED


def header_attributes(header: bytes) -> Mapping[int, tuple[str, ...]]:
    """Values by tag as an index entry carries them; absent and empty elements are left out."""
    document = json.loads(header, parse_float=str, parse_int=str)
    found: dict[int, tuple[str, ...]] = {}
    for tag in INDEXED:
        member = document.get(f"{tag:08X}")
        if member is not None:
            values = tuple(map(value_text, member.get("Value", ())))
            if any(values):
                found[tag] = values
    return found
