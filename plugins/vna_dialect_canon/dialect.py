"""Canon Medical and Toshiba Medical Systems. What is odd, and how we know: the vendor page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.ports.dialect import DialectFacts, DialectFinding, Markers
from vna_core.ports.dialect_base import MarkedDialect

JPEG_2000: Final = ("1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91")
IMAGE_COMMENTS, PIXEL_REPRESENTATION = 0x00204000, 0x00280103
PIXEL_DATA: Final = "7FE00010"
_CODESTREAM: Final = b"\xff\x4f\xff\x51"
_SSIZ: Final = 42
"""Offset of the first component's depth and sign in a JPEG 2000 codestream (ISO/IEC 15444-1 A.5.1)."""

_NUMBER = r"-?[0-9]+(?:\.[0-9]+)?"
_DIFFUSION: Final = re.compile(rf"b=({_NUMBER})\(({_NUMBER}),({_NUMBER}),({_NUMBER})\)")


class CanonDialect(MarkedDialect):
    """Signed samples compressed as unsigned, and diffusion directions that stand in a comment.

    ``Canon Inc.`` (detectors and cameras) is another company with other habits: its name is no marker.
    """

    name = "canon"
    vendor_page = "vendors/canon.md"
    markers = Markers(
        manufacturers=("toshiba", "canon_mec", "canon medical"),
        creators=("TOSHIBA", "CANON_MEC", "CANON MEDICAL"),
        uids=("1.2.392.200036.9116.",),
    )

    def describe(self, facts: DialectFacts) -> Iterator[DialectFinding]:
        """P06."""
        if facts.declared_transfer_syntax_uid not in JPEG_2000:
            return
        told = facts.text(PIXEL_REPRESENTATION)
        begin = facts.octets(PIXEL_DATA, 1 << 16)
        codestream = begin.find(_CODESTREAM)
        if told not in ("0", "1") or codestream < 0 or codestream + _SSIZ >= len(begin):
            return
        signed = begin[codestream + _SSIZ] >> 7
        if signed != int(told):
            yield DialectFinding(
                "P06",
                f"Pixel Representation is {told}, the JPEG 2000 codestream is {'' if signed else 'un'}signed: kept.",
                "00280103",
            )

    def index(self, facts: DialectFacts) -> Mapping[str, tuple[str, ...]]:
        """The diffusion gradient that MR writes into Image Comments, and nothing else of a comment."""
        match = _DIFFUSION.search(facts.text(IMAGE_COMMENTS))
        if match is None:
            return {}
        return {"diffusion b-value": (match[1],), "diffusion gradient direction": (match[2], match[3], match[4])}
