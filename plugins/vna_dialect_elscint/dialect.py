"""Elscint, Picker and Marconi CT, and the Philips CT and PET/CT scanners that came of them: pixels in a private element."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from vna_core.domain.errors import Malformed
from vna_core.ports.dialect import DerivedPixels, DialectFacts, DialectFinding, Markers
from vna_core.ports.dialect_base import MarkedDialect
from vna_dialect_elscint.pmsct_rle1 import MOST_OCTETS_PER_SAMPLE, MOST_SAMPLES, decode

CREATOR: Final = "ELSCINT1"
PIXEL_DATA: Final = "7FE00010"
DECODED: Final = "PMSCT_RLE1"
_GROUP, _COMPRESSED, _COMPRESSION = 0x07A1, 0x0A, 0x11
_ROWS, _COLUMNS, _SAMPLES, _PHOTOMETRIC = 0x00280010, 0x00280011, 0x00280002, 0x00280004
_ALLOCATED, _STORED, _HIGH_BIT, _SIGNED = 0x00280100, 0x00280101, 0x00280102, 0x00280103


class ElscintDialect(MarkedDialect):
    """Decodes ``PMSCT_RLE1``. Other compressions are named and kept."""

    name = "elscint"
    vendor_page = "vendors/elscint.md"
    markers = Markers(
        manufacturers=("elscint", "picker", "marconi"),
        creators=(CREATOR,),
        uids=("1.2.840.113704.",),
        transfer_syntaxes=("1.3.46.670589.33.1.4",),
    )

    def describe(self, facts: DialectFacts) -> Iterator[DialectFinding]:
        """P20."""
        path, compression = facts.private(CREATOR, _COMPRESSED, group=_GROUP), _compression(facts)
        if facts.length(PIXEL_DATA) > 0:
            if compression:
                told = f"Compression type {compression} is told, but there is Pixel Data: nothing is decoded."
                yield DialectFinding("P20", told, facts.private(CREATOR, _COMPRESSION, group=_GROUP))
        elif path and compression == DECODED:
            yield DialectFinding("P20", f"The only pixels are {compression} in a private element.", path)
        elif path:
            told = f"The only pixels are {compression or 'of unknown compression'} in a private element: kept, not decoded."
            yield DialectFinding("P20", told, path)

    def derive_pixels(self, facts: DialectFacts) -> DerivedPixels | None:
        """The image of (07A1,xx0A). Raises Malformed for a damaged stream or an image that 16-bit samples cannot be."""
        path = facts.private(CREATOR, _COMPRESSED, group=_GROUP)
        if not path or _compression(facts) != DECODED or facts.length(PIXEL_DATA) > 0:
            return None
        rows, columns, allocated = (_number(facts, tag) for tag in (_ROWS, _COLUMNS, _ALLOCATED))
        if allocated != 16 or (facts.text(_SAMPLES) or "1") != "1":
            raise Malformed("PMSCT_RLE1 pixels are described as something else than one sample of 16 bits.", rule="P20")
        if not 0 < rows * columns <= MOST_SAMPLES:
            raise Malformed("PMSCT_RLE1 pixels are described as an impossible size.", rule="P20", rows=rows, columns=columns)
        longest = MOST_OCTETS_PER_SAMPLE * (rows * columns + 1)
        if facts.length(path) > longest:
            raise Malformed("PMSCT_RLE1 pixels are longer than any image of that size.", rule="P20")
        samples = decode(facts.octets(path, longest), rows * columns)
        stored = _number(facts, _STORED)
        return DerivedPixels(
            rule="P20",
            source_path=path,
            samples=samples,
            rows=rows,
            columns=columns,
            samples_per_pixel=1,
            bits_allocated=16,
            bits_stored=stored,
            high_bit=_number(facts, _HIGH_BIT) if facts.text(_HIGH_BIT) else stored - 1,
            pixel_representation=1 if facts.text(_SIGNED) == "1" else 0,
            photometric_interpretation=facts.text(_PHOTOMETRIC) or "MONOCHROME2",
            detail=f"{DECODED}, {facts.length(path)} octets",
        )


def _compression(facts: DialectFacts) -> str:
    values = facts.values(facts.private(CREATOR, _COMPRESSION, group=_GROUP))
    return values[0][:32] if values else ""


def _number(facts: DialectFacts, tag: int) -> int:
    text = facts.text(tag)
    return int(text) if text.isdecimal() and len(text) <= 5 else 0
