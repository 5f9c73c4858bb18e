"""Layer 3: numbers of the image pixel description that do not agree with one another or with the samples (P02, P03, P22 to P26, F23)."""

from __future__ import annotations

from typing import Final

from vna_core.dicom.codestream import VIDEO
from vna_core.dicom.frame_index import begin_codestreams, group_fragments, holds_several
from vna_core.ingest.normalize.pixel_image import (
    ALLOCATED,
    FRAME_INCREMENT,
    FRAMES,
    HIGH,
    PHOTOMETRIC,
    PLANAR,
    SAMPLES,
    STORED,
    LabelVerdict,
    PixelImage,
    characters,
    unsigned,
)
from vna_core.ingest.normalize.pixel_samples import is_zero, used_bits

TRIMMED: Final = 1 << 16
"""Most octets of padding that are left out of the samples; they are kept in the reverse patch."""

_LEGAL_BITS: Final = frozenset((1, 8, 16, 32, 64))
_PER_FRAME: Final = 0x52009230
_CONFUSABLE: Final = 4
"""A payload of up to so many times a frame may as well hold wider samples, or more of them."""


def unusual_bits(image: PixelImage) -> LabelVerdict | None:
    """P03: Bits Allocated of 12, 14 or 24: what the samples really take, by the number of octets."""
    bits = image.allocated
    if not bits or bits in _LEGAL_BITS or image.floating or not image.samples:
        return None
    if not image.native:
        if image.stream is None or not 8 < bits < 16:
            return None
        return LabelVerdict((unsigned(ALLOCATED, 16),), detail="decoded samples take whole octets")
    values = image.pixels * image.samples
    if bits < 16 and image.fits(values * 16):
        return LabelVerdict((unsigned(ALLOCATED, 16),), detail="16 bits by the number of octets")
    if bits < 8 and image.fits(values * 8):
        return LabelVerdict((unsigned(ALLOCATED, 8),), detail="8 bits by the number of octets")
    if bits == 12 and image.fits(values * 12) and image.parsed.data_set.little_endian:
        changes = [unsigned(ALLOCATED, 16)]
        if not 0 < (image.stored or 0) <= 12:
            changes += [unsigned(STORED, 12), unsigned(HIGH, 11)]
        octets = (values * 12 * image.frames + 7) // 8
        keep = octets if image.pixel.value.length > octets else -1  # padding of the packed samples is none of the unpacked ones
        return LabelVerdict(tuple(changes), detail="packed samples written in 16 bits", unpack=True, keep=keep)
    if bits == 24 and image.samples == 1 and image.photometric == "RGB" and image.fits(values * 24):
        labels = ((SAMPLES, 3), (PLANAR, 0), (ALLOCATED, 8), (STORED, 8), (HIGH, 7))
        return LabelVerdict(tuple(unsigned(tag, value) for tag, value in labels), detail="three samples of 8 bits")
    return LabelVerdict(finding=f"Samples of {bits} bits are kept as they are.", tag=ALLOCATED)


def impossible_bits(image: PixelImage) -> LabelVerdict | None:
    """P02: Bits Stored of 0 or beyond Bits Allocated: every bit there is, so that no sample loses any."""
    bits = image.allocated
    if bits not in _LEGAL_BITS or image.stored is None or 0 < image.stored <= bits or image.floating:
        return None
    precision = image.stream.precision if image.stream is not None else 0
    if precision > bits:
        return None  # the codestream has more than fits: P10 decides
    stored = precision or bits
    return LabelVerdict((unsigned(STORED, stored), unsigned(HIGH, stored - 1)), detail=f"{stored} of {bits} bits")


def high_bit(image: PixelImage) -> LabelVerdict | None:
    """P02: High Bit is not Bits Stored less one: put right where every sample is right-aligned, else flagged."""
    stored, high = image.stored, image.high
    if not stored or high is None or high == stored - 1 or image.floating:
        return None
    right = LabelVerdict((unsigned(HIGH, stored - 1),), detail=f"right-aligned samples of {stored} bits")
    if stored == image.allocated:
        return right
    if image.stream is not None and image.stream.precision == stored:
        return right
    if image.native and not image.representation and image.allocated in (8, 16):
        used = used_bits(image)
        unused = (1 << max(high + 1 - stored, 0)) - 1
        if used < 1 << stored and (used & unused or not unused):
            return right
    return LabelVerdict(
        finding="High Bit is not one less than Bits Stored, and the samples do not decide which is right.", tag=HIGH
    )


def subsampled_label(image: PixelImage) -> LabelVerdict | None:
    """P24: YBR_FULL_422 over native samples that leave none out."""
    if not image.native or image.photometric != "YBR_FULL_422" or image.samples != 3 or not image.allocated:
        return None
    if image.fits(image.pixels * 3 * image.allocated):
        return LabelVerdict((characters(PHOTOMETRIC, "YBR_FULL"),), detail="three samples a pixel by the number of octets")
    return None


def planar_monochrome(image: PixelImage) -> LabelVerdict | None:
    """P23: Planar Configuration where there is one sample a pixel."""
    if image.planar is None or image.samples != 1:
        return None
    return LabelVerdict(((PLANAR, None),), detail="one sample a pixel")


def planar_colour(image: PixelImage) -> LabelVerdict | None:
    """P23: Planar Configuration that is neither 0 nor 1, or by plane where chroma has fewer samples."""
    if image.planar in (None, 0) or (image.samples or 0) < 2:
        return None
    if image.planar != 1 or (image.native and image.photometric.endswith("_422")):
        return LabelVerdict(finding="Planar Configuration is not possible for these samples; they are kept.", tag=PLANAR)
    return None


