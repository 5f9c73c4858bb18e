"""What the tokenizer makes of a byte string: ranges, never copies."""

from __future__ import annotations

import mmap
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from vna_core.domain.octets import ByteRange

Buffer = bytes | bytearray | memoryview | mmap.mmap


class Element(NamedTuple):
    """One data element: the value is ``buffer[start:start + length]`` as it stands in the octets.

    Attributes
    ----------
    tag
        ``group << 16 | element``.
    vr
        Two upper-case letters: as found when explicit and legal, from the dictionary otherwise, ``UN`` when unknown.
    start, length
        Value range in octets (0-based). `length` is the true length found, whatever was declared.
    items
        The items of a sequence, or None. Items' value ranges lie inside this element's.
    """

    tag: int
    vr: str
    start: int
    length: int
    items: list[DataSet] | None = None


@dataclass(slots=True, eq=False)
class DataSet:
    """Elements in the order found, all in one encoding. Nested data sets may be encoded differently from their parent.

    `begin` and `end` bound the data set's octets (for an item: after the item header, before the item delimiter).
    """

    elements: list[Element]
    explicit: bool = True
    little_endian: bool = True
    begin: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Note:
    """One deviation met while reading and decided by the octets: a rule id of the catalogue of deviations, and where.

    Only what the parsed result no longer shows is noted: container, byte order, lengths, delimiters, structure (``F01``,
    ``E13``). What every element shows by itself (odd lengths, tag order, group lengths, padding, an unusual
    representation, blocks without creator: E21, E24 to E30, E33, F21, F28) is left to whoever reads the elements.
    """

    rule: str
    offset: int
    detail: str = ""
    tag: int = 0


@dataclass(frozen=True, slots=True)
class PixelElement:
    """The Pixel Data element at the top level (PS3.5 A.4 when encapsulated).

    Attributes
    ----------
    value
        The whole value: for native data the samples, for encapsulated data everything from the first item tag up to, not
        including, the sequence delimiter.
    fragments
        For encapsulated data the value range of every fragment after the offset table; None for native.
    offset_table
        Value range of the Basic Offset Table item (None: the item is missing).
    """

    tag: int
    vr: str
    value: ByteRange
    fragments: list[ByteRange] | None = None
    offset_table: ByteRange | None = None


@dataclass(frozen=True, slots=True, eq=False)
class KnownRun:
    """Top-level elements next to each other that were read before, and what follows from their octets.

    Attributes
    ----------
    octets
        All of them, headers included.
    begin
        Where they began when they were read: what `elements` count from.
    nested
        Whether a sequence is among them.
    json
        Their members of the DICOM JSON object, joined by commas; empty where there are no elements.
    values
        What the index keeps of them, by tag.
    """

    octets: bytes
    begin: int
    elements: tuple[Element, ...]
    nested: bool
    json: bytes
    values: Mapping[int, tuple[str, ...]]


@dataclass(frozen=True, slots=True, eq=False)
class Alike:
    """A header that has the octets of an earlier one but for some elements: one of `varying` behind each run but the last."""

    runs: tuple[KnownRun, ...]
    varying: list[Element]


@dataclass(slots=True, eq=False)
class ParsedOctets:
    """A byte string understood: where the container ends, what the encoding truly is, and every element's range.

    Attributes
    ----------
    buffer
        What the ranges refer to: the octets as received, or what they unfold to (`unfolded` says how).
    unfolded
        ``""`` (ranges refer to the octets themselves), ``inflate`` (`buffer` is the inflated data set, preceded by the
        container's octets as they were) or ``swab16`` (the whole was 16-bit byte-swapped).
    data_set_offset
        First octet of the data set in `buffer`.
    end
        First octet after the data set (what follows is trailing junk).
    file_meta
        Elements of group 0002 as text, by tag (empty for a bare data set).
    transfer_syntax_uid
        What the octets are, decided by the octets. For encapsulated pixel data the declared one where the codestream agrees.
    declared_transfer_syntax_uid
        What was declared, inside or outside the octets.
    encapsulated
        For encapsulated pixel data below the top level (icons): the fragments, offset table first, by the offset of the
        element's value. Such an element has no items, and its value is every item header and fragment without the delimiter.
    alike
        How the header was read where it has the octets of an earlier one (`layouts`); what is read is the same without it.
    """

    buffer: Buffer
    unfolded: str
    data_set_offset: int
    end: int
    file_meta: dict[int, str]
    data_set: DataSet
    pixel: PixelElement | None
    transfer_syntax_uid: str
    declared_transfer_syntax_uid: str
    notes: list[Note] = field(default_factory=list)
    encapsulated: dict[int, list[ByteRange]] = field(default_factory=dict)
    alike: Alike | None = None
