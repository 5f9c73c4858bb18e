"""Layers 1 and 3: how Pixel Data is labelled and framed. Sample values and codestreams stay what they are."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vna_core.dicom import codestream
from vna_core.dicom.canonical_writer import Derived, Piece, size_of
from vna_core.dicom.elements import ParsedOctets, PixelElement
from vna_core.dicom.frame_index import (
    EXTENDED_OFFSET_TABLE,
    EXTENDED_OFFSET_TABLE_LENGTHS,
    Framing,
    PixelLayout,
    keeps_extended_table,
    lay_out_encapsulated,
    lay_out_native,
)
from vna_core.dicom.packed_samples import unpacked_length
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.octets import Octets
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize.engine import Journal, Layer, Rule
from vna_core.ingest.normalize.pixel_samples import little_endian, swap_unit

SPOOLED_BEYOND: Final = 4 << 20
"""Larger payloads in another byte order go to a temporary file."""

PIXEL_DATA: Final = 0x7FE00010
_BITS_ALLOCATED: Final = 0x00280100


@dataclass(frozen=True, slots=True)
class Framed:
    """What rules about framing look at: the framing, and the representation as it was written and as it will be."""

    framing: Framing
    written: str
    wanted: str


FramingRule = Rule[Framed, str]


def _relabelled(framed: Framed) -> str:
    return f"{framed.written} to {framed.wanted}" if framed.written != framed.wanted else ""


def _joined(framed: Framed) -> str:
    framing = framed.framing
    return f"{framing.fragments} fragments make {framing.frames} frames" if framing.fragments != framing.frames else ""


def _rewritten_table(framed: Framed) -> str:
    framing = framed.framing
    if not framing.rewritten:
        return ""
    if framing.entries is None:
        return "no offset table item"
    return f"offset table of {framing.entries} entries for {framing.frames} frames"


def _written_extended_table(framed: Framed) -> str:
    return f"offset table of {framed.framing.frames} frames beyond 4 GiB" if framed.framing.extended_written else ""


def _dropped_extended_table(framed: Framed) -> str:
    return "extended offset table does not fit the fragments" if framed.framing.extended_dropped else ""


def _boxes(framed: Framed) -> str:
    boxed = framed.framing.boxed
    return f"{boxed} frames are JP2 files; the frame index names the codestreams inside." if boxed else ""


def _unended(framed: Framed) -> str:
    unended = framed.framing.unended
    return f"The codestreams of {unended} frames have no end marker; they are kept." if unended else ""


def _trailing(framed: Framed) -> str:
    trailing = framed.framing.trailing
    return f"Octets follow the end marker in {trailing} frames; the frame index leaves them out." if trailing else ""


def _rule(id_: str, apply: Callable[[Framed], str], summary: str) -> FramingRule:
    return Rule(id_, 1, Layer.PIXELS, Confidence.PROVEN, apply, summary)


FRAMING_RULES: Final[tuple[FramingRule, ...]] = (
    _rule("E25", _relabelled, "Pixel Data as another of OB and OW than its bits need: written as the standard says."),
    _rule("P12", _joined, "A frame is spread over several fragments: joined, one fragment per frame."),
    _rule("P13", _rewritten_table, "Basic Offset Table is empty, missing or wrong: written from the fragments."),
    _rule("P14", _written_extended_table, "Frames beyond 4 GiB: an Extended Offset Table is written."),
    _rule("P14", _dropped_extended_table, "Extended Offset Table that does not fit the fragments: left out."),
    _rule("P11", _unended, "A codestream without end marker: kept and flagged."),
    _rule("P11", _trailing, "Octets behind the end of a codestream: kept, left out of the frame index and flagged."),
    _rule("P17", _boxes, "A JP2 file instead of a codestream: kept, the frame index names the codestream inside."),
)
"""In the order they are told."""

_FOUND: Final = frozenset(("P11", "P17"))
"""Rules that change nothing."""


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
    transfer_syntax_uid: str,
    journal: Journal,
    spool: Path | None,
    *,
    packed: bool = False,
) -> PixelLayout | None:
    """The Pixel Data element as it will be written; None when there is none at the top level.

    Parameters
    ----------
    packed
        Native samples stand in 12 bits each and are written in 16.
    """
    pixel = revised.pixel
    if pixel is None:
        return None
    wanted, written = _representation(revised, pixel), pixel.vr
    if wanted != written:
        pixel = _with_representation(revised, pixel, wanted)
    if pixel.fragments is None:
        payload = _native_payload(revised, parsed, pixel, spool, packed)
        if size_of(payload) & 1:
            journal.change("E21", Confidence.PROVEN, tag=pixel.tag, detail="odd length")
        layout = lay_out_native(revised, pixel, payload)
        if not layout.frames and pixel.value.length:
            journal.find("P22", "The frames could not be located by the image pixel description.", pixel.tag)
    else:
        layout = lay_out_encapsulated(revised, pixel, transfer_syntax_uid, parsed.data_set.little_endian)
        layout.framing.extended_dropped = _drop_extended_table(revised, pixel)
    _tell(Framed(layout.framing, written if revised.data_set.explicit else wanted, wanted), pixel, journal)
    return layout


def _tell(framed: Framed, pixel: PixelElement, journal: Journal) -> None:
    for rule in FRAMING_RULES:
        told = rule.apply(framed)
        if told and rule.id in _FOUND:
            journal.find(rule.id, told, pixel.tag)
        elif told:
            journal.change(rule.id, rule.confidence, tag=pixel.tag, detail=told)


def _representation(revised: RevisedDataSet, pixel: PixelElement) -> str:
    """OW for native samples of more than 8 bits, OB for fragments (PS3.5 annex A.2, A.4); nothing but OB or OW."""
    if pixel.tag != PIXEL_DATA:
        return pixel.vr
    bits = revised.number(_BITS_ALLOCATED, 0)
    if pixel.fragments is not None:
        return "OB"
    if pixel.vr == "OB" and bits > 8:
        return "OW"
    if pixel.vr not in ("OB", "OW"):
        return "OW" if bits > 8 else "OB"
    return pixel.vr


def _with_representation(revised: RevisedDataSet, pixel: PixelElement, wanted: str) -> PixelElement:
    changed = PixelElement(pixel.tag, wanted, pixel.value, pixel.fragments, pixel.offset_table)
    elements = revised.data_set.elements
    for index, element in enumerate(elements):
        if element.tag == pixel.tag:
            elements[index] = element._replace(vr=wanted)
    revised.pixel = changed
    return changed


def _native_payload(
    revised: RevisedDataSet, parsed: ParsedOctets, pixel: PixelElement, spool: Path | None, packed: bool
) -> Piece:
    unit = swap_unit(revised, parsed, pixel)
    value = pixel.value
    if value.offset < 0:  # made by normalization, little endian already
        return revised.literals[-1 - value.offset]
    if unit == 1 and not packed:
        return value
    pieces = little_endian(parsed, pixel, unit, unpacked=packed)
    if value.length <= SPOOLED_BEYOND:
        return Derived(value, unit, b"".join(pieces), packed)
    size = unpacked_length(value.length) if packed else value.length
    with tempfile.TemporaryFile(dir=spool) as file:
        for piece in pieces:
            file.write(piece)
        file.flush()
        return Derived(value, unit, PayloadSpool(size, "", descriptor=os.dup(file.fileno())), packed)


def _drop_extended_table(revised: RevisedDataSet, pixel: PixelElement) -> bool:
    """Take out an Extended Offset Table that does not fit the fragments; the basic one says it right."""
    if revised.find(EXTENDED_OFFSET_TABLE) is None and revised.find(EXTENDED_OFFSET_TABLE_LENGTHS) is None:
        return False
    if keeps_extended_table(revised, pixel):
        return False
    revised.data_set.elements = [
        element
        for element in revised.data_set.elements
        if element.tag not in (EXTENDED_OFFSET_TABLE, EXTENDED_OFFSET_TABLE_LENGTHS)
    ]
    return True
