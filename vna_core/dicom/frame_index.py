"""Where the frames are, and how the Pixel Data element is written in the canonical object (PS3.5 section 8.2, annex A.4).

Native frames follow by arithmetic from the image pixel description. Encapsulated fragments are grouped into frames by what
the octets prove: their number, an offset table that hits item headers, or where codestreams begin.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from struct import unpack_from
from typing import Final

from vna_core.dicom.canonical_writer import (
    SEQUENCE_DELIMITER,
    UNDEFINED,
    Piece,
    fragment_pieces,
    header,
    literal_element,
    padding,
    size_of,
)
from vna_core.dicom.codestream import BEGINNINGS
from vna_core.dicom.codestream_header import codestream_box
from vna_core.dicom.elements import Buffer, PixelElement
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.octets import ByteRange

NUMBER_OF_FRAMES: Final = 0x00280008
EXTENDED_OFFSET_TABLE: Final = 0x7FE00001
EXTENDED_OFFSET_TABLE_LENGTHS: Final = 0x7FE00002
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"

_SAMPLES, _PHOTOMETRIC, _ROWS, _COLUMNS, _ALLOCATED = 0x00280002, 0x00280004, 0x00280010, 0x00280011, 0x00280100
_FLOAT_BITS: Final = {0x7FE00008: 32, 0x7FE00009: 64}
_END: Final = b"\xff\xd9"
_TAIL, _BOXES, _SEARCHED = 256, 65_536, 1 << 20
_MANY, _TINY = 65_536, 512
_OFFSET_LIMIT: Final = 0xFFFFFFFF


@dataclass(slots=True)
class Framing:
    """How encapsulated pixel data was framed as received, and what its codestreams are like.

    Attributes
    ----------
    fragments, frames
        Their numbers.
    entries
        Entries of the Basic Offset Table as received; None where its item is missing.
    rewritten
        The Basic Offset Table is another than that received.
    extended_written, extended_dropped
        An Extended Offset Table is new, or one that did not fit is gone.
    boxed
        Frames that are JP2 files: the codestream is inside boxes.
    unended
        Frames whose codestream has no end marker.
    trailing
        Frames with octets behind the end marker, one octet of padding aside.
    """

    fragments: int = 0
    frames: int = 0
    entries: int | None = 0
    rewritten: bool = False
    extended_written: bool = False
    extended_dropped: bool = False
    boxed: int = 0
    unended: int = 0
    trailing: int = 0


@dataclass(slots=True)
class PixelLayout:
    """The Pixel Data element as it is written.

    Attributes
    ----------
    pieces
        The element from its header to its end (and before it an Extended Offset Table, where one is made).
    value
        Its value, relative to the first octet of `pieces`.
    frames
        One range per frame, relative to the first octet of `pieces`.
    framing
        What was met in encapsulated pixel data.
    """

    pieces: list[Piece]
    value: ByteRange
    frames: list[ByteRange]
    framing: Framing = field(default_factory=Framing)


def bits_per_frame(revised: RevisedDataSet, tag: int, length: int) -> int:
    """Bits of one native frame by Rows, Columns, Samples per Pixel, Bits Allocated and Photometric Interpretation; 0: unknown."""
    bits = _FLOAT_BITS.get(tag) or revised.number(_ALLOCATED, 0)
    samples = max(revised.number(_SAMPLES, 1), 1)
    pixels = revised.number(_ROWS, 0) * revised.number(_COLUMNS, 0)
    full = pixels * samples * bits
    photometric = revised.text(_PHOTOMETRIC)
    if samples == 3 and photometric in ("YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420"):
        packed = pixels * bits * (3 if photometric.endswith("420") else 4) // 2
        frames = max(revised.number(NUMBER_OF_FRAMES, 1), 1)
        if length * 8 < full * frames:
            return packed
    return full


def native_frames(revised: RevisedDataSet, tag: int, value: ByteRange) -> list[ByteRange]:
    """One range per frame of native pixel data that is wholly there (PS3.5 section 8.1.1).

    Empty where the image pixel description gives no frames, or so many so small ones that the index would outgrow them.
    Frames of one bit per pixel follow one another without padding: a range then covers every octet the frame has bits in.
    """
    count = max(revised.number(NUMBER_OF_FRAMES, 1), 1)
    bits = bits_per_frame(revised, tag, value.length)
    if not bits or not value.length:
        return [value] if count == 1 and value.length else []
    complete = min(count, value.length * 8 // bits)
    if complete > _MANY and bits < _TINY:
        return []
    if not bits & 7:
        size = bits >> 3
        return [ByteRange(value.offset + index * size, size) for index in range(complete)]
    starts = [index * bits for index in range(complete)]
    return [ByteRange(value.offset + (first >> 3), ((first + bits + 7) >> 3) - (first >> 3)) for first in starts]


def lay_out_native(revised: RevisedDataSet, pixel: PixelElement, payload: Piece) -> PixelLayout:
    """Native pixel data: the header, and the samples padded to an even length."""
    length = size_of(payload)
    even = length + (length & 1)
    head = header(pixel.tag, pixel.vr, even)
    pieces: list[Piece] = [_as_received(revised.buffer, pixel.value.offset - len(head), head)]
    if length:
        pieces.append(payload)
    if length & 1:
        pieces.append(padding(pixel.vr))
    value = ByteRange(len(head), even)
    return PixelLayout(pieces, value, native_frames(revised, pixel.tag, ByteRange(len(head), length)))


def lay_out_encapsulated(
    revised: RevisedDataSet, pixel: PixelElement, transfer_syntax_uid: str, little_endian: bool
) -> PixelLayout:
    """Encapsulated pixel data with one fragment per frame and offset tables that are right (PS3.5 section A.4)."""
    groups = group_fragments(revised, pixel, transfer_syntax_uid, little_endian)
    pixel = _with_true_table(revised, pixel)
    table_entries = None if pixel.offset_table is None else pixel.offset_table.length // 4
    framing = Framing(len(pixel.fragments or ()), len(groups), table_entries)
    sizes = [sum(part.length for part in group) for group in groups]
    starts = list(accumulate((8 + size + (size & 1) for size in sizes), initial=0))
    extended = keeps_extended_table(revised, pixel)
    large = bool(groups) and starts[-2] > _OFFSET_LIMIT
    front: list[Piece] = []
    if large and not extended:
        front = _extended_table(starts[:-1], sizes)
        framing.extended_written = True
    table = b"" if extended or large else b"".join(start.to_bytes(4, "little") for start in starts[:-1])
    table_item = b"\xfe\xff\x00\xe0" + len(table).to_bytes(4, "little") + table
    base = sum(len(piece) for piece in front if isinstance(piece, bytes))
    body = 12 + len(table_item)
    buffer, first = revised.buffer, pixel.value.offset
    pieces = [
        *front,
        _as_received(buffer, first - 12, header(pixel.tag, "OB", UNDEFINED)),
        _as_received(buffer, first, table_item),
    ]
    framing.rewritten = pixel.offset_table is None or pieces[-1] != ByteRange(first, len(table_item))
    pieces.extend(_frame_pieces(groups, little_endian))
    pieces.append(_as_received(buffer, pixel.value.end, SEQUENCE_DELIMITER))
    value = ByteRange(base + 12, len(table_item) + starts[-1])
    frames = [
        _codestream_in(buffer, group, ByteRange(base + body + start + 8, size), framing)
        for group, start, size in zip(groups, starts, sizes, strict=False)
    ]
    return PixelLayout(pieces, value, frames, framing)


def _codestream_in(buffer: Buffer, group: Sequence[ByteRange], frame: ByteRange, framing: Framing) -> ByteRange:
    """The frame's range without boxes before its codestream and without what follows the end marker (FFD9 for all of JPEG)."""
    first, last = group[0], group[-1]
    head = bytes(buffer[first.offset : first.offset + min(8, first.length)])
    if head[4:8] == b"jP  ":
        begin, length = codestream_box(bytes(buffer[first.offset : first.offset + min(_BOXES, first.length)]))
        if not begin or begin >= frame.length:
            return frame
        framing.boxed += 1
        return ByteRange(frame.offset + begin, min(length, frame.length - begin) or frame.length - begin)
    if head[:3] not in (b"\xff\xd8\xff", b"\xff\x4f\xff"):
        return frame
    tail = bytes(buffer[max(last.offset, last.end - _TAIL) : last.end])
    end = len(tail) if tail.endswith(_END) else tail.rfind(_END) + 2
    if end < 2:
        framing.unended += 1
        return frame
    framing.trailing += len(tail) - end > 1
    return ByteRange(frame.offset, frame.length - (len(tail) - end))


