"""ACR-NEMA 1.0 and 2.0 as DICOM: what only those standards had is left out or written the way DICOM has it (F05, F06).

Identifiers are minted as for everything that has none; byte order and File Meta Information are matters of the container.
"""

from __future__ import annotations

from bisect import insort
from typing import Final

from vna_core.dicom.elements import Element, PixelElement
from vna_core.domain.octets import ByteRange
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.amendments import Amender, Record

PIXEL_DATA: Final = 0x7FE00010
_LENGTH_TO_END: Final = 0x00080001
_RECOGNITION_CODE: Final = 0x00080010
_SAMPLES_PER_PIXEL: Final = 0x00280002
_PHOTOMETRIC_INTERPRETATION: Final = 0x00280004
_IMAGE_DIMENSIONS: Final = 0x00280005
_NUMBER_OF_FRAMES: Final = 0x00280008
_PLANES: Final = 0x00280012
_IMAGE_LOCATION: Final = 0x00280200
_CODES: Final = ("ACR-NEMA", "ACRNEMA", "ACR_NEMA")
_PROVEN, _INFERRED = Confidence.PROVEN, Confidence.INFERRED


def write_as_dicom(amender: Amender) -> None:
    """Leave out Length to End (0008,0001) anywhere, and put the other attributes of an ACR-NEMA data set right."""
    revised = amender.revised
    if not _begins_oddly(revised.data_set.elements):
        return
    _leave_out(amender, _LENGTH_TO_END, Record.NONE)
    if not revised.text(_RECOGNITION_CODE).upper().startswith(_CODES):
        return
    _leave_out(amender, _RECOGNITION_CODE, Record.LEGAL)
    location = revised.number(_IMAGE_LOCATION, PIXEL_DATA >> 16)
    if revised.pixel is None and 8 < location != PIXEL_DATA >> 16:
        _take_pixels_from(amender, location << 16 | 0x0010)
    if revised.pixel is not None:
        _describe(amender)
        _leave_out(amender, _IMAGE_LOCATION, Record.LEGAL)


def _begins_oddly(elements: list[Element]) -> bool:
    for element in elements:
        tag = element[0]
        if tag == _LENGTH_TO_END or tag >= _RECOGNITION_CODE:
            return tag <= _RECOGNITION_CODE
    return False


def _describe(amender: Amender) -> None:
    """Image Dimensions (0028,0005) as the attributes that DICOM has instead."""
    dimensions, planes = amender.revised.number(_IMAGE_DIMENSIONS, 2), amender.revised.number(_PLANES, 1)
    _supply(amender, _SAMPLES_PER_PIXEL, "US", b"\1\0")
    if amender.revised.number(_SAMPLES_PER_PIXEL, 1) == 1:
        _supply(amender, _PHOTOMETRIC_INTERPRETATION, "CS", b"MONOCHROME2")
    if dimensions == 3 and planes > 1:
        _supply(amender, _NUMBER_OF_FRAMES, "IS", str(planes).encode("ascii"))
    if dimensions in (2, 3):
        _leave_out(amender, _IMAGE_DIMENSIONS, Record.LEGAL)


def _supply(amender: Amender, tag: int, vr: str, value: bytes) -> None:
    place = amender.root(tag)
    present = amender.element(place)
    if present is None or not present.length:
        amender.put(place, vr, value, "F05", _INFERRED, record=Record.LEGAL, detail="ACR-NEMA image")


def _leave_out(amender: Amender, tag: int, record: Record) -> None:
    amender.remove(amender.root(tag), "F05", _PROVEN, record=record, detail="attribute of ACR-NEMA")


def _take_pixels_from(amender: Amender, tag: int) -> None:
    """Image Location (0028,0200) names another group than 7FE0: the pixel data found there moves."""
    revised = amender.revised
    found = revised.find(tag)
    if found is None or found.items is not None or found.start < 0 or not found.length:
        return
    elements = revised.data_set.elements
    elements.remove(found)
    insort(elements, Element(PIXEL_DATA, "OW", found.start, found.length), key=_tag_of)
    revised.pixel = PixelElement(PIXEL_DATA, "OW", ByteRange(found.start, found.length))
    amender.journal.change("F05", _PROVEN, tag=PIXEL_DATA, detail=f"pixel data stood in group {tag >> 16:04X}")


def _tag_of(element: Element) -> int:
    return element[0]
