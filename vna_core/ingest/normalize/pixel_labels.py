"""Layer 3: how pixels are described (P01 to P10, P18 to P28, E23, F23). Samples and codestreams stay what they are.

A label changes only where the codestream, an offset table or arithmetic proves what is true. Whatever needs judgement is
kept and flagged. An image that conforms is looked at once: a dozen numbers, and the header of the first codestream.
"""

from __future__ import annotations

from typing import Final

from vna_core.dicom.elements import ParsedOctets
from vna_core.domain.transformation import Confidence
from vna_core.ingest.normalize import pixel_arithmetic as arithmetic
from vna_core.ingest.normalize import pixel_codestream as stream
from vna_core.ingest.normalize import pixel_missing as missing
from vna_core.ingest.normalize import pixel_order as order
from vna_core.ingest.normalize import pixel_overlays as overlays
from vna_core.ingest.normalize.amendments import Amender, Place, Record
from vna_core.ingest.normalize.engine import Layer, Rule
from vna_core.ingest.normalize.pixel_image import LabelVerdict, PixelImage, examine, representation_of

_PROVEN, _INFERRED = Confidence.PROVEN, Confidence.INFERRED
_PRIVATE_PIXELS: Final = 0x07A1100A
_FIXED: Final = {"US": 2, "UL": 4}

LabelRule = Rule[PixelImage, LabelVerdict | None]


def _rule(id_: str, confidence: Confidence, apply: object, summary: str) -> LabelRule:
    return Rule(id_, 1, Layer.PIXELS, confidence, apply, summary)  # type: ignore[arg-type]


LABEL_RULES: Final[tuple[LabelRule, ...]] = (
    _rule("P01", _PROVEN, missing.size, "Rows or Columns are missing: written by the codestream."),
    _rule("P01", _PROVEN, missing.samples, "Samples per Pixel is missing: written by the codestream's components or by the number of octets."),
    _rule("P01", _PROVEN, missing.bits_allocated, "Bits Allocated is missing: written by the codestream or by the number of octets."),
    _rule("P01", _PROVEN, missing.bits_stored, "Bits Stored or High Bit is missing: every bit there is counts."),
    _rule("P01", _INFERRED, missing.pixel_representation, "Pixel Representation is missing: unsigned, or as the codestream says."),
    _rule("P01", _PROVEN, missing.photometric_by_stream, "Photometric Interpretation is missing: written as the codestream proves."),
    _rule("P01", _INFERRED, missing.photometric_by_samples, "Photometric Interpretation is missing: MONOCHROME2 for one sample, colour for three."),
    _rule("P01", _INFERRED, missing.planar_configuration, "Planar Configuration of colour is missing: pixel by pixel."),
    _rule("P03", _PROVEN, arithmetic.unusual_bits, "Samples packed in 12 bits: written in 16; 14 or 24 bits: what the number of octets shows."),
    _rule("P10", _PROVEN, stream.precision, "Bits that the codestream contradicts: as the codestream says where nothing can be lost, else kept and flagged."),
    _rule("P02", _PROVEN, arithmetic.impossible_bits, "Bits Stored is 0 or beyond Bits Allocated: every bit there is counts."),
    _rule("P02", _PROVEN, arithmetic.high_bit, "High Bit is not Bits Stored less one: put right where all samples are right-aligned, else kept and flagged."),
    _rule("P07", _PROVEN, stream.colour_of_jpeg, "Photometric Interpretation of a JPEG image against its JFIF or Adobe segment or component names: as these prove."),
    _rule("P08", _PROVEN, stream.colour_transformation, "Photometric Interpretation of a JPEG 2000 image against its colour transformation: as the codestream proves."),
    _rule("P08", _INFERRED, stream.untransformed_colour, "Transformed colour is declared and the JPEG 2000 codestream transforms none: RGB."),
    _rule("P08", _PROVEN, stream.colour_of_run_lengths, "YBR_FULL_422 over three full RLE segments: YBR_FULL."),
    _rule("P07", _PROVEN, stream.component_count, "The codestream has another number of components: kept and flagged."),
    _rule("P10", _PROVEN, stream.frame_size, "The codestream is of another size than Rows and Columns: kept and flagged."),
    _rule("P24", _PROVEN, arithmetic.subsampled_label, "Native YBR_FULL_422 with three samples for every pixel: YBR_FULL."),
    _rule("P23", _PROVEN, arithmetic.planar_monochrome, "Planar Configuration of an image with one sample a pixel: left out."),
    _rule("P23", _PROVEN, arithmetic.planar_colour, "Planar Configuration that is not possible: kept and flagged."),
    _rule("P22", _INFERRED, arithmetic.native_frames, "Number of Frames against the number of octets: as many as there are, else kept and flagged."),
    _rule("P22", _PROVEN, arithmetic.codestream_frames, "Number of Frames against the number of codestreams: as many as there are, else kept and flagged."),
    _rule("F23", _PROVEN, arithmetic.short_samples, "Native samples end before the last frame does: kept and flagged."),
    _rule("P25", _PROVEN, arithmetic.trailing_octets, "Octets behind the last frame: padding is left out, anything else kept and flagged."),
    _rule("P22", _PROVEN, arithmetic.empty_number, "Number of Frames is 0 or no number over one frame: 1."),
    _rule("P04", _PROVEN, overlays.embedded_overlays, "Overlay in unused bits of the samples: copied to Overlay Data; the samples stay."),
    _rule("E23", _INFERRED, order.other_order, "Samples of 16 bits that make an image in the other byte order only: kept and flagged."),
    _rule("P05", _PROVEN, overlays.unused_bits, "Bits above Bits Stored are set without an overlay: kept and flagged."),
    _rule("P06", _PROVEN, stream.precision_of_wavelet, "Sign or precision of a JPEG 2000 codestream against the labels: kept and flagged."),
    _rule("P09", _PROVEN, stream.lossy_flag, "Lossy Image Compression denies what the codestream shows: 01."),
    _rule("P18", _PROVEN, stream.jpeg_ls_parameters, "JPEG-LS of more than 12 bits without preset parameters: kept and flagged."),
    _rule("P19", _PROVEN, stream.run_length_segments, "RLE segments that do not fit the image: kept and flagged."),
    _rule("P26", _PROVEN, arithmetic.palette, "Palette whose tables do not have the declared size: kept and flagged."),
    _rule("P28", _PROVEN, stream.video, "Video: kept, its frames are not located."),
)  # fmt: skip
"""In the order they are tried; each sees what those before it put right."""

