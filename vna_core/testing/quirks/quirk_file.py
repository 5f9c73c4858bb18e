"""One file with an entry of the catalogue of deviations in it, and what is true about it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

Samples = np.ndarray[Any, np.dtype[Any]]
Expected = Mapping[str, tuple[str, ...] | None]
HELD: Final = "held"
QUARANTINED: Final = "quarantined"


@dataclass(frozen=True, slots=True, eq=False)
class QuirkFile:
    """Octets as a sender would give them, with the truth beside.

    Attributes
    ----------
    name
        Entry and what is odd, for instance ``D01-da-with-dots``.
    entry
        Number in the catalogue of deviations.
    octets
        The file as offered.
    expected_values
        Element path (8 hexadecimal digits for each level, items counted from 0: ``00081140[0].00081150``) to the values, as
        text in Unicode, which the canonical object must hold. An empty tuple: present without value; None: absent. Paths
        that are not named here are not certain. Binary values (OB, OW, UN ...) are told as hexadecimal digits.
    unchanged
        Paths of values that must keep their octets: what is odd in them is flagged, never changed.
    original_values
        The octets of the values at the paths of `unchanged`, padding to even length apart.
    pixels
        True stored values, shape (frames, rows, columns[, samples]); None: no image, or none that is certain.
    outcome
        How offering the file ends: ``held`` or ``quarantined``.
    combined_with
        Entries in the same file beside `entry`.
    """

    name: str
    entry: str
    octets: bytes
    expected_values: Expected = field(default_factory=dict)
    unchanged: tuple[str, ...] = ()
    original_values: Mapping[str, bytes] = field(default_factory=dict)
    pixels: Samples | None = None
    outcome: str = HELD
    combined_with: tuple[str, ...] = ()


Maker = Callable[[], Iterator[QuirkFile]]
"""Makes the files of one entry."""
