"""Transfer syntaxes that are proposed for instances of a source, so that they come as they are stored there."""

from __future__ import annotations

from typing import Final

_JPEG: Final = "1.2.840.10008.1.2.4."
PROPOSED: Final = (
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.2",
    "1.2.840.10008.1.2.1.99",
    *(
        _JPEG + end
        for end in ("50", "51", "57", "70", "80", "81", "90", "91", "92", "93", "100", "101", "102", "103", "104", "105", "106")
    ),
    *(_JPEG + end for end in ("110", "111", "112", "201", "202", "203")),
    "1.2.840.10008.1.2.5",
)
"""Native ones first, then what the standard defines for encapsulated pixel data (PS3.5 annex A)."""

NATIVE: Final = frozenset(PROPOSED[:4])
IDENTIFIERS: Final = ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
