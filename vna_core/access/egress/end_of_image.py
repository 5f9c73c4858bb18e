"""JPEG codestreams without their end marker, completed on the way out (P11; ITU-T T.81 B.1.1.3, T.87, T.800 A.4.4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

from vna_core.dicom.codestream import FAMILIES
from vna_core.dicom.trailer_format import Read
from vna_core.domain.octets import ByteRange

END_OF_IMAGE: Final = b"\xff\xd9"
SYNTAXES: Final = frozenset(
    uid for family, uids in FAMILIES.items() if family.startswith(("jpeg-", "htj2k")) and family != "jpeg-xl" for uid in uids
)
"""Transfer syntaxes whose codestreams end with FFD9."""

_TAIL: Final = 64
_BEGINNINGS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
_ITEM: Final = b"\xfe\xff\x00\xe0"
_DELIMITER: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"
_HEAD: Final = b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff"
_LARGEST_OFFSET: Final = 0xFFFFFFFF

Segment = bytes | ByteRange
"""Literal octets, or a range of the stored object."""


@dataclass(frozen=True, slots=True)
class CompletedPixels:
    """The encapsulated Pixel Data element with complete codestreams.

    Attributes
    ----------
    segments
        The element from its header to its delimiter.
    starts, sizes
        Offset of each frame's item from the first one, and octets of its codestream, as offset tables tell them.
    """

    segments: tuple[Segment, ...]
    starts: tuple[int, ...]
    sizes: tuple[int, ...]


def lacks_end(beginning: bytes, end: bytes) -> bool:
    """Whether a codestream has no end marker in its last octets; padding may stand behind it.

    The two octets cannot occur in entropy-coded data. What does not begin as a codestream is left as it is.

    Parameters
    ----------
    beginning, end
        At least the first four and the last 64 octets.
    """
    return beginning.startswith(_BEGINNINGS) and END_OF_IMAGE not in end[-_TAIL:]


def complete(read: Read, pixel: ByteRange, frames: Sequence[ByteRange]) -> CompletedPixels | None:
    """The element with an end marker behind every codestream that lacks one; None where none does.

    Parameters
    ----------
    pixel
        Value of the Pixel Data element in the stored object, where one item holds one frame.
    frames
        Codestreams of the frames in the stored object.
    """
    lacking = [_lacks_end(read, frame) for frame in frames]
    if not any(lacking):
        return None
    sizes = [frame.length + 2 * lacks for frame, lacks in zip(frames, lacking, strict=True)]
    starts = list(accumulate((8 + size + (size & 1) for size in sizes), initial=0))[:-1]
    table_length = int.from_bytes(read(pixel.offset + 4, 4), "little")
    table = b"".join(start.to_bytes(4, "little") for start in starts) if table_length and starts[-1] <= _LARGEST_OFFSET else b""
    segments: list[Segment] = [_HEAD + _ITEM + len(table).to_bytes(4, "little") + table]
    for frame, lacks, size in zip(frames, lacking, sizes, strict=True):
        segments.append(_ITEM + (size + (size & 1)).to_bytes(4, "little"))
        segments.append(frame)
        segments.append(END_OF_IMAGE * lacks + b"\0" * (size & 1))
    segments.append(_DELIMITER)
    return CompletedPixels(tuple(one for one in segments if one), tuple(starts), tuple(sizes))


def _lacks_end(read: Read, frame: ByteRange) -> bool:
    tail = read(max(frame.offset, frame.end - _TAIL), min(_TAIL, frame.length))
    return lacks_end(read(frame.offset, min(4, frame.length)), tail)
