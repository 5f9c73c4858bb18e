"""Siemens: mosaics and CSA headers, described and left alone. What is odd, and how we know: the vendor page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import isqrt
from typing import Final

from vna_core.ports.dialect import DialectFacts, DialectFinding, Markers
from vna_core.ports.dialect_base import MarkedDialect
from vna_dialect_siemens.csa_header import csa_values

IMAGE_TYPE, ROWS, COLUMNS = 0x00080008, 0x00280010, 0x00280011
FRAMES: Final = "52009230"
LARGEST_CSA: Final = 1 << 18
"""Octets of a CSA image header that are read; real ones have about 12,000."""


class SiemensDialect(MarkedDialect):
    """MR mosaics (one image that is a grid of slices) and the CSA headers in which MR hides what the standard has no place for."""

    name = "siemens"
    vendor_page = "vendors/siemens.md"
    markers = Markers(
        manufacturers=("siemens",),
        creators=("SIEMENS ", "SHS MagicView", "CARDIO-D.R.", "CARDIO-SMS"),
        uids=("1.3.12.2.1107.5.",),
    )

    def describe(self, facts: DialectFacts) -> Iterator[DialectFinding]:
        """P29."""
        yield from _mosaic(facts)
        for element, which in ((0x10, "image"), (0x20, "series")):
            path = facts.private("SIEMENS CSA HEADER", element, group=0x0029)
            if path and (size := facts.length(path)) > 0:
                yield DialectFinding("P29", f"CSA {which} header of {size} octets: kept as it is.", path)

    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        """How many slices a mosaic has."""
        slices = slices_in_mosaic(facts) if is_mosaic(facts) else 0
        return {"slices in mosaic": (str(slices),)} if slices else {}


def is_mosaic(facts: DialectFacts) -> bool:
    """Whether Image Type says so and the image is not multi-frame (numaris X leaves the word in images it has taken apart)."""
    return "MOSAIC" in facts.text(IMAGE_TYPE).split("\\") and facts.length(FRAMES) <= 0


def slices_in_mosaic(facts: DialectFacts) -> int:
    """From (0019,xx0A) of ``SIEMENS MR HEADER``, else from the CSA image header; 0 when neither tells."""
    told = facts.values(facts.private("SIEMENS MR HEADER", 0x0A, group=0x0019))
    if not told:
        csa = facts.octets(facts.private("SIEMENS CSA HEADER", 0x10, group=0x0029), LARGEST_CSA)
        told = csa_values(csa, "NumberOfImagesInMosaic")
    text = told[0].strip() if told else ""
    return int(text) if text.isdecimal() and len(text) < 6 else 0


def _mosaic(facts: DialectFacts) -> Iterator[DialectFinding]:
    if not is_mosaic(facts):
        return
    slices = slices_in_mosaic(facts)
    if not slices:
        yield DialectFinding("P29", "Image Type says MOSAIC, but nothing says of how many slices: kept as one image.", "00080008")
        return
    side = isqrt(slices - 1) + 1
    rows, columns = facts.text(ROWS), facts.text(COLUMNS)
    tile = ""
    if rows.isdecimal() and columns.isdecimal():
        tile = f" of {int(rows) // side} rows and {int(columns) // side} columns"
    yield DialectFinding("P29", f"Mosaic: {slices} slices{tile} in a grid of {side} by {side}. Kept as one image.", "00080008")
