"""Layers 2 and 3 change what an attribute says. Every such change goes through an `Amender`, which keeps what was there before."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from enum import Enum
from operator import itemgetter
from typing import Final

from vna_core.dicom.canonical_writer import SHORT_MAXIMUM, padding
from vna_core.dicom.elements import DataSet, Element
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.value_representations import LONG_NAMES, TEXT
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.engine import Journal, displayed

Path = tuple[tuple[int, int], ...]
"""Where a data set is: for each level the tag of the sequence and the item (0-based); empty for the top level."""

_SHOWN: Final = 256
_tag_of = itemgetter(0)


class Record(Enum):
    """How the value before is told in the data set's own terms (PS3.3 section C.12.1.1.9).

    NONE
        Not at all: the value says the same as before.
    LEGAL
        In the Modified Attributes Sequence (0400,0550).
    ILLEGAL
        As octets in the Nonconforming Modified Attributes Sequence (0400,0551).
    """

    NONE = 0
    LEGAL = 1
    ILLEGAL = 2


@dataclass(frozen=True, slots=True)
class Amendment:
    """An attribute whose value was changed, added or removed.

    Attributes
    ----------
    original
        Its octets before, without those of its header; None when it was absent.
    coerced
        An identifier or its domain was changed to fit the archive, rather than something wrong corrected.
    """

    path: Path
    tag: int
    vr: str
    original: bytes | None
    record: Record
    coerced: bool = False


@dataclass(frozen=True, slots=True)
class Place:
    """An attribute's place: in which data set, and the way there."""

    data_set: DataSet
    path: Path
    tag: int

    def __str__(self) -> str:
        return path_text(self.path, self.tag)


def path_text(path: Path, tag: int) -> str:
    """``00081140[0].00081150``: eight hexadecimal digits a level, items 0-based."""
    return "".join(f"{sequence:08X}[{item}]." for sequence, item in path) + f"{tag:08X}"


@dataclass(slots=True)
class Amender:
    """Changes a data set, tells the journal and keeps the values before."""

    revised: RevisedDataSet
    journal: Journal
    _amended: dict[tuple[Path, int, bytes | None], Amendment] = field(default_factory=dict)

    @property
    def amendments(self) -> tuple[Amendment, ...]:
        """What was changed, in the order of the places."""
        return tuple(sorted(self._amended.values(), key=lambda one: (one.path, one.tag)))

    def root(self, tag: int) -> Place:
        """A place at the top level."""
        return Place(self.revised.data_set, (), tag)

    def element(self, place: Place) -> Element | None:
        """What stands there now."""
        index = _index(place)
        elements = place.data_set.elements
        return elements[index] if index < len(elements) and elements[index].tag == place.tag else None

    def put(
        self,
        place: Place,
        vr: str,
        value: bytes,
        rule: str,
        confidence: Confidence,
        *,
        record: Record,
        detail: str = "",
        coerced: bool = False,
        told: bool = True,
    ) -> bool:
        """Write a value, padded to an even length, in place of what stands there.

        Parameters
        ----------
        told
            Whether the journal lists it; a rule that changes many elements alike tells it once by itself.

        Returns
        -------
        bool
            False when the value does not fit the length of its representation; nothing is changed then.
        """
        if len(value) & 1:
            value += padding(vr)
        if vr not in LONG_NAMES and len(value) > SHORT_MAXIMUM:
            return False
        before = self.element(place)
        self._remember(place, before, record, coerced)
        if told and record is Record.NONE:
            self.journal.change(rule, confidence, tag=str(place), detail=detail)
        elif told:
            original = None if before is None or before.items is not None else self._shown(before)
            self.journal.change(rule, confidence, tag=str(place), original=original, canonical=_display(value, vr), detail=detail)
        index, elements = _index(place), place.data_set.elements
        elements[index : index + (before is not None)] = [self.revised.literal(place.tag, vr, value)]
        return True

    def remove(
        self, place: Place, rule: str, confidence: Confidence, *, record: Record, detail: str = "", coerced: bool = False
    ) -> None:
        """Take an attribute out."""
        before = self.element(place)
        if before is None:
            return
        self._remember(place, before, record, coerced)
        shown = None if before.items is not None else self._shown(before)
        self.journal.change(rule, confidence, tag=str(place), original=shown, detail=detail)
        del place.data_set.elements[_index(place)]

    def dropped(self, path: Path, element: Element) -> None:
        """Remember an illegal element that layer 1 left out (E27, E33): its octets are kept as nonconforming."""
        if element.items is None:
            raw = self.revised.value(element)
            self._amended.setdefault((path, element.tag, raw), Amendment(path, element.tag, element.vr, raw, Record.ILLEGAL))

    def _remember(self, place: Place, before: Element | None, record: Record, coerced: bool) -> None:
        if record is Record.NONE:
            return
        original = None if before is None else b"" if before.items is not None else self.revised.value(before)
        vr = "" if before is None else before.vr
        self._amended.setdefault((place.path, place.tag, None), Amendment(place.path, place.tag, vr, original, record, coerced))

    def _shown(self, element: Element) -> str:
        return _display(self.revised.value(element._replace(length=min(element.length, _SHOWN))), element.vr)


def _display(value: bytes, vr: str) -> str:
    if vr in TEXT and not value.isascii():
        try:
            return value.decode("utf-8").rstrip(" \0")
        except UnicodeDecodeError:
            return displayed(value)
    return displayed(value)


def _index(place: Place) -> int:
    return bisect_left(place.data_set.elements, place.tag, key=_tag_of)
