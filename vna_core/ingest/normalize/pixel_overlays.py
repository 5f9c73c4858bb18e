"""Layer 3: what stands in the unused bits of native samples: overlays (P04) and things nobody speaks of (P05)."""

from __future__ import annotations

from bisect import bisect_left
from operator import itemgetter
from typing import Final

from vna_core.ingest.normalize.pixel_image import LabelVerdict, PixelImage, characters, unsigned
from vna_core.ingest.normalize.pixel_samples import glance, samples_of

FIRST: Final = 0x60000000
_LAST: Final = 0x601EFFFF
_TAG_OF: Final = itemgetter(0)
_LARGEST: Final = 256 << 20
"""Octets of the longest samples that an overlay is taken from."""

_ROWS, _COLUMNS, _TYPE, _ORIGIN, _BITS, _POSITION, _DATA = 0x10, 0x11, 0x40, 0x50, 0x100, 0x102, 0x3000
_FRAMES, _FRAME_ORIGIN = 0x15, 0x51
_SET: Final = tuple(bytes(0x31 if octet >> bit & 1 else 0x30 for octet in range(256)) for bit in range(8))
"""For every bit: a table from an octet to the digit that says whether the bit is set."""


def embedded_overlays(image: PixelImage) -> LabelVerdict | None:
    """P04: overlays in unused bits of the samples (retired): a copy goes to Overlay Data; the samples stay."""
    groups = _groups(image)
    if not groups:
        return None
    changes: list[tuple[int, bytes | None]] = []
    refused: list[str] = []
    for group in groups:
        bits = _number(image, group | _BITS, 1)
        if bits == 1 or image.revised.find(group | _DATA) is not None:
            continue
        position = _number(image, group | _POSITION, 0)
        reason = _not_extractable(image, group, bits, position)
        if reason:
            refused.append(f"{group >> 16:04X} {reason}")
            continue
        changes += _extracted(image, group, position)
    if changes:
        return LabelVerdict(tuple(changes), detail="overlay copied from unused bits", tag=changes[0][0])
    if refused:
        return LabelVerdict(
            finding=f"Overlays in unused bits are not taken out: {', '.join(refused)}.", tag=groups[0] | _POSITION
        )
    return None


def unused_bits(image: PixelImage) -> LabelVerdict | None:
    """P05: bits above Bits Stored are set, no overlay is there, and they are not the sign; looked for at a glance, not in every sample."""
    stored = image.stored or 0
    if not image.native or image.unpacked or image.allocated != 16 or not 0 < stored < 16 or image.high != stored - 1:
        return None
    high = glance(image)[1::2]
    if stored < 8 or not high.translate(None, bytes(range(1 << (stored - 8)))):
        return None
    if image.representation and not high.translate(None, _legal_high_octets(stored)):
        return None
    if _groups(image):
        return None  # overlays, taken out or told by P04
    return LabelVerdict(finding=f"Samples have bits set above their {stored} bits stored; they are kept.")


def _legal_high_octets(stored: int) -> bytes:
    """High octets of signed samples: the sign is extended, or the unused bits are zero."""
    small = 1 << (stored - 8)
    negative = range(256 - small // 2, 256) if small > 1 else ()
    return bytes((*range(small), *negative))


def _groups(image: PixelImage) -> list[int]:
    """The overlay groups there are, as tags of element 0000."""
    elements = image.revised.data_set.elements
    groups: list[int] = []
    for index in range(bisect_left(elements, FIRST, key=_TAG_OF), len(elements)):
        group = elements[index].tag & 0xFFFF0000
        if group > _LAST:
            break
        if group not in groups and not group & 0x10000:
            groups.append(group)
    return groups


def _not_extractable(image: PixelImage, group: int, bits: int, position: int) -> str:
    """Why an overlay cannot be taken out; empty when it can."""
    if not image.native or image.unpacked:
        return "stands in compressed samples"
    if image.allocated not in (8, 16) or bits != image.allocated or image.samples != 1:
        return "does not fit the samples"
    low = (image.high or 0) + 1 - (image.stored or 0)
    if not 0 <= position < image.allocated or low <= position <= (image.high or 0):
        return "uses bits of the image"
    if (_number(image, group | _ROWS, 0), _number(image, group | _COLUMNS, 0)) != (image.rows, image.columns):
        return "has another size"
    if image.pixel.value.length > _LARGEST or not image.fits(image.frame_bits) or image.revised.find(group | _TYPE) is None:
        return "is not whole"
    return ""


def _extracted(image: PixelImage, group: int, position: int) -> list[tuple[int, bytes | None]]:
    """The overlay's attributes as they are for Overlay Data (PS3.3 C.9.2)."""
    changes: list[tuple[int, bytes | None]] = [unsigned(group | _BITS, 1), unsigned(group | _POSITION, 0)]
    if image.frames > 1 and image.revised.find(group | _FRAMES) is None:
        changes += [characters(group | _FRAMES, str(image.frames)), unsigned(group | _FRAME_ORIGIN, 1)]
    if image.revised.find(group | _ORIGIN) is None:
        changes.append((group | _ORIGIN, b"\1\0\1\0"))
    changes.append((group | _DATA, _plane(image, position)))
    return changes


def _plane(image: PixelImage, position: int) -> bytes:
    """One bit of every sample, first sample in the lowest bit (PS3.5 section 8.1.2)."""
    width = (image.allocated or 8) // 8
    table, octet = _SET[position & 7], position >> 3
    digits, planes = b"", []
    rest = b""
    for piece in samples_of(image):
        whole = rest + piece
        keep = len(whole) % width
        rest = whole[len(whole) - keep :]
        digits += whole[octet : len(whole) - keep : width].translate(table)
        whole_octets = len(digits) & ~7
        planes.append(_packed(digits[:whole_octets]))
        digits = digits[whole_octets:]
    planes.append(_packed(digits))
    return b"".join(planes)[: (image.pixels * image.frames + 7) // 8]


def _packed(digits: bytes) -> bytes:
    return int(digits[::-1], 2).to_bytes((len(digits) + 7) // 8, "little") if digits else b""


def _number(image: PixelImage, tag: int, default: int) -> int:
    return image.revised.number(tag, default)
