"""From pieces to segments: the canonical object's octets, the copies of the reverse patch, and the proof of the rebuild."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from vna_core.dicom import reverse_patch
from vna_core.dicom.canonical_writer import Piece, size_of
from vna_core.dicom.elements import Buffer, ParsedOctets
from vna_core.dicom.reverse_patch import Copy, Patch
from vna_core.domain.errors import RebuildMismatch
from vna_core.domain.instance import Segment
from vna_core.domain.octets import CHUNK, ByteRange, Octets, ReceivedInstance

LARGE: Final = 1 << 16
"""Ranges of at least this many octets stay ranges of the octets as received; smaller ones are copied."""

COPY_MINIMUM: Final = 48
"""Shorter ranges are left to the compressed literals, where they cost less than an operation."""


ReadPart = Callable[[int, int], bytes | memoryview]


@dataclass(slots=True)
class Assembled:
    """The canonical object before its trailer.

    `copies` are in the order of the original and do not overlap there.
    """

    segments: list[Segment]
    copies: list[Copy]
    size: int


def assemble(head: bytes, pieces: list[Piece], parsed: ParsedOctets) -> Assembled:
    """Join small pieces into literals, keep large ones as ranges, and remember what can be copied back."""
    received = parsed.unfolded == ""
    copyable = parsed.unfolded != "inflate"
    buffer = parsed.buffer
    segments: list[Segment] = []
    literal: list[bytes] = [head]
    copies: list[Copy] = []
    position = len(head)
    for piece in pieces:
        length = size_of(piece)
        if isinstance(piece, bytes):
            literal.append(piece)
        elif isinstance(piece, ByteRange):
            if length >= LARGE and received:
                segments.append(b"".join(literal))
                segments.append(piece)
                literal = []
            else:
                literal.append(bytes(buffer[piece.offset : piece.offset + length]))
            if copyable:
                copies.append(Copy(piece.offset, position, length))
        else:
            segments.append(b"".join(literal))
            segments.append(piece.payload)
            literal = []
            if copyable:
                copies.append(Copy(piece.source.offset, position, length, piece.unit, piece.packed))
        position += length
    segments.append(b"".join(literal))
    return Assembled([segment for segment in segments if segment != b""], _joined(copies), position)


def _joined(copies: list[Copy]) -> list[Copy]:
    """In the order of the original, neighbours joined, short and overlapping ones left out."""
    joined: list[Copy] = []
    if any(copies[index].original < copies[index - 1].original for index in range(1, len(copies))):
        copies = sorted(copies, key=lambda copy: copy.original)
    for copy in copies:
        last = joined[-1] if joined else None
        if last is not None and _continues(last, copy):
            joined[-1] = Copy(last.original, last.canonical, last.length + copy.length)
            continue
        if last is not None and copy.original < last.end:
            continue
        if last is not None and last.length < COPY_MINIMUM:
            joined.pop()
        joined.append(copy)
    if joined and joined[-1].length < COPY_MINIMUM:
        joined.pop()
    return joined


def _continues(last: Copy, copy: Copy) -> bool:
    return (
        last.unit == copy.unit == 1
        and not last.packed
        and not copy.packed
        and copy.original == last.original + last.length
        and copy.canonical == last.canonical + last.length
    )


class _Canonical:
    """Random access to the canonical object before its trailer."""

    __slots__ = ("_received", "_segments", "_starts")

    def __init__(self, segments: list[Segment], received: ReceivedInstance) -> None:
        self._segments, self._received = segments, received
        self._starts = list(accumulate(map(_size, segments), initial=0))

    def _overlapping(self, begin: int, end: int) -> Iterator[tuple[Segment, int, int, int]]:
        """Segments in a range: each with the offset in it where the overlap begins, the overlap's length and its place."""
        index = max(bisect_right(self._starts, begin) - 1, 0)
        while index < len(self._segments) and self._starts[index] < end:
            start = self._starts[index]
            first, last = max(begin, start), min(end, self._starts[index + 1])
            if first < last:
                yield self._segments[index], first - start, last - first, first
            index += 1

    def read(self, offset: int, length: int) -> bytes:
        """Octets of a range; fewer only at the end."""
        return b"".join(
            [self._part(segment, within, size) for segment, within, size, _ in self._overlapping(offset, offset + length)]
        )

    def _part(self, segment: Segment, offset: int, length: int) -> bytes | memoryview:
        if isinstance(segment, bytes):
            return segment[offset : offset + length]
        if isinstance(segment, ByteRange):
            return self._received.octets.read(segment.offset + offset, length)
        return segment.read(offset, length)

    def unproven(self, copy: Copy) -> Iterator[tuple[int, int]]:
        """What of an unswapped copy must be compared, as ranges relative to it: all but ranges that are the very octets."""
        for segment, within, size, place in self._overlapping(copy.canonical, copy.canonical + copy.length):
            relative = place - copy.canonical
            if not (isinstance(segment, ByteRange) and segment.offset + within == copy.original + relative):
                yield relative, size


