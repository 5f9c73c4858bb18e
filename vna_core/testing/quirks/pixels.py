"""Descriptions of pixels that do not fit them, native pixel data, and vendors' own ways (P01 to P05, P20 to P33)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import numpy as np

from vna_core.testing.phantom_writer import EXPLICIT_BIG
from vna_core.testing.quirks import codestreams, compressed, elscint, sequences
from vna_core.testing.quirks.octets import BIG, IMPLICIT, Fields, element, even, header, swapped
from vna_core.testing.quirks.quirk_file import Maker, QuirkFile, Samples
from vna_core.testing.quirks.sheet import PIXEL_DATA, Sheet, gradient, image, octets_of

SAMPLES, PHOTOMETRIC, PLANAR, FRAMES = 0x00280002, 0x00280004, 0x00280006, 0x00280008
ALLOCATED, STORED, HIGH_BIT, REPRESENTATION = 0x00280100, 0x00280101, 0x00280102, 0x00280103
MR: Final = "1.2.840.10008.5.1.4.1.1.4"
SEGMENTATION: Final = "1.2.840.10008.5.1.4.1.1.66.4"


def colour(name: str, photometric: str = "RGB") -> Sheet:
    """A native colour image."""
    return image(name, gradient(samples=3, bits=8), 8, photometric)


def missing_description() -> Iterator[QuirkFile]:
    for label, tag, value in (
        ("samples-per-pixel", SAMPLES, "1"),
        ("photometric-interpretation", PHOTOMETRIC, "MONOCHROME2"),
        ("pixel-representation", REPRESENTATION, "0"),
    ):
        yield image(f"P01-no-{label}").without(tag).must({f"{tag:08X}": (value,)}).file()
    yield colour("P01-no-planar-configuration").without(PLANAR).must({"00280006": ("0",)}).file()


def wrong_bits() -> Iterator[QuirkFile]:
    yield image("P02-high-bit-15-of-12").put(HIGH_BIT, "US", 15).must({"00280101": ("12",), "00280102": ("11",)}).file()
    start = image("P02-16-bits-stored-in-8", bits=8).put(STORED, "US", 16).put(HIGH_BIT, "US", 15)
    yield start.must({"00280101": ("8",), "00280102": ("7",)}).file()
    yield image("P02-no-bits-stored").put(STORED, "US", 0).put(HIGH_BIT, "US", 0).unsure(STORED, HIGH_BIT).show(None).file()


def packed_12(samples: Samples) -> bytes:
    """Samples of 12 bits, two in three octets, least significant first."""
    first, second = samples.ravel()[0::2].astype("u2"), samples.ravel()[1::2].astype("u2")
    triples = np.stack([first & 0xFF, first >> 8 | (second & 0xF) << 4, second >> 4], axis=1)
    return triples.astype("u1").tobytes()


def odd_allocation() -> Iterator[QuirkFile]:
    start = image("P03-12-bits-packed").put(ALLOCATED, "US", 12).put(PIXEL_DATA, "OW", packed_12(gradient()))
    yield start.must({"00280100": ("16",), "00280101": ("12",), "00280102": ("11",)}).file()
    start = (
        colour("P03-24-bits-are-rgb").put(SAMPLES, "US", 1).put(ALLOCATED, "US", 24).put(STORED, "US", 24).put(HIGH_BIT, "US", 23)
    )
    yield start.must({"00280002": ("3",), "00280100": ("8",), "00280101": ("8",), "00280102": ("7",)}).file()


def embedded_overlay() -> Iterator[QuirkFile]:
    """An overlay in bit 12 of every sample; its plane in (6000,3000) is packed least significant bit first."""
    samples = gradient()
    plane = (np.indices(samples.shape[1:]).sum(axis=0) % 3 == 0).astype("u2")
    raw = octets_of(samples | plane << 12)
    start = image("P04-overlay-in-bit-12").puts(
        (0x60000010, "US", samples.shape[1]),
        (0x60000011, "US", samples.shape[2]),
        (0x60000040, "CS", "G"),
        (0x60000050, "SS", (1, 1)),
        (0x60000100, "US", 16),
        (0x60000102, "US", 12),
    )
    bits = np.packbits(plane.astype("u1"), bitorder="little").tobytes()
    truth = {"60000100": ("1",), "60000102": ("0",), "60003000": (even(bits).hex().upper(),)}
    yield start.keep(PIXEL_DATA, "OW", raw).must(truth).file()


def unused_bits() -> Iterator[QuirkFile]:
    samples = gradient()
    noise = (np.arange(samples.size, dtype="u2").reshape(samples.shape) % 15 + 1) << 12
    yield image("P05-garbage-above-bits-stored").keep(PIXEL_DATA, "OW", octets_of(samples | noise)).file()
    signed = samples.astype("i2") - 2048
    raw = octets_of((signed & 0x0FFF).astype("u2"))
    yield image("P05-sign-not-extended", signed).keep(PIXEL_DATA, "OW", raw).file()


def elscint_private() -> Iterator[QuirkFile]:
    samples = gradient()
    creator: Fields = ((0x07A10010, "LO", "ELSCINT1"), (0x07A11011, "CS", "PMSCT_RLE1"))
    octets = elscint.encode(samples)
    for label, transfer_syntax in (("explicit", "1.2.840.10008.1.2.1"), ("private-transfer-syntax", "1.3.46.670589.33.1.4.1")):
        start = image(f"P20-elscint-rle1-{label}").without(PIXEL_DATA).puts(*creator).put(0x07A1100A, "OB", octets)
        yield start.unsure(0x07A11011).file(start.part10(transfer_syntax))
    yield image("P20-elscint-rle1-already-decoded").puts(*creator).unsure(0x07A11011).file()


def second_pixel_data() -> Iterator[QuirkFile]:
    icon = image("P21-icon", gradient(rows=2, columns=2, bits=8), 8)
    inner: Fields = tuple(one for one in icon.fields if one[0] >> 16 in (0x0028, 0x7FE0))
    yield image("P21-icon-before-the-image").put(0x00880200, "SQ", [inner]).file()
    raw = octets_of(gradient())
    two = element(PIXEL_DATA, "OW", raw) + element(PIXEL_DATA, "OW", raw[::-1])
    yield image("P21-pixel-data-twice").put(PIXEL_DATA, "", two).file()


def wrong_number_of_frames() -> Iterator[QuirkFile]:
    for label, said, frames in (
        ("three-for-two", "3", 2),
        ("one-for-three", "1", 3),
        ("zero-for-one", "0", 1),
        ("missing", "", 2),
    ):
        start = image(f"P22-frames-{label}", gradient(frames=frames)).must({"00280008": (str(frames),)})
        yield (start.put(FRAMES, "IS", said) if said else start.without(FRAMES)).file()


def planar_configuration() -> Iterator[QuirkFile]:
    yield image("P23-planar-configuration-of-one-sample").odd(PLANAR, "US", 1, None).file()
    raw = octets_of(gradient(samples=3, bits=8).transpose(0, 3, 1, 2))
    yield colour("P23-planes-labelled-by-pixel").keep(PLANAR, "US", 0).keep(PIXEL_DATA, "OB", raw).show(None).file()


def native_422() -> Iterator[QuirkFile]:
    yield colour("P24-native-422-with-three-samples", "YBR_FULL_422").odd(PHOTOMETRIC, "CS", "YBR_FULL_422", ("YBR_FULL",)).file()


def native_length() -> Iterator[QuirkFile]:
    samples = gradient(rows=5, columns=5, bits=8)
    raw = samples.tobytes()
    start = image("P25-odd-length", samples, 8).put(PIXEL_DATA, "", header(PIXEL_DATA, "OB", len(raw)) + raw)
    yield start.must({"7FE00010": (even(raw).hex().upper(),)}).file()
    raw = octets_of(gradient())
    start = image("P25-padded-to-512").put(PIXEL_DATA, "OW", raw.ljust(512, b"\0"))
    yield start.must({"7FE00010": (raw.hex().upper(),)}).file()


def palettes() -> Iterator[QuirkFile]:
    samples = gradient(bits=8)
    for label, entries, first, width in (
        ("65536-entries", 0, 0, 16),
        ("signed-first-value", 256, 0xFF80, 16),
        ("short", 200, 0, 16),
    ):
        start = image(f"P26-palette-{label}", samples, 8, "PALETTE COLOR")
        values = np.arange(entries or 65536, dtype="<u2").tobytes()
        yield _with_palette(start, (entries, first, width), values)
    start = image("P26-palette-8-bits-in-words", samples, 8, "PALETTE COLOR")
    yield _with_palette(start, (256, 0, 8), np.arange(256, dtype="<u2").tobytes())


def _with_palette(start: Sheet, descriptor: tuple[int, int, int], values: bytes) -> QuirkFile:
    for low in range(1, 4):
        start = start.keep(0x00281100 | low, "US", descriptor).keep(0x00281200 | low, "OW", values)
    return start.file()


def other_sample_types() -> Iterator[QuirkFile]:
    deep = gradient(bits=31)
    yield image("P27-32-bits", deep, 32).file()
    start = image("P27-32-bits-big-endian", deep, 32)
    big = start.put(PIXEL_DATA, "OW", swapped(swapped(octets_of(deep), 4)))
    yield start.file(big.part10(EXPLICIT_BIG, BIG))
    for label, tag, vr, dtype in (("float", 0x7FE00008, "OF", "f4"), ("double-float", 0x7FE00009, "OD", "f8")):
        samples = (gradient().astype(dtype) - 1000) / 7
        start = image(f"P27-{label}-pixel-data").without(PIXEL_DATA, STORED, HIGH_BIT, REPRESENTATION)
        start = start.put(ALLOCATED, "US", samples.dtype.itemsize * 8).put(tag, vr, octets_of(samples))
        yield start.show(samples).file()
    bits = (gradient(frames=2, rows=8, columns=8, bits=8) & 1).astype("u1")
    start = image("P27-one-bit", bits, 1, sop_class=SEGMENTATION).put(ALLOCATED, "US", 1).put(HIGH_BIT, "US", 0)
    yield start.put(PIXEL_DATA, "OB", np.packbits(bits.ravel(), bitorder="little").tobytes()).file()


def mosaic() -> Iterator[QuirkFile]:
    start = image("P29-siemens-mosaic", gradient(rows=12, columns=12), sop_class=MR)
    start = start.put(0x00080008, "CS", "ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC").put(0x00190010, "LO", "SIEMENS MR HEADER")
    raw = octets_of(gradient(rows=12, columns=12))
    yield start.keep(0x0019100A, "US", 9).keep(PIXEL_DATA, "OW", raw).file()


def private_scale() -> Iterator[QuirkFile]:
    start = image("P30-philips-scale-slope", sop_class=MR).put(0x00281052, "DS", "0").put(0x00281053, "DS", "1.25")
    start = start.put(0x20050010, "LO", "Philips MR Imaging DD 001")
    yield start.keep(0x2005100E, "FL", 0.0625).keep(0x2005100D, "FL", 0.0).keep(PIXEL_DATA, "OW", octets_of(gradient())).file()


def two_positions() -> Iterator[QuirkFile]:
    """The public position counts; the private one, in a sequence that another archive made UN, stays."""
    inner: Fields = ((0x00080100, "SH", "T-D3000"), (0x00200032, "DS", "-100.25\\-90\\17.5"))
    tag = 0x2005140F
    start = image("P31-second-position-in-un-sequence", sop_class=MR).put(0x20050014, "LO", "Philips MR Imaging DD 005")
    octets = sequences.unknown(tag, sequences.items_of(inner, form=IMPLICIT))
    yield start.put(tag, "", octets).must({f"{tag:08X}[0].00200032": ("-100.25", "-90", "17.5")}).file()


def same_echo_time() -> Iterator[QuirkFile]:
    for number in ("1", "2"):
        start = image(f"P33-echo-{number}-with-the-same-time", sop_class=MR)
        yield start.keep(0x00180081, "DS", "2.5").keep(0x00180086, "IS", number).file()
    yield image("P33-jittered-orientation").keep(0x00200037, "DS", "0.9999999\\0.0000013\\0\\0\\1\\0").file()


def video() -> Iterator[QuirkFile]:
    container = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + b"\0\0\0\x10mdat" + bytes(range(8))
    start = compressed.wrapped(image("P28-mp4-container", gradient(samples=3, bits=8), 8, "YBR_PARTIAL_420"), [container])
    start = start.put(FRAMES, "IS", "25").unsure(FRAMES).show(None).must({"00020010": (codestreams.MPEG_4,)})
    yield start.file(start.part10(codestreams.MPEG_4))


ENTRIES: Final[Mapping[str, Maker]] = {
    "P01": missing_description,
    "P02": wrong_bits,
    "P03": odd_allocation,
    "P04": embedded_overlay,
    "P05": unused_bits,
    **compressed.ENTRIES,
    "P20": elscint_private,
    "P21": second_pixel_data,
    "P22": wrong_number_of_frames,
    "P23": planar_configuration,
    "P24": native_422,
    "P25": native_length,
    "P26": palettes,
    "P27": other_sample_types,
    "P28": video,
    "P29": mosaic,
    "P30": private_scale,
    "P31": two_positions,
    "P33": same_echo_time,
}
"""Catalogue entry to the function that makes its files."""
