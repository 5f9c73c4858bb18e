"""SOP Classes whose objects have no pixel data (PS3.3 annex A): what a listing tells of an instance before anybody has read it."""

from __future__ import annotations

from typing import Final

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_FAMILIES: Final = tuple(f"{_STORAGE}{number}." for number in (9, 11, 68, 78, 79, 80, 88, 90, 91, 104, 200, 201))
"""Waveforms, presentation states, surface scans, measurements of eyes, structured reports, annotations, encapsulated documents, protocols, inventories."""
_CLASSES: Final = frozenset(
    f"{_STORAGE}{number}"
    for number in (
        *("4.2", "8", "9", "10", "11", "66", "66.1", "66.2", "66.3", "66.5", "66.6", "67", "77.1.5.3", "129", "131"),
        *(f"481.{number}" for number in (*range(3, 23), 25)),
    )
)


def has_no_pixels(sop_class_uid: str) -> bool:
    """Whether objects of a class have no pixel data, as the standard has them; false for an unknown or private class."""
    return sop_class_uid in _CLASSES or sop_class_uid.startswith(_FAMILIES)
