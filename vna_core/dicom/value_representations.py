"""Value representations as the explicit encodings write them (PS3.5 sections 6.2 and 7.1.2)."""

from __future__ import annotations

from typing import Final

SHORT: Final = (
    "AE",
    "AS",
    "AT",
    "CS",
    "DA",
    "DS",
    "DT",
    "FD",
    "FL",
    "IS",
    "LO",
    "LT",
    "PN",
    "SH",
    "SL",
    "SS",
    "ST",
    "TM",
    "UI",
    "UL",
    "US",
)
"""Written with a 16-bit length right after the two letters (PS3.5 table 7.1-2)."""

LONG: Final = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
"""Written with two reserved octets and a 32-bit length (PS3.5 table 7.1-1)."""

UNIT: Final[dict[str, int]] = {
    "AT": 4, "FD": 8, "FL": 4, "OD": 8, "OF": 4, "OL": 4, "OV": 8, "OW": 2, "SL": 4, "SS": 2, "SV": 8, "UL": 4, "US": 2, "UV": 8,
}  # fmt: skip
"""Octets of one value, for binary representations whose length is a multiple of it (PS3.5 table 6.2-1)."""

SWAP_UNIT: Final[dict[str, int]] = {**UNIT, "AT": 2}
"""Octets that change places between the byte orders: an AT value is two 16-bit numbers (PS3.5 section 7.3)."""

TEXT: Final = frozenset(["AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UC", "UI", "UR", "UT"])
"""Representations whose values are character strings."""

BINARY: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "UN"))
"""Representations whose values are octets that no text tells (PS3.18 annex F.2.2)."""


def _codes(names: tuple[str, ...], order: str) -> dict[int, str]:
    return {int.from_bytes(name.encode("ascii"), "little" if order == "little" else "big"): name for name in names}


SHORT_LITTLE: Final = _codes(SHORT, "little")
LONG_LITTLE: Final = _codes(LONG, "little")
ANY_LITTLE: Final = {**SHORT_LITTLE, **LONG_LITTLE}
SHORT_BIG: Final = _codes(SHORT, "big")
LONG_BIG: Final = _codes(LONG, "big")
ANY_BIG: Final = {**SHORT_BIG, **LONG_BIG}
"""The two letters read as one 16-bit number in the byte order of the data set, so that one unpack reads a whole header."""

VR_BYTES: Final = {name.encode("ascii"): name for name in SHORT + LONG}
LONG_NAMES: Final = frozenset(LONG)
