"""Data sets in which there is nothing to put right, told by elements that were looked at before.

Slices of a series have most of their elements in common, octet by octet, and whatever the rules about single elements say of
one follows from its octets alone. So each distinct element is examined once and remembered: whether every such rule passes it
untouched, its DICOM JSON, and its values for the index. A data set all of whose elements are known to pass needs one short
loop instead of a walk by each room: what `revise`, `survey`, the writer and the JSON would find is known.

Whatever is not known to pass, at any place, leaves the data set to the ordinary way; so do rules that changed something.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Final

from vna_core.dicom.attribute_values import SPECIFIC_CHARACTER_SET, indexed_values
from vna_core.dicom.canonical_writer import ITEM, Piece, Written, header, size_of
from vna_core.dicom.character_sets import character_set_names
from vna_core.dicom.elements import Alike, DataSet, Element, ParsedOctets
from vna_core.dicom.json_header import member
from vna_core.dicom.layouts import KnownLayouts, LearnedElement
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.value_representations import LONG_NAMES
from vna_core.domain.indexed_attributes import INDEXED
from vna_core.domain.octets import ByteRange
from vna_core.ingest.normalize.amendments import Amender
from vna_core.ingest.normalize.conforming import EXAMINED, conforms
from vna_core.ingest.normalize.encoding import is_undisputed
from vna_core.ingest.normalize.engine import Journal
from vna_core.ingest.normalize.original_attributes import ORIGINAL_ATTRIBUTES

LONGEST_HEADER: Final = 1 << 20
"""Octets before Pixel Data; longer headers go the ordinary way."""
LONGEST_REMEMBERED: Final = 1 << 12
"""Octets of an element that is remembered; a longer one is examined each time."""
MOST_REMEMBERED: Final = 4096
"""Elements in one generation. Two are kept, and what is met again in the older one moves to the younger."""
MOST_CHARACTER_SETS: Final = 16
_DEEPEST: Final = 8
"""Levels of sequences; deeper ones go the ordinary way."""

_STANDARD, _CREATOR, _PRIVATE = 0, 1, 2


@dataclass(frozen=True, slots=True)
class _Known:
    """An element that every rule about single elements passes.

    Attributes
    ----------
    kind
        Of the standard, a Private Creator, or private: the last passes only where its block is reserved (rule E29).
    json
        The element as a member of a DICOM JSON object.
    values
        What the index keeps of it.
    """

    kind: int
    json: bytes
    values: tuple[str, ...]


_Said = tuple[list[bytes], dict[int, tuple[str, ...]]]
"""Members of the JSON object, in order, and values for the index."""

_DISPUTED: Final = _Known(-1, b"", ())
"""Stands for an element that some rule would look at."""


class _Memory:
    """Elements under one Specific Character Set, by their octets."""

    __slots__ = ("old", "young")

    def __init__(self) -> None:
        self.young: dict[bytes, _Known] = {}
        self.old: dict[bytes, _Known] = {}

    def known(self, parsed: ParsedOctets, element: Element, octets: bytes, declared: bytes) -> _Known:
        """What follows from an element's octets."""
        known = self.young.get(octets)
        if known is None:
            known = self.old.get(octets) or _examined(parsed, element, octets, declared)
            self._keep(octets, known)
        return known

    def _keep(self, octets: bytes, known: _Known) -> None:
        if len(octets) > LONGEST_REMEMBERED:
            return
        if len(self.young) >= MOST_REMEMBERED:
            self.old, self.young = self.young, {}
        self.young[octets] = known


