"""Headers of data elements and items in all four encodings (PS3.5 sections 7.1 and 7.5)."""

from __future__ import annotations

from struct import Struct
from typing import Final, NamedTuple

from vna_core.dicom import dictionary
from vna_core.dicom import value_representations as representations
from vna_core.dicom.elements import Buffer

ITEM: Final = 0xFFFEE000
ITEM_DELIMITER: Final = 0xFFFEE00D
SEQUENCE_DELIMITER: Final = 0xFFFEE0DD
UNDEFINED: Final = 0xFFFFFFFF
PIXEL_DATA: Final = 0x7FE00010
PIXEL_TAGS: Final = frozenset((0x7FE00008, 0x7FE00009, PIXEL_DATA))
SMALLEST_CODE: Final = 0x4141
"""The letters ``AA`` as a number: an implicit length below it cannot be taken for a representation."""

ITEM_OCTETS: Final = {True: b"\xfe\xff\x00\xe0", False: b"\xff\xfe\xe0\x00"}
DELIMITER_OCTETS: Final = {True: b"\xfe\xff\xdd\xe0", False: b"\xff\xfe\xe0\xdd"}

# All by byte order: True is little endian.
SHORT_HEADER: Final = {True: Struct("<HHHH").unpack_from, False: Struct(">HHHH").unpack_from}
LONG_HEADER: Final = {True: Struct("<HHI").unpack_from, False: Struct(">HHI").unpack_from}
LENGTH: Final = {True: Struct("<I").unpack_from, False: Struct(">I").unpack_from}
SHORT_CODES: Final = {True: representations.SHORT_LITTLE, False: representations.SHORT_BIG}
LONG_CODES: Final = {True: representations.LONG_LITTLE, False: representations.LONG_BIG}
ANY_CODES: Final = {True: representations.ANY_LITTLE, False: representations.ANY_BIG}


class Header(NamedTuple):
    """A header as read: where the value starts, and the declared length (`UNDEFINED` for FFFFFFFF)."""

    tag: int
    vr: str
    start: int
    length: int


def read_header(buffer: Buffer, position: int, end: int, explicit: bool, little: bool) -> Header | None:
    """The header at `position`, strictly by PS3.5; None when it does not fit before `end` or its representation is none.

    The representation of an implicit element is the standard's (``UN`` for private ones).
    """
    if end - position < 8:
        return None
    group, number, code, length = SHORT_HEADER[little](buffer, position)
    tag = group << 16 | number
    if not explicit:
        return Header(tag, dictionary.vr_of(tag), position + 8, LENGTH[little](buffer, position + 4)[0])
    vr = ANY_CODES[little].get(code)
    if vr is None:
        return None
    if vr not in representations.LONG_NAMES:
        return Header(tag, vr, position + 8, length)
    if length or end - position < 12:
        return None
    return Header(tag, vr, position + 12, LENGTH[little](buffer, position + 8)[0])


def begins_with_item(buffer: Buffer, start: int, little: bool) -> bool:
    """Whether an item or a sequence delimiter stands at `start`."""
    head = bytes(buffer[start : start + 4])
    return head == ITEM_OCTETS[little] or head == DELIMITER_OCTETS[little]


def value_fits(buffer: Buffer, header: Header, limit: int, little: bool) -> bool:
    """Whether a value of that length can be there: it ends before `limit`, or begins with an item when undefined."""
    if header.length != UNDEFINED:
        return header.start + header.length <= limit
    if header.start + 8 > limit:
        return False
    return begins_with_item(buffer, header.start, little) or begins_with_item(buffer, header.start, not little)


def tag_is_plausible(tag: int) -> bool:
    """Whether the standard defines the tag or it is a legal private one (PS3.5 section 7.8)."""
    if dictionary.is_known(tag):
        return True
    number = tag & 0xFFFF
    return dictionary.is_private(tag) and 8 < tag >> 16 < 0xFFFF and (number >= 0x1000 or number == 0 or 0x10 <= number <= 0xFF)
