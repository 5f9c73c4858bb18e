"""The Original Attributes Sequence (0400,0561) of what layers 2 and 3 changed (PS3.3 section C.12.1.1.9).

Values that were legal are attributes of the Modified Attributes Sequence, all in one item; illegal ones, private ones and those
inside sequences are octets in the Nonconforming Modified Attributes Sequence, with the Selector Attribute Macro saying where
they were: one to an item, as that sequence holds a single one. Items that came with the instance stay as they are.
"""

from __future__ import annotations

import struct
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from vna_core.dicom import dictionary
from vna_core.dicom.elements import DataSet, Element
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.octets import Source
from vna_core.ingest.normalize.amendments import Amendment, Path, Record

ORIGINAL_ATTRIBUTES: Final = 0x04000561
MODIFIED_ATTRIBUTES: Final = 0x04000550
NONCONFORMING: Final = 0x04000551
_NONCONFORMING_VALUE: Final = 0x04000552
_COERCION_DATE_TIME: Final = 0x00080015
_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_PIXEL_REPRESENTATION: Final = 0x00280103
"""Never told as empty: readers go by it, wherever it stands, to know the representation of others (PS3.5 section 6.2.2)."""

_LONGEST: Final = 65_536
"""Octets of one value kept here; a longer one comes back by the reverse patch alone."""

_MOST: Final = 4_096
"""Attributes told in one item; those beyond come back by the reverse patch as well."""

MODIFYING_SYSTEM: Final = "VNA normalization"
"""What Modifying System (0400,0563) begins with; the rule set follows."""


@dataclass(frozen=True, slots=True)
class Label:
    """By which rules a data set was made, and when."""

    rule_set: str
    moment: datetime


def record_amendments(revised: RevisedDataSet, amendments: Sequence[Amendment], source: Source, label: Label) -> None:
    """Put one item with the values before into the data set, and Instance Coercion DateTime beside it."""
    kept = [one for one in amendments if len(one.original or b"") <= _LONGEST][:_MOST]
    if not kept:
        return
    moment = label.moment.astimezone(UTC).strftime("%Y%m%d%H%M%S.%f+0000")
    stands_alone = not any(
        one.tag == _SPECIFIC_CHARACTER_SET and not one.path and one.record is Record.LEGAL and one.original for one in kept
    )
    legal = [one for one in kept if _is_plain(one, stands_alone) and (one.original or one.tag != _PIXEL_REPRESENTATION)]
    octets = [one for one in kept if not _is_plain(one, stands_alone) and one.original]
    reason = "COERCE" if all(one.coerced for one in kept) else "CORRECT"
    origin = [
        _text(revised, 0x04000562, "DT", moment),
        _text(revised, 0x04000563, "LO", f"{MODIFYING_SYSTEM} {label.rule_set}"),
        _text(revised, 0x04000564, "LO", _source_name(source)),
        _text(revised, 0x04000565, "CS", reason),
    ]
    for number in range(max(1, len(octets))):
        modified = [_before(revised, one) for one in legal] if not number else []
        told = octets[number : number + 1]
        named = {element.tag for element in modified}
        modified += [_empty(revised, one.tag) for one in told if not one.path and one.tag not in named and _may_be_named(one.tag)]
        sequences = [_sequence(MODIFIED_ATTRIBUTES, sorted(modified, key=_tag_of))]
        sequences += [_sequence(NONCONFORMING, _nonconforming(revised, one)) for one in told]
        _append(revised, DataSet([*sequences, *origin]))
    _put(revised.data_set.elements, _text(revised, _COERCION_DATE_TIME, "DT", moment))


def _is_plain(amendment: Amendment, stands_alone: bool) -> bool:
    """Whether the value before can stand as an attribute of an item.

    Text of another character set can where that set stands in the same item; private attributes would need their creator.
    """
    if amendment.path or amendment.record is not Record.LEGAL or amendment.tag & 0x10000:
        return False
    return amendment.original is None or not stands_alone or amendment.original.isascii()


def _before(revised: RevisedDataSet, amendment: Amendment) -> Element:
    vr = amendment.vr or dictionary.vr_of(amendment.tag)
    if vr == "SQ":
        return Element(amendment.tag, "SQ", -1, 0, [])
    return revised.literal(amendment.tag, vr, _even(amendment.original or b"", vr))


def _may_be_named(tag: int) -> bool:
    """Whether an attribute may stand in an item: group lengths and the tags of items and delimiters are known, and may not."""
    return dictionary.is_known(tag) and bool(tag & 0xFFFF) and 0x0008 <= tag >> 16 < 0xFFFC