def _with_true_table(revised: RevisedDataSet, pixel: PixelElement) -> PixelElement:
    """The element with its first item as a fragment, where that is plainly no offset table (P13: the item is missing)."""
    table, fragments = pixel.offset_table, pixel.fragments or []
    if table is None or table.length < 4:
        return pixel
    head = bytes(revised.buffer[table.offset : table.offset + min(table.length, 8)])
    run_length = table.length >= 64 and _is_run_length_header(head)
    if head.startswith(BEGINNINGS) or (run_length and len(fragments) + 1 == max(revised.number(NUMBER_OF_FRAMES, 1), 1)):
        return PixelElement(pixel.tag, pixel.vr, pixel.value, [table, *fragments], None)
    return pixel


def _as_received(buffer: Buffer, offset: int, wanted: bytes) -> Piece:
    """`wanted`, as a range of the source where it stands there already."""
    if offset >= 0 and bytes(buffer[offset : offset + len(wanted)]) == wanted:
        return ByteRange(offset, len(wanted))
    return wanted


def _frame_pieces(groups: Sequence[Sequence[ByteRange]], little_endian: bool) -> list[Piece]:
    """One item per frame; frames that are even and follow one another in the source stay one range."""
    pieces: list[Piece] = []
    begin = end = -1
    for group in groups:
        part = group[0]
        if little_endian and len(group) == 1 and not part.length & 1:
            if part.offset - 8 != end:
                if end > begin:
                    pieces.append(ByteRange(begin, end - begin))
                begin = part.offset - 8
            end = part.end
            continue
        if end > begin:
            pieces.append(ByteRange(begin, end - begin))
        begin = end = -1
        pieces.extend(fragment_pieces(list(group)))
    if end > begin:
        pieces.append(ByteRange(begin, end - begin))
    return pieces


