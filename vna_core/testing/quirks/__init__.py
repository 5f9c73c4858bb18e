"""Files with every entry of the catalogue of deviations in them, each with its truth beside."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.testing.quirks import container, encoding, identifiers, pixels, text, values
from vna_core.testing.quirks.combinations import combinations
from vna_core.testing.quirks.quirk_file import Maker, QuirkFile

__all__ = ["ENTRIES", "NOT_ONE_FILE", "QuirkFile", "combinations", "quirk_file", "quirk_files"]

ENTRIES: Final[Mapping[str, Maker]] = {
    **container.ENTRIES,
    **encoding.ENTRIES,
    **identifiers.ENTRIES,
    **pixels.ENTRIES,
    **text.ENTRIES,
    **values.ENTRIES,
}
"""Catalogue entry to the function that makes its files."""

NOT_ONE_FILE: Final[Mapping[str, str]] = {
    "F29": "Papyrus holds several images in one file; a plugin splits it.",
    "F30": "Native formats of scanners are not DICOM; plugins import them.",
    "P32": "The same acquisition as classic and as enhanced images is a matter of two series.",
}
"""Entries that no single file can show, with the reason."""


def quirk_files() -> Iterator[QuirkFile]:
    """Every file of every entry."""
    for maker in ENTRIES.values():
        yield from maker()


def quirk_file(name: str) -> QuirkFile:
    """The file of this name.

    Raises
    ------
    KeyError
        No file has this name.
    """
    maker = ENTRIES.get(name.split("-", 1)[0])
    for one in maker() if maker else ():
        if one.name == name:
            return one
    raise KeyError(name)