def _empty(revised: RevisedDataSet, tag: int) -> Element:
    vr = dictionary.vr_of(tag)
    return Element(tag, "SQ", -1, 0, []) if vr == "SQ" else revised.literal(tag, vr, b"")


def _nonconforming(revised: RevisedDataSet, amendment: Amendment) -> list[Element]:
    """Selector Attribute Macro (PS3.3 table 10-20) and the octets."""
    elements = [
        revised.literal(0x00720026, "AT", _attribute_tag(amendment.tag)),
        revised.literal(0x00720028, "US", b"\1\0"),
    ]
    if amendment.path:
        elements.append(revised.literal(0x00720052, "AT", b"".join(_attribute_tag(sequence) for sequence, _ in amendment.path)))
        creators = [_creator(data_set, sequence, revised) for data_set, sequence in _way(revised, amendment.path)]
        if any(creators):
            elements.append(_text(revised, 0x00720054, "LO", "\\".join(creators)))
    if amendment.tag & 0x10000:
        creator = _creator(_innermost(revised, amendment.path), amendment.tag, revised)
        if creator:
            elements.append(_text(revised, 0x00720056, "LO", creator))
    if amendment.path:
        elements.append(_text(revised, 0x00741057, "IS", "\\".join(str(item + 1) for _, item in amendment.path)))
    elements.append(revised.literal(_NONCONFORMING_VALUE, "OB", _even(amendment.original or b"", "OB")))
    return elements


def _way(revised: RevisedDataSet, path: Path) -> list[tuple[DataSet, int]]:
    """The data sets on the way, each with the sequence that leads on."""
    way: list[tuple[DataSet, int]] = []
    data_set: DataSet | None = revised.data_set
    for sequence, item in path:
        if data_set is None:
            break
        way.append((data_set, sequence))
        data_set = _item(data_set, sequence, item)
    return way


def _innermost(revised: RevisedDataSet, path: Path) -> DataSet:
    data_set = revised.data_set
    for sequence, number in path:
        item = _item(data_set, sequence, number)
        if item is None:
            return DataSet([])
        data_set = item
    return data_set


def _item(data_set: DataSet, sequence: int, number: int) -> DataSet | None:
    found = _element(data_set, sequence)
    items = found.items or [] if found is not None else []
    return items[number] if number < len(items) else None


def _element(data_set: DataSet, tag: int) -> Element | None:
    """By bisection, since there may be very many attributes to tell of in a very large data set."""
    elements = data_set.elements
    index = bisect_left(elements, tag, key=_tag_of)
    return elements[index] if index < len(elements) and elements[index].tag == tag else None


def _creator(data_set: DataSet, tag: int, revised: RevisedDataSet) -> str:
    """Private creator that reserves a tag's block; empty for a standard tag."""
    if not tag & 0x10000 or tag & 0xFFFF < 0x1000:
        return ""
    element = _element(data_set, (tag & 0xFFFF0000) | (tag >> 8 & 0xFF))
    if element is None or element.items is not None:
        return ""
    return revised.value(element).decode("ascii", "replace").strip(" \0")


def _append(revised: RevisedDataSet, item: DataSet) -> None:
    elements = revised.data_set.elements
    index = bisect_left(elements, ORIGINAL_ATTRIBUTES, key=_tag_of)
    earlier: list[DataSet] = []
    if index < len(elements) and elements[index].tag == ORIGINAL_ATTRIBUTES:
        earlier = elements[index].items or []
    _put(elements, Element(ORIGINAL_ATTRIBUTES, "SQ", -1, 0, [*earlier, item]))


def _put(elements: list[Element], element: Element) -> None:
    index = bisect_left(elements, element.tag, key=_tag_of)
    elements[index : index + (index < len(elements) and elements[index].tag == element.tag)] = [element]


def _sequence(tag: int, elements: list[Element]) -> Element:
    """A sequence of one item."""
    return Element(tag, "SQ", -1, 0, [DataSet(elements)])


def _text(revised: RevisedDataSet, tag: int, vr: str, value: str) -> Element:
    return revised.literal(tag, vr, _even(value.encode("utf-8"), vr))


def _source_name(source: Source) -> str:
    """Who sent it, as a Long String of printable ASCII."""
    name = source.name or source.kind
    return "".join(character if " " <= character <= "~" and character != "\\" else "?" for character in name)[:64]


def _even(value: bytes, vr: str) -> bytes:
    return value + (b"\0" if vr in ("OB", "UN", "UI") else b" ") if len(value) & 1 else value


def _attribute_tag(tag: int) -> bytes:
    return struct.pack("<HH", tag >> 16, tag & 0xFFFF)


def _tag_of(element: Element) -> int:
    return element[0]
