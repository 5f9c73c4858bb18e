"""Retired storage SOP classes that have a successor of the same kind (I14; PS3.4 table B.6-1 and its retired entries)."""

from __future__ import annotations

from typing import Final

_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."

SUCCESSOR: Final[dict[str, str]] = {
    _STORAGE + "6": _STORAGE + "6.1",
    _STORAGE + "3": _STORAGE + "3.1",
    _STORAGE + "5": _STORAGE + "20",
}
"""Ultrasound, ultrasound multi-frame and nuclear medicine: retired class to current class."""