def _size(segment: Segment) -> int:
    if isinstance(segment, bytes):
        return len(segment)
    return segment.length if isinstance(segment, ByteRange) else segment.size


def make_patch(assembled: Assembled, received: ReceivedInstance, parsed: ParsedOctets) -> bytes:
    """The reverse patch, proven: it was applied and every octet compared with those received.

    Raises
    ------
    RebuildMismatch
        The octets as received would not come back.
    """
    original = received.octets.read if parsed.unfolded != "swab16" else _reader(parsed.buffer)
    canonical = _Canonical(assembled.segments, received)
    literals = _literals(original, assembled.copies, received.octets.size)
    dictionary = b""
    if literals and parsed.unfolded != "inflate":
        ranges = reverse_patch.dictionary_ranges(assembled.copies, assembled.size)
        dictionary = b"".join(canonical.read(begin, stop - begin) for begin, stop in ranges)
    flags = reverse_patch.SWAB16 if parsed.unfolded == "swab16" else 0
    patch = reverse_patch.encode(assembled.copies, literals, dictionary, flags)
    _prove(reverse_patch.decode(patch, received.octets.size), canonical, assembled.size, original, received)
    return patch


def _reader(buffer: Buffer) -> ReadPart:
    def read(offset: int, length: int) -> bytes:
        return bytes(buffer[offset : offset + length])

    return read


def _literals(original: ReadPart, copies: list[Copy], size: int) -> bytes:
    pieces: list[bytes] = []
    position = 0
    for copy in copies:
        pieces.append(bytes(original(position, copy.original - position)))
        position = copy.end
    pieces.append(bytes(original(position, size - position)))
    return b"".join(pieces)


def _prove(patch: Patch, canonical: _Canonical, end: int, original: ReadPart, received: ReceivedInstance) -> None:
    """Apply the patch as it was encoded. Ranges of the very octets received need no comparison with themselves."""
    if patch.flags & reverse_patch.SWAB16:
        _prove_bytewise(patch, canonical, end, received)
        return
    literals = reverse_patch.literals_of(patch, canonical.read, end)
    position = taken = 0
    for copy in (*patch.copies, Copy(patch.size, 0, 0)):
        gap = copy.original - position
        if gap < 0 or literals[taken : taken + gap] != bytes(original(position, copy.original - position)):
            raise _mismatch(position)
        taken += gap
        position = copy.end
        if copy.unit > 1 or copy.packed:
            _prove_transformed(copy, canonical, original)
            continue
        for relative, length in canonical.unproven(copy):
            _compare(canonical, copy.canonical + relative, original, copy.original + relative, length)
    if position != received.octets.size:
        raise _mismatch(position)


def _compare(canonical: _Canonical, offset: int, original: ReadPart, where: int, length: int) -> None:
    for step in range(0, length, CHUNK):
        size = min(CHUNK, length - step)
        if canonical.read(offset + step, size) != bytes(original(where + step, size)):
            raise _mismatch(where + step)


def _prove_transformed(copy: Copy, canonical: _Canonical, original: ReadPart) -> None:
    position = copy.original
    pieces = (canonical.read(copy.canonical + step, min(CHUNK, copy.length - step)) for step in range(0, copy.length, CHUNK))
    for piece in reverse_patch.as_received(copy, pieces):
        if piece != bytes(original(position, len(piece))):
            raise _mismatch(position)
        position += len(piece)


def _prove_bytewise(patch: Patch, canonical: _Canonical, end: int, received: ReceivedInstance) -> None:
    position, original = 0, received.octets.read
    for piece in reverse_patch.apply(patch, canonical.read, end):
        if piece != bytes(original(position, len(piece))):
            raise _mismatch(position)
        position += len(piece)
    if position != received.octets.size:
        raise _mismatch(position)


def _mismatch(offset: int) -> RebuildMismatch:
    return RebuildMismatch("The octets as received would not come back from the canonical object.", offset=offset)


def close_payloads(segments: list[Segment]) -> None:
    """Give temporary files back after a failure."""
    for segment in segments:
        if isinstance(segment, Octets):
            segment.close()
