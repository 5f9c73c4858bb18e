"""Where the frames are: native ones by arithmetic, encapsulated ones by offset tables and codestream boundaries."""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack_from
from typing import Final

import google_crc32c
import numpy as np

from vna_core.dicom.elements import Buffer, PixelElement
from vna_core.domain.octets import ByteRange

_STARTS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\x00\x00\x00\x0cjP  ", b"\xff\x0a", b"\x00\x00\x00\x0cJXL ")


@dataclass(frozen=True, slots=True)
class ImageShape:
    """What the header says about the pixel data (PS3.3 C.7.6.3). Zero where it says nothing."""

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    photometric_interpretation: str
    number_of_frames: int

    @property
    def frame_bits(self) -> int:
        """Bits of one native frame, all samples stored."""
        return self.rows * self.columns * self.samples_per_pixel * self.bits_allocated


def native_frames(shape: ImageShape, value: ByteRange) -> tuple[ByteRange, ...]:
    """Ranges of the frames of native pixel data; empty where frames do not begin at octets or do not fit the value."""
    frames = max(shape.number_of_frames, 1)
    bits = shape.frame_bits
    if bits <= 0:
        return ()
    if shape.photometric_interpretation == "YBR_FULL_422" and value.length < bits * frames // 8:
        bits = shape.rows * shape.columns * 2 * shape.bits_allocated  # PS3.3 C.7.6.3.1.2: half the chrominance samples
    if bits % 8 and frames > 1:
        return ()
    length = (bits + 7) // 8
    if length * frames > value.length:
        return ()
    return tuple(ByteRange(value.offset + index * length, length) for index in range(frames))


def group_fragments(buffer: Buffer, pixel: PixelElement, shape: ImageShape, extended: tuple[int, ...] = ()) -> list[list[ByteRange]]:
    """The fragments of encapsulated pixel data by frame (PS3.5 A.4).

    Parameters
    ----------
    extended
        Offsets of the Extended Offset Table, when there is one.
    """
    fragments = pixel.fragments or []
    frames = max(shape.number_of_frames, 1)
    if len(fragments) == frames:
        return [[fragment] for fragment in fragments]
    if frames == 1:
        return [list(fragments)] if fragments else []
    for offsets in (_basic_offsets(buffer, pixel), extended):
        grouped = _by_offsets(fragments, offsets)
        if len(grouped) == frames:
            return grouped
    grouped = _by_codestreams(buffer, fragments)
    return grouped if len(grouped) > 1 else [list(fragments)] if fragments else []


def _basic_offsets(buffer: Buffer, pixel: PixelElement) -> tuple[int, ...]:
    table = pixel.offset_table
    if table is None or table.length < 4:
        return ()
    return tuple(unpack_from(f"<{table.length // 4}I", bytes(buffer[table.offset : table.end])))


def _by_offsets(fragments: list[ByteRange], offsets: tuple[int, ...]) -> list[list[ByteRange]]:
    """Offsets count from the first fragment's item tag; every one must hit an item tag."""
    if not offsets or not fragments:
        return []
    base = fragments[0].offset - 8
    places = {fragment.offset - 8 - base: index for index, fragment in enumerate(fragments)}
    starts = [places.get(offset, -1) for offset in offsets]
    if starts[0] != 0 or any(b <= a for a, b in zip(starts, starts[1:], strict=False)):
        return []
    return [fragments[a:b] for a, b in zip(starts, [*starts[1:], len(fragments)], strict=True)]


def _by_codestreams(buffer: Buffer, fragments: list[ByteRange]) -> list[list[ByteRange]]:
    grouped: list[list[ByteRange]] = []
    for fragment in fragments:
        head = bytes(buffer[fragment.offset : fragment.offset + min(12, fragment.length)])
        if not grouped or head.startswith(_STARTS):
            grouped.append([])
        grouped[-1].append(fragment)
    return grouped


def shard_index(frames: tuple[ByteRange, ...]) -> bytes:
    """A Zarr v3 shard index (sharding codec 1.0, index location ``end``): offset and length of every frame, then CRC-32C."""
    if not frames:
        return b""
    table = np.array([(frame.offset, frame.length) for frame in frames], dtype="<u8").tobytes()
    return table + google_crc32c.value(table).to_bytes(4, "little")


def read_shard_index(raw: bytes) -> tuple[ByteRange, ...]:
    """Frame ranges of a shard index. Raises ValueError when its checksum is wrong."""
    if not raw:
        return ()
    table, checksum = raw[:-4], int.from_bytes(raw[-4:], "little")
    if google_crc32c.value(table) != checksum:
        raise ValueError("the shard index does not match its checksum")
    return tuple(ByteRange(int(offset), int(length)) for offset, length in np.frombuffer(table, dtype="<u8").reshape(-1, 2))
