"""The reader of data sets: iterative, bounded, and quick where the octets are clean.

One walk visits every element once, keeps ranges and copies nothing. Plain elements go through a loop of a few lines per
encoding (`_explicit`, `_implicit`); the first header that is anything else is taken by `_next`, which knows sequences,
delimiters and pixel data, and asks the repair modules about the rest. After one such header the quick loop goes on.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from vna_core.dicom import dictionary
from vna_core.dicom import value_representations as representations
from vna_core.dicom.elements import Buffer, DataSet, Element, Note, PixelElement
from vna_core.dicom.pixel_fragments import walk_fragments
from vna_core.dicom.repair_header import Surroundings, repair_previous, resolve
from vna_core.dicom.repair_structure import (
    OBSERVATION_CLASS,
    SWAPPED_GROUP,
    SWAPPED_NUMBERS,
    begins_with_any_item,
    damaged_item,
    goes_on,
    is_code_string,
    item_end,
    items_go_on,
    may_go_on_as_sequence,
)
from vna_core.domain.errors import LimitExceeded, Malformed, Truncated, VnaError
from vna_core.domain.octets import ByteRange

ITEM: Final = 0xFFFEE000
ITEM_DELIMITER: Final = 0xFFFEE00D
SEQUENCE_DELIMITER: Final = 0xFFFEE0DD
UNDEFINED: Final = 0xFFFFFFFF
PIXEL_DATA: Final = 0x7FE00010
PIXEL_REPRESENTATION: Final = 0x00280103
PIXEL_TAGS: Final = frozenset((0x7FE00008, 0x7FE00009, PIXEL_DATA))
ITEM_LITTLE: Final = b"\xfe\xff\x00\xe0"
ITEM_BIG: Final = b"\xff\xfe\xe0\x00"
_ITEMS: Final = (ITEM_LITTLE, ITEM_BIG)

_SHORT_HEADER: Final = {True: Struct("<HHHH").unpack_from, False: Struct(">HHHH").unpack_from}
_LONG_HEADER: Final = {True: Struct("<HHI").unpack_from, False: Struct(">HHI").unpack_from}
_LENGTH: Final = {True: Struct("<I").unpack_from, False: Struct(">I").unpack_from}
_SHORT_CODES: Final = {True: representations.SHORT_LITTLE, False: representations.SHORT_BIG}
_LONG_CODES: Final = {True: representations.LONG_LITTLE, False: representations.LONG_BIG}
_ANY_CODES: Final = {True: representations.ANY_LITTLE, False: representations.ANY_BIG}
_SMALLEST_CODE: Final = 0x4141
_new_element = tuple.__new__


@dataclass(slots=True)
class Walk:
    """What a walk found.

    Attributes
    ----------
    end
        First octet after the data set.
    encapsulated
        For encapsulated pixel data below the top level (icons): the fragments by the offset of the element's value.
    """

    data_set: DataSet
    pixel: PixelElement | None
    end: int
    notes: list[Note] = field(default_factory=list)
    encapsulated: dict[int, list[ByteRange]] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Sequence:
    """An open sequence, and the data set it interrupts.

    `speculative`: it was only supposed to be one (UN whose value begins with an item). `loose`: its declared length is wrong,
    so that its items alone say where it ends. `cut`: the declared length reaches past the last octet.
    """

    tag: int
    vr: str
    start: int
    limit: int
    undefined: bool
    explicit: bool
    little_endian: bool
    items: list[DataSet]
    parent: DataSet
    parent_limit: int
    parent_undefined: bool
    speculative: bool
    notes: int
    loose: bool = False
    cut: bool = False


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


class _Walker:
    __slots__ = (
        "buffer",
        "data_set",
        "encapsulated",
        "finished",
        "limit",
        "max_depth",
        "max_elements",
        "notes",
        "pixel",
        "position",
        "remaining",
        "root",
        "stack",
        "undefined",
        "unlike_zero",
    )

    def __init__(
        self, buffer: Buffer, begin: int, end: int, explicit: bool, little_endian: bool, max_depth: int, max_elements: int
    ) -> None:
        self.buffer = buffer
        self.root = DataSet([], explicit, little_endian, begin, end)
        self.data_set = self.root
        self.limit = end
        self.undefined = False
        self.position = begin
        self.stack: list[_Sequence] = []
        self.max_depth = max_depth
        self.max_elements = max_elements
        self.remaining = max_elements
        self.notes: list[Note] = []
        self.pixel: PixelElement | None = None
        self.encapsulated: dict[int, list[ByteRange]] = {}
        self.finished = False
        self.unlike_zero = -1

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

    def _spend(self, count: int) -> None:
        self.remaining -= count
        if self.remaining < 0:
            raise LimitExceeded(
                f"The data set has more than {self.max_elements} elements and items (ingest.max_elements).",
                limit="ingest.max_elements",
                maximum=self.max_elements,
            )

    # -- the quick loops: conformant elements in ascending order ---------------------------------------------------------

    def _explicit(self, data_set: DataSet) -> None:
        little = data_set.little_endian
        buffer, position, limit, elements = self.buffer, self.position, self.limit, data_set.elements
        unpack, unpack_length = _SHORT_HEADER[little], _LENGTH[little]
        short, long, append, new = _SHORT_CODES[little].get, _LONG_CODES[little].get, elements.append, _new_element
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
        unpack, known, append, new = _LONG_HEADER[little], dictionary.VR_OF.get, elements.append, _new_element
        last = elements[-1][0] if elements else -1
        stop = min(limit - 8, position + 8 * self.remaining)
        while position <= stop:
            group, number, length = unpack(buffer, position)
            tag = group << 16 | number
            if tag <= last or length >= _SMALLEST_CODE or tag in PIXEL_TAGS or group == 0xFFFE:
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
                    if not length or head == (ITEM_LITTLE if little else ITEM_BIG):
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
        group, number, length = _LONG_HEADER[little](self.buffer, position)
        tag = group << 16 | number
        if group == 0xFFFE:
            self._delimiter(tag, length)
            return
        if group == SWAPPED_GROUP and number in SWAPPED_NUMBERS and self.stack:
            self._delimiter(0xFFFE0000 | SWAPPED_NUMBERS[number], _LENGTH[not little](self.buffer, position + 4)[0])
            return
        vr, start = "", position + 8
        if data_set.explicit:
            _, _, code, short_length = _SHORT_HEADER[little](self.buffer, position)
            vr = _ANY_CODES[little].get(code, "")
            if vr in representations.LONG_NAMES and not short_length and limit - position >= 12:
                start = position + 12
                length = _LENGTH[little](self.buffer, position + 8)[0]
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
        item = ITEM_LITTLE if self.data_set.little_endian else ITEM_BIG
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
            self._note("E02" if vr == "UN" else "E05", start, tag, f"undefined length under {vr}")
            self._open(tag, vr, start, length)
        elif vr == "UN" and length >= 8 and head in _ITEMS:
            self._open(tag, vr, start, length, speculative=True)
        else:
            self._plain(tag, vr, start, length)

    def _plain(self, tag: int, vr: str, start: int, length: int) -> None:
        self.data_set.elements.append(Element(tag, vr, start, length, None))
        self._spend(1)
        self.position = start + length

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

    # -- sequences and items ---------------------------------------------------------------------------------------------

    def _open(self, tag: int, vr: str, start: int, length: int, speculative: bool = False) -> None:
        """Begin a sequence at `start`, and go to its first item."""
        self._push(tag, vr, start, length, speculative)
        self.position = start
        self._advance()

    def _push(self, tag: int, vr: str, start: int, length: int, speculative: bool = False) -> _Sequence:
        if len(self.stack) >= self.max_depth:
            raise LimitExceeded(
                f"Sequences are nested deeper than {self.max_depth} (ingest.max_depth).",
                limit="ingest.max_depth",
                maximum=self.max_depth,
            )
        undefined = length == UNDEFINED
        parent = self.data_set
        explicit, little = (False, True) if vr == "UN" else (parent.explicit, parent.little_endian)
        limit = self.limit if undefined else start + length
        sequence = _Sequence(
            tag, vr, start, limit, undefined, explicit, little, [], parent, self.limit, self.undefined,
            speculative, len(self.notes),
        )  # fmt: skip
        self.stack.append(sequence)
        return sequence

    def _advance(self) -> None:
        """Between items: begin the next one, or end the sequence."""
        sequence = self.stack[-1]
        buffer, position, limit, items = self.buffer, self.position, sequence.limit, sequence.items
        unpack = _LONG_HEADER[sequence.little_endian]
        while True:
            if position == limit and not sequence.undefined:
                self._close(position, position)
                return
            if position + 8 > limit:
                self.position = position
                self._sequence_overrun(sequence)
                return
            group, number, length = unpack(buffer, position)
            if group != 0xFFFE:
                self.position = position
                if group == SWAPPED_GROUP and number in SWAPPED_NUMBERS:
                    self._turn_round(sequence)
                    unpack = _LONG_HEADER[sequence.little_endian]
                    continue
                self._not_an_item(sequence)
                return
            if number == 0xE000:
                self._spend(1)
                begin = position + 8
                if length == 0:
                    items.append(DataSet([], sequence.explicit, sequence.little_endian, begin, begin))
                    position = begin
                    continue
                self.position = begin
                self._begin_item(sequence, begin, length)
                return
            self.position = position
            if number == 0xE0DD:
                if length:
                    self._note("E12", position, SEQUENCE_DELIMITER, f"sequence delimiter with length {length}")
                if not sequence.undefined:
                    self._note("E09", position, sequence.tag, "sequence delimiter inside a sequence of defined length")
                self._close(position, position + 8)
                return
            if number == 0xE00D and items:
                self._note("E13", position, ITEM_DELIMITER, "item delimiter between items")
                self._spend(1)
                position += 8
                continue
            self._not_an_item(sequence)
            return

    def _begin_item(self, sequence: _Sequence, begin: int, length: int) -> None:
        undefined = length == UNDEFINED
        limit = sequence.limit if undefined else begin + length
        if limit > sequence.limit:
            self._item_overrun(sequence, begin, length)
            return
        explicit = sequence.explicit
        if limit - begin >= 8:
            group, _, code, _ = _SHORT_HEADER[sequence.little_endian](self.buffer, begin)
            if group != 0xFFFE:
                lettered = code in _ANY_CODES[sequence.little_endian]
                if lettered != explicit:
                    explicit = self._item_encoding(sequence, begin, limit, lettered)
        data_set = DataSet([], explicit, sequence.little_endian, begin, limit)
        sequence.items.append(data_set)
        self.data_set, self.limit, self.undefined = data_set, limit, undefined

    def _item_encoding(self, sequence: _Sequence, begin: int, limit: int, lettered: bool) -> bool:
        """Whether an item is explicit whose first element looks other than its surroundings."""
        self._note("E03" if sequence.vr == "UN" else "E18", begin, sequence.tag, "explicit" if lettered else "implicit")
        return lettered

    def _close(self, end: int, following: int) -> None:
        """End the open sequence: its value ends at `end`, the parent goes on at `following`."""
        sequence = self.stack.pop()
        vr = sequence.vr
        if vr != "SQ":
            vr = "SQ"
            if sequence.speculative:
                self.notes.insert(sequence.notes, Note("E01", sequence.start, "sequence under UN", sequence.tag))
        parent = sequence.parent
        parent.elements.append(_new_element(Element, (sequence.tag, vr, sequence.start, end - sequence.start, sequence.items)))
        self.remaining -= 1
        self.data_set, self.limit, self.undefined = parent, sequence.parent_limit, sequence.parent_undefined
        self.position = following

    def _end_of_data_set(self) -> None:
        """The position is the limit of the data set that is open."""
        if not self.stack:
            self.root.end = self.position
            self.finished = True
            return
        if self.undefined:
            sequence = self.stack[-1]
            if self.limit == self.root.end and sequence.undefined:
                self._give_up(Truncated("The octets end inside an item of undefined length.", rule="E14"))
                return
            self._note_open_item(sequence)
        self._end_item(self.position, self.position)

    def _end_item(self, end: int, following: int) -> None:
        self.data_set.end = end
        self.position = following
        self._advance()

    def _note_open_item(self, sequence: _Sequence) -> None:
        begin = self.data_set.begin
        if bytes(self.buffer[begin - 4 : begin]) == b"\xff\xff\xff\xff":
            self._note("E14", self.position, sequence.tag, "item of undefined length that no delimiter ends")

    def _delimiter(self, tag: int, length: int) -> None:
        """An item tag or delimiter where an element was expected."""
        position = self.position
        if tag == ITEM_DELIMITER and self.stack and self.undefined:
            if length:
                self._note("E12", position, tag, f"item delimiter with length {length}")
            self._end_item(position, position + 8)
            return
        elements = self.data_set.elements
        if tag == ITEM and length and elements and may_go_on_as_sequence(elements[-1], position) and self._reopen(elements[-1]):
            return
        if not self.stack:
            if elements and (tag != ITEM or not length or goes_on(self._here(), position + 8, elements[-1].tag)):
                self._skip("E13", tag, "item or delimiter at the top level")
            else:
                self._desync("An item stands where no sequence is open.")
            return
        if tag == ITEM_DELIMITER:
            self._note("E11", position, self.stack[-1].tag, "item delimiter before the declared end of the item")
            self._end_item(position, position + 8)
            return
        self._end_item_early(tag)

    def _skip(self, rule: str, tag: int, detail: str) -> None:
        """Leave out an item header or a delimiter that encloses nothing."""
        self._note(rule, self.position, tag, detail)
        self.position += 8
        self._spend(1)

    def _end_item_early(self, tag: int) -> None:
        """The next item or the end of the sequence stands inside the open item: its length or its delimiter is wrong."""
        sequence, position, elements = self.stack[-1], self.position, self.data_set.elements
        ends = items_go_on(self._items_of(sequence), position)
        inner = elements[-1] if elements and not self.undefined and tag == SEQUENCE_DELIMITER else None
        if inner is not None and inner.items is not None and goes_on(self._here(), position + 8, inner.tag):
            if sequence.undefined:
                self._desync("A delimiter may end either of two sequences.")
            else:
                self._skip("E09", inner.tag, "sequence delimiter after a sequence of defined length")
            return
        if not ends:
            self._desync("A delimiter stands where no item is open.")
            return
        if self.undefined:
            self._note_open_item(sequence)
        else:
            self._note("E11", position, sequence.tag, "the item ends before its declared end")
        self._end_item(position, position)

    # -- sequences and items whose declared ends are wrong (E07, E08, E10, E11) ----------------------------------------------

    def _here(self) -> Surroundings:
        return Surroundings(self.buffer, self.limit, self.data_set.explicit, self.data_set.little_endian)

    def _items_of(self, sequence: _Sequence) -> Surroundings:
        return Surroundings(self.buffer, sequence.limit, sequence.explicit, sequence.little_endian)

    def _around(self, sequence: _Sequence) -> Surroundings:
        parent = sequence.parent
        return Surroundings(self.buffer, sequence.parent_limit, parent.explicit, parent.little_endian)

    def _turn_round(self, sequence: _Sequence) -> None:
        """The item tags are in the other byte order than the data set around."""
        sequence.little_endian = not sequence.little_endian
        if sequence.little_endian != sequence.parent.little_endian:
            self._note("E07", self.position, sequence.tag, "item tags in the other byte order")

    def _reopen(self, before: Element) -> bool:
        """Items follow a sequence whose declared length ends before them (E10)."""
        position, here = self.position, self._here()
        end = item_end(here, position)
        own = 0 <= end <= self.limit and (goes_on(here, end, before.tag) or items_go_on(here, end))
        if not own and before.length:
            return False
        if self.stack and before.length:
            sequence = self.stack[-1]
            around = self._items_of(sequence)
            if end == sequence.limit or items_go_on(around, end):
                return False
        if not own and not items_go_on(here, position):
            return False
        self._note("E10", before.start, before.tag, f"length {before.length} of a sequence with more items")
        self.data_set.elements.pop()
        reopened = self._push(before.tag, "SQ", before.start, UNDEFINED)
        reopened.loose = True
        reopened.items.extend(before.items or ())
        self._advance()
        return True

    def _sequence_overrun(self, sequence: _Sequence) -> None:
        """Less than an item header is left of a sequence."""
        position = self.position
        if position == sequence.limit:
            if not sequence.cut:
                if not sequence.loose:
                    self._note("E14", position, sequence.tag, "sequence of undefined length open at the end")
                self._close(position, position)
                return
        elif self._may_leave(sequence):
            self._leave(sequence)
            return
        self._give_up(Truncated("The octets end inside a sequence.", rule="E14", tag=f"{sequence.tag:08X}"))

    def _not_an_item(self, sequence: _Sequence) -> None:
        """Something else than an item stands where one was expected: its tag is damaged, or the sequence ends here."""
        position = self.position
        items = self._items_of(sequence)
        if damaged_item(items, position):
            self._note("E08", position, sequence.tag, f"item tag {bytes(self.buffer[position : position + 4]).hex()}")
            self._spend(1)
            length = _LENGTH[sequence.little_endian](self.buffer, position + 4)[0]
            self.position = position + 8
            self._begin_item(sequence, position + 8, length)
        elif self._may_leave(sequence):
            self._leave(sequence)
        else:
            self._desync("Something else than an item stands in a sequence.")

    def _may_leave(self, sequence: _Sequence) -> bool:
        return bool(sequence.items) and not sequence.speculative and goes_on(self._around(sequence), self.position, sequence.tag)

    def _leave(self, sequence: _Sequence) -> None:
        """The data set around goes on before the declared end."""
        position = self.position
        if sequence.undefined and not sequence.loose:
            self._note("E14", position, sequence.tag, "sequence of undefined length that no delimiter ends")
        elif not sequence.loose:
            self._note("E10", position, sequence.tag, f"sequence ends {sequence.limit - position} octets before its declared end")
        self._close(position, position)

    def _item_overrun(self, sequence: _Sequence, begin: int, length: int) -> None:
        """An item is declared to end after its sequence: one of both lengths is wrong."""
        end, around = begin + length, self._around(sequence)
        shorter = sequence.undefined or goes_on(around, sequence.limit, sequence.tag)
        longer = not sequence.undefined and end <= sequence.parent_limit and self._sequence_may_reach(sequence, end)
        if sequence.speculative or shorter == longer:
            self._give_up(
                Truncated("An item ends after the last octet.", rule="E35", tag=f"{sequence.tag:08X}")
                if sequence.limit == self.root.end
                else Malformed(f"An item reaches past the end of its sequence. (octet {begin})", offset=begin)
            )
        elif longer:
            self._note("E10", sequence.start, sequence.tag, f"sequence ends {end - sequence.limit} octets before its items")
            self._loosen(sequence)
            self._begin_item(sequence, begin, length)
        else:
            self._note("E11", begin, sequence.tag, f"item of length {length} is longer than its sequence")
            self._begin_item(sequence, begin, UNDEFINED)

    def _sequence_may_reach(self, sequence: _Sequence, end: int) -> bool:
        """Whether an item can end at `end`, after the declared end of its sequence."""
        around = self._around(sequence)
        items = self._items_of(sequence)._replace(limit=sequence.parent_limit)
        return goes_on(around, end, sequence.tag) or items_go_on(items, end)

    def _loosen(self, sequence: _Sequence) -> None:
        sequence.limit, sequence.undefined, sequence.loose = sequence.parent_limit, True, True

    def _extend_item(self, end: int, tag: int) -> bool:
        """An element reaches past the end of its item: go on with a longer item (E11) where the octets say so."""
        sequence = self.stack[-1]
        items = self._items_of(sequence)
        if self.undefined or sequence.speculative or items_go_on(items, self.limit):
            return False
        if end <= sequence.limit:
            inside = self._here()._replace(limit=sequence.limit)
            ends = end == sequence.limit and not sequence.undefined
            if not ends and not items_go_on(items, end) and not goes_on(inside, end, tag):
                return False
        elif (
            sequence.undefined
            or end > sequence.parent_limit
            or goes_on(self._around(sequence), sequence.limit, sequence.tag)
            or not self._sequence_may_reach(sequence, end)
        ):
            return False
        self._note("E11", self.data_set.begin, sequence.tag, "item ends inside its last element")
        if end <= sequence.limit:
            self.limit, self.undefined = sequence.limit, True
        else:
            self._note("E10", sequence.start, sequence.tag, "sequence ends inside the last element of its items")
            self._loosen(sequence)
            self.limit = end
        return True

    # -- headers that PS3.5 does not allow ---------------------------------------------------------------------------------

    def _repair(self, reason: str) -> None:
        """Read a header in the one way after which the octets go on as a data set; give up where there is none."""
        if self._read_otherwise() or self._correct_previous():
            return
        if not self.stack:
            if self.pixel is not None:
                self._cut("octets that are no element")
            else:
                self._desync(reason)
            return
        sequence, position = self.stack[-1], self.position
        ends = items_go_on(self._items_of(sequence), position) or (self.limit == sequence.limit and self._may_leave(sequence))
        if ends and not self.undefined:
            self._note("E11", position, sequence.tag, "the item ends before its declared end")
            self._end_item(position, position)
        else:
            self._desync(reason)

    def _read_otherwise(self) -> bool:
        """Take the header for what it was meant to be, where only one reading goes on well."""
        position, elements = self.position, self.data_set.elements
        if self.limit - position < 8:
            return False
        reading = resolve(self._here(), position, elements[-1].tag if elements else -1)
        if reading is None:
            return False
        header = reading.header
        rule = "E16" if reading.rule == "E15" and header.tag in PIXEL_TAGS else reading.rule or "E15"
        self._note(rule, position, header.tag, f"read as {header.vr} of {header.length} octets")
        self._accept(header.tag, header.vr, header.start, header.length)
        return True

    def _correct_previous(self) -> bool:
        """Give the element before another length, where the octets go on well after it."""
        elements = self.data_set.elements
        corrected = repair_previous(self._here(), elements[-1], self.position) if elements else None
        if corrected is None:
            return False
        previous, self.position, rule = corrected
        self._note(rule, previous.start, previous.tag, f"length {elements[-1].length} read as {previous.length}")
        if previous.vr == "UN" and previous.length >= 8 and begins_with_any_item(self.buffer, previous.start):
            elements.pop()
            self._open(previous.tag, "UN", previous.start, self.position - previous.start, speculative=True)
        else:
            elements[-1] = previous
        return True

    def _previous_was_shorter(self) -> bool:
        """Whether an unknown element after one of odd length is none: only another length of the one before makes sense."""
        elements = self.data_set.elements
        return not goes_on(self._here(), self.position, elements[-1].tag) and self._correct_previous()

    def _only_zeros_follow(self) -> bool:
        """Whether nothing but zeros is left, up to the last octet (padding of tapes and block devices)."""
        position, limit = self.position, self.limit
        if position <= self.unlike_zero:
            return False
        step = 64
        while position < limit:
            rest = bytes(self.buffer[position : min(limit, position + step)]).lstrip(b"\0")
            if rest:
                self.unlike_zero = min(limit, position + step) - len(rest)
                return False
            position += step
            step = 1 << 16
        return True

    def _cut(self, what: str) -> None:
        """The data set ends here; what follows stays with the octets as received."""
        self._note("F22", self.position, 0, f"{self.limit - self.position} {what} after the data set")
        self.root.end = self.position
        self.finished = True

    # -- what the octets do not say plainly ------------------------------------------------------------------------------

    def _overrun(self, tag: int, vr: str, start: int, length: int) -> None:
        """A value is declared to end after its data set: its own length is wrong, that of the item, or one before."""
        if not (tag in PIXEL_TAGS and not self.stack) and (self._correct_previous() or self._read_otherwise()):
            return
        if self.stack and self._extend_item(start + length, tag):
            self._accept(tag, vr, start, length)
        elif vr == "SQ" and self.limit - start >= 8 and begins_with_any_item(self.buffer, start):
            self._note("E10", start, tag, f"sequence of length {length} reaches past the end")
            sequence = self._push(tag, vr, start, UNDEFINED)
            sequence.loose, sequence.cut = True, self.limit == self.root.end
            self.position = start
            self._advance()
        elif not self.stack or self.limit == self.root.end:
            self._give_up(Truncated("A value ends after the last octet.", rule="E35", tag=f"{tag:08X}"))
        else:
            self._desync("A value reaches past the end of its item.")

    def _desync(self, reason: str) -> None:
        """Nothing decides how to go on."""
        self._give_up(Malformed(f"{reason} (octet {self.position})", offset=self.position))

    def _give_up(self, error: VnaError) -> None:
        """Give up the innermost sequence that was only supposed to be one, or the whole."""
        while self.stack:
            sequence = self.stack.pop()
            self.data_set, self.limit, self.undefined = sequence.parent, sequence.parent_limit, sequence.parent_undefined
            if sequence.speculative:
                del self.notes[sequence.notes :]
                self._plain(sequence.tag, sequence.vr, sequence.start, sequence.limit - sequence.start)
                return
        raise error

    def _note(self, rule: str, offset: int, tag: int, detail: str) -> None:
        self.notes.append(Note(rule, offset, detail, tag))


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
