"""Looks into native samples. Only suspects are read to their end, in pieces; no sample changes."""

from __future__ import annotations

from collections.abc import Iterator
from functools import reduce
from operator import or_
from typing import Final

from vna_core.dicom.codestream import GE_PRIVATE
from vna_core.dicom.elements import Buffer, ParsedOctets, PixelElement
from vna_core.dicom.packed_samples import unpack_stream
from vna_core.dicom.reverse_patch import swap_stream
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.ingest.normalize.pixel_image import ALLOCATED, FLOAT_BITS, PixelImage

_GLANCE: Final = 1024


def swap_unit(revised: RevisedDataSet, parsed: ParsedOctets, pixel: PixelElement) -> int:
    """Octets whose order must be turned round in native pixel data; 1 when none."""
    big = not parsed.data_set.little_endian or parsed.declared_transfer_syntax_uid == GE_PRIVATE
    if not big:
        return 1
    if pixel.tag in FLOAT_BITS:
        return FLOAT_BITS[pixel.tag] // 8
    bits = revised.number(ALLOCATED, 16)
    if bits in (16, 32, 64):
        return bits // 8
    written = parsed.pixel.vr if parsed.pixel is not None else pixel.vr
    return 2 if written == "OW" else 1


def chunks(buffer: Buffer, value: ByteRange) -> Iterator[bytes]:
    """Octets of a range in pieces of at most 1 MiB."""
    for offset in range(value.offset, value.end, CHUNK):
        yield bytes(buffer[offset : min(offset + CHUNK, value.end)])


def little_endian(parsed: ParsedOctets, pixel: PixelElement, unit: int, *, unpacked: bool) -> Iterator[bytes]:
    """Native samples as they are written."""
    pieces = chunks(parsed.buffer, pixel.value)
    if unpacked:
        return unpack_stream(pieces)
    return pieces if unit == 1 else swap_stream(pieces, unit)


def samples_of(image: PixelImage) -> Iterator[bytes]:
    """The image's native samples as they are written, in pieces."""
    unit = swap_unit(image.revised, image.parsed, image.pixel)
    return little_endian(image.parsed, image.pixel, unit, unpacked=image.unpacked)


def used_bits(image: PixelImage) -> int:
    """Every bit that is set in any sample of 8 or 16 bits, as one number."""
    width = (image.allocated or 8) // 8
    used = 0
    rest = b""
    for piece in samples_of(image):
        whole = rest + piece
        keep = len(whole) % width
        rest = whole[len(whole) - keep :]
        for number in range(width):
            used |= reduce(or_, set(whole[number : len(whole) - keep : width]), 0) << 8 * number
    return used


def is_zero(image: PixelImage, begin: int) -> bool:
    """Whether every octet of the native samples from `begin` on is zero."""
    value = image.pixel.value
    return not any(
        piece.strip(b"\0") for piece in chunks(image.parsed.buffer, ByteRange(value.offset + begin, value.length - begin))
    )


def glance(image: PixelImage) -> bytes:
    """At most 1 KiB of 16-bit samples each from the beginning, the middle and the end: a quick look where marks use to be."""
    value, buffer = image.pixel.value, image.parsed.buffer
    even = value.length & ~1
    if even <= 3 * _GLANCE:
        octets = bytes(buffer[value.offset : value.offset + even])
    else:
        begins = (0, even // 4 * 2, even - _GLANCE)
        octets = b"".join([bytes(buffer[value.offset + begin : value.offset + begin + _GLANCE]) for begin in begins])
    return octets if swap_unit(image.revised, image.parsed, image.pixel) == 1 else b"".join(swap_stream([octets], 2))
