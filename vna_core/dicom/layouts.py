"""Data sets laid out like an earlier one: most of their octets are compared in long runs, and only the rest is tokenized.

Slices of a series have the same elements in the same order, and all but a few of them with the same octets. A layout keeps such
a header as runs of elements that stand next to each other, and between the runs the heads of those that vary. Where every run
and every head is met again, the elements are the same, moved as a whole; the varying ones and what follows the header are read.

Why the reading is the same: learned is only what is written by the book (explicit little endian, ascending tags, every length
defined and right, at every level). The tokenizer then decides about an element by its own octets and the lower tag before it,
which are compared or read here each time. Whatever else follows the header than Pixel Data up to the last octet, and
whatever is odd about it, is left to the tokenizer, from the beginning.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Final, NamedTuple

from vna_core.dicom.element_headers import LENGTH, PIXEL_TAGS, UNDEFINED
from vna_core.dicom.elements import Alike, Buffer, DataSet, Element, KnownRun
from vna_core.dicom.tokenizer import Walk, tokenize
from vna_core.dicom.value_representations import LONG_NAMES
from vna_core.domain.errors import VnaError

LONGEST_HEADER: Final = 1 << 16
"""Octets before Pixel Data that are kept as a layout."""
MOST_LAYOUTS: Final = 16
MOST_VARYING: Final = 24
"""Elements that may vary within a layout; headers with more differences are those of different series."""
MOST_PLACES: Final = 64
"""Runs of a layout that are kept as they were placed."""
_SPECIFIC_CHARACTER_SET: Final = 0x00080005
_length = LENGTH[True]
_new_element = tuple.__new__


class LearnedElement(NamedTuple):
    """A top-level element by the book: its octets with the header, its member of the JSON object, and what the index keeps of it."""

    element: Element
    octets: bytes
    json: bytes
    values: tuple[str, ...]

    @property
    def head(self) -> bytes:
        """Tag and representation, with the two reserved octets behind a long one (PS3.5 table 7.1-1)."""
        return self.octets[: 8 if self.element.vr in LONG_NAMES else 6]

    @property
    def bears_on_others(self) -> bool:
        """Whether other elements mean something else beside another value: the character set, and creators of private blocks."""
        tag = self.element.tag
        return tag == _SPECIFIC_CHARACTER_SET or bool(tag & 0x10000 and tag & 0xFFFF < 0x1000)


class Layout:
    """A header as it was learned, and which of its elements vary.

    Parameters
    ----------
    varying
        Indices of elements.
    """

    __slots__ = ("_heads", "_placed", "learned", "runs", "varying")

    def __init__(self, learned: Sequence[LearnedElement], varying: frozenset[int]) -> None:
        self.learned, self.varying = learned, varying
        ends = [*sorted(varying), len(learned)]
        begins = [0, *(end + 1 for end in ends)]
        self.runs = tuple(_run(learned[begin:end]) for begin, end in zip(begins, ends, strict=False))
        self._heads = tuple((learned[index].element, learned[index].head) for index in sorted(varying))
        self._placed: dict[tuple[int, int], tuple[Element, ...]] = {}

    def differences(self, others: Sequence[LearnedElement]) -> frozenset[int] | None:
        """Which elements of another header vary beside those known; None where it is no header of this layout."""
        mine = self.learned
        if len(mine) != len(others):
            return None
        found = {index for index, (one, other) in enumerate(zip(mine, others, strict=True)) if one.octets != other.octets}
        if any(mine[index].bears_on_others or mine[index].head != others[index].head for index in found):
            return None
        varying = self.varying | found
        return varying if len(varying) <= MOST_VARYING else None

    def read(self, buffer: bytes | bytearray, begin: int, end: int, max_depth: int) -> tuple[list[Element], Alike] | None:
        """The elements of a header that begins at `begin`; None where it is not laid out so."""
        elements: list[Element] = []
        varying: list[Element] = []
        position, last = begin, len(self._heads)
        for index, run in enumerate(self.runs):
            if not buffer.startswith(run.octets, position):
                return None
            elements += self._elements(index, position)
            position += len(run.octets)
            if index == last:
                break
            one = _read(buffer, position, end, *self._heads[index], max_depth)
            if one is None:
                return None
            elements.append(one)
            varying.append(one)
            position = one[2] + one[3]
        return elements, Alike(self.runs, varying)

    def _elements(self, index: int, position: int) -> Sequence[Element]:
        """Those of a run that begins at `position`, which it mostly does at one of a few places."""
        placed = self._placed.get((index, position))
        if placed is None:
            run = self.runs[index]
            placed = _moved(run.elements, position - run.begin)
            if not run.nested:
                if len(self._placed) >= MOST_PLACES:
                    self._placed = {}
                self._placed[index, position] = placed
        return placed


def _run(learned: Sequence[LearnedElement]) -> KnownRun:
    octets = b"".join([one.octets for one in learned])
    elements = _moved([one.element for one in learned], 0)
    begin = elements[0].start + elements[0].length - len(learned[0].octets) if elements else 0
    values = {one.element.tag: one.values for one in learned if one.values}
    nested = any(one.items is not None for one in elements)
    return KnownRun(octets, begin, elements, nested, b",".join([one.json for one in learned]), values)


def _moved(elements: Sequence[Element], by: int) -> tuple[Element, ...]:
    """The same elements `by` octets later, with items of their own: rules change items. Learned data sets are of limited depth."""
    return tuple(
        [
            _new_element(
                Element, (tag, vr, start + by, length, None if items is None else [_moved_item(one, by) for one in items])
            )
            for tag, vr, start, length, items in elements
        ]
    )


def _moved_item(item: DataSet, by: int) -> DataSet:
    return DataSet(list(_moved(item.elements, by)), item.explicit, item.little_endian, item.begin + by, item.end + by)


def _read(buffer: bytes | bytearray, position: int, end: int, like: Element, head: bytes, max_depth: int) -> Element | None:
    """The varying element at `position`, which has the tag and representation of `like`."""
    long = len(head) == 8
    start = position + (12 if long else 8)
    if start > end or not buffer.startswith(head, position):
        return None
    length = _length(buffer, position + 8)[0] if long else buffer[position + 6] | buffer[position + 7] << 8
    if length == UNDEFINED or start + length > end:
        return None
    if like[1] not in ("SQ", "UN"):
        return Element(like[0], like[1], start, length, None)
    walk = tokenize(buffer, position, start + length, explicit=True, little_endian=True, max_depth=max_depth)
    found = walk.data_set.elements
    return found[0] if len(found) == 1 and not (walk.notes or walk.encapsulated) and found[0][3] == length else None


class KnownLayouts:
    """Layouts that were met lately. May be used by several threads: at worst a data set is tokenized that need not be."""

    def __init__(self) -> None:
        self._layouts: tuple[Layout, ...] = ()
        self._lock = threading.Lock()

    def walk(self, buffer: Buffer, begin: int, end: int, *, max_depth: int, max_elements: int) -> tuple[Walk, Alike] | None:
        """What `tokenize` finds in ``buffer[begin:end]`` (explicit little endian); None where it is not laid out as anything known."""
        if not isinstance(buffer, bytes | bytearray):
            return None
        for layout in self._layouts:
            try:
                read = layout.read(buffer, begin, end, max_depth)
                walk = None if read is None else _completed(buffer, begin, end, read[0], max_depth, max_elements)
            except VnaError:  # the tokenizer says it about the whole
                return None
            if read is not None and walk is not None:
                if layout is not self._layouts[0]:
                    self._keep(layout, layout)
                return walk, read[1]
        return None

    def learn(self, learned: Sequence[LearnedElement]) -> None:
        """Remember the header of a data set that is by the book: its top-level elements before Pixel Data, without a gap."""
        if not learned or sum(len(one.octets) for one in learned) > LONGEST_HEADER:
            return
        for layout in self._layouts:
            varying = layout.differences(learned)
            if varying is not None:
                self._keep(Layout(learned, varying), layout)
                return
        self._keep(Layout(learned, frozenset()), None)

    def _keep(self, layout: Layout, instead_of: Layout | None) -> None:
        """Put a layout first."""
        with self._lock:
            others = tuple(one for one in self._layouts if one is not instead_of)
            self._layouts = (layout, *others[: MOST_LAYOUTS - 1])


def _completed(
    buffer: bytes | bytearray, begin: int, end: int, header: list[Element], max_depth: int, max_elements: int
) -> Walk | None:
    """The whole data set: what follows a header is nothing, or Pixel Data up to the last octet."""
    after = header[-1][2] + header[-1][3]
    rest = max_elements - (after - begin) // 8
    if rest < 0:
        return None
    walk = Walk(DataSet([], begin=begin, end=end), None, end)
    if after < end:
        walk = tokenize(buffer, after, end, explicit=True, little_endian=True, max_depth=max_depth, max_elements=rest)
        found = walk.data_set.elements
        if (
            len(found) != 1
            or found[0][0] not in PIXEL_TAGS
            or walk.pixel is None
            or walk.notes
            or walk.encapsulated
            or walk.end != end
        ):
            return None
        walk.data_set.begin = begin
    walk.data_set.elements[:0] = header
    return walk
