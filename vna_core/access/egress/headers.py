"""What stands around the largest value of a stored object, read without that value.

For images that is Pixel Data, which the trailer knows. For documents, models and raw data it is found by a walk over the
element headers at the top level, so that these too pass through without being in memory.
"""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from typing import Final

from vna_core.access.retrieve import Retriever
from vna_core.access.transcode import HEADER_LIMIT
from vna_core.dicom.elements import Element
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.stored_object import StoredHeader, read_header
from vna_core.dicom.tokenizer import tokenize
from vna_core.dicom.trailer_format import Read, read_trailer
from vna_core.dicom.value_representations import BINARY, LONG_NAMES, VR_BYTES
from vna_core.domain.errors import LimitExceeded, Malformed
from vna_core.domain.instance import HeldInstance

LARGE: Final = 16 << 20
"""Octets from which an object without pixel data is read around its largest value."""

_BLOCK: Final = 1 << 16


def header_of(held: HeldInstance, retriever: Retriever) -> StoredHeader:
    """The header of a held instance, with the element that is passed through in it: with its true length and no octets.

    Raises
    ------
    LimitExceeded
        More than 256 MiB stand around that element.
    Malformed, Truncated, DigestMismatch
        The stored object is damaged.
    """
    read = retriever.reader(held)
    if held.pixel_data is not None or held.trailer_offset <= LARGE:
        _check(held.trailer_offset - (held.pixel_data.length if held.pixel_data is not None else 0))
        return read_header(read, held.size)
    largest = _largest_value(read, held.data_set_offset, held.trailer_offset)
    _check(held.trailer_offset - (largest.length if largest is not None else 0))
    return read_header(read, held.size) if largest is None else _around(read, held, largest)


def _check(size: int) -> None:
    if size > HEADER_LIMIT:
        raise LimitExceeded("The header is too large to be adapted.", limit="transcode-header", maximum=HEADER_LIMIT)


@dataclass(slots=True)
class _Blocks:
    """Reads element headers a block at a time."""

    read: Read
    begin: int = 0
    block: bytes = b""

    def twelve(self, offset: int) -> bytes:
        if not self.begin <= offset <= self.begin + len(self.block) - 12:
            self.begin, self.block = offset, self.read(offset, _BLOCK)
        return self.block[offset - self.begin : offset - self.begin + 12]


def _largest_value(read: Read, offset: int, end: int) -> Element | None:
    """The largest binary element at the top level of a canonical data set; its offset is the one in the object."""
    blocks = _Blocks(read)
    largest: Element | None = None
    while offset + 8 <= end:
        head = blocks.twelve(offset)
        tag = int.from_bytes(head[0:2], "little") << 16 | int.from_bytes(head[2:4], "little")
        vr = VR_BYTES.get(head[4:6], "")
        start = offset + (12 if vr in LONG_NAMES else 8)
        length = int.from_bytes(head[8:12] if vr in LONG_NAMES else head[6:8], "little")
        if not vr or start + length > end:
            raise Malformed("The header of a stored object ends before its data set.")
        if vr in BINARY and (largest is None or length > largest.length):
            largest = Element(tag, vr, start, length)
        offset = start + length
    return largest


def _around(read: Read, held: HeldInstance, largest: Element) -> StoredHeader:
    front = largest.start - 12
    behind = largest.start + largest.length
    buffer = read(0, front) + read(behind, held.trailer_offset - behind)
    walk = tokenize(buffer, held.data_set_offset, len(buffer), explicit=True, little_endian=True, max_elements=1 << 31)
    if walk.end != len(buffer):
        raise Malformed("The header of a stored object ends before its data set.")
    elements = walk.data_set.elements
    element = largest._replace(start=front)
    elements.insert(bisect_left(elements, element.tag, key=_tag_of), element)
    revised = RevisedDataSet(buffer, walk.data_set, [], None, walk.encapsulated)
    return StoredHeader(read_trailer(read, held.size), {}, revised, front, behind - front)


def _tag_of(element: Element) -> int:
    return element[0]