_NATIVE_RULES: Final = tuple(rule for rule in LABEL_RULES if rule.apply.__module__ != stream.__name__)
"""Without those about codestreams, of which native pixel data has none."""

_RULES_ABOUT_SAMPLES: Final = tuple(
    rule for rule in _NATIVE_RULES if rule.apply.__module__ not in (missing.__name__, arithmetic.__name__)
)
"""Without those about numbers: for images whose numbers are in order."""


def describe_pixels(amender: Amender, parsed: ParsedOctets, transfer_syntax_uid: str) -> bool:
    """Take the image pixel description through the rules.

    Returns
    -------
    bool
        Whether the samples are packed in 12 bits and must be written in 16.
    """
    pixel = amender.revised.pixel
    if pixel is None:
        if amender.revised.find(_PRIVATE_PIXELS) is not None:
            amender.journal.find("P20", "The samples stand in private elements only; they are kept.", _PRIVATE_PIXELS)
        return False
    if not pixel.value.length:
        return False
    image = examine(amender, parsed, pixel, transfer_syntax_uid)
    for rule in _RULES_ABOUT_SAMPLES if image.in_order else _NATIVE_RULES if image.native else LABEL_RULES:
        verdict = rule.apply(image)
        if verdict is not None:
            _carry_out(image, rule, verdict)
        if not image.pixels:
            break  # without a size there is no image to describe
    return image.unpacked


def _carry_out(image: PixelImage, rule: LabelRule, verdict: LabelVerdict) -> None:
    amender = image.amender
    if verdict.finding:
        amender.journal.find(rule.id, verdict.finding, verdict.tag)
        return
    for tag, value in verdict.changes:
        place = amender.root(tag)
        record = _record(amender, place)
        if value is None:
            amender.remove(place, rule.id, rule.confidence, record=record, detail=verdict.detail)
        else:
            amender.put(place, representation_of(tag), value, rule.id, rule.confidence, record=record, detail=verdict.detail)
    if verdict.keep >= 0:
        image.keep(verdict.keep)
        amender.journal.change(rule.id, rule.confidence, tag=image.pixel.tag, detail=verdict.detail)
    image.unpacked = image.unpacked or verdict.unpack
    if verdict.changes:
        image.read()


def _record(amender: Amender, place: Place) -> Record:
    """Most labels that are wrong are legal values all the same."""
    before = amender.element(place)
    if before is None or not before.length:
        return Record.LEGAL
    vr = representation_of(place.tag)
    if before.items is not None or before.vr != vr or (vr in _FIXED and before.length % _FIXED[vr]):
        return Record.ILLEGAL
    if vr == "IS" and not amender.revised.value(before).strip(b" ").isdigit():
        return Record.ILLEGAL
    return Record.LEGAL
