"""The Pixel Data element in canonical form: native samples little endian, encapsulated ones a fragment a frame."""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from struct import Struct, pack
from typing import Final

from vna_core.dicom.codestream import FAMILIES, GE_PRIVATE
from vna_core.dicom.elements import ParsedOctets, PixelElement
from vna_core.dicom.frame_index import ImageShape, group_fragments, native_frames
from vna_core.dicom.reverse_patch import Piece, swapped
from vna_core.domain.instance import Segment
from vna_core.domain.octets import CHUNK, ByteRange, Octets

_LONG: Final = Struct("<HH2sHI").pack
_ITEM: Final = Struct("<HHI").pack
_END: Final = _ITEM(0xFFFE, 0xE0DD, 0)
_UNDEFINED: Final = 0xFFFFFFFF
_IN_MEMORY: Final = 4 << 20
EXTENDED_OFFSETS: Final = 0x7FE00001
EXTENDED_LENGTHS: Final = 0x7FE00002


@dataclass(slots=True)
class Payload:
    """The canonical Pixel Data element, header included, placed at `offset` of the canonical object.

    Attributes
    ----------
    segments
        The element's octets.
    size
        Their number.
    value
        Range of its value in the canonical object.
    frames
        Ranges of the frames in the canonical object.
    pieces
        Where octets of the original stand in it.
    changes
        Ids of the rules that changed something.
    """

    segments: list[Segment] = field(default_factory=list)
    size: int = 0
    value: ByteRange | None = None
    frames: tuple[ByteRange, ...] = ()
    pieces: list[Piece] = field(default_factory=list)
    changes: list[str] = field(default_factory=list)


def make_payload(parsed: ParsedOctets, octets: Octets, shape: ImageShape, offset: int) -> Payload:
    """Lay the pixel data out at `offset`. `octets` are those as received."""
    pixel = parsed.pixel
    if pixel is None:
        return Payload()
    if pixel.fragments is None:
        return _native(parsed, pixel, octets, shape, offset)
    return _Encapsulated(parsed, pixel, octets, shape, offset).lay_out()


# -- native -----------------------------------------------------------------------------------------------------------


def _representation(pixel: PixelElement, shape: ImageShape) -> str:
    """OW above 8 bits (PS3.5 annex A.2); what is right already stays."""
    if pixel.tag == 0x7FE00008:
        return "OF"
    if pixel.tag == 0x7FE00009:
        return "OD"
    if pixel.vr in ("OB", "OW"):
        return "OW" if shape.bits_allocated > 8 else pixel.vr
    return "OB" if shape.bits_allocated <= 8 and pixel.vr != "UN" else "OW"


def _word(parsed: ParsedOctets, pixel: PixelElement, shape: ImageShape) -> int:
    """Octets per sample whose order must change."""
    big = not parsed.data_set.little_endian or parsed.declared_transfer_syntax_uid == GE_PRIVATE
    if not big or pixel.vr == "OB":
        return 1
    if pixel.tag == 0x7FE00008:
        return 4
    if pixel.tag == 0x7FE00009:
        return 8
    return {32: 4, 64: 8}.get(shape.bits_allocated, 2)


def _native(parsed: ParsedOctets, pixel: PixelElement, octets: Octets, shape: ImageShape, offset: int) -> Payload:
    length = pixel.value.length
    representation = _representation(pixel, shape)
    start = offset + 12
    header = _LONG(pixel.tag >> 16, pixel.tag & 0xFFFF, representation.encode("ascii"), 0, length + (length & 1))
    payload = Payload(segments=[header])
    word = _word(parsed, pixel, shape)
    if parsed.unfolded:
        samples = bytes(parsed.buffer[pixel.value.offset : pixel.value.end])
        samples = swapped(samples, word) if word > 1 else samples
        payload.segments.append(Octets(length, "", memory=samples))
        if parsed.unfolded == "swab16" and word == 1 and not pixel.value.offset & 1 and not length & 1:
            payload.pieces.append(Piece(pixel.value, start, 2))
    elif word > 1:
        payload.segments.append(_swapped_copy(octets, pixel.value, word))
        payload.pieces.append(Piece(pixel.value, start, word))
    elif length:
        payload.segments.append(pixel.value)
        payload.pieces.append(Piece(pixel.value, start))
    if length & 1:
        payload.segments.append(b"\0")
        payload.changes.append("P25")
    if representation != pixel.vr and parsed.data_set.explicit:
        payload.changes.append("E25")
    payload.size = 12 + length + (length & 1)
    payload.value = ByteRange(start, payload.size - 12)
    payload.frames = native_frames(shape, ByteRange(start, length))
    return payload


def _swapped_copy(octets: Octets, value: ByteRange, word: int) -> Octets:
    """The samples in the other byte order: in memory, or in an unlinked file when they are many."""
    digest = hashlib.sha256()
    if value.length <= _IN_MEMORY:
        memory = swapped(bytes(octets.read(value.offset, value.length)), word)
        return Octets(value.length, "", memory=memory)
    with tempfile.TemporaryFile() as spool:
        position = value.offset
        while position < value.end:
            piece = swapped(bytes(octets.read(position, min(CHUNK, value.end - position))), word)
            digest.update(piece)
            spool.write(piece)
            position += len(piece)
        spool.flush()
        return Octets(value.length, digest.hexdigest(), descriptor=os.dup(spool.fileno()))


