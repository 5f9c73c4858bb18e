"""Items of sequences as they stand in DICOM JSON (PS3.18 annex F), brought into the form of identifiers (PS3.4 C.2.2.2.6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vna_core.dicom.answers import items_of
from vna_core.dicom.dictionary import vr_of
from vna_core.dicom.json_header import encode_attributes
from vna_core.dicom.json_values import value_text
from vna_core.dicom.network.identifier import SPECIFIC_CHARACTER_SET, Identifier
from vna_core.dicom.value_representations import BINARY


def item_of(item: Mapping[str, Any], keys: Identifier | None = None) -> Identifier:
    """One item with the attributes that are asked for, empty where it has none; None: with all it has.

    Private attributes and binary values are left out of a whole item.

    Parameters
    ----------
    item
        Numbers in it are told as they are written.
    """
    if keys is None or not (keys.values or keys.items):
        tags = [int(name, 16) for name in item]
        wanted = [tag for tag in tags if not tag & 0x10000 and tag != SPECIFIC_CHARACTER_SET]
        keys = Identifier({}, {tag: () for tag in wanted if _is_sequence(item, tag)})
        plain = [tag for tag in wanted if tag not in keys.items and not _is_binary(item, tag)]
    else:
        plain = [tag for tag in keys.values if tag != SPECIFIC_CHARACTER_SET]
    below = {
        tag: tuple(item_of(one, next(iter(asked), None)) for one in items_of(item, tag)) for tag, asked in keys.items.items()
    }
    return Identifier({tag: _texts(item.get(f"{tag:08X}")) for tag in plain}, below)


def json_of(identifier: Identifier) -> dict[str, dict[str, object]]:
    """An identifier as DICOM JSON. Sequences without items say nothing, and are left out as private ones are: many archives answer so for what they do not keep."""
    told = encode_attributes(identifier.values)
    for tag, items in identifier.items.items():
        if items and not tag & 0x10000:
            told[f"{tag:08X}"] = {"vr": "SQ", "Value": [_json_of_item(item) for item in items]}
    return told


def _json_of_item(item: Identifier) -> dict[str, dict[str, object]]:
    plain = {
        tag: texts
        for tag, texts in item.values.items()
        if not tag & 0x10000 and tag != SPECIFIC_CHARACTER_SET and vr_of(tag) not in BINARY
    }
    return json_of(Identifier(plain, item.items))


def _is_sequence(item: Mapping[str, Any], tag: int) -> bool:
    element = item[f"{tag:08X}"]
    return isinstance(element, dict) and element.get("vr") == "SQ"


def _is_binary(item: Mapping[str, Any], tag: int) -> bool:
    element = item[f"{tag:08X}"]
    return isinstance(element, dict) and not element.keys().isdisjoint(("InlineBinary", "BulkDataURI"))


def _texts(element: object) -> tuple[str, ...]:
    values = element.get("Value") if isinstance(element, dict) else None
    return tuple(map(value_text, values)) if isinstance(values, list) else ()
