"""The reader of data sets: iterative, bounded, and quick where the octets are clean.

One walk visits every element once, keeps ranges and copies nothing. Plain elements go through a loop of a few lines per
encoding (`_explicit`, `_implicit`); the first header that is anything else is taken by `_next`, which knows sequences,
delimiters and pixel data, and asks the repair modules about the rest. After one such header the quick loop goes on.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import Final

from vna_core.dicom import dictionary
from vna_core.dicom import value_representations as representations
from vna_core.dicom.element_headers import (
    ANY_CODES,
    ITEM_OCTETS,
    LENGTH,
    LONG_CODES,
    LONG_HEADER,
    PIXEL_DATA,
    PIXEL_TAGS,
    SHORT_CODES,
    SHORT_HEADER,
    SMALLEST_CODE,
    UNDEFINED,
)
from vna_core.dicom.elements import Buffer, DataSet, Element, PixelElement
from vna_core.dicom.pixel_fragments import walk_fragments
from vna_core.dicom.repair_structure import OBSERVATION_CLASS, SWAPPED_GROUP, SWAPPED_NUMBERS, is_code_string
from vna_core.dicom.sequence_repairs import RepairingWalk
from vna_core.dicom.sequence_walk import Walk
from vna_core.domain.octets import ByteRange

__all__ = ["Walk", "tokenize"]

PIXEL_REPRESENTATION: Final = 0x00280103
_ITEM_LITTLE, _ITEM_BIG = ITEM_OCTETS[True], ITEM_OCTETS[False]
_ITEMS: Final = (_ITEM_LITTLE, _ITEM_BIG)
_new_element = tuple.__new__


def tokenize(
    buffer: Buffer,
    begin: int,
    end: int,
    *,
    explicit: bool,
    little_endian: bool,
    max_depth: int = 256,
    max_elements: int = 2_000_000,
) -> Walk:
    """Read the data set in ``buffer[begin:end]``.

    Parameters
    ----------
    explicit, little_endian
        The encoding at the top level as the first element shows it.
    max_depth
        Deepest nesting of sequences (setting ``ingest.max_depth``).
    max_elements
        Most elements, items and fragments together (setting ``ingest.max_elements``).

    Raises
    ------
    Truncated
        The octets end before a declared end.
    Malformed
        What follows an element cannot be decided by the octets.
    LimitExceeded
        A limit was hit; it is named.
    """
    return _Walker(buffer, begin, end, explicit, little_endian, max_depth, max_elements).run()


class _Walker(RepairingWalk):
    """The quick loops, and one header that is not plain."""

    __slots__ = ()

    def run(self) -> Walk:
        """Visit everything."""
        while not self.finished:
            before = len(self.data_set.elements)
            data_set = self.data_set
            if data_set.explicit:
                self._explicit(data_set)
            else:
                self._implicit(data_set)
            self._spend(len(data_set.elements) - before)
            if self.data_set is data_set:
                self._next()
        if not self.root.explicit:
            resolve_signed(self.buffer, self.root)
        return Walk(self.root, self.pixel, self.root.end, self.notes, self.encapsulated)

    # -- the quick loops: conformant elements in ascending order ---------------------------------------------------------

    def _explicit(self, data_set: DataSet) -> None:
        little = data_set.little_endian
        buffer, position, limit, elements = self.buffer, self.position, self.limit, data_set.elements
        unpack, unpack_length = SHORT_HEADER[little], LENGTH[little]
        short, long, append, new = SHORT_CODES[little].get, LONG_CODES[little].get, elements.append, _new_element
        last = elements[-1][0] if elements else -1
        stop = min(limit - 8, position + 8 * self.remaining)
        while position <= stop:
            group, number, code, length = unpack(buffer, position)
            tag = group << 16 | number
            if tag <= last:
                break
            vr = short(code)
            if vr is not None:
                start = position + 8
            else:
                vr = long(code)
                if vr is None or length or position > limit - 12:
                    break
                start = position + 12
                length = unpack_length(buffer, position + 8)[0]
                if vr == "SQ":
                    if length == UNDEFINED or start + length <= limit:
                        self._open(tag, "SQ", start, length)
                        return
                    break
                if tag in PIXEL_TAGS or (vr == "UN" and buffer[start : start + 4] in _ITEMS):
                    break
            following = start + length
            if following > limit:
                break
            append(new(Element, (tag, vr, start, length, None)))
            last, position = tag, following
        self.position = position

    def _implicit(self, data_set: DataSet) -> None:
        little = data_set.little_endian
        buffer, position, limit, elements = self.buffer, self.position, self.limit, data_set.elements
        unpack, known, append, new = LONG_HEADER[little], dictionary.VR_OF.get, elements.append, _new_element
        last = elements[-1][0] if elements else -1
        stop = min(limit - 8, position + 8 * self.remaining)
        while position <= stop:
            group, number, length = unpack(buffer, position)
            tag = group << 16 | number
            if tag <= last or length >= SMALLEST_CODE or tag in PIXEL_TAGS or group == 0xFFFE:
                break
            start = position + 8
            following = start + length
            if following > limit:
                break
            vr = known(tag)
            if vr is None:
                vr = self._implicit_vr(tag, start, length)
            if vr == "SQ" or vr == "UN":
                head = buffer[start : start + 4] if length >= 8 else b""
                if vr == "SQ":
                    if not length or head == (_ITEM_LITTLE if little else _ITEM_BIG):
                        self._open(tag, "SQ", start, length)
                        return
                    break
                if head in _ITEMS or (elements and elements[-1][3] & 1):
                    break
            append(new(Element, (tag, vr, start, length, None)))
            last, position = tag, following
        self.position = position

    def _implicit_vr(self, tag: int, start: int, length: int) -> str:
        """Representation of an element that the standard's table does not list; the private block's creator may tell.

        ``UN`` where the value looks like a sequence, whatever was known.
        """
        if not tag & 0x10000 or tag & 0xFFFF < 0x1000:
            return dictionary.vr_of(tag)
        if length >= 8 and start < self.limit and self.buffer[start] >= 0xFE and self.buffer[start : start + 4] in _ITEMS:
            return "UN"
        vr = dictionary.vr_of(tag, self._creator(tag))
        return "UN" if vr == "SQ" or length % representations.UNIT.get(vr, 1) else vr

    def _creator(self, tag: int) -> str:
        elements = self.data_set.elements
        reserving = (tag & 0xFFFF0000) | (tag >> 8 & 0xFF)
        index = bisect_left(elements, reserving, key=_tag_of)
        if index == len(elements) or elements[index].tag != reserving:
            return ""
        element = elements[index]
        return bytes(self.buffer[element.start : element.start + min(element.length, 64)]).decode("latin-1").strip(" \0")

    # -- one header that is not plain ------------------------------------------------------------------------------------

    def _next(self) -> None:
        position, limit, data_set = self.position, self.limit, self.data_set
        if position == limit:
            self._end_of_data_set()
            return
        if not self.stack and self._only_zeros_follow():
            self._cut("zeros")
            return
        if limit - position < 8:
            self._repair("Less than an element header is left.")
            return
        little = data_set.little_endian
        group, number, length = LONG_HEADER[little](self.buffer, position)
        tag = group << 16 | number
        if group == 0xFFFE:
            self._delimiter(tag, length)
            return
        if group == SWAPPED_GROUP and number in SWAPPED_NUMBERS and self.stack:
            self._delimiter(0xFFFE0000 | SWAPPED_NUMBERS[number], LENGTH[not little](self.buffer, position + 4)[0])
            return
        vr, start = "", position + 8
        if data_set.explicit:
            _, _, code, short_length = SHORT_HEADER[little](self.buffer, position)
            vr = ANY_CODES[little].get(code, "")
            if vr in representations.LONG_NAMES and not short_length and limit - position >= 12:
                start = position + 12
                length = LENGTH[little](self.buffer, position + 8)[0]
            elif vr and vr not in representations.LONG_NAMES:
                length = short_length
            else:
                self._repair("The value representation is not one of PS3.5.")
                return
        else:
            vr = dictionary.VR_OF.get(tag) or self._implicit_vr(tag, start, length)
            if vr == "UN" and data_set.elements and data_set.elements[-1].length & 1 and self._previous_was_shorter():
                return
        self._accept(tag, vr, start, length)

    def _accept(self, tag: int, vr: str, start: int, length: int) -> None:
        """Take an element whose header is decided."""
        if length != UNDEFINED and start + length > self.limit:
            self._overrun(tag, vr, start, length)
            return
        item = _ITEM_LITTLE if self.data_set.little_endian else _ITEM_BIG
        head = bytes(self.buffer[start : start + 4])
        if tag in PIXEL_TAGS and vr != "SQ":
            if length == UNDEFINED or (tag == PIXEL_DATA and length >= 16 and head == item):
                self._fragments(tag, vr, start, length)
            else:
                self._plain(tag, vr, start, length)
                if not self.stack and self.pixel is None:
                    self.pixel = PixelElement(tag, vr, ByteRange(start, length))
        elif vr == "SQ":
            if tag == OBSERVATION_CLASS and not self.data_set.explicit and is_code_string(self.buffer, start, length):
                self._plain(tag, "CS", start, length)
            else:
                self._open(tag, vr, start, length)
        elif length == UNDEFINED:
            rule = "E05" if vr != "UN" else "E02" if self.data_set.explicit else "E06"
            self._note(rule, start, tag, f"undefined length under {vr}")
            self._open(tag, vr, start, length)
        elif vr == "UN" and length >= 8 and head in _ITEMS:
            self._open(tag, vr, start, length, speculative=True)
        else:
            self._plain(tag, vr, start, length)

    def _fragments(self, tag: int, vr: str, start: int, length: int) -> None:
        bounded = length != UNDEFINED
        if bounded:
            self._note("P16", start, tag, "encapsulated pixel data of defined length")
        walk = walk_fragments(
            self.buffer,
            start,
            start + length if bounded else self.limit,
            little_endian=self.data_set.little_endian,
            maximum=self.remaining,
            bounded=bounded,
            notes=self.notes,
        )
        self._spend(len(walk.fragments) + 1)
        self.data_set.elements.append(Element(tag, vr, start, walk.length, None))
        self.position = start + length if bounded else walk.after
        if self.stack:
            self.encapsulated[start] = ([walk.offset_table] if walk.offset_table else []) + walk.fragments
        elif self.pixel is None:
            self.pixel = PixelElement(tag, vr, ByteRange(start, walk.length), walk.fragments, walk.offset_table)


def _tag_of(element: Element) -> int:
    return element[0]


def resolve_signed(buffer: Buffer, root: DataSet) -> None:
    """Give elements that are US or SS the representation that Pixel Representation (0028,0103) decides (PS3.3 C.7.6.3.1).

    An implicit data set does not say; nested data sets without the attribute follow the one around them.
    """
    pending = [(root, False)]
    while pending:
        data_set, signed = pending.pop()
        elements = data_set.elements
        index = bisect_left(elements, PIXEL_REPRESENTATION, key=_tag_of)
        if index < len(elements) and elements[index].tag == PIXEL_REPRESENTATION and elements[index].length == 2:
            signed = buffer[elements[index].start + (0 if data_set.little_endian else 1)] == 1
        for position, element in enumerate(elements):
            if element[4]:
                pending.extend((item, signed) for item in element[4])
            elif signed and not data_set.explicit and element[0] in dictionary.SIGNED_OR_UNSIGNED and element[1] == "US":
                elements[position] = element._replace(vr="SS")
