"""Rejection notes (IHE IOCM): Key Object Selection documents (PS3.3 A.35.4, TID 2010) whose title says that what they name is rejected."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from vna_core.domain.corrections import DESCRIPTION, Rejection
from vna_core.domain.migration import WORK_PRODUCT_DEVICE

MOST_REFERENCES: Final = 500_000
"""Instances that one note may name."""

_EVIDENCE, _SERIES, _SOPS = "0040A375", "00081115", "00081199"
_MANUFACTURER, _MODEL = "00080070", "00081090"
_TITLE, _CONTENT, _TEXT = "0040A043", "0040A730", "0040A160"


@dataclass(frozen=True, slots=True)
class Rejected:
    """One instance that a note names."""

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str


@dataclass(frozen=True, slots=True)
class RejectionNote:
    """What a rejection note says.

    Attributes
    ----------
    work_product
        Made of what a former archive left in private elements of images, and not by somebody who rejects them here.
    """

    title: Rejection
    reason: str
    rejected: tuple[Rejected, ...]
    work_product: bool = False


def read_note(header: Mapping[str, Any]) -> RejectionNote | None:
    """What a Key Object Selection document in DICOM JSON says; None: its title is not one of a rejection (PS3.16 CID 7011).

    What its content names counts; where that is not written, all that its evidence lists.
    """
    title = next((_text(item, "00080100") for item in _items(header, _TITLE) if _text(item, "00080102") == "DCM"), "")
    if title not in {one.value for one in Rejection}:
        return None
    named: set[str] = set()
    reason = ""
    for item in _items(header, _CONTENT):
        named |= {_text(one, "00081155") for one in _items(item, _SOPS)}
        if any(_text(one, "00080100") == DESCRIPTION for one in _items(item, _TITLE)):
            reason = _text(item, _TEXT)
    listed = tuple(one for one in _evidence(header) if not named or one.sop_instance_uid in named)
    work_product = (_text(header, _MANUFACTURER), _text(header, _MODEL)) == WORK_PRODUCT_DEVICE
    return RejectionNote(Rejection(title), reason, listed[:MOST_REFERENCES], work_product)


def _evidence(header: Mapping[str, Any]) -> Iterator[Rejected]:
    for study in _items(header, _EVIDENCE):
        for series in _items(study, _SERIES):
            for sop in _items(series, _SOPS):
                yield Rejected(
                    _text(study, "0020000D"), _text(series, "0020000E"), _text(sop, "00081155"), _text(sop, "00081150")
                )


def _items(item: Mapping[str, Any], tag: str) -> list[Mapping[str, Any]]:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return [one for one in values if isinstance(one, Mapping)] if isinstance(values, list) else []


def _text(item: Mapping[str, Any], tag: str) -> str:
    element = item.get(tag)
    values = element.get("Value") if isinstance(element, Mapping) else None
    return str(values[0]).strip("\0 ") if isinstance(values, list) and values and values[0] is not None else ""
