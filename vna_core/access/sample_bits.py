"""Samples without what lies in the bits that do not belong to them.

Old images keep overlays in unused bits, and some devices neither clear these nor extend the sign into them (PS3.5 section 8.1.1). Nothing
less than a look at every sample proves that a frame has none, so every frame that could have them is looked at when it is read, and put right.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from vna_core.access.codec_names import NATIVE, RLE_LOSSLESS
from vna_core.access.decode_codecs import PixelDescription

Samples = np.ndarray[Any, np.dtype[Any]]


def high_bit_of(transfer_syntax_uid: str, told: int | None) -> int | None:
    """What High Bit (0028,0102) says of decoded cells: native ones and those of RLE are kept as they are, other codecs carry samples alone."""
    return told if transfer_syntax_uid in NATIVE or transfer_syntax_uid == RLE_LOSSLESS else None


@dataclass(frozen=True, slots=True)
class SampleBits:
    """Which bits of a cell are the sample (PS3.3 C.7.6.3.1).

    Attributes
    ----------
    allocated, stored
        Bits of the cell, and of the sample in it.
    high
        0-based number of the sample's highest bit.
    is_signed
        Two's complement.
    """

    allocated: int
    stored: int
    high: int
    is_signed: bool

    @classmethod
    def of(cls, description: PixelDescription, high_bit: int | None = None) -> SampleBits | None:
        """The bits of a description; None when a cell is nothing but its sample, or the description names no bits that can be.

        Parameters
        ----------
        high_bit
            High Bit (0028,0102), see `high_bit_of`; where it is None or not possible, samples are right-aligned.
        """
        allocated, stored = description.bits_allocated, description.bits_stored
        if description.keyword != "PixelData" or allocated < 8 or not 0 < stored < allocated:
            return None
        high = high_bit if high_bit is not None and stored <= high_bit < allocated else stored - 1
        return cls(allocated, stored, high, bool(description.pixel_representation))

    def of_cells(self, cells: Samples) -> Samples:
        """The samples, right-aligned and with their sign; a copy of the same shape and type."""
        if not self.is_signed and self.high == self.stored - 1:
            samples: Samples = cells & cells.dtype.type((1 << self.stored) - 1)
            return samples
        samples = cells << self.allocated - 1 - self.high
        samples >>= self.allocated - self.stored
        return samples

    def are_in(self, cells: Samples) -> bool:
        """Whether the cells are the samples already, as those of most images are."""
        if self.high != self.stored - 1 or not cells.size:
            return False
        end = 1 << self.stored - self.is_signed
        return bool(cells.max() < end) and (not self.is_signed or bool(cells.min() >= -end))

    def of_octets(self, octets: bytes | memoryview) -> memoryview:
        """The same for cells in little-endian order, without a copy where they are the samples; an incomplete last one is left as it is."""
        width = self.allocated >> 3
        whole = len(octets) // width * width
        cells = np.frombuffer(octets[:whole], f"<{'i' if self.is_signed else 'u'}{width}")
        if self.are_in(cells):
            return memoryview(octets)
        samples = self.of_cells(cells).view(np.uint8).data
        return samples if whole == len(octets) else memoryview(samples.tobytes() + octets[whole:])
