"""Layer 3, P01: what an image pixel description leaves out, where the codestream or arithmetic tells it."""

from __future__ import annotations

from typing import Final

from vna_core.dicom.broken_off import IMAGE_CONTENT
from vna_core.dicom.codestream_header import YBR
from vna_core.dicom.revision import RevisedDataSet
from vna_core.ingest.normalize.engine import Journal
from vna_core.ingest.normalize.pixel_image import (
    ALLOCATED,
    COLUMNS,
    HIGH,
    PHOTOMETRIC,
    PLANAR,
    REPRESENTATION,
    ROWS,
    SAMPLES,
    STORED,
    LabelVerdict,
    PixelImage,
    characters,
    unsigned,
)

_PALETTE: Final = 0x00281101
_SHAPES: Final = ((1, 8), (1, 16), (3, 8), (1, 32), (3, 16), (1, 64))
"""Samples and bits that native pixel data may be of; each pair takes another number of octets."""


def note_missing_pixels(revised: RevisedDataSet, journal: Journal) -> None:
    """P34: an image's rows and columns, and neither pixels nor the address of any: what was cut right before them looks like this."""
    if any(revised.find(tag) is not None for tag in IMAGE_CONTENT):
        return
    rows, columns = (revised.find(tag) for tag in (ROWS, COLUMNS))
    if rows is not None and columns is not None and any(revised.value(rows)) and any(revised.value(columns)):
        journal.find("P34", "Rows and Columns without Pixel Data: the sender may have broken off before the pixels.", ROWS)


def size(image: PixelImage) -> LabelVerdict | None:
    """Rows and Columns, by the codestream."""
    if (image.rows and image.columns) or image.stream is None or not (image.stream.rows and image.stream.columns):
        return None
    stream = image.stream
    if stream.rows > 0xFFFF or stream.columns > 0xFFFF:
        return None
    wanted = ((ROWS, image.rows, stream.rows), (COLUMNS, image.columns, stream.columns))
    return LabelVerdict(tuple(unsigned(tag, value) for tag, known, value in wanted if not known), detail="by the codestream")


def samples(image: PixelImage) -> LabelVerdict | None:
    """Samples per Pixel (and Bits Allocated with it), by the codestream's components or by the number of octets."""
    if image.samples:
        return None
    if image.floating:
        return LabelVerdict((unsigned(SAMPLES, 1),), detail="floating point samples are single")
    if image.stream is not None and image.stream.components:
        return LabelVerdict((unsigned(SAMPLES, image.stream.components),), detail="by the codestream")
    if not image.native or not image.pixels:
        return None
    allocated = image.allocated or 0
    for number, bits in _SHAPES if not allocated else _of_bits(allocated):
        if image.fits(image.pixels * number * bits):
            changes = [unsigned(SAMPLES, number)]
            if not allocated:
                changes.append(unsigned(ALLOCATED, bits))
            return LabelVerdict(tuple(changes), detail="by the number of octets")
    return None


def _of_bits(allocated: int) -> tuple[tuple[int, int], ...]:
    """Samples a pixel of so many bits each; odd numbers of bits may be packed or in 16 (P03 decides)."""
    packed = ((1, allocated), (3, allocated))
    return (*packed, (1, 16), (3, 16)) if 8 < allocated < 16 else packed


def bits_allocated(image: PixelImage) -> LabelVerdict | None:
    """Bits Allocated, by the codestream's precision or by the number of octets."""
    if image.allocated or image.floating:
        return None
    if image.stream is not None and image.stream.precision:
        return LabelVerdict((unsigned(ALLOCATED, whole_octets(image.stream.precision)),), detail="by the codestream")
    if image.native and image.pixels and image.samples:
        for bits in (8, 16, 32, 64, 1):
            if image.fits(image.pixels * image.samples * bits):
                return LabelVerdict((unsigned(ALLOCATED, bits),), detail="by the number of octets")
    return None


def bits_stored(image: PixelImage) -> LabelVerdict | None:
    """Bits Stored and High Bit: the codestream's precision or every bit there is; the highest bit is one less (PS3.5 8.1.1)."""
    if image.floating or not image.allocated or (image.stored is not None and image.high is not None):
        return None
    stored = image.stored
    if stored is None:
        precision = image.stream.precision if image.stream is not None else 0
        stored = min(image.high + 1 if image.high is not None else precision or image.allocated, image.allocated)
    changes = [] if image.stored is not None else [unsigned(STORED, stored)]
    if image.high is None and stored:
        changes.append(unsigned(HIGH, stored - 1))
    return LabelVerdict(tuple(changes), detail="all bits count") if changes else None


def pixel_representation(image: PixelImage) -> LabelVerdict | None:
    """Pixel Representation: the codestream's, else unsigned."""
    if image.representation is not None or image.floating:
        return None
    signed = image.stream is not None and image.stream.signed
    return LabelVerdict((unsigned(REPRESENTATION, int(signed)),), detail="signed codestream" if signed else "unsigned")


def photometric_by_stream(image: PixelImage) -> LabelVerdict | None:
    """Photometric Interpretation, where the codestream proves it."""
    stream = image.stream
    if image.photometric or stream is None or stream.components != 3:
        return None
    if stream.transformed:
        return LabelVerdict((characters(PHOTOMETRIC, "YBR_ICT" if stream.lossy else "YBR_RCT"),), detail="by the codestream")
    if stream.colour:
        name = "RGB" if stream.colour != YBR else "YBR_FULL_422" if stream.lossy else "YBR_FULL"
        return LabelVerdict((characters(PHOTOMETRIC, name),), detail="by the codestream")
    return None


def photometric_by_samples(image: PixelImage) -> LabelVerdict | None:
    """Photometric Interpretation as it is by far the most often: one sample is grey (or an index), three are colours."""
    if image.photometric or image.samples not in (1, 3):
        return None
    if image.samples == 1:
        palette = image.revised.find(_PALETTE) is not None
        return LabelVerdict((characters(PHOTOMETRIC, "PALETTE COLOR" if palette else "MONOCHROME2"),), detail="one sample")
    chroma = image.stream is not None and image.stream.family in ("jpeg-baseline", "jpeg-extended", "jpeg-progressive")
    return LabelVerdict((characters(PHOTOMETRIC, "YBR_FULL_422" if chroma else "RGB"),), detail="three samples")


def planar_configuration(image: PixelImage) -> LabelVerdict | None:
    """Planar Configuration: pixel by pixel."""
    if image.planar is not None or (image.samples or 0) < 2:
        return None
    return LabelVerdict((unsigned(PLANAR, 0),), detail="pixel by pixel")


def whole_octets(bits: int) -> int:
    """The bits that samples of `bits` bits are allocated."""
    return 8 if bits <= 8 else 16 if bits <= 16 else 32
