"""Images as proprietary archives leave them: phantoms with flags, windows and drawings in private elements."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vna_core.testing import phantom_writer as write
from vna_core.testing import phantoms
from vna_core.testing.phantom_writer import Elements, Value

_ARROW: Final[Elements] = [(0x00291030, "IS", "10")]
BLOCKS: Final[Mapping[str, tuple[tuple[int, str, Value], ...]]] = {
    "significant": ((0x09030010, "LO", "GEIIS PACS"), (0x09031011, "US", 1)),
    "not-significant": ((0x09030010, "LO", "GEIIS PACS"), (0x09031010, "US", 0), (0x09031011, "US", 0), (0x09031012, "US", 0)),
    "rejected": ((0x09030010, "LO", "GEIIS PACS"), (0x09031010, "US", 1)),
    "odd-flag": ((0x09030010, "LO", "GEIIS PACS"), (0x09031011, "US", 7)),
    "confidential": ((0x09030010, "LO", "GEIIS PACS"), (0x09031012, "US", 1)),
    "mitra-window": (
        (0x00290010, "LO", "MITRA PRESENTATION 1.0"),
        (0x00291001, "LO", "350"),
        (0x00291002, "LO", "40"),
        (0x00291003, "IS", "0"),
    ),
    "mitra-inverted": (
        (0x00290011, "LO", "MITRA PRESENTATION 1.0"),
        (0x00291101, "LO", "1500"),
        (0x00291102, "LO", "-600"),
        (0x00291103, "IS", "1"),
    ),
    "mitra-damaged": ((0x00290010, "LO", "MITRA PRESENTATION 1.0"), (0x00291001, "LO", "wide"), (0x00291002, "LO", "40")),
    "ami-window": ((0x31090010, "LO", "AMI ImageContext_01"), (0x31091020, "IS", "50"), (0x31091030, "IS", "400")),
    "ami-unclear": (
        (0x31090010, "LO", "AMI ImageContext_01"),
        (0x31091010, "CS", "MAYBE"),
        (0x31091020, "IS", "50"),
        (0x31091030, "IS", "400"),
    ),
    "markup": ((0x00290010, "LO", "Mitra Markup 1.0"), (0x00291000, "OB", b"\x01\x02\x03\x04")),
    "drawn": (
        (0x00290010, "LO", "CEMAX-ICON"),
        (0x00291010, "LT", "see arrow"),
        (0x00291020, "SQ", [_ARROW]),
    ),
}
"""Private elements by what they say."""


def marked(seed: int, *blocks: str, rows: int = 16, columns: int = 16, **overrides: Value) -> bytes:
    """A CT instance with these blocks, as a Part 10 file in Explicit VR Little Endian."""
    elements: Elements = [*phantoms.ct_elements(seed, rows, columns, **overrides)]
    for block in blocks:
        elements += BLOCKS[block]
    elements.append((0x7FE00010, "OW", phantoms.pixels(seed, rows, columns)))
    ordered = sorted(elements, key=lambda one: one[0])
    sop = next(str(value) for tag, _, value in ordered if tag == 0x00080018)
    meta = write.file_meta(phantoms.CT, sop, write.EXPLICIT_LITTLE)
    return meta + write.data_set(ordered)
