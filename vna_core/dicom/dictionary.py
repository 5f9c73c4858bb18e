"""The data dictionary (PS3.6) and what is known of private elements, for quick look-up by tag number.

The tables are those of `vna_core.domain.data_dictionary`. Tags are ``group << 16 | element``.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from vna_core.domain.data_dictionary import ELEMENTS, private_elements, repeater, tag_for_keyword

AMBIGUOUS: Final[dict[str, str]] = {
    "US or SS": "US",
    "OB or OW": "OW",
    "OB_OW": "OB",
    "US or SS or OW": "OW",
    "US or OW": "OW",
    "NONE": "UN",
}
"""Where PS3.6 allows several representations: the one used when nothing decides (PS3.5 annex A.1 for OW)."""

VR_OF: Final[dict[int, str]] = {tag: AMBIGUOUS.get(entry[0], entry[0]) for tag, entry in ELEMENTS.items()}
"""Value representation of every standard element that has a tag of its own."""

SIGNED_OR_UNSIGNED: Final = frozenset(tag for tag, entry in ELEMENTS.items() if entry[0] in ("US or SS", "US or SS or OW"))
"""Elements that are SS where Pixel Representation (0028,0103) is 1."""


@lru_cache(maxsize=4096)
def _repeater(tag: int) -> tuple[str, str]:
    entry = repeater(tag)
    return (AMBIGUOUS.get(entry[0], entry[0]), entry[4]) if entry else ("", "")


@lru_cache(maxsize=8192)
def _private(creator: str, tag: int) -> tuple[str, str]:
    table = private_elements().get(creator)
    if table is None:
        return "", ""
    group, low = f"{tag >> 16:04X}", f"{tag & 0xFF:02X}"
    entry = table.get(f"{group}xx{low}") or table.get(f"{group.lower()}xx{low.lower()}")
    return (AMBIGUOUS.get(entry[0], entry[0]), entry[2]) if entry else ("", "")


def tag_of(keyword: str) -> int:
    """Tag of a standard element by its keyword (PS3.6 section 6), 0 when there is none."""
    return tag_for_keyword(keyword) or 0


def is_private(tag: int) -> bool:
    """Whether the group is odd (PS3.5 section 7.8)."""
    return bool(tag & 0x10000)


def is_private_creator(tag: int) -> bool:
    """Whether the element reserves a block: (gggg,0010-00FF) with gggg odd (PS3.5 section 7.8.1)."""
    return bool(tag & 0x10000) and 0x10 <= tag & 0xFFFF <= 0xFF


def is_known(tag: int) -> bool:
    """Whether the standard defines the element, repeating groups and group lengths included."""
    return tag in VR_OF or (not tag & 0x10000 and (not tag & 0xFFFF or bool(_repeater(tag)[0])))


def vr_of(tag: int, creator: str = "") -> str:
    """Value representation of an element, ``UN`` when nothing is known.

    Parameters
    ----------
    tag
        The element.
    creator
        Value of the Private Creator element that reserves the block of a private element.
    """
    vr = VR_OF.get(tag)
    if vr is not None:
        return vr
    if not tag & 0xFFFF:
        return "UL"
    if not tag & 0x10000:
        return _repeater(tag)[0] or "UN"
    if tag & 0xFFFF < 0x1000:
        return "LO" if tag & 0xFFFF >= 0x10 and tag & 0xFFFF <= 0xFF else "UN"
    return (_private(creator, tag)[0] or "UN") if creator else "UN"


@lru_cache(maxsize=4096)
def value_multiplicity_of(tag: int) -> tuple[int, int | None]:
    """How many values a standard element has at least and at most (None: any number); (0, None) when nothing is known.

    >>> value_multiplicity_of(0x00280030), value_multiplicity_of(0x00080008)
    ((2, 2), (2, None))
    """
    entry = ELEMENTS.get(tag)
    if entry is None:
        return 0, None
    least, _, most = str(entry[1]).partition("-")
    if not least.isdigit():
        return 0, None
    return int(least), int(most) if most.isdigit() else None if most else int(least)


def keyword_of(tag: int, creator: str = "") -> str:
    """Keyword of a standard element, the name of a private one where its creator is known, empty otherwise."""
    entry = ELEMENTS.get(tag)
    if entry is not None:
        return str(entry[4])
    if not tag & 0xFFFF:
        return "GenericGroupLength"
    if not tag & 0x10000:
        return _repeater(tag)[1]
    if is_private_creator(tag):
        return "PrivateCreator"
    return _private(creator, tag)[1] if creator else ""
