"""Layer 2: numbers that are legal by their representation and cannot be meant: geometry, windows, rescaling (D10 to D12).

All are findings. What a viewer does about them is its affair; the archive keeps what the sender said.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Final

from vna_core.dicom.elements import DataSet, Element
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.amendments import Path, path_text
from vna_core.ingest.normalize.engine import Journal, Layer, Rule

_ORIENTATION: Final = 0x00200037
_RETIRED_ORIENTATION: Final = 0x00200035
_SPACING: Final = 0x00280030
_CENTER, _WIDTH = 0x00281050, 0x00281051
_INTERCEPT, _SLOPE = 0x00281052, 0x00281053
_FUNCTION: Final = 0x00281056
_GROUPS: Final = (0x52009229, 0x52009230)
_MACROS: Final = (0x00209116, 0x00289110, 0x00289132, 0x00289145)
"""Plane Orientation, Pixel Measures, Frame VOI LUT, Pixel Value Transformation (PS3.3 C.7.6.16)."""

_EXAMINED_FRAMES: Final = 32
_TOLERANCE: Final = 1e-3

_WANTED: Final = frozenset((_RETIRED_ORIENTATION, _ORIENTATION, _SPACING, _CENTER, _WIDTH, _INTERCEPT, _SLOPE, _FUNCTION))
_FIRST, _LAST = min(_WANTED), max(_WANTED)
_LONGEST: Final = 4096

Look = dict[int, str]
"""The wanted attributes of one data set that have a value, as text without padding."""

Noticed = tuple[int, str] | None


def _look(revised: RevisedDataSet, data_set: DataSet) -> Look:
    """One walk over the part of a data set where the wanted attributes stand."""
    elements, found = data_set.elements, {}
    for index in range(bisect_left(elements, _FIRST, key=_tag_of), len(elements)):
        element = elements[index]
        if element[0] > _LAST:
            break
        if element[0] in _WANTED and 0 < element[3] <= _LONGEST and element[4] is None:
            text = revised.value(element).decode("latin-1").strip(" \0")
            if text:
                found[element[0]] = text
    return found


def _numbers(look: Look, tag: int) -> tuple[float | None, ...] | None:
    """Values of a decimal string, None for each that is empty or no number; None where the element is absent or empty."""
    text = look.get(tag)
    return tuple(map(_number, text.split("\\"))) if text else None


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def spacing(look: Look) -> Noticed:
    """D10: a distance between pixels that is missing, zero or negative."""
    values = _numbers(look, _SPACING)
    if values is None or (len(values) == 2 and all(value is not None and value > 0 for value in values)):
        return None
    return _SPACING, "Pixel Spacing is not two distances above zero; kept."


def orientation(look: Look) -> Noticed:
    """D10: directions of rows and columns that are not of length one, or not at right angles."""
    values = _numbers(look, _ORIENTATION)
    if values is None:
        retired = _numbers(look, _RETIRED_ORIENTATION)
        return None if retired is None else (_RETIRED_ORIENTATION, "The orientation stands in a retired element only; kept.")
    known = [value for value in values if value is not None]
    if len(values) == len(known) == 6:
        row, column = known[:3], known[3:]
        lengths = (math.hypot(*row), math.hypot(*column))
        product = sum(a * b for a, b in zip(row, column, strict=True))
        if all(abs(length - 1) < _TOLERANCE for length in lengths) and abs(product) < _TOLERANCE:
            return None
    return _ORIENTATION, "Image Orientation (Patient) is not two directions of length one at right angles; kept."


def window(look: Look) -> Noticed:
    """D11: another number of widths than of centers, or a width that shows nothing (PS3.3 C.11.2.1.2)."""
    widths = _numbers(look, _WIDTH)
    centers = _numbers(look, _CENTER)
    if widths is None and centers is None:
        return None
    if len(widths or ()) != len(centers or ()):
        return _WIDTH, "Window Center and Window Width have another number of values; kept."
    exact = look.get(_FUNCTION) in ("LINEAR_EXACT", "SIGMOID")
    if any(width is not None and (width <= 0 if exact else width < 1) for width in widths or ()):
        return _WIDTH, "Window Width of less than one; kept."
    return None


def rescaling(look: Look) -> Noticed:
    """D12: a slope of zero, or an intercept without a slope (PS3.3 C.11.1)."""
    slopes = _numbers(look, _SLOPE)
    if slopes is not None and 0.0 in slopes:
        return _SLOPE, "Rescale Slope is zero; kept."
    if slopes is None and _numbers(look, _INTERCEPT) is not None:
        return _SLOPE, "Rescale Intercept without Rescale Slope; kept."
    return None


def _rule(id_: str, apply: Callable[[Look], Noticed], summary: str) -> Rule[Look, Noticed]:
    return Rule(id_, 1, Layer.VALUES, Confidence.PROVEN, apply, summary)


PLAUSIBILITY_RULES: Final[tuple[Rule[Look, Noticed], ...]] = (
    _rule("D10", spacing, "Pixel Spacing without two distances above zero: kept and flagged."),
    _rule("D10", orientation, "Image Orientation (Patient) that is not two unit vectors at right angles, or stands in a retired element: kept and flagged."),
    _rule("D11", window, "Window Center and Window Width of another number, or a width of nothing: kept and flagged."),
    _rule("D12", rescaling, "Rescale Slope of zero, or Rescale Intercept without it: kept and flagged."),
)  # fmt: skip


def note_implausible(revised: RevisedDataSet, journal: Journal) -> None:
    """Record what cannot be meant, at the top level and in functional groups."""
    for data_set, path in _looked_at(revised):
        look = _look(revised, data_set)
        for rule, (tag, message) in _noticed(tuple(look.items())) if look else ():
            journal.find(rule, message, path_text(path, tag))


@lru_cache(maxsize=64)
def _noticed(look: tuple[tuple[int, str], ...]) -> tuple[tuple[str, tuple[int, str]], ...]:
    """What the rules say of a look. Images of a series say the same."""
    said = dict(look)
    answers = [(rule.id, rule.apply(said)) for rule in PLAUSIBILITY_RULES]
    return tuple([(rule, noticed) for rule, noticed in answers if noticed is not None])


def _looked_at(revised: RevisedDataSet) -> Iterator[tuple[DataSet, Path]]:
    yield revised.data_set, ()
    for group in _GROUPS:
        element = revised.find(group)
        for number, frame in enumerate((element.items or ())[:_EXAMINED_FRAMES] if element is not None else ()):
            for macro in frame.elements:
                if macro.tag in _MACROS and macro.items:
                    yield macro.items[0], ((group, number), (macro.tag, 0))


def _tag_of(element: Element) -> int:
    return element[0]