@dataclass(frozen=True, slots=True)
class PlainDataSet:
    """A data set all of whose elements pass.

    Attributes
    ----------
    json, attributes
        What `to_json` and `indexed_attributes` give.
    header
        Everything before the Pixel Data element, which is the last one or absent.
    changes
        Changes in the journal when nothing but the container had been looked at.
    """

    parsed: ParsedOctets
    json: bytes
    attributes: Mapping[int, tuple[str, ...]]
    header: ByteRange
    changes: int

    def amender(self, journal: Journal) -> Amender:
        """What `revise` gives. Items are shared with the data set as read, which nobody reads afterwards."""
        parsed = self.parsed
        source = parsed.data_set
        root = DataSet(source.elements.copy(), source.explicit, source.little_endian, source.begin, source.end)
        return Amender(RevisedDataSet(parsed.buffer, root, [], parsed.pixel, parsed.encapsulated), journal)

    def stands(self, amender: Amender) -> bool:
        """Whether no rule has changed anything. Whoever changes a data set tells the journal."""
        return not amender.revised.literals and amender.journal.number_of_changes == self.changes

    def written(self, pixel_pieces: Sequence[Piece]) -> Written:
        """What `write_data_set` gives, in as few pieces as possible."""
        pieces: list[Piece] = [self.header] if self.header.length else []
        for piece in pixel_pieces:
            last = pieces[-1] if pieces else None
            if isinstance(piece, ByteRange) and isinstance(last, ByteRange) and piece.offset == last.end:
                pieces[-1] = ByteRange(last.offset, last.length + piece.length)
            else:
                pieces.append(piece)
        has_pixels = self.parsed.pixel is not None
        return Written(pieces, sum(map(size_of, pieces)), False, self.header.length if has_pixels else -1)


class KnownElements:
    """Remembers elements over instances. May be used by several threads: at worst an element is examined twice."""

    def __init__(self) -> None:
        self.layouts = KnownLayouts()
        self._memories: dict[bytes, _Memory] = {}

    def read(self, parsed: ParsedOctets, journal: Journal) -> PlainDataSet | None:
        """The data set where all of it is known to pass, or turns out to; otherwise None."""
        source = parsed.data_set
        if parsed.unfolded or not source.explicit or not source.little_endian:
            return None
        elements = source.elements
        pixel = parsed.pixel
        end = elements[-1].start + elements[-1].length if elements else source.begin
        count = len(elements)
        if pixel is not None:
            last = elements[-1]
            if last.start != pixel.value.offset or last.tag != pixel.tag or last.length & 1 or last.vr not in LONG_NAMES:
                return None
            count -= 1
            end = pixel.value.offset - 12
        if not source.begin <= end <= source.begin + LONGEST_HEADER:
            return None
        alike = parsed.alike
        if alike is not None:
            found = self._varying(parsed, alike)
        else:
            found = self._known(parsed, bytes(parsed.buffer[source.begin : end]), count)
        if found is None:
            return None
        members, attributes = found
        if pixel is not None:
            members.append(member(RevisedDataSet(parsed.buffer, source), elements[-1], ()))
        return PlainDataSet(
            parsed,
            b"{" + b",".join(members) + b"}",
            attributes,
            ByteRange(source.begin, end - source.begin),
            journal.number_of_changes,
        )

    def _known(self, parsed: ParsedOctets, octets: bytes, count: int) -> _Said | None:
        """What the first `count` elements say, which `octets` must be made of without a gap. Their layout is learned."""
        source = parsed.data_set
        declared = _declared(parsed)
        memory = self._memory(declared)
        learned: list[LearnedElement] = []
        blocks: set[int] = set()
        begin, position, last = source.begin, 0, -1
        for index in range(count):
            tag, _, start, length, _ = element = source.elements[index]
            end = start + length - begin
            one = octets[position:end]
            known = memory.known(parsed, element, one, declared)
            if known.kind:
                if known.kind == _CREATOR:
                    blocks.add(tag)
                elif known.kind < 0 or (tag & 0xFFFF0000 | tag >> 8 & 0xFF) not in blocks:
                    return None
            if tag <= last:
                return None
            learned.append(LearnedElement(element, one, known.json, known.values))
            position, last = end, tag
        if position != len(octets):
            return None
        self.layouts.learn(learned)
        return [one.json for one in learned], {one.element.tag: one.values for one in learned if one.values}

    def _varying(self, parsed: ParsedOctets, alike: Alike) -> _Said | None:
        """The same for a header whose layout was learned: what its runs say is known, and so is where private blocks are reserved."""
        declared = _declared(parsed)
        memory, buffer = self._memory(declared), parsed.buffer
        members: list[bytes] = []
        attributes: dict[int, tuple[str, ...]] = {}
        position = parsed.data_set.begin
        for run, element in zip_longest(alike.runs, alike.varying):
            if run.elements:
                members.append(run.json)
                attributes |= run.values
            if element is None:
                break
            begin, position = position + len(run.octets), element.start + element.length
            known = memory.known(parsed, element, bytes(buffer[begin:position]), declared)
            if known.kind < 0:
                return None
            members.append(known.json)
            if known.values:
                attributes[element.tag] = known.values
        return members, attributes

    def _memory(self, declared: bytes) -> _Memory:
        memory = self._memories.get(declared)
        if memory is None:
            if len(self._memories) >= MOST_CHARACTER_SETS:
                self._memories = {}
            memory = self._memories[declared] = _Memory()
        return memory


