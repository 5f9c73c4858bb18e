"""Element by element: what the octets as received say, and what the canonical object says instead."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from vna_core.configuration import IngestSettings
from vna_core.dicom import dictionary
from vna_core.dicom.attribute_values import SPECIFIC_CHARACTER_SET, values_as_text
from vna_core.dicom.character_sets import character_set_names
from vna_core.dicom.elements import DataSet, Element
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize.amendments import Path, path_text
from vna_core.ingest.normalize.encoding import revise
from vna_core.ingest.normalize.engine import Journal, shortened

_COMPARED: Final = 1 << 20
_PIXEL_DATA: Final = 0x7FE00010
Names = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ElementDifference:
    """One element that is not the same before and after.

    Attributes
    ----------
    tag
        Path, as in `Transformation.tag`.
    original, canonical
        The values as text, shortened for display; None where the element is absent.
    original_vr, canonical_vr
        Value representations; empty where the element is absent.
    """

    tag: str
    keyword: str
    original_vr: str
    canonical_vr: str
    original: str | None
    canonical: str | None


@dataclass(frozen=True, slots=True)
class _Side:
    """A data set, what its ranges refer to, and the character sets that hold in it."""

    revised: RevisedDataSet
    data_set: DataSet
    names: Names

    def inside(self, item: DataSet) -> _Side:
        return _Side(self.revised, item, _names(self.revised, item) or self.names)


def element_differences(original: Octets, canonical: Octets, limits: IngestSettings) -> Iterator[ElementDifference]:
    """Compare the octets as received with the canonical object (a Part 10 file, with or without its trailer).

    Lengths, padding, byte order and the order of elements are no differences; character sets are only where they are declared.
    Pixel data is compared by its length alone. Values over 1 MiB are.

    Raises
    ------
    Unarchivable, LimitExceeded
        One of the two cannot be read (see `identify`).
    """
    pending = [(_read(original, limits), _read(canonical, limits), ())]
    while pending:
        before, after, path = pending.pop()
        inner: list[tuple[_Side, _Side, Path]] = []
        yield from _compare(before, after, path, inner)
        pending += reversed(inner)  # type: ignore[arg-type]


def _read(octets: Octets, limits: IngestSettings) -> _Side:
    received = ReceivedInstance(octets, Source("store"), datetime.now(UTC))
    revised = revise(identify(received, limits), Journal()).revised
    return _Side(revised, revised.data_set, _names(revised, revised.data_set))


def _names(revised: RevisedDataSet, data_set: DataSet) -> Names:
    for element in data_set.elements:
        if element.tag == SPECIFIC_CHARACTER_SET and element.items is None:
            return character_set_names(revised.value(element))
    return ()


def _compare(before: _Side, after: _Side, path: Path, inner: list[tuple[_Side, _Side, Path]]) -> Iterator[ElementDifference]:
    """Differences of one pair of data sets; pairs of items that are to be compared too go to `inner`."""
    old = {element.tag: element for element in reversed(before.data_set.elements)}
    new = {element.tag: element for element in after.data_set.elements}
    for tag in sorted(old.keys() | new.keys()):
        one, other = old.get(tag), new.get(tag)
        if one is not None and other is not None and one.items is not None and other.items is not None:
            pairs = zip(one.items, other.items, strict=False)
            inner += ((before.inside(a), after.inside(b), (*path, (tag, number))) for number, (a, b) in enumerate(pairs))
            if len(one.items) == len(other.items):
                continue
        texts = (_text(before, one), _text(after, other))
        same_form = one is not None and other is not None and one.vr == other.vr
        if texts[0] == texts[1] and same_form:
            continue
        yield ElementDifference(
            path_text(path, tag),
            dictionary.keyword_of(tag),
            one.vr if one is not None else "",
            other.vr if other is not None else "",
            shortened(texts[0]),
            shortened(texts[1]),
        )


def _text(side: _Side, element: Element | None) -> str | None:
    if element is None:
        return None
    if element.items is not None:
        return f"{len(element.items)} items"
    if element.tag == _PIXEL_DATA or element.length > _COMPARED or element.start in side.revised.encapsulated:
        return f"{element.length} octets"
    raw = side.revised.value(element)
    values = values_as_text(raw, element.vr, side.names)
    return "\\".join(values) if values or not raw.strip(b" \0") else raw.hex()