# -- encapsulated -----------------------------------------------------------------------------------------------------


class _Encapsulated:
    """Lays out offset table, fragments and delimiter (PS3.5 annex A.4)."""

    def __init__(self, parsed: ParsedOctets, pixel: PixelElement, octets: Octets, shape: ImageShape, offset: int) -> None:
        self.parsed, self.pixel, self.octets, self.offset = parsed, pixel, octets, offset
        self.fragments = pixel.fragments or []
        self.video = parsed.transfer_syntax_uid in FAMILIES["video"]
        if self.video:
            self.grouped = [[fragment] for fragment in self.fragments]
        else:
            self.grouped = group_fragments(parsed.buffer, pixel, shape, self._extended_offsets())
        self.payload = Payload()

    def _extended_offsets(self) -> tuple[int, ...]:
        for tag, _, start, length, _items in self.parsed.data_set.elements:
            if tag == EXTENDED_OFFSETS:
                raw = bytes(self.parsed.buffer[start : start + length])
                return tuple(int.from_bytes(raw[at : at + 8], "little") for at in range(0, len(raw) - 7, 8))
        return ()

    def lay_out(self) -> Payload:
        payload, lengths = self.payload, [sum(fragment.length for fragment in frame) for frame in self.grouped]
        padded = [length + (length & 1) for length in lengths]
        offsets, position = [], 0
        for length in padded:
            offsets.append(position)
            position += length + 8
        prefix = b""
        table = b"" if self.video else pack(f"<{len(offsets)}I", *offsets) if position <= _UNDEFINED else b""
        if position > _UNDEFINED and not self.video:
            prefix = _LONG(0x7FE0, 1, b"OV", 0, 8 * len(offsets)) + pack(f"<{len(offsets)}Q", *offsets)
            prefix += _LONG(0x7FE0, 2, b"OV", 0, 8 * len(padded)) + pack(f"<{len(padded)}Q", *padded)
        head = prefix + _LONG(self.pixel.tag >> 16, self.pixel.tag & 0xFFFF, b"OB", 0, _UNDEFINED)
        begin = self.offset + len(head)
        head += _ITEM(0xFFFE, 0xE000, len(table)) + table
        payload.segments.append(head)
        first = self.offset + len(head)
        self._write_frames(first, padded)
        payload.segments.append(_END)
        payload.size = len(head) + position + 8
        payload.value = ByteRange(begin, payload.size - (begin - self.offset) - 8)
        if not self.video:
            payload.frames = tuple(ByteRange(first + offset + 8, length) for offset, length in zip(offsets, lengths, strict=True))
        elif len(self.fragments) == 1:
            payload.frames = (ByteRange(first + 8, lengths[0]),)
        self._note_changes(table)
        return payload

    def _write_frames(self, first: int, padded: list[int]) -> None:
        payload, position = self.payload, first
        if self._stands_as_wanted():
            run = ByteRange(self.fragments[0].offset - 8, self.fragments[-1].end - self.fragments[0].offset + 8)
            payload.segments.append(run)
            payload.pieces.append(Piece(run, position))
            return
        for frame, length in zip(self.grouped, padded, strict=True):
            payload.segments.append(_ITEM(0xFFFE, 0xE000, length))
            position += 8
            for fragment in frame:
                if not fragment.length:
                    continue
                if self.parsed.unfolded:
                    payload.segments.append(bytes(self.parsed.buffer[fragment.offset : fragment.end]))
                else:
                    payload.segments.append(fragment)
                    payload.pieces.append(Piece(fragment, position))
                position += fragment.length
            if sum(fragment.length for fragment in frame) & 1:
                payload.segments.append(b"\0")
                position += 1

    def _stands_as_wanted(self) -> bool:
        """One even fragment a frame, back to back, in the octets as received."""
        return (
            bool(self.fragments)
            and not self.parsed.unfolded
            and self.parsed.data_set.little_endian
            and len(self.grouped) == len(self.fragments)
            and not any(fragment.length & 1 for fragment in self.fragments)
            and all(a.end + 8 == b.offset for a, b in pairwise(self.fragments))
        )

    def _note_changes(self, table: bytes) -> None:
        payload, given = self.payload, self.pixel.offset_table
        if len(self.grouped) != len(self.fragments):
            payload.changes.append("P12")
        if any(fragment.length & 1 for fragment in self.fragments):
            payload.changes.append("E21")
        if given is None or bytes(self.parsed.buffer[given.offset : given.end]) != table:
            payload.changes.append("P13")
        if self._extended_offsets() and table:
            payload.changes.append("P14")
        if self.pixel.vr != "OB" and self.parsed.data_set.explicit:
            payload.changes.append("E25")


def covered_by(segments: list[tuple[int, Segment]], piece: Piece) -> bool:
    """Whether the canonical object takes the piece straight from the same octets as received."""
    for begin, segment in segments:
        if isinstance(segment, ByteRange) and begin <= piece.canonical and piece.canonical + piece.original.length <= begin + segment.length:
            return segment.offset + piece.canonical - begin == piece.original.offset
    return False


def differences(octets: Octets, rebuilt: Iterator[bytes | memoryview], begin: int) -> bool:
    """Whether the rebuilt octets differ from those received from `begin` on."""
    position = begin
    for piece in rebuilt:
        if bytes(octets.read(position, len(piece))) != bytes(piece):
            return True
        position += len(piece)
    return False
