"""The walk through sequences and items (PS3.5 section 7.5): where they begin and end, on a stack instead of by recursion.

What is by the book is decided here; everything else is asked of the repairs (`sequence_repairs`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from vna_core.dicom.element_headers import (
    ANY_CODES,
    ITEM,
    ITEM_DELIMITER,
    LONG_HEADER,
    SEQUENCE_DELIMITER,
    SHORT_HEADER,
    UNDEFINED,
)
from vna_core.dicom.elements import Buffer, DataSet, Element, Note, PixelElement
from vna_core.dicom.repair_header import Surroundings
from vna_core.dicom.repair_structure import SWAPPED_GROUP, SWAPPED_NUMBERS, goes_on, may_go_on_as_sequence
from vna_core.domain.errors import LimitExceeded, Truncated, VnaError
from vna_core.domain.octets import ByteRange

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
class OpenSequence:
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


class SequenceWalk(ABC):
    """The state of a walk, and its way through sequences and items."""

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
        self.stack: list[OpenSequence] = []
        self.max_depth = max_depth
        self.max_elements = max_elements
        self.remaining = max_elements
        self.notes: list[Note] = []
        self.pixel: PixelElement | None = None
        self.encapsulated: dict[int, list[ByteRange]] = {}
        self.finished = False
        self.unlike_zero = -1

    def _spend(self, count: int) -> None:
        self.remaining -= count
        if self.remaining < 0:
            raise LimitExceeded(
                f"The data set has more than {self.max_elements} elements and items (ingest.max_elements).",
                limit="ingest.max_elements",
                maximum=self.max_elements,
            )

    def _note(self, rule: str, offset: int, tag: int, detail: str) -> None:
        self.notes.append(Note(rule, offset, detail, tag))

    def _here(self) -> Surroundings:
        return Surroundings(self.buffer, self.limit, self.data_set.explicit, self.data_set.little_endian)

    def _plain(self, tag: int, vr: str, start: int, length: int) -> None:
        self.data_set.elements.append(Element(tag, vr, start, length, None))
        self._spend(1)
        self.position = start + length

    # -- sequences and items ---------------------------------------------------------------------------------------------

    def _open(self, tag: int, vr: str, start: int, length: int, speculative: bool = False) -> None:
        """Begin a sequence at `start`, and go to its first item."""
        self._push(tag, vr, start, length, speculative)
        self.position = start
        self._advance()

    def _push(self, tag: int, vr: str, start: int, length: int, speculative: bool = False) -> OpenSequence:
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
        sequence = OpenSequence(
            tag, vr, start, limit, undefined, explicit, little, [], parent, self.limit, self.undefined,
            speculative, len(self.notes),
        )  # fmt: skip
        self.stack.append(sequence)
        return sequence

    def _advance(self) -> None:
        """Between items: begin the next one, or end the sequence."""
        sequence = self.stack[-1]
        buffer, position, limit, items = self.buffer, self.position, sequence.limit, sequence.items
        unpack = LONG_HEADER[sequence.little_endian]
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
                    unpack = LONG_HEADER[sequence.little_endian]
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

    def _begin_item(self, sequence: OpenSequence, begin: int, length: int) -> None:
        undefined = length == UNDEFINED
        limit = sequence.limit if undefined else begin + length
        if limit > sequence.limit:
            self._item_overrun(sequence, begin, length)
            return
        explicit = sequence.explicit
        if limit - begin >= 8:
            group, _, code, _ = SHORT_HEADER[sequence.little_endian](self.buffer, begin)
            if group != 0xFFFE:
                lettered = code in ANY_CODES[sequence.little_endian]
                if lettered != explicit:
                    explicit = self._item_encoding(sequence, begin, limit, lettered)
        data_set = DataSet([], explicit, sequence.little_endian, begin, limit)
        sequence.items.append(data_set)
        self.data_set, self.limit, self.undefined = data_set, limit, undefined

    def _item_encoding(self, sequence: OpenSequence, begin: int, limit: int, lettered: bool) -> bool:
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
                rule = "E06" if not sequence.parent.explicit else "E01" if sequence.parent.little_endian else "E04"
                self.notes.insert(sequence.notes, Note(rule, sequence.start, "sequence under UN", sequence.tag))
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

    def _note_open_item(self, sequence: OpenSequence) -> None:
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

    # -- where the octets are not by the book ------------------------------------------------------------------------------

    @abstractmethod
    def _turn_round(self, sequence: OpenSequence) -> None:
        """The item tags of a sequence are in the other byte order."""

    @abstractmethod
    def _reopen(self, before: Element) -> bool:
        """Whether items follow a sequence whose declared length ends before them; the walk then goes on in it."""

    @abstractmethod
    def _end_item_early(self, tag: int) -> None:
        """An item tag or a sequence delimiter stands inside the open item."""

    @abstractmethod
    def _not_an_item(self, sequence: OpenSequence) -> None:
        """Something else than an item stands where one was expected."""

    @abstractmethod
    def _sequence_overrun(self, sequence: OpenSequence) -> None:
        """Less than an item header is left of a sequence."""

    @abstractmethod
    def _item_overrun(self, sequence: OpenSequence, begin: int, length: int) -> None:
        """An item is declared to end after its sequence."""

    @abstractmethod
    def _desync(self, reason: str) -> None:
        """Nothing decides how to go on."""

    @abstractmethod
    def _give_up(self, error: VnaError) -> None:
        """Give up the innermost sequence that was only supposed to be one, or the whole."""
