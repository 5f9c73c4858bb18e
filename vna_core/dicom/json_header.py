"""DICOM JSON (PS3.18 annex F) of a data set, written straight from the octets.

Bulk data is referred to by ``@/bulkdata/<tag path>``. Texts that occur again and again in a series are kept encoded.
"""

from __future__ import annotations

import json
import math
import re
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

from vna_core.dicom import dictionary
from vna_core.dicom.attribute_values import (
    SPECIFIC_CHARACTER_SET,
    attribute_tags,
    numbers,
)
from vna_core.dicom.character_sets import character_set_names, decode_text
from vna_core.dicom.elements import DataSet, Element
from vna_core.dicom.json_values import COMPONENT_GROUPS
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.value_representations import BINARY
from vna_core.domain.indexed_attributes import INDEXED

INLINE_MAXIMUM: Final = 64
TEXT_MAXIMUM: Final = 65_536
"""Values of characters or numbers longer than this are bulk data as well (PS3.18 F.2.2 allows it)."""

_TRAILER: Final = 0xFFFCFFFC
_PIXEL_TAGS: Final = frozenset((0x7FE00008, 0x7FE00009, 0x7FE00010))
_NUMBERS: Final = frozenset(("US", "SS", "UL", "SL", "UV", "SV", "FL", "FD"))
_JSON_NUMBER: Final = re.compile(r"-?(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,32})?(?:[eE][+-]?[0-9]{1,2})?").fullmatch
_COUNT: Final = re.compile(r"0|[1-9][0-9]{0,17}").fullmatch
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,18}").fullmatch
_DECIMAL: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?").fullmatch
_UTF_8: Final = '"00080005":{"vr":"CS","Value":["ISO_IR 192"]}'
_quote = json.encoder.encode_basestring


@lru_cache(maxsize=8192)
def _opening(tag: int, vr: str) -> str:
    return f'"{tag:08X}":{{"vr":"{vr}"'


def decimal(text: str) -> str:
    """A decimal or integer string as a JSON number that keeps its digits; as a JSON string where it is no number."""
    if _JSON_NUMBER(text):
        return text
    if _INTEGER(text):
        return str(int(text))
    if len(text) <= 64 and _DECIMAL(text):
        number = float(text)
        if math.isfinite(number):
            return repr(number)
    return _quote(text)


def _number(value: float) -> str:
    if isinstance(value, int) or math.isfinite(value):
        return repr(value)
    return '"NaN"' if math.isnan(value) else '"Infinity"' if value > 0 else '"-Infinity"'


def person_name(text: str) -> str:
    """One person's name as its component groups (PS3.18 F.2.2)."""
    groups = text.split("=", 2)
    members = [f'"{name}":{_quote(group)}' for name, group in zip(COMPONENT_GROUPS, groups, strict=False) if group]
    return "{" + ",".join(members) + "}" if members else "null"


def _value(raw: bytes, vr: str, character_sets: tuple[str, ...]) -> str:
    """The values between the brackets of ``Value``; empty when there are none."""
    if vr in _NUMBERS:
        return ",".join(map(_number, numbers(raw, vr)))
    if vr == "AT":
        return ",".join(f'"{tag}"' for tag in attribute_tags(raw))
    texts = decode_text(raw, vr, character_sets)
    if vr == "PN":
        return ",".join(map(person_name, texts))
    if vr in ("DS", "IS"):
        return ",".join(decimal(text) if text else "null" for text in texts)
    return ",".join(_quote(text) if text else "null" for text in texts)


def _plain(tag: int, vr: str, raw: bytes, character_sets: tuple[str, ...]) -> str:
    """An element whose value is written out."""
    if vr in BINARY:
        if not raw:
            return _opening(tag, vr) + "}"
        raw += b"\0" * (len(raw) & 1)  # as the value is stored (PS3.5 section 6.2), so that a rebuild tells the same
        return f'{_opening(tag, vr)},"InlineBinary":"{b64encode(raw).decode("ascii")}"}}'
    values = _value(raw, vr, character_sets)
    return f'{_opening(tag, vr)},"Value":[{values}]}}' if values else _opening(tag, vr) + "}"


_repeated = lru_cache(maxsize=8192)(_plain)


def to_json(revised: RevisedDataSet) -> bytes:
    """The data set as one JSON object in UTF-8, without bulk data and without the trailer.

    Raises nothing: text that cannot be decoded, numbers that are none and values that are not finite become strings.
    """
    return _written(revised, (revised.data_set, _sets(revised, revised.data_set, ()), ""))