def group_fragments(
    revised: RevisedDataSet, pixel: PixelElement, transfer_syntax_uid: str, little_endian: bool
) -> list[list[ByteRange]]:
    """Fragments by frame, in order."""
    pixel = _with_true_table(revised, pixel)
    fragments = pixel.fragments or []
    if not fragments:
        return []
    frames = max(revised.number(NUMBER_OF_FRAMES, 1), 1)
    if len(fragments) == frames or len(fragments) == 1:
        return [[fragment] for fragment in fragments]
    if transfer_syntax_uid == RLE_LOSSLESS:
        return _by_run_length_headers(revised.buffer, fragments) or [[fragment] for fragment in fragments]
    by_table = _by_offsets(fragments, _basic_offsets(revised.buffer, pixel, little_endian))
    by_extended = _by_offsets(fragments, _extended_offsets(revised))
    by_beginning = _by_beginnings(revised.buffer, fragments)
    by_end = _by_beginnings(revised.buffer, fragments, after_end=True)
    candidates = [groups for groups in (by_extended, by_table, by_beginning, by_end) if groups]
    for groups in candidates:
        if len(groups) == frames:
            return groups
    return by_beginning or (candidates[0] if candidates else [list(fragments)])


def begin_codestreams(buffer: Buffer, groups: Sequence[Sequence[ByteRange]]) -> bool:
    """Whether every group begins with the beginning of a codestream, an RLE header included."""
    for group in groups:
        head = bytes(buffer[group[0].offset : group[0].offset + min(8, group[0].length)])
        if not head.startswith(BEGINNINGS) and not _is_run_length_header(head):
            return False
    return bool(groups)


def holds_several(buffer: Buffer, groups: Sequence[Sequence[ByteRange]]) -> bool:
    """Whether a codestream ends and another begins inside a fragment (the end marker does not occur inside a codestream)."""
    for part in (part for group in groups for part in group):
        for begin in range(part.offset, part.end, _SEARCHED):
            octets = bytes(buffer[begin : min(begin + _SEARCHED + 8, part.end)])
            if any(end + start in octets for end in (_END, _END + b"\0") for start in BEGINNINGS[:2]):
                return True
    return False


