"""Decoded values of elements: as text for the index, as Python values for DICOM JSON (PS3.5 section 6.2)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from struct import iter_unpack
from typing import Final

from vna_core.dicom.character_sets import character_set_names, decode_text
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.value_representations import TEXT, UNIT
from vna_core.domain.indexed_attributes import INDEXED

SPECIFIC_CHARACTER_SET: Final = 0x00080005
_FORMAT: Final = {"US": "<H", "SS": "<h", "UL": "<I", "SL": "<i", "UV": "<Q", "SV": "<q", "FL": "<f", "FD": "<d"}
_INDEXED_MAXIMUM: Final = 65_536
_CACHED: Final = 128


def numbers(raw: bytes, vr: str) -> list[int | float]:
    """Values of a binary number; octets that are no whole value at the end are left out."""
    unit = UNIT[vr]
    whole = len(raw) - len(raw) % unit
    return [value for (value,) in iter_unpack(_FORMAT[vr], raw[:whole])]


def attribute_tags(raw: bytes) -> list[str]:
    """Values of an AT element as eight hexadecimal digits each."""
    return [f"{group:04X}{element:04X}" for group, element in iter_unpack("<HH", raw[: len(raw) & ~3])]


def values_as_text(raw: bytes, vr: str, character_sets: tuple[str, ...]) -> tuple[str, ...]:
    """Values as the index keeps them: text without padding, numbers in decimal; empty for an empty or binary element."""
    if vr in TEXT:
        return tuple(decode_text(raw, vr, character_sets))
    if vr in _FORMAT:
        return tuple(str(value) for value in numbers(raw, vr))
    if vr == "AT":
        return tuple(attribute_tags(raw))
    if vr == "UN" and raw.isascii():
        return tuple(decode_text(raw, "LO", character_sets))
    return ()


_cached_values = lru_cache(maxsize=4096)(values_as_text)


def indexed_values(raw: bytes, vr: str, character_sets: tuple[str, ...]) -> tuple[str, ...]:
    """What the index keeps of one value; empty where there is nothing to be found by."""
    if not 0 < len(raw) <= _INDEXED_MAXIMUM:
        return ()
    values = (_cached_values if len(raw) <= _CACHED else values_as_text)(raw, vr, character_sets)
    return values if any(values) else ()


def character_sets_of(revised: RevisedDataSet) -> tuple[str, ...]:
    """Specific Character Set of the root data set."""
    element = revised.find(SPECIFIC_CHARACTER_SET)
    return character_set_names(revised.value(element)) if element is not None and element.items is None else ()


def indexed_attributes(revised: RevisedDataSet, character_sets: tuple[str, ...] | None = None) -> Mapping[int, tuple[str, ...]]:
    """Values of the indexed top-level elements by tag; absent and empty elements are left out.

    Parameters
    ----------
    character_sets
        Specific Character Set that holds for them (None: the one that the data set declares).
    """
    if character_sets is None:
        character_sets = character_sets_of(revised)
    found: dict[int, tuple[str, ...]] = {}
    indexed, buffer, literals = INDEXED, revised.buffer, revised.literals
    for tag, vr, start, length, items in revised.data_set.elements:
        if tag in indexed and length and items is None and length <= _INDEXED_MAXIMUM:
            raw = bytes(buffer[start : start + length]) if start >= 0 else literals[-1 - start]
            values = indexed_values(raw, vr, character_sets)
            if values:
                found[tag] = values
    return found
