"""Dialects: which vendors' habits an instance shows, and what they say is odd about it. Nothing is changed here.

Asking costs a few microseconds where no marker is met: one look at five values and at the creators of the top level.
"""

from __future__ import annotations

import dataclasses
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import itemgetter
from typing import Final

import structlog

from vna_core.dicom.elements import ParsedOctets
from vna_core.dicom.instance_facts import InstanceFacts, creator_text
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.errors import Malformed
from vna_core.ingest.normalize.engine import Journal
from vna_core.ports.dialect import MANUFACTURER, SOP_INSTANCE_UID, DerivedPixels, Dialect, Markers, Recognition

_log = structlog.get_logger(__name__)

SOP_CLASS_UID: Final = 0x00080016
STANDARD_ROOT: Final = "1.2.840.10008."
CERTAIN_ENOUGH: Final = 0.5
"""Recognitions below are dropped."""

_tags = itemgetter(0)


def recognize(
    revised: RevisedDataSet, parsed: ParsedOctets, dialects: Sequence[Dialect]
) -> tuple[tuple[Dialect, Recognition], ...]:
    """Dialects that the evidence speaks for, most certain first. A dialect whose plugin fails is left out and logged."""
    asked = _asked(revised, parsed, dialects)
    return _recognized(asked, InstanceFacts(revised, parsed)) if asked else ()


def _recognized(asked: Sequence[Dialect], facts: InstanceFacts) -> tuple[tuple[Dialect, Recognition], ...]:
    found = []
    for dialect in asked:
        try:
            recognition = dialect.recognize(facts)
            if recognition is not None and recognition.certainty >= CERTAIN_ENOUGH:
                found.append((dialect, recognition))
        except Exception:  # noqa: BLE001 - a plugin's fault must not cost anybody an image
            _failed(dialect, "recognize")
    return tuple(sorted(found, key=lambda one: -one[1].certainty))


def note_private_class(revised: RevisedDataSet, journal: Journal) -> None:
    """I13: a SOP class of a vendor's own."""
    sop_class_uid = revised.text(SOP_CLASS_UID)
    if not sop_class_uid.startswith(STANDARD_ROOT):
        journal.find("I13", f"Private SOP class {sop_class_uid[:64]}: opaque, kept verbatim.", SOP_CLASS_UID)


def describe_dialects(
    revised: RevisedDataSet, parsed: ParsedOctets, dialects: Sequence[Dialect], journal: Journal
) -> tuple[tuple[Dialect, Recognition], ...]:
    """Recognize, and put into the journal what is odd (the dialects' own rules, V01 and V02 beside them)."""
    asked = _asked(revised, parsed, dialects) if dialects else ()
    if not asked:
        return ()
    facts = InstanceFacts(revised, parsed)
    recognized = _recognized(asked, facts)
    for dialect, recognition in recognized:
        try:
            _describe(dialect, recognition, facts, journal)
        except Exception:  # noqa: BLE001 - as above
            _failed(dialect, "describe")
    return recognized


def _failed(dialect: Dialect, call: str) -> None:
    """Into the log, by what needs nothing of the dialect: what fails there may be its own name."""
    _log.exception("dialect-failed", dialect=f"{type(dialect).__module__}.{type(dialect).__qualname__}", call=call)


def _describe(dialect: Dialect, recognition: Recognition, facts: InstanceFacts, journal: Journal) -> None:
    findings, named = tuple(dialect.describe(facts)), dialect.index(facts)
    if findings or named:
        told = "; ".join(recognition.evidence)
        journal.find("V01", f"Dialect {dialect.name} {recognition.product}, certainty {recognition.certainty:g}: {told}."[:400])
    for finding in findings:
        journal.find(finding.rule, finding.message, finding.tag)
    if named:
        listed = "; ".join(f"{name} = {', '.join(values)}" for name, values in named.items())
        journal.find("V02", f"Private values of dialect {dialect.name}: {listed}."[:1000])


def derived_pixels(
    revised: RevisedDataSet, parsed: ParsedOctets, recognized: Sequence[tuple[Dialect, Recognition]], journal: Journal
) -> DerivedPixels | None:
    """Samples that a recognized dialect decodes from a private element; None where there is Pixel Data or nothing to decode.

    A stream that cannot be decoded is a finding: the private element is kept as it is all the same.
    """
    if revised.pixel is not None and revised.pixel.value.length:
        return None
    facts = InstanceFacts(revised, parsed) if recognized else None
    for dialect, _ in recognized:
        assert facts is not None
        try:
            derived = dialect.derive_pixels(facts)
            if derived is not None and not isinstance(derived, DerivedPixels):
                raise TypeError("derive_pixels returned no DerivedPixels")
        except Malformed as error:
            journal.find("P20", f"Private pixels are kept but cannot be decoded: {error.message}")
            continue
        except Exception:  # noqa: BLE001 - as above
            _failed(dialect, "derive_pixels")
            continue
        if derived is not None:
            return derived
    return None


def _asked(revised: RevisedDataSet, parsed: ParsedOctets, dialects: Sequence[Dialect]) -> list[Dialect]:
    """Dialects one of whose markers is met. Most instances meet none, which one look for the markers of all of them tells."""
    tags = list(map(_tags, revised.data_set.elements))
    met = _Met(
        f"{revised.text(MANUFACTURER)} ".lower(),
        (revised.text(SOP_INSTANCE_UID), revised.text(SOP_CLASS_UID)),
        parsed.declared_transfer_syntax_uid,
        _creators(revised, tags),
        tags,
    )
    if not met.any_of(_together(tuple(dialects))):
        return []
    return [dialect for dialect in dialects if met.any_of(dialect.markers)]


@lru_cache(maxsize=64)
def _together(dialects: tuple[Dialect, ...]) -> Markers:
    """The markers of all of them."""
    each = [dialect.markers for dialect in dialects]
    return Markers(
        *(tuple({one for markers in each for one in getattr(markers, kind.name)}) for kind in dataclasses.fields(Markers))
    )


@dataclass(frozen=True, slots=True)
class _Met:
    """What of an instance markers are compared with."""

    manufacturer: str
    uids: tuple[str, ...]
    transfer_syntax_uid: str
    creators: list[str]
    tags: list[int]

    def any_of(self, markers: Markers) -> bool:
        """Whether a marker is among it."""
        return (
            self.manufacturer.startswith(markers.manufacturers)
            or any(uid.startswith(markers.uids) for uid in self.uids)
            or self.transfer_syntax_uid.startswith(markers.transfer_syntaxes)
            or any(creator.startswith(markers.creators) for creator in self.creators)
            or any(_has(self.tags, tag) for tag in markers.tags)
        )


def _creators(revised: RevisedDataSet, tags: list[int]) -> list[str]:
    """Private Creators at the top level, found by going from odd group to odd group."""
    found: list[str] = []
    elements = revised.data_set.elements
    index, count = bisect_left(tags, 0x00090010), len(tags)
    while index < count:
        tag = tags[index]
        if not tag & 0x10000:
            index = bisect_left(tags, (tag | 0xFFFF) + 0x11, index)
        elif tag & 0xFFFF > 0xFF:
            index = bisect_left(tags, (tag | 0xFFFF) + 1, index)
        else:
            if tag & 0xFFFF >= 0x10 and elements[index].items is None:
                found.append(creator_text(revised, elements[index]))
            index += 1
    return found


def _has(tags: list[int], tag: int) -> bool:
    index = bisect_left(tags, tag)
    return index < len(tags) and tags[index] == tag
