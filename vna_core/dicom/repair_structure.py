"""Where a sequence or an item ends whose length, tag or delimiter is wrong (E07 to E14): what the octets on both sides say.

A place is believed only where two headers in a row read well there. Every question looks at a fixed number of headers.
"""

from __future__ import annotations

from typing import Final

from vna_core.dicom.element_headers import (
    ITEM,
    ITEM_DELIMITER,
    ITEM_OCTETS,
    LONG_HEADER,
    SEQUENCE_DELIMITER,
    UNDEFINED,
)
from vna_core.dicom.elements import Buffer, Element
from vna_core.dicom.repair_header import ASCENDING, WELL, Surroundings, outlook, score

DAMAGED_ITEMS: Final = frozenset((0x3F3F3F00, 0xFFFE0000))
"""What stands for an item tag in files of Philips scanners."""

SWAPPED_GROUP: Final = 0xFEFF
SWAPPED_NUMBERS: Final = {0x00E0: 0xE000, 0x0DE0: 0xE00D, 0xDDE0: 0xE0DD}
"""Element numbers of items and delimiters in the other byte order (PS3.5 section 7.5)."""

OBSERVATION_CLASS: Final = 0x0040A170
"""A code string in the retired way of structured reporting, a sequence since; an implicit data set does not say which."""

_CODE_CHARACTERS: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_ ")


def goes_on(where: Surroundings, position: int, last: int) -> bool:
    """Whether the data set `where` can go on at `position` after its element `last`: ascending, or with its delimiter."""
    if position > where.limit:
        return False
    first, second = outlook(where, position, last)
    return second >= WELL and (first >= ASCENDING or _tag(where, position) == ITEM_DELIMITER)


def items_go_on(where: Surroundings, position: int) -> bool:
    """Whether an item or the delimiter of its sequence stands at `position`; `where` is the sequence."""
    if position + 8 > where.limit:
        return False
    tag, length = _tag_and_length(where, position)
    return (tag == SEQUENCE_DELIMITER and length == 0) or (tag == ITEM and _body_reads(where, position, length))


def item_end(where: Surroundings, position: int) -> int:
    """First octet after the item at `position`; -1 where none stands there, it has no content, or it has no declared length."""
    if position + 8 > where.limit:
        return -1
    tag, length = _tag_and_length(where, position)
    if tag != ITEM or not length or length == UNDEFINED or not _body_reads(where, position, length):
        return -1
    return position + 8 + length


def damaged_item(where: Surroundings, position: int) -> bool:
    """Whether the header at `position` was an item's, but for its tag (E08): its length leads to where items go on or end."""
    tag, length = _tag_and_length(where, position)
    if tag not in DAMAGED_ITEMS or not length or not _body_reads(where, position, length):
        return False
    end = position + 8 + length
    if length == UNDEFINED or end == where.limit:
        return True
    return end + 8 <= where.limit and (items_go_on(where, end) or _tag(where, end) in DAMAGED_ITEMS)


def is_code_string(buffer: Buffer, start: int, length: int) -> bool:
    """Whether the value can only be a Code String (PS3.5 section 6.2)."""
    return 0 < length <= 16 and _CODE_CHARACTERS.issuperset(bytes(buffer[start : start + length]).rstrip(b"\0") or b"\0")


def may_go_on_as_sequence(element: Element, position: int) -> bool:
    """Whether items at `position` can belong to the element before it, whose declared length ends there."""
    return element.start + element.length == position and (
        element.items is not None or (element.vr == "UN" and not element.length)
    )


def begins_with_any_item(buffer: Buffer, start: int) -> bool:
    """Whether an item tag in either byte order stands at `start`."""
    return bytes(buffer[start : start + 4]) in ITEM_OCTETS.values()


def _body_reads(where: Surroundings, position: int, length: int) -> bool:
    """Whether an item of that length fits, and its first element, if any, reads well."""
    begin = position + 8
    end = where.limit if length == UNDEFINED else begin + length
    return end <= where.limit and (length == 0 or score(where._replace(limit=end), begin, -1) >= WELL)


def _tag(where: Surroundings, position: int) -> int:
    return _tag_and_length(where, position)[0] if position + 8 <= where.limit else -1


def _tag_and_length(where: Surroundings, position: int) -> tuple[int, int]:
    group, number, length = LONG_HEADER[where.little_endian](where.buffer, position)
    return group << 16 | number, length
