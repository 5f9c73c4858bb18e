"""DICOM JSON (PS3.18 annex F) made from ranges of octets, without a data set object between."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from vna_core.dicom import attribute_values
from vna_core.dicom.character_sets import character_set_names, decode_text
from vna_core.dicom.dictionary import vr_of
from vna_core.dicom.elements import Buffer, DataSet
from vna_core.dicom.value_representations import TEXT
from vna_core.domain.indexed_attributes import INDEXED

SPECIFIC_CHARACTER_SET: Final = 0x00080005
INLINE_LIMIT: Final = 64
"""Longest binary value written as InlineBinary, in octets."""

_BINARY: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
_PIXEL_TAGS: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_PERSON_NAME_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_PADDING: Final = 0xFFFCFFFC

Json = dict[str, dict[str, Any]]


def person_name(value: str) -> dict[str, str] | None:
    """One PN value as an object of its component groups (PS3.18 F.2.2); None for an empty value."""
    groups = dict(zip(_PERSON_NAME_GROUPS, value.split("=", 2), strict=False))
    return {name: text for name, text in groups.items() if text} or None


def text_values(values: Sequence[str], vr: str) -> list[Any]:
    """Text values as JSON values: numbers for DS and IS, objects for PN, null for empty ones."""
    if vr == "PN":
        return [person_name(value) for value in values]
    if vr in ("DS", "IS"):
        return [attribute_values.decimal(value) if value else None for value in values]
    return [value or None for value in values]


def encode_attributes(attributes: Mapping[int, Sequence[str]]) -> Json:
    """DICOM JSON of decoded attributes (as the catalogue returns them), in tag order. An empty sequence gives an empty element."""
    encoded: Json = {}
    for tag in sorted(attributes):
        indexed = INDEXED.get(tag)
        vr = indexed.vr if indexed is not None else vr_of(tag)
        element: dict[str, Any] = {"vr": vr}
        if values := attributes[tag]:
            numeric = vr in ("US", "SS", "UL", "SL", "FL", "FD", "UV", "SV")
            element["Value"] = [attribute_values.decimal(v) for v in values] if numeric else text_values(values, vr)
        encoded[f"{tag:08X}"] = element
    return encoded


def to_json(buffer: Buffer, data_set: DataSet, replaced: Mapping[int, tuple[str, bytes]] | None = None) -> bytes:
    """The header as UTF-8 JSON.

    Parameters
    ----------
    data_set
        The top level.
    replaced
        Elements that stand instead of, or beside, those of the data set: tag to representation and little-endian value.
    """
    encoded = _data_set(buffer, data_set, (), "", replaced or {})
    return json.dumps(encoded, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _data_set(
    buffer: Buffer, data_set: DataSet, inherited: tuple[str, ...], path: str, replaced: Mapping[int, tuple[str, bytes]]
) -> Json:
    sets = _character_sets(buffer, data_set, inherited)
    little = data_set.little_endian
    encoded: Json = {}
    for tag, vr, start, length, items in data_set.elements:
        if not tag & 0xFFFF or tag == _PADDING or tag < 0x00080000 or tag in replaced:
            continue
        key = f"{tag:08X}"
        if key in encoded:
            continue
        if items is not None:
            nested = [_data_set(buffer, item, sets, f"{path}{key}/{index}/", {}) for index, item in enumerate(items)]
            encoded[key] = {"vr": "SQ", "Value": nested} if nested else {"vr": "SQ"}
        elif tag in _PIXEL_TAGS or (vr in _BINARY and length > INLINE_LIMIT):
            encoded[key] = {"vr": vr, "BulkDataURI": f"@/bulkdata/{path}{key}"}
        elif not length:
            encoded[key] = {"vr": vr}
        else:
            encoded[key] = _element(bytes(buffer[start : start + length]), vr, little, sets, tag)
    for tag, (vr, raw) in replaced.items():
        encoded[f"{tag:08X}"] = _element(raw, vr, True, sets, tag) if raw else {"vr": vr}
    ordered = all(a < b for a, b in zip(encoded, list(encoded)[1:], strict=False))
    return encoded if ordered else {key: encoded[key] for key in sorted(encoded)}


def _character_sets(buffer: Buffer, data_set: DataSet, inherited: tuple[str, ...]) -> tuple[str, ...]:
    for element in data_set.elements:
        if element[0] == SPECIFIC_CHARACTER_SET:
            return character_set_names(bytes(buffer[element[2] : element[2] + element[3]]))
        if element[0] > SPECIFIC_CHARACTER_SET:
            break
    return inherited


def _element(raw: bytes, vr: str, little: bool, sets: tuple[str, ...], tag: int) -> dict[str, Any]:
    if tag == SPECIFIC_CHARACTER_SET:
        return {"vr": "CS", "Value": ["ISO_IR 192"]}
    if vr in TEXT:
        values = decode_text(raw, vr, sets)
        return {"vr": vr, "Value": text_values(values, vr)} if values else {"vr": vr}
    if vr in _BINARY:
        return {"vr": vr, "InlineBinary": base64.b64encode(raw).decode("ascii")}
    if vr == "AT":
        return {"vr": vr, "Value": list(attribute_values.tags(raw, little))}
    if vr == "SQ":
        return {"vr": vr}
    values_ = attribute_values.numbers(raw, vr, little)
    return {"vr": vr, "Value": [_json_number(value) for value in values_]}


def _json_number(value: attribute_values.Number) -> attribute_values.Number | str:
    """FL and FD may hold what JSON numbers cannot: written as strings (PS3.18 F.2.3)."""
    if isinstance(value, float) and not value - value == 0:
        return "NaN" if value != value else ("Infinity" if value > 0 else "-Infinity")
    return value
