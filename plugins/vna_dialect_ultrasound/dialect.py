"""Ultrasound of the nineties: Acuson, Aloka, ATL, Hewlett-Packard. What is odd, and how we know: the vendor page."""

from __future__ import annotations

from collections.abc import Iterator
from struct import unpack_from
from typing import Final

from vna_core.ports.dialect import DialectFacts, DialectFinding, Markers
from vna_core.ports.dialect_base import MarkedDialect

RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"
PIXEL_DATA: Final = "7FE00010"
RLE_HEADER: Final = 64
SAMPLES_PER_PIXEL, PHOTOMETRIC_INTERPRETATION, BITS_ALLOCATED = 0x00280002, 0x00280004, 0x00280100
_ITEM: Final = b"\xfe\xff\x00\xe0"
_EXAMINED: Final = 1 << 16


class UltrasoundDialect(MarkedDialect):
    """RLE streams that do not keep to PS3.5 annex G."""

    name = "ultrasound"
    vendor_page = "vendors/ultrasound.md"
    markers = Markers(
        manufacturers=("acuson", "aloka", "atl ", "advanced technology", "hewlett-packard", "hp ", "diasonics"),
        creators=("ACUSON", "ALOKA", "ATL PRIVATE", "KINETDX"),
        uids=("1.2.840.113680.", "1.2.392.200039.", "1.2.840.113663."),
    )

    def describe(self, facts: DialectFacts) -> Iterator[DialectFinding]:
        """P19."""
        if facts.declared_transfer_syntax_uid != RLE_LOSSLESS:
            return
        if facts.text(PHOTOMETRIC_INTERPRETATION) == "YBR_FULL":
            yield DialectFinding("P19", "RLE in YBR_FULL: planes are Y, CB, CR whatever Planar Configuration says.", "00280004")
        header = rle_header(facts.octets(PIXEL_DATA, _EXAMINED))
        if header is None:
            return
        wanted = _product(facts)
        if wanted and header[0] != wanted:
            yield DialectFinding("P19", f"RLE frame of {header[0]} segments where the image has {wanted}: kept.", PIXEL_DATA)
        offsets = header[1 : header[0] + 1] if header[0] <= 15 else ()
        if offsets and (offsets[0] != RLE_HEADER or any(offset & 1 for offset in offsets) or list(offsets) != sorted(offsets)):
            yield DialectFinding("P19", "RLE segments do not begin where PS3.5 annex G puts them: kept.", PIXEL_DATA)


def rle_header(value: bytes) -> tuple[int, ...] | None:
    """The 16 numbers of the first frame's RLE header, from the beginning of encapsulated Pixel Data."""
    if len(value) < 8 or value[:4] != _ITEM:
        return None
    frame = 8 + unpack_from("<I", value, 4)[0]
    if value[frame : frame + 4] != _ITEM or len(value) < frame + 8 + RLE_HEADER:
        return None
    return unpack_from("<16I", value, frame + 8)


def _product(facts: DialectFacts) -> int:
    """Segments that a frame should have: one for each octet of each sample of a pixel (PS3.5 annex G.2)."""
    samples, bits = facts.text(SAMPLES_PER_PIXEL), facts.text(BITS_ALLOCATED)
    return int(samples) * -(-int(bits) // 8) if samples.isdecimal() and bits.isdecimal() and len(samples + bits) < 8 else 0
