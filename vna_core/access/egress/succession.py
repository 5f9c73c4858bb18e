"""Retired SOP classes sent as their successors, where an instance has what the successor requires (I14)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from vna_core.dicom.revision import RevisedDataSet

SOP_CLASS_UID: Final = 0x00080016
_STORAGE: Final = "1.2.840.10008.5.1.4.1.1."
_GENERAL: Final = (0x00080018, 0x00080060, 0x0020000D, 0x0020000E)
_IMAGE_PIXEL: Final = (0x00280002, 0x00280004, 0x00280010, 0x00280011, 0x00280100, 0x00280101, 0x00280102, 0x00280103)
_MULTI_FRAME: Final = (0x00280008, 0x00280009)
_ENERGY_WINDOWS, _DETECTORS, _IMAGE_TYPE = 0x00540011, 0x00540021, 0x00080008

REQUIRED: Final[Mapping[str, tuple[int, ...]]] = {
    _STORAGE + "6.1": (*_GENERAL, *_IMAGE_PIXEL),
    _STORAGE + "3.1": (*_GENERAL, *_IMAGE_PIXEL, *_MULTI_FRAME),
    _STORAGE + "20": (*_GENERAL, *_IMAGE_PIXEL, *_MULTI_FRAME, _IMAGE_TYPE, _ENERGY_WINDOWS, _DETECTORS),
}
"""Attributes of type 1 of the current IODs (PS3.3 sections A.5, A.6, A.7; C.7.6.3, C.7.6.6, C.8.4.8)."""


def sop_class_to_send(revised: RevisedDataSet, successors: Mapping[str, str]) -> str:
    """The SOP class under which an instance goes out: the successor where everything it requires has a value."""
    stored = revised.text(SOP_CLASS_UID)
    successor = successors.get(stored, "")
    if not successor:
        return stored
    complete = all((element := revised.find(tag)) is not None and element.length for tag in REQUIRED[successor])
    increment = revised.find(0x00280009)
    if complete and increment is not None and _MULTI_FRAME[1] in REQUIRED[successor]:
        raw = revised.value(increment)
        pointers = {
            int.from_bytes(raw[at : at + 2], "little") << 16 | int.from_bytes(raw[at + 2 : at + 4], "little")
            for at in range(0, len(raw) - 3, 4)
        }
        complete = bool(pointers) and all(revised.find(tag) is not None for tag in pointers)  # type 1C of what is pointed to
    return successor if complete else stored
