"""Layer 3: labels against what the first codestream says of itself (P06 to P10, P18, P19, P28)."""

from __future__ import annotations

from typing import Final

from vna_core.dicom.codestream import NATIVE, VIDEO
from vna_core.dicom.codestream_header import RGB, unpacked_run_length
from vna_core.dicom.frame_index import RLE_LOSSLESS
from vna_core.ingest.normalize.pixel_image import (
    ALLOCATED,
    COLUMNS,
    HIGH,
    PHOTOMETRIC,
    PLANAR,
    REPRESENTATION,
    SAMPLES,
    STORED,
    LabelVerdict,
    PixelImage,
    characters,
    unsigned,
)
from vna_core.ingest.normalize.pixel_missing import whole_octets

_LOSSY: Final = 0x00282110
_DCT: Final = frozenset(("jpeg-baseline", "jpeg-extended", "jpeg-progressive"))
_WAVELET: Final = frozenset(("jpeg-2000", "htj2k"))
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
_UNSIGNED_CODECS: Final = _DCT | {"jpeg-lossless", "jpeg-ls"}
_LOSSLESS_SYNTAXES: Final = NATIVE | frozenset(
    "1.2.840.10008.1.2.4." + number for number in ("57", "58", "70", "80", "90", "201", "202")
)
_LUMA_CHROMA: Final = frozenset(("YBR_FULL", "YBR_FULL_422", "YBR_PARTIAL_422", "YBR_PARTIAL_420"))
_LONGEST_COUNTED: Final = 16 << 20


def lossy_flag(image: PixelImage) -> LabelVerdict | None:
    """P09: Lossy Image Compression says no, or a lossless transfer syntax hid it, and the codestream is lossy."""
    if image.stream is None or not image.stream.lossy:
        return None
    flag = image.revised.text(_LOSSY)
    declared = image.parsed.declared_transfer_syntax_uid
    hidden = declared in _LOSSLESS_SYNTAXES and declared != image.transfer_syntax_uid
    if flag == "00" or (not flag and hidden):
        return LabelVerdict((characters(_LOSSY, "01"),), detail="lossy codestream")
    return None


def colour_of_jpeg(image: PixelImage) -> LabelVerdict | None:
    """P07: the stream proves RGB or YCbCr, and Photometric Interpretation says something else."""
    stream = image.stream
    if stream is None or not stream.colour or stream.family in _WAVELET:
        return None
    label = image.photometric
    if label == RGB if stream.colour == RGB else label in _LUMA_CHROMA:
        return None
    name = RGB if stream.colour == RGB else "YBR_FULL_422" if stream.family in _DCT else "YBR_FULL"
    return LabelVerdict((characters(PHOTOMETRIC, name), *_three_samples(image)), detail="by the codestream")


def colour_transformation(image: PixelImage) -> LabelVerdict | None:
    """P08: the codestream uses (or does not) the colour transformation of JPEG 2000, and the label says the opposite."""
    stream = image.stream
    if stream is None or stream.components != 3 or stream.family not in _WAVELET:
        return None
    label = image.photometric
    if stream.transformed:
        wanted = "YBR_ICT" if stream.lossy else "YBR_RCT"
        if label == wanted:
            return None
        if label in _LUMA_CHROMA:
            return LabelVerdict(finding=f"{label} over a codestream with colour transformation; kept.", tag=PHOTOMETRIC)
        return LabelVerdict((characters(PHOTOMETRIC, wanted), *_three_samples(image)), detail="colour transformation used")
    if label == "YBR_FULL_422" and not stream.subsampled:
        return LabelVerdict((characters(PHOTOMETRIC, "YBR_FULL"),), detail="no component has fewer samples")
    return None


def untransformed_colour(image: PixelImage) -> LabelVerdict | None:
    """P08: a label of transformed colour over a codestream that uses no transformation."""
    stream = image.stream
    if stream is None or image.photometric not in ("YBR_RCT", "YBR_ICT") or stream.components != 3:
        return None
    if stream.transformed or stream.family not in _WAVELET:
        return None
    return LabelVerdict((characters(PHOTOMETRIC, RGB),), detail="no colour transformation used")


def colour_of_run_lengths(image: PixelImage) -> LabelVerdict | None:
    """P08: YBR_FULL_422 over three full RLE segments."""
    stream, fragments = image.stream, image.pixel.fragments
    if stream is None or not fragments or image.photometric != "YBR_FULL_422" or len(stream.segments) != 3:
        return None
    if fragments[0].length > _LONGEST_COUNTED or image.allocated != 8:
        return None
    frame = bytes(image.revised.buffer[fragments[0].offset : fragments[0].end])
    ends = (*stream.segments[1:], len(frame))
    lengths = [unpacked_run_length(frame[begin:end], image.pixels) for begin, end in zip(stream.segments, ends, strict=True)]
    if not image.pixels or any(length < image.pixels for length in lengths):
        return None
    return LabelVerdict((characters(PHOTOMETRIC, "YBR_FULL"),), detail="three full segments")


