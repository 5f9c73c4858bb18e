"""Sequences, items and headers that are not by the book: the walk goes on where the octets decide how, and gives up elsewhere."""

from __future__ import annotations

from abc import abstractmethod

from vna_core.dicom.element_headers import LENGTH, PIXEL_TAGS, SEQUENCE_DELIMITER, UNDEFINED
from vna_core.dicom.elements import Element
from vna_core.dicom.repair_header import Surroundings, repair_previous, resolve
from vna_core.dicom.repair_structure import begins_with_any_item, damaged_item, goes_on, item_end, items_go_on
from vna_core.dicom.sequence_walk import OpenSequence, SequenceWalk
from vna_core.domain.errors import Malformed, Truncated, VnaError


class RepairingWalk(SequenceWalk):
    """A walk that knows what to do about damage."""

    __slots__ = ()

    @abstractmethod
    def _accept(self, tag: int, vr: str, start: int, length: int) -> None:
        """Take an element whose header is decided."""

    # -- sequences and items whose declared ends are wrong (E07, E08, E10, E11) ----------------------------------------------

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

    def _items_of(self, sequence: OpenSequence) -> Surroundings:
        return Surroundings(self.buffer, sequence.limit, sequence.explicit, sequence.little_endian)

    def _around(self, sequence: OpenSequence) -> Surroundings:
        parent = sequence.parent
        return Surroundings(self.buffer, sequence.parent_limit, parent.explicit, parent.little_endian)

    def _turn_round(self, sequence: OpenSequence) -> None:
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

    def _sequence_overrun(self, sequence: OpenSequence) -> None:
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

    def _not_an_item(self, sequence: OpenSequence) -> None:
        """Something else than an item stands where one was expected: its tag is damaged, or the sequence ends here."""
        position = self.position
        items = self._items_of(sequence)
        if damaged_item(items, position):
            self._note("E08", position, sequence.tag, f"item tag {bytes(self.buffer[position : position + 4]).hex()}")
            self._spend(1)
            length = LENGTH[sequence.little_endian](self.buffer, position + 4)[0]
            self.position = position + 8
            self._begin_item(sequence, position + 8, length)
        elif self._may_leave(sequence):
            self._leave(sequence)
        else:
            self._desync("Something else than an item stands in a sequence.")

    def _may_leave(self, sequence: OpenSequence) -> bool:
        return bool(sequence.items) and not sequence.speculative and goes_on(self._around(sequence), self.position, sequence.tag)

    def _leave(self, sequence: OpenSequence) -> None:
        """The data set around goes on before the declared end."""
        position = self.position
        if sequence.undefined and not sequence.loose:
            self._note("E14", position, sequence.tag, "sequence of undefined length that no delimiter ends")
        elif not sequence.loose:
            self._note("E10", position, sequence.tag, f"sequence ends {sequence.limit - position} octets before its declared end")
        self._close(position, position)

    def _item_overrun(self, sequence: OpenSequence, begin: int, length: int) -> None:
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

    def _sequence_may_reach(self, sequence: OpenSequence, end: int) -> bool:
        """Whether an item can end at `end`, after the declared end of its sequence."""
        around = self._around(sequence)
        items = self._items_of(sequence)._replace(limit=sequence.parent_limit)
        return goes_on(around, end, sequence.tag) or items_go_on(items, end)

    def _loosen(self, sequence: OpenSequence) -> None:
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

    # -- headers that PS3.5 does not allow, and values past the end ----------------------------------------------------------

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
