"""Encapsulated pixel data (PS3.5 annex A.4): item headers are read, codestreams are not."""

from __future__ import annotations

import mmap
from dataclasses import dataclass
from struct import Struct
from typing import Final

from vna_core.dicom.elements import Buffer, Note
from vna_core.domain.errors import LimitExceeded, Malformed, Truncated
from vna_core.domain.octets import ByteRange

ITEM: Final = 0xFFFEE000
SEQUENCE_DELIMITER: Final = 0xFFFEE0DD
_LITTLE: Final = Struct("<HHI").unpack_from
_BIG: Final = Struct(">HHI").unpack_from
_RELEASE_EVERY: Final = 256


@dataclass(frozen=True, slots=True)
class FragmentWalk:
    """The value of an encapsulated element.

    Attributes
    ----------
    length
        Octets from the first item tag up to, not including, the sequence delimiter.
    after
        First octet after the delimiter (or after the last fragment, where the delimiter is missing).
    offset_table
        Value range of the first item. It is the Basic Offset Table by position (PS3.5 A.4), whatever it holds.
    fragments
        Value ranges of the other items.
    """

    length: int
    after: int
    offset_table: ByteRange | None
    fragments: list[ByteRange]


def walk_fragments(
    buffer: Buffer, start: int, limit: int, *, little_endian: bool, maximum: int, bounded: bool, notes: list[Note]
) -> FragmentWalk:
    """Read the item headers from `start`.

    Parameters
    ----------
    limit
        The value cannot reach past this octet.
    maximum
        Most fragments (what is left of setting ``ingest.max_elements``).
    bounded
        The value has a declared length that ends at `limit`, so no delimiter is wanted.

    Raises
    ------
    Truncated
        A fragment reaches past `limit`.
    Malformed
        Something else than an item follows a fragment.
    LimitExceeded
        There are more fragments than `maximum`.
    """
    unpack = _LITTLE if little_endian else _BIG
    mapping = buffer if isinstance(buffer, mmap.mmap) else None
    ranges: list[ByteRange] = []
    position, end, after = start, start, start
    while True:
        if position + 8 > limit:
            if position != limit:
                raise Truncated("The encapsulated pixel data is cut short inside an item header.", rule="F23")
            if not bounded:
                notes.append(Note("P15", position, "no sequence delimiter after the last fragment", 0x7FE00010))
            end = after = position
            break
        group, number, length = unpack(buffer, position)
        tag = group << 16 | number
        if tag == ITEM:
            position += 8
            if length > limit - position:
                raise Truncated("A fragment of the pixel data is shorter than its declared length.", rule="F23")
            ranges.append(ByteRange(position, length))
            position += length
            if len(ranges) > maximum:
                raise LimitExceeded("Too many fragments (ingest.max_elements).", limit="ingest.max_elements", maximum=maximum)
            if mapping is not None and not len(ranges) % _RELEASE_EVERY:
                mapping.madvise(mmap.MADV_DONTNEED)
        elif tag == SEQUENCE_DELIMITER:
            if length:
                notes.append(Note("E12", position, f"sequence delimiter with length {length}", tag))
            end, after = position, position + 8
            break
        else:
            raise Malformed("Something else than an item stands between the fragments of the pixel data.", rule="P13")
    return FragmentWalk(end - start, after, ranges[0] if ranges else None, ranges[1:])