def member(revised: RevisedDataSet, element: Element, character_sets: tuple[str, ...]) -> bytes:
    """One top-level element as it stands in the object of `to_json`, under the character sets of its data set."""
    tag, vr, start, length, items = element
    if items is None and start >= 0 and length <= INLINE_MAXIMUM and _is_written_out(tag, start, revised):
        return _plain(tag, vr, bytes(revised.buffer[start : start + length]), character_sets).encode("utf-8", "replace")
    alone = DataSet([element])
    if items:
        return _written(revised, (alone, character_sets, ""))[1:-1]
    return _object(revised, alone, character_sets, "", {})[1:-1].encode("utf-8", "replace")


def _is_written_out(tag: int, start: int, revised: RevisedDataSet) -> bool:
    return tag not in _PIXEL_TAGS and tag != SPECIFIC_CHARACTER_SET and start not in revised.encapsulated


_Scope = tuple[DataSet, tuple[str, ...], str]


def _written(revised: RevisedDataSet, root: _Scope) -> bytes:
    done: dict[int, str] = {}
    for element, items, _ in reversed(_scopes(revised, root)):
        texts = [_object(revised, item, sets, path, done) for item, sets, path in items]
        done[id(element[4])] = f'{_opening(element[0], "SQ")},"Value":[{",".join(texts)}]}}'
    return _object(revised, *root, done).encode("utf-8", "replace")


def _scopes(revised: RevisedDataSet, root: _Scope) -> list[tuple[Element, list[_Scope], str]]:
    """Every sequence with its items, the character sets that hold in each and its path; outer ones first."""
    found: list[tuple[Element, list[_Scope], str]] = []
    pending: list[_Scope] = [root]
    while pending:
        data_set, character_sets, path = pending.pop()
        for element in data_set.elements:
            if element[4]:
                inside = f"{path}{element[0]:08X}/"
                items = [
                    (item, _sets(revised, item, character_sets), f"{inside}{number}/") for number, item in enumerate(element[4])
                ]
                found.append((element, items, path))
                pending.extend(items)
    return found


def _sets(revised: RevisedDataSet, data_set: DataSet, inherited: tuple[str, ...]) -> tuple[str, ...]:
    """Character sets of a data set: its own, else those around it (PS3.3 C.12.1.1.2)."""
    for element in data_set.elements:
        if element[0] >= SPECIFIC_CHARACTER_SET:
            if element[0] == SPECIFIC_CHARACTER_SET and element[3] and element[4] is None:
                return character_set_names(revised.value(element))
            break
    return inherited


def _object(revised: RevisedDataSet, data_set: DataSet, sets: tuple[str, ...], path: str, done: dict[int, str]) -> str:
    """One data set between braces."""
    buffer, literals, encapsulated = revised.buffer, revised.literals, revised.encapsulated
    members: list[str] = []
    append, repeated, binary = members.append, _repeated, BINARY
    for tag, vr, start, length, items in data_set.elements:
        if items is not None:
            append(done[id(items)] if items else _opening(tag, "SQ") + "}")
        elif length <= INLINE_MAXIMUM and tag not in _PIXEL_TAGS and start not in encapsulated:
            if tag == SPECIFIC_CHARACTER_SET:
                append(_UTF_8 if length else _opening(tag, vr) + "}")
            else:
                raw = bytes(buffer[start : start + length]) if start >= 0 else literals[-1 - start]
                append(repeated(tag, vr, raw, sets))
        elif tag == _TRAILER:
            continue
        elif (vr in binary or length > TEXT_MAXIMUM or tag in _PIXEL_TAGS) and length:
            append(f'{_opening(tag, vr)},"BulkDataURI":"@/bulkdata/{path}{tag:08X}"}}')
        else:
            raw = bytes(buffer[start : start + length]) if start >= 0 else literals[-1 - start]
            append(_plain(tag, vr, raw, sets))
    return "{" + ",".join(members) + "}"


def encode_attributes(attributes: Mapping[int, Sequence[str]]) -> dict[str, dict[str, object]]:
    """DICOM JSON of indexed attributes, as the catalogue keeps them.

    Parameters
    ----------
    attributes
        Values as text by tag (`attribute_values.values_as_text`).
    """
    encoded: dict[str, dict[str, object]] = {}
    for tag in sorted(attributes):
        known = INDEXED.get(tag)
        vr = known.vr if known is not None else dictionary.vr_of(tag)
        values = [_json_value(text, vr) for text in attributes[tag]]
        encoded[f"{tag:08X}"] = {"vr": vr, "Value": values} if values else {"vr": vr}
    return encoded


def _json_value(text: str, vr: str) -> object:
    if not text:
        return None
    if vr in _NUMBERS or vr in ("DS", "IS"):
        # Nearly every number is a count or a size, and needs no reader of JSON.
        return int(text) if _COUNT(text) else json.loads(decimal(text))
    if vr == "PN":
        return {name: group for name, group in zip(COMPONENT_GROUPS, text.split("=", 2), strict=False) if group} or None
    return text