def _declared(parsed: ParsedOctets) -> bytes:
    """Value of Specific Character Set: the same octets are other text under another one."""
    for tag, _, start, length, items in parsed.data_set.elements:
        if tag >= SPECIFIC_CHARACTER_SET:
            return bytes(parsed.buffer[start : start + length]) if tag == SPECIFIC_CHARACTER_SET and items is None else b""
    return b""


def _examined(parsed: ParsedOctets, element: Element, octets: bytes, declared: bytes) -> _Known:
    kind = _kind(parsed, element, octets, 0)
    if kind < 0:
        return _DISPUTED
    character_sets = character_set_names(declared) if declared else ()
    tag, vr, start, length, items = element
    values: tuple[str, ...] = ()
    if tag in INDEXED and items is None:
        values = indexed_values(bytes(parsed.buffer[start : start + length]), vr, character_sets)
    return _Known(
        kind,
        member(RevisedDataSet(parsed.buffer, parsed.data_set, [], None, parsed.encapsulated), element, character_sets),
        values,
    )


def _kind(parsed: ParsedOctets, element: Element, octets: bytes, depth: int) -> int:
    """What kind of element it is; -1 where a rule would look at it, or it is not written as the canonical writer writes it."""
    tag, vr, start, length, items = element
    head = header(tag, vr, length) if 0 <= length <= 0xFFFE else b""
    if not head or len(octets) != len(head) + length or not octets.startswith(head) or not is_undisputed(tag, vr, length):
        return -1
    value = octets[len(head) :]
    if items is not None:
        if vr != "SQ" or tag == ORIGINAL_ATTRIBUTES or not _items_pass(parsed, items, value, start, depth):
            return -1
    elif start in parsed.encapsulated or value and vr in EXAMINED and tag != SPECIFIC_CHARACTER_SET and not conforms(vr, value):
        return -1
    if not tag & 0x10000:
        return _STANDARD
    if tag & 0xFFFF >= 0x1000:
        return _PRIVATE
    return _CREATOR if vr == "LO" and len(value) <= 64 and value[-1:].strip(b"\0") and value.strip() else -1


def _items_pass(parsed: ParsedOctets, items: Sequence[DataSet], value: bytes, begin: int, depth: int) -> bool:
    """Whether a sequence's value is its items without a gap, each of elements that pass."""
    position = 0
    for item in items:
        size = item.end - item.begin
        plain = item.explicit and item.little_endian and depth < _DEEPEST
        if not plain or item.begin - begin != position + 8 or value[position : position + 8] != ITEM + size.to_bytes(4, "little"):
            return False
        if not _item_passes(parsed, item, value[position + 8 : position + 8 + size], depth + 1):
            return False
        position += 8 + size
    return position == len(value)


def _item_passes(parsed: ParsedOctets, item: DataSet, octets: bytes, depth: int) -> bool:
    blocks: set[int] = set()
    position, last = 0, -1
    for element in item.elements:
        end = element.start + element.length - item.begin
        kind = _kind(parsed, element, octets[position:end], depth)
        tag = element.tag
        if kind < 0 or tag <= last or tag == SPECIFIC_CHARACTER_SET:
            return False
        if kind == _CREATOR:
            blocks.add(tag)
        elif kind == _PRIVATE and (tag & 0xFFFF0000 | tag >> 8 & 0xFF) not in blocks:
            return False
        position, last = end, tag
    return position == len(octets)