def component_count(image: PixelImage) -> LabelVerdict | None:
    """P07: the codestream has another number of components than Samples per Pixel says, and nothing tells their colour."""
    stream = image.stream
    if stream is None or stream.components in (0, image.samples):
        return None
    return LabelVerdict(finding=f"The codestream has {stream.components} components, not {image.samples}.", tag=SAMPLES)


def precision(image: PixelImage) -> LabelVerdict | None:
    """P10: bits by the codestream where the labels say others, or where 8-bit JPEG has other samples allocated (PS3.5 8.2.1)."""
    stream = image.stream
    if stream is None or not stream.precision or stream.family not in _UNSIGNED_CODECS or not image.allocated:
        return None
    bits, wide = stream.precision, whole_octets(stream.precision)
    if bits == image.stored and (wide == image.allocated or image.transfer_syntax_uid != JPEG_BASELINE):
        return None
    if image.representation or image.allocated >= bits > (image.stored or 0):
        return LabelVerdict(finding=f"The codestream has {bits} bits, Bits Stored is {image.stored}; kept.", tag=STORED)
    changes = [unsigned(STORED, bits), unsigned(HIGH, bits - 1)]
    if wide != image.allocated:
        changes.append(unsigned(ALLOCATED, wide))
    return LabelVerdict(tuple(changes), detail=f"{bits} bits by the codestream")


def precision_of_wavelet(image: PixelImage) -> LabelVerdict | None:
    """P06: a JPEG 2000 stream of another sign or precision than the labels say: the samples are as the stream says."""
    stream = image.stream
    if stream is None or not stream.precision or stream.family not in _WAVELET:
        return None
    if stream.signed != bool(image.representation):
        signs = ("unsigned", "signed")
        return LabelVerdict(
            finding=f"The codestream is {signs[stream.signed]}, Pixel Representation says {signs[not stream.signed]}; kept.",
            tag=REPRESENTATION,
        )
    if image.stored is not None and stream.precision != image.stored:
        return LabelVerdict(
            finding=f"The codestream has {stream.precision} bits, Bits Stored is {image.stored}; kept.", tag=STORED
        )
    return None


def frame_size(image: PixelImage) -> LabelVerdict | None:
    """P10: the codestream is of another size than Rows and Columns say."""
    stream = image.stream
    if stream is None or not stream.rows or (stream.rows, stream.columns) == (image.rows, image.columns):
        return None
    return LabelVerdict(
        finding=f"The codestream has {stream.rows} rows and {stream.columns} columns, not {image.rows} and {image.columns}.",
        tag=COLUMNS,
    )


def jpeg_ls_parameters(image: PixelImage) -> LabelVerdict | None:
    """P18: a JPEG-LS stream of more than 12 bits without parameters, as one writer leaves them out that needs them."""
    stream = image.stream
    if stream is None or not stream.bare or stream.precision <= 12:
        return None
    return LabelVerdict(finding=f"JPEG-LS of {stream.precision} bits without preset parameters: it may decode wrong.")


def run_length_segments(image: PixelImage) -> LabelVerdict | None:
    """P19: segments of an RLE frame that cannot be those of the image (PS3.5 annex G)."""
    stream, fragments = image.stream, image.pixel.fragments
    if stream is None and fragments and image.transfer_syntax_uid == RLE_LOSSLESS:
        return LabelVerdict(finding="RLE: the frame does not begin with a header whose first segment follows it.")
    if stream is None or not stream.segments or not fragments:
        return None
    offsets, faults = stream.segments, []
    expected = (image.samples or 0) * ((image.allocated or 0) // 8)
    if expected and len(offsets) != expected:
        faults.append(f"{len(offsets)} segments for {expected} octets a pixel")
    if any(later <= earlier for earlier, later in zip(offsets, offsets[1:], strict=False)) or offsets[-1] >= fragments[0].length:
        faults.append("offsets that do not ascend within the frame")
    elif any(offset & 1 for offset in offsets):
        faults.append("segments of odd length")
    return LabelVerdict(finding=f"RLE: {', '.join(faults)}.") if faults else None


def video(image: PixelImage) -> LabelVerdict | None:
    """P28: a video, which is one codestream for all frames."""
    named = image.stream is not None and image.stream.family in ("video", "mpeg-2")
    if image.native or not (named or image.transfer_syntax_uid in VIDEO):
        return None
    return LabelVerdict(finding="Video: its frames are not located one by one (kind=video).")


def _three_samples(image: PixelImage) -> list[tuple[int, bytes]]:
    return [] if image.samples == 3 else [unsigned(SAMPLES, 3), unsigned(PLANAR, 0)]
