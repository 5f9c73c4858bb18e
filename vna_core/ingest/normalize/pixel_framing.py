"""Layers 1 and 3: how Pixel Data is labelled and framed. Sample values and codestreams stay what they are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from vna_core.dicom import codestream
from vna_core.dicom.canonical_writer import Piece, Derived
from vna_core.dicom.elements import ParsedOctets, PixelElement
from vna_core.dicom.frame_index import (
    EXTENDED_OFFSET_TABLE,
    EXTENDED_OFFSET_TABLE_LENGTHS,
    PixelLayout,
    keeps_extended_table,
    lay_out_encapsulated,
    lay_out_native,
)
from vna_core.dicom.reverse_patch import swap_stream
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.octets import CHUNK, ByteRange, Octets, ReceivedInstance
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.engine import Journal

SPOOLED_BEYOND: Final = 4 << 20
"""Larger payloads in another byte order go to a temporary file."""

PIXEL_DATA: Final = 0x7FE00010
_BITS_ALLOCATED: Final = 0x00280100
_FLOAT_UNITS: Final = {0x7FE00008: 4, 0x7FE00009: 8}


class PayloadSpool(Octets):
    """A payload made by normalization in a file without a name. The file goes with its last user."""

    def __del__(self) -> None:
        self.close()


def canonical_transfer_syntax(parsed: ParsedOctets) -> str:
    """Explicit VR Little Endian, but where pixel data is encapsulated or the syntax says more than an encoding."""
    uid = parsed.transfer_syntax_uid
    if uid in codestream.NATIVE or uid == "implicit-big-endian":
        return codestream.EXPLICIT_LITTLE
    return uid


def lay_out_pixels(
    revised: RevisedDataSet,
    parsed: ParsedOctets,
    received: ReceivedInstance,
    transfer_syntax_uid: str,
    journal: Journal,
    spool: Path | None,
) -> PixelLayout | None:
    """The Pixel Data element as it will be written; None when there is none at the top level."""
    pixel = revised.pixel
    if pixel is None:
        return None
    pixel = _with_representation(revised, pixel, journal)
    if pixel.fragments is None:
        if pixel.value.length & 1:
            journal.change("E21", Confidence.PROVEN, tag=pixel.tag, detail="odd length")
        layout = lay_out_native(revised, pixel, _native_payload(revised, parsed, received, pixel, spool))
        if not layout.frames and pixel.value.length:
            journal.find("P22", "The frames could not be located by the image pixel description.", pixel.tag)
    else:
        little = parsed.data_set.little_endian
        layout = lay_out_encapsulated(revised, pixel, transfer_syntax_uid, little)
        _drop_extended_table(revised, pixel, layout)
    for rule, detail in layout.deviations:
        journal.change(rule, Confidence.PROVEN, tag=pixel.tag, detail=detail)
    return layout


def _with_representation(revised: RevisedDataSet, pixel: PixelElement, journal: Journal) -> PixelElement:
    """E25: OW for native samples of more than 8 bits, OB for fragments (PS3.5 annex A.2, A.4); nothing but OB or OW."""
    if pixel.tag != PIXEL_DATA:
        return pixel
    bits = revised.number(_BITS_ALLOCATED, 0)
    if pixel.fragments is not None:
        wanted = "OB"
    elif pixel.vr == "OB" and bits > 8:
        wanted = "OW"
    elif pixel.vr not in ("OB", "OW"):
        wanted = "OW" if bits > 8 else "OB"
    else:
        return pixel
    if wanted == pixel.vr:
        return pixel
    if revised.data_set.explicit:
        journal.change("E25", Confidence.PROVEN, tag=pixel.tag, detail=f"{pixel.vr} to {wanted}")
    changed = PixelElement(pixel.tag, wanted, pixel.value, pixel.fragments, pixel.offset_table)
    elements = revised.data_set.elements
    for index, element in enumerate(elements):
        if element.tag == pixel.tag:
            elements[index] = element._replace(vr=wanted)
    revised.pixel = changed
    return changed


def swap_unit(revised: RevisedDataSet, parsed: ParsedOctets, pixel: PixelElement) -> int:
    """Octets whose order must be turned round in native pixel data; 1 when none."""
    big = not parsed.data_set.little_endian or parsed.declared_transfer_syntax_uid == codestream.GE_PRIVATE
    if not big:
        return 1
    if pixel.tag in _FLOAT_UNITS:
        return _FLOAT_UNITS[pixel.tag]
    bits = revised.number(_BITS_ALLOCATED, 16)
    if bits in (16, 32, 64):
        return bits // 8
    written = parsed.pixel.vr if parsed.pixel is not None else pixel.vr
    return 2 if written == "OW" else 1


def _native_payload(
    revised: RevisedDataSet, parsed: ParsedOctets, received: ReceivedInstance, pixel: PixelElement, spool: Path | None
) -> Piece:
    unit = swap_unit(revised, parsed, pixel)
    value = pixel.value
    if unit == 1:
        return value
    source = received.octets.chunks(value.offset, value.length) if not parsed.unfolded else _chunks(parsed, value)
    pieces = swap_stream(source, unit)
    if value.length <= SPOOLED_BEYOND:
        return Derived(value, unit, b"".join(pieces))
    with tempfile.TemporaryFile(dir=spool) as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        return Derived(value, unit, PayloadSpool(value.length, "", descriptor=os.dup(file.fileno())))


def _chunks(parsed: ParsedOctets, value: ByteRange) -> Iterator[bytes]:
    for offset in range(value.offset, value.end, CHUNK):
        yield bytes(parsed.buffer[offset : min(offset + CHUNK, value.end)])


def _drop_extended_table(revised: RevisedDataSet, pixel: PixelElement, layout: PixelLayout) -> None:
    """P14: an Extended Offset Table that does not fit the fragments goes; the basic one says it right."""
    if revised.find(EXTENDED_OFFSET_TABLE) is None and revised.find(EXTENDED_OFFSET_TABLE_LENGTHS) is None:
        return
    if keeps_extended_table(revised, pixel):
        return
    revised.data_set.elements = [
        element
        for element in revised.data_set.elements
        if element.tag not in (EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS)
    ]
    layout.deviations.append(("P14", "extended offset table does not fit the fragments"))
