"""From pieces to segments: the canonical object's octets, the copies of the reverse patch, and the proof of the rebuild."""

from __future__ import annotations

from dataclasses import dataclass
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
                copies.append(Copy(piece.source.offset, position, length, piece.unit))
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
        if last is not None and copy.original < last.original + last.length:
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
        and copy.original == last.original + last.length
        and copy.canonical == last.canonical + last.length
    )


@dataclass(slots=True)
class _Canonical:
    """Random access to the canonical object before its trailer."""

    segments: list[Segment]
    received: ReceivedInstance

    def read(self, offset: int, length: int) -> bytes:
        """Octets of a range; fewer only at the end."""
        found: list[bytes | memoryview] = []
        position, end = 0, offset + length
        for segment in self.segments:
            size = len(segment) if isinstance(segment, bytes) else segment.length if isinstance(segment, ByteRange) else segment.size
            begin, stop = max(offset, position), min(end, position + size)
            if begin < stop:
                found.append(self._part(segment, begin - position, stop - begin))
            position += size
            if position >= end:
                break
        return b"".join(found)

    def _part(self, segment: Segment, offset: int, length: int) -> bytes | memoryview:
        if isinstance(segment, bytes):
            return segment[offset : offset + length]
        if isinstance(segment, ByteRange):
            return self.received.octets.read(segment.offset + offset, length)
        return segment.read(offset, length)

    def same_octets(self, copy: Copy) -> list[tuple[int, int]]:
        """What of an unswapped copy remains to be compared, as ranges relative to it: all but ranges that are the very octets."""
        remaining: list[tuple[int, int]] = []
        position, end = 0, copy.canonical + copy.length
        for segment in self.segments:
            size = len(segment) if isinstance(segment, bytes) else segment.length if isinstance(segment, ByteRange) else segment.size
            begin, stop = max(copy.canonical, position), min(end, position + size)
            if begin < stop:
                relative = begin - copy.canonical
                identical = isinstance(segment, ByteRange) and segment.offset + begin - position == copy.original + relative
                if not identical:
                    remaining.append((relative, stop - begin))
            position += size
            if position >= end:
                break
        return remaining


def make_patch(assembled: Assembled, received: ReceivedInstance, parsed: ParsedOctets) -> bytes:
    """The reverse patch, proven: it was applied and every octet compared with those received.

    Raises
    ------
    RebuildMismatch
        The octets as received would not come back.
    """
    original: Buffer = received.octets.buffer if parsed.unfolded == "inflate" else parsed.buffer
    canonical = _Canonical(assembled.segments, received)
    literals = _literals(original, assembled.copies, received.octets.size)
    dictionary = b""
    if parsed.unfolded != "inflate":
        ranges = reverse_patch.dictionary_ranges(assembled.copies, assembled.size)
        dictionary = b"".join(canonical.read(begin, stop - begin) for begin, stop in ranges)
    flags = reverse_patch.SWAB16 if parsed.unfolded == "swab16" else 0
    patch = reverse_patch.encode(assembled.copies, literals, dictionary, flags)
    _prove(reverse_patch.decode(patch, received.octets.size), canonical, assembled.size, original, received)
    return patch


def _literals(original: Buffer, copies: list[Copy], size: int) -> bytes:
    pieces: list[bytes] = []
    position = 0
    for copy in copies:
        pieces.append(bytes(original[position : copy.original]))
        position = copy.original + copy.length
    pieces.append(bytes(original[position:size]))
    return b"".join(pieces)


def _prove(patch: Patch, canonical: _Canonical, end: int, original: Buffer, received: ReceivedInstance) -> None:
    """Apply the patch as it was encoded. Ranges of the very octets received need no comparison with themselves."""
    if patch.flags & reverse_patch.SWAB16:
        _prove_bytewise(patch, canonical, end, received)
        return
    literals = reverse_patch.literals_of(patch, canonical.read, end)
    position = taken = 0
    for copy in (*patch.copies, Copy(patch.size, 0, 0)):
        gap = copy.original - position
        if gap < 0 or literals[taken : taken + gap] != bytes(original[position : copy.original]):
            raise _mismatch(position)
        taken += gap
        position = copy.original + copy.length
        if copy.unit > 1:
            _prove_swapped(copy, canonical, original)
            continue
        for relative, length in canonical.same_octets(copy):
            _compare(canonical, copy.canonical + relative, original, copy.original + relative, length)
    if position != received.octets.size:
        raise _mismatch(position)


def _compare(canonical: _Canonical, offset: int, original: Buffer, where: int, length: int) -> None:
    for step in range(0, length, CHUNK):
        size = min(CHUNK, length - step)
        if canonical.read(offset + step, size) != bytes(original[where + step : where + step + size]):
            raise _mismatch(where + step)


def _prove_swapped(copy: Copy, canonical: _Canonical, original: Buffer) -> None:
    position = copy.original
    pieces = (canonical.read(copy.canonical + step, min(CHUNK, copy.length - step)) for step in range(0, copy.length, CHUNK))
    for piece in reverse_patch.swap_stream(pieces, copy.unit):
        if piece != bytes(original[position : position + len(piece)]):
            raise _mismatch(position)
        position += len(piece)


def _prove_bytewise(patch: Patch, canonical: _Canonical, end: int, received: ReceivedInstance) -> None:
    position, original = 0, received.octets.buffer
    for piece in reverse_patch.apply(patch, canonical.read, end):
        if piece != bytes(original[position : position + len(piece)]):
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
