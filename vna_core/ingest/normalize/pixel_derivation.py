"""Layer 3: Pixel Data decoded from a private element, where a dialect knows the scheme and there is none (P20).

The private element stays where it is: what is written beside it says the same in the standard's way.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Final

from vna_core.dicom import codestream, dictionary
from vna_core.dicom.elements import ParsedOctets, PixelElement
from vna_core.domain.octets import ByteRange
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.amendments import Amender, Record
from vna_core.ingest.normalize.dialects import derived_pixels
from vna_core.ports.dialect import DerivedPixels, Dialect, Recognition

_PIXEL_DATA: Final = 0x7FE00010


def derive_pixels(amender: Amender, parsed: ParsedOctets, recognized: Sequence[tuple[Dialect, Recognition]]) -> bool:
    """Write what a recognized dialect decodes as native Pixel Data with its description; whether there was something."""
    if amender.revised.pixel is not None or not recognized or parsed.transfer_syntax_uid not in codestream.NATIVE:
        return False
    derived = derived_pixels(amender.revised, parsed, recognized, amender.journal)
    if derived is None:
        return False
    for tag, vr, value in _description(derived):
        place = amender.root(tag)
        present = amender.element(place)
        if present is None or amender.revised.value(present).rstrip(b" ") != value.rstrip(b" "):
            record = Record.LEGAL
            amender.put(place, vr, value, derived.rule, Confidence.PROVEN, record=record, detail=derived.detail)
    vr = "OW" if derived.bits_allocated > 8 else "OB"
    samples = derived.samples + b"\0" * (len(derived.samples) & 1)
    place = amender.root(_PIXEL_DATA)
    amender.put(place, vr, samples, derived.rule, Confidence.PROVEN, record=Record.NONE, detail=derived.detail)
    written = amender.element(place)
    assert written is not None
    amender.revised.pixel = PixelElement(_PIXEL_DATA, vr, ByteRange(written.start, written.length))
    return True


def _description(derived: DerivedPixels) -> list[tuple[int, str, bytes]]:
    """Image Pixel Description Macro (PS3.3 table C.7-11c) and Number of Frames."""
    numbers = {
        0x00280002: derived.samples_per_pixel,
        0x00280010: derived.rows,
        0x00280011: derived.columns,
        0x00280100: derived.bits_allocated,
        0x00280101: derived.bits_stored,
        0x00280102: derived.high_bit,
        0x00280103: derived.pixel_representation,
    }
    described = [(tag, "US", struct.pack("<H", number)) for tag, number in numbers.items()]
    described.append((0x00280004, "CS", _even(derived.photometric_interpretation)))
    if derived.samples_per_pixel > 1:
        described.append((0x00280006, "US", b"\0\0"))
    if derived.frames > 1:
        described.append((0x00280008, dictionary.vr_of(0x00280008), _even(str(derived.frames))))
    return described


def _even(text: str) -> bytes:
    return (text + " " * (len(text) & 1)).encode("ascii")
