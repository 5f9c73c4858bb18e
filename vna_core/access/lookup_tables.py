"""Modality and VOI LUTs (PS3.3 C.11.1.1 and C.11.2.1.1). Runs in a decoding subprocess only."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

from vna_core.access.decode_codecs import Frame


@dataclass(frozen=True, slots=True)
class LookupTable:
    """What becomes of values from `first` on; those below become as the first, those behind the last entry as the last.

    Attributes
    ----------
    entries
        One-dimensional, at least one.
    bits
        Of each entry.
    """

    first: int
    entries: Frame
    bits: int

    @classmethod
    def first_of(cls, items: Sequence[Dataset] | None) -> LookupTable | None:
        """The table of the first item; None where there is none that can be used."""
        for item in list(items or ())[:1]:
            described, data = item.get("LUTDescriptor"), item.get("LUTData")
            if (
                not isinstance(described, (list, MultiValue))
                or len(described) != 3
                or not all(isinstance(one, int) for one in described)
            ):
                return None
            number, first, bits = (int(one) for one in described)
            number = number % (1 << 16) or 1 << 16
            entries = _entries(data, number)[:number]
            if entries.size and 1 <= bits <= 16:
                return cls(first, entries, bits)
        return None

    @property
    def highest(self) -> float:
        """The highest value that an entry can have."""
        return float((1 << self.bits) - 1)

    def of(self, values: Frame) -> Frame:
        """Entries for values, in their shape, as 64-bit floats."""
        first = self.first
        if first > 0x7FFF and values.size and values.min() < 0:
            first -= 1 << 16  # written unsigned, meant signed: the values are
        position = np.clip(np.nan_to_num(values).astype(np.int64) - first, 0, self.entries.size - 1)
        return self.entries[position].astype(np.float64)


def _entries(data: object, number: int) -> Frame:
    """LUT Data (0028,3006) as numbers: words, or octets where there are no more of them than entries."""
    if isinstance(data, bytes):
        if len(data) <= number + number % 2:
            return np.frombuffer(data, np.uint8)
        return np.frombuffer(data[: len(data) // 2 * 2], "<u2")
    values = list(data) if isinstance(data, (list, MultiValue)) else [data]
    if not all(isinstance(one, int) for one in values):
        return np.empty(0, np.uint16)
    return np.asarray(values, np.int64) & 0xFFFF