def native_frames(image: PixelImage) -> LabelVerdict | None:
    """P22: the samples make another whole number of frames than Number of Frames says."""
    bits = image.frame_bits
    if not image.native or not bits or bits & 7 or image.fits(bits) or _undecided(image):
        return None
    count, rest = divmod(image.length, bits >> 3)
    if rest > (count * (bits >> 3) & 1) or not count or (image.declared_frames is None and count == 1):
        return None
    if count > image.frames:
        if is_zero(image, image.frames * (bits >> 3)) and not image.unpacked:
            return None  # padding, not frames: P25 decides
        if not _multi_frame(image, count):
            return LabelVerdict(finding=f"The samples take {count} times the octets of the frames; they are kept.", tag=FRAMES)
    return _frames(image, count)


def _undecided(image: PixelImage) -> bool:
    """Whether samples have a number of bits that P03 could not make sense of, so that lengths prove nothing."""
    return image.allocated not in _LEGAL_BITS and not image.floating


def _multi_frame(image: PixelImage, count: int) -> bool:
    """Whether more frames are what the additional octets must be, and not wider samples or more of them a pixel."""
    if image.samples == 1 and (image.allocated or 0) >= 16:
        return True
    return image.frames > 1 or FRAME_INCREMENT in image.raw or _per_frame_items(image) == count or count > _CONFUSABLE


def _per_frame_items(image: PixelImage) -> int:
    groups = image.revised.find(_PER_FRAME)
    return len(groups.items or ()) if groups is not None else 0


def _frames(image: PixelImage, count: int) -> LabelVerdict:
    described = _per_frame_items(image)
    if described and described != count:
        return LabelVerdict(
            finding=f"There are {count} frames, functional groups for {described} and Number of Frames {image.frames}.",
            tag=FRAMES,
        )
    return LabelVerdict((characters(FRAMES, str(count)),), detail=f"{count} frames by the pixel data")


def empty_number(image: PixelImage) -> LabelVerdict | None:
    """P22: Number of Frames that is 0 or no number, where there is one frame."""
    if image.declared_frames is None or image.declared_frames >= 1 or image.transfer_syntax_uid in VIDEO:
        return None
    if (image.native and image.fits(image.frame_bits)) or len(image.pixel.fragments or ()) == 1:
        return LabelVerdict((characters(FRAMES, "1"),), detail="1 frame by the pixel data")
    return None


def codestream_frames(image: PixelImage) -> LabelVerdict | None:
    """P22: there are more or fewer codestreams than Number of Frames says."""
    fragments = image.pixel.fragments
    if (
        not fragments
        or image.transfer_syntax_uid in VIDEO
        or (image.stream is not None and image.stream.family in ("video", "mpeg-2"))
    ):
        return None
    if len(fragments) == image.frames and image.pixel.offset_table is not None:
        return None
    little = image.parsed.data_set.little_endian
    groups = group_fragments(image.revised, image.pixel, image.transfer_syntax_uid, little)
    if len(groups) == image.frames:
        return None
    if not begin_codestreams(image.revised.buffer, groups) or holds_several(image.revised.buffer, groups):
        return LabelVerdict(finding="The codestreams do not tell how many frames there are.", tag=FRAMES)
    return _frames(image, len(groups))


def short_samples(image: PixelImage) -> LabelVerdict | None:
    """F23: the samples end before the last frame does."""
    if not image.native or image.length * 8 >= image.frame_bits * image.frames:
        return None
    missing = (image.frame_bits * image.frames + 7) // 8 - image.length
    return LabelVerdict(finding=f"The last {missing} octets of the samples are missing; whole frames can be read.")


def trailing_octets(image: PixelImage) -> LabelVerdict | None:
    """P25: octets behind the last frame: padding with zero is left out, anything else stays and is flagged."""
    bits = image.frame_bits * image.frames
    if not image.native or not bits or image.length * 8 <= bits or image.fits(image.frame_bits) or _undecided(image):
        return None
    octets = (bits + 7) // 8
    extra = image.pixel.value.length - octets
    unnumbered = image.declared_frames is not None and image.declared_frames < 1
    black_frames = unnumbered and not extra * 8 % image.frame_bits  # as likely as padding where no number of frames is told
    if not image.unpacked and extra <= TRIMMED and not black_frames and is_zero(image, octets):
        return LabelVerdict(keep=octets, detail=f"{extra} octets of zero behind the last frame")
    return LabelVerdict(finding=f"{extra} octets follow the last frame; they are kept.")


def palette(image: PixelImage) -> LabelVerdict | None:
    """P26: lookup tables of a palette that do not have the size their descriptors say (PS3.3 C.7.6.3.1.5, C.7.6.3.1.6)."""
    if image.photometric != "PALETTE COLOR":
        return None
    revised, faults = image.revised, []
    for number, name in enumerate(("red", "green", "blue")):
        descriptor, data = revised.find(0x00281101 + number), revised.find(0x00281201 + number)
        if data is None and revised.find(0x00281221 + number) is not None:
            continue
        if descriptor is None or descriptor.length < 6 or data is None:
            faults.append(f"{name} is missing")
            continue
        raw = revised.value(descriptor)
        entries, bits = int.from_bytes(raw[:2], "little") or 65_536, raw[4]
        octets = entries * (2 if bits > 8 else 1)
        if data.length not in (octets, octets + (octets & 1)):
            faults.append(f"{name} has {data.length} octets for {entries} entries of {bits} bits")
    return LabelVerdict(finding=f"Palette: {'; '.join(faults)}.", tag=0x00281101) if faults else None