def _by_offsets(fragments: list[ByteRange], offsets: Sequence[int]) -> list[list[ByteRange]]:
    """Groups that begin at the offsets; empty when an offset does not hit an item header."""
    first = fragments[0].offset
    if not offsets or offsets[0] != 0:
        return []
    wanted = set(offsets)
    positions = [fragment.offset - first for fragment in fragments]
    if len(wanted) != len(offsets) or list(offsets) != sorted(offsets) or not wanted.issubset(positions):
        return []
    groups: list[list[ByteRange]] = []
    for position, fragment in zip(positions, fragments, strict=True):
        if position in wanted:
            groups.append([])
        groups[-1].append(fragment)
    return groups


def _by_beginnings(buffer: Buffer, fragments: list[ByteRange], *, after_end: bool = False) -> list[list[ByteRange]]:
    """Groups that begin where a codestream does (SOI, SOC, signature box); empty when the first fragment begins none.

    With `after_end` only where the codestream before has ended: the octets of a beginning also occur inside segments.
    """
    groups: list[list[ByteRange]] = []
    for fragment in fragments:
        begins = bytes(buffer[fragment.offset : fragment.offset + min(8, fragment.length)]).startswith(BEGINNINGS)
        if begins and (not after_end or not groups or _ends(buffer, groups[-1][-1])):
            groups.append([])
        elif not groups:
            return []
        groups[-1].append(fragment)
    return groups


def _ends(buffer: Buffer, fragment: ByteRange) -> bool:
    """Whether the last octets of a fragment are an end marker, padding apart."""
    return bytes(buffer[max(fragment.offset, fragment.end - 16) : fragment.end]).rstrip(b"\0").endswith(_END)


def _by_run_length_headers(buffer: Buffer, fragments: list[ByteRange]) -> list[list[ByteRange]]:
    """Groups that begin with the header of an RLE frame; empty when the first fragment begins none."""
    groups: list[list[ByteRange]] = []
    for fragment in fragments:
        head = bytes(buffer[fragment.offset : fragment.offset + min(8, fragment.length)])
        if _is_run_length_header(head):
            groups.append([])
        elif not groups:
            return []
        groups[-1].append(fragment)
    return groups


def _is_run_length_header(head: bytes) -> bool:
    """A number of segments from 1 to 15, the first of them at offset 64 (PS3.5 section G.5)."""
    return len(head) == 8 and 1 <= head[0] <= 15 and head[1:] == b"\0\0\0\x40\0\0\0"


def _basic_offsets(buffer: Buffer, pixel: PixelElement, little_endian: bool) -> Sequence[int]:
    table = pixel.offset_table
    if table is None or not table.length or table.length % 4:
        return ()
    raw = bytes(buffer[table.offset : table.end])
    return unpack_from(f"{'<' if little_endian else '>'}{table.length // 4}I", raw)


def _extended_offsets(revised: RevisedDataSet) -> Sequence[int]:
    element = revised.find(EXTENDED_OFFSET_TABLE)
    if element is None or not element.length or element.length % 8:
        return ()
    return unpack_from(f"<{element.length // 8}Q", revised.value(element))


def keeps_extended_table(revised: RevisedDataSet, pixel: PixelElement) -> bool:
    """Whether the source has an Extended Offset Table that is right and may stay (PS3.5 A.4: then the basic one is empty)."""
    fragments = pixel.fragments or []
    offsets = _extended_offsets(revised)
    lengths = revised.find(EXTENDED_OFFSET_TABLE_LENGTHS)
    if not offsets or lengths is None or lengths.length != 8 * len(offsets):
        return False
    if len(offsets) != len(fragments) or len(fragments) != max(revised.number(NUMBER_OF_FRAMES, 1), 1):
        return False
    if pixel.offset_table is None or pixel.offset_table.length or any(fragment.length & 1 for fragment in fragments):
        return False
    first = fragments[0].offset
    sizes = unpack_from(f"<{len(offsets)}Q", revised.value(lengths))
    return all(
        fragment.offset - first == offset and fragment.length - 1 <= size <= fragment.length
        for fragment, offset, size in zip(fragments, offsets, sizes, strict=True)
    )


def _extended_table(starts: Sequence[int], sizes: Sequence[int]) -> list[Piece]:
    return [
        literal_element(EXTENDED_OFFSET_TABLE, "OV", b"".join(start.to_bytes(8, "little") for start in starts)),
        literal_element(EXTENDED_OFFSET_TABLE_LENGTHS, "OV", b"".join(size.to_bytes(8, "little") for size in sizes)),
    ]
