"""Encapsulated pixel data that is not what its labels say (P06 to P19)."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from vna_core.testing.quirks import codestreams as codec
from vna_core.testing.quirks.octets import delimiter, encapsulated, even, frame_offsets, header, item
from vna_core.testing.quirks.quirk_file import Maker, QuirkFile, Samples
from vna_core.testing.quirks.sheet import PIXEL_DATA, Sheet, gradient, image, octets_of

PHOTOMETRIC: Final = 0x00280004
EXTENDED_OFFSETS, EXTENDED_LENGTHS = 0x7FE00001, 0x7FE00002


def wrapped(start: Sheet, streams: Sequence[bytes], offsets: Sequence[int] | None = None) -> Sheet:
    """With one fragment for each stream and a right Basic Offset Table unless told."""
    fragments = [even(one) for one in streams]
    return start.put(PIXEL_DATA, "", encapsulated(fragments, frame_offsets(fragments) if offsets is None else offsets))


def labelled(start: Sheet, told: str, right: str = "") -> QuirkFile:
    """The file under the transfer syntax `told`; the canonical object must name `right`."""
    return start.must({"00020010": (right or told,)}).file(start.part10(told))


def signs_and_precisions() -> Iterator[QuirkFile]:
    signed = gradient().astype("i2") - 2048
    lost = (signed[0] & 0x0FFF).astype("u2")
    start = image("P06-signed-as-unsigned-jpeg-2000", signed)
    yield labelled(wrapped(start, [codec.jpeg_2000(lost, 12)]), codec.JPEG_2000_LOSSLESS)
    start = image("P06-signed-as-unsigned-jpeg-ls", signed)
    yield labelled(wrapped(start, [codec.jpeg_ls(lost)]), codec.JPEG_LS)
    start = image("P06-precision-16-for-12-bits-stored")
    yield labelled(wrapped(start, [codec.jpeg_2000(gradient()[0], 16)]), codec.JPEG_2000_LOSSLESS)


def _jpeg_colour(name: str, told: str, right: str, stream: bytes, pixels: Samples) -> QuirkFile:
    start = image(name, pixels[np.newaxis], 8, told).odd(PHOTOMETRIC, "CS", told, (right,))
    return labelled(wrapped(start, [stream]), codec.BASELINE)


def colour_labels() -> Iterator[QuirkFile]:
    rgb = gradient(rows=8, columns=16, samples=3, bits=8)[0]
    jfif = codec.jpeg(rgb, subsampling=1)
    stored = codec.decoded(jfif, "YCbCr")
    yield _jpeg_colour("P07-jfif-labelled-rgb", "RGB", "YBR_FULL_422", jfif, stored)
    adobe = codec.jpeg(rgb, keep_rgb=True)
    yield _jpeg_colour("P07-adobe-rgb-labelled-ybr", "YBR_FULL_422", "RGB", adobe, codec.decoded(adobe))
    lossless = codec.jpeg_lossless_rgb(rgb)
    start = image("P07-lossless-rgb-labelled-ybr", rgb[np.newaxis], 8, "YBR_FULL").odd(PHOTOMETRIC, "CS", "YBR_FULL", ("RGB",))
    yield labelled(wrapped(start, [lossless]), codec.LOSSLESS_FIRST_ORDER)


def component_transforms() -> Iterator[QuirkFile]:
    rgb = gradient(rows=8, columns=16, samples=3, bits=8)
    for label, transformed, told, right in (
        ("rgb-with-transform", True, "RGB", "YBR_RCT"),
        ("ybr-rct-without-transform", False, "YBR_RCT", "RGB"),
    ):
        stream = codec.jpeg_2000(rgb[0], 8, multiple_component=transformed)
        start = image(f"P08-{label}", rgb, 8, told).odd(PHOTOMETRIC, "CS", told, (right,))
        yield labelled(wrapped(start, [stream]), codec.JPEG_2000_LOSSLESS)


def other_codec() -> Iterator[QuirkFile]:
    """Which of the two lossless syntaxes is named depends on the predictor: only the pixels are certain there."""
    samples, shallow = gradient(), gradient(bits=8)
    stream = codec.jpeg(shallow[0])
    lossy = codec.decoded(stream)[np.newaxis]
    progressive = codec.jpeg(shallow[0], progressive=True)
    for label, start, one, told, right in (
        ("baseline-under-lossless", image("", lossy, 8), stream, codec.LOSSLESS_FIRST_ORDER, codec.BASELINE),
        (
            "progressive-under-baseline",
            image("", codec.decoded(progressive)[np.newaxis], 8),
            progressive,
            codec.BASELINE,
            codec.PROGRESSIVE,
        ),
        ("jpeg-2000-under-jpeg-ls", image(""), codec.jpeg_2000(samples[0], 12), codec.JPEG_LS, codec.JPEG_2000_LOSSLESS),
        ("jpeg-ls-under-native", image(""), codec.jpeg_ls(samples[0]), "1.2.840.10008.1.2.1", codec.JPEG_LS),
    ):
        yield labelled(wrapped(_renamed(start, f"P09-{label}"), [one]), told, right)
    start = image("P09-lossless-under-baseline")
    start = wrapped(start, [codec.jpeg_lossless(samples[0], 12)])
    yield start.file(start.part10(codec.BASELINE))
    yield labelled(image("P09-native-under-jpeg"), codec.BASELINE, "1.2.840.10008.1.2.1")


def _renamed(start: Sheet, name: str) -> Sheet:
    fresh = image(name, start.pixels, int(start.text(0x00280101)))
    return replace(fresh, pixels=start.pixels)


def wrong_depth() -> Iterator[QuirkFile]:
    stream = codec.jpeg_12_bits(gradient()[0])
    deep = codec.decoded_12_bits(stream)[np.newaxis]
    yield labelled(wrapped(image("P10-12-bits-under-baseline", deep), [stream]), codec.BASELINE, codec.EXTENDED)
    stream = codec.jpeg(gradient(bits=8)[0])
    shallow = codec.decoded(stream)[np.newaxis]
    start = image("P10-16-bits-allocated-for-8", shallow, 8).put(0x00280100, "US", 16)
    yield labelled(wrapped(start.must({"00280100": ("8",)}), [stream]), codec.BASELINE)
    stream = codec.jpeg_lossless(gradient(bits=16)[0], 16)
    start = image("P10-12-bits-stored-of-16", gradient(bits=16), 16).put(0x00280101, "US", 12).put(0x00280102, "US", 11)
    # Only decoding tells which of the two is true, and readers differ, so no sample values are expected.
    yield replace(labelled(wrapped(start, [stream]), codec.LOSSLESS), pixels=None)


def codestream_ends() -> Iterator[QuirkFile]:
    stream = codec.jpeg_lossless(gradient()[0], 12)
    stream += b"\0" * (len(stream) & 1)
    bare = stream[: stream.rindex(b"\xff\xd9")]
    for label, one in (("no-eoi", bare), ("octets-after-eoi", stream + b"\0" * 10)):
        yield labelled(wrapped(image(f"P11-{label}"), [one]), codec.LOSSLESS)
    odd = stream + b"\0"
    raw = header(PIXEL_DATA, "OB", 0xFFFFFFFF) + item(bytes(4)) + item(odd) + delimiter()
    yield labelled(image("P11-odd-fragment").put(PIXEL_DATA, "", raw), codec.LOSSLESS)


def _frames(count: int = 2) -> tuple[Samples, list[bytes]]:
    samples = gradient(frames=count)
    return samples, [even(codec.jpeg_ls(one)) for one in samples]


def fragmented() -> Iterator[QuirkFile]:
    samples, streams = _frames()
    inside = streams[0].index(b"\xff\xd8", 2)
    for label, second in (("fragments-without-offsets", 30), ("fragment-begins-like-a-codestream", inside)):
        cut = [piece for one in streams for piece in (one[:20], one[20:second], one[second:])]
        start = image(f"P12-{label}", samples)
        yield labelled(start.put(PIXEL_DATA, "", encapsulated(cut)), codec.JPEG_LS)
    offsets = frame_offsets(cut)[::3]
    start = image("P12-fragments-with-offsets", samples)
    yield labelled(start.put(PIXEL_DATA, "", encapsulated(cut, offsets)), codec.JPEG_LS)
    one, single = _frames(1)
    start = image("P12-one-frame-in-fragments", one)
    yield labelled(start.put(PIXEL_DATA, "", encapsulated([single[0][:30], single[0][30:]])), codec.JPEG_LS)


def offset_tables() -> Iterator[QuirkFile]:
    samples, streams = _frames(3)
    right = frame_offsets(streams)
    for label, offsets in (("wrong", [0, right[1] + 4, right[2] - 6]), ("short", right[:2]), ("zeros", [0, 0, 0])):
        start = image(f"P13-offsets-{label}", samples)
        yield labelled(wrapped(start, streams, offsets), codec.JPEG_LS)
    start = image("P13-no-offset-table-item", samples)
    yield labelled(start.put(PIXEL_DATA, "", encapsulated(streams, None)), codec.JPEG_LS)


def extended_offsets() -> Iterator[QuirkFile]:
    samples, streams = _frames()
    start = image("P14-extended-offsets-wrong", samples)
    start = start.put(EXTENDED_OFFSETS, "OV", struct.pack("<2Q", 0, 10)).put(EXTENDED_LENGTHS, "OV", struct.pack("<2Q", 10, 10))
    yield labelled(start.put(PIXEL_DATA, "", encapsulated(streams)), codec.JPEG_LS)
    cut = [piece for one in streams for piece in (one[:20], one[20:])]
    offsets, lengths = frame_offsets(cut)[::2], [len(one) for one in streams]
    start = image("P14-extended-offsets-with-fragments", samples)
    start = start.put(EXTENDED_OFFSETS, "OV", struct.pack("<2Q", *offsets)).put(
        EXTENDED_LENGTHS, "OV", struct.pack("<2Q", *lengths)
    )
    yield labelled(start.put(PIXEL_DATA, "", encapsulated(cut)), codec.JPEG_LS)


def no_delimiter() -> Iterator[QuirkFile]:
    samples, streams = _frames()
    start = image("P15-no-sequence-delimiter", samples)
    octets = encapsulated(streams, frame_offsets(streams))[:-8]
    yield labelled(start.put(PIXEL_DATA, "", octets), codec.JPEG_LS)


def odd_lengths_and_representations() -> Iterator[QuirkFile]:
    samples, streams = _frames()
    body = encapsulated(streams, frame_offsets(streams))[12:-8]
    start = image("P16-encapsulated-of-defined-length", samples)
    yield labelled(start.put(PIXEL_DATA, "", header(PIXEL_DATA, "OB", len(body)) + body), codec.JPEG_LS)
    yield image("P16-native-under-un").put(PIXEL_DATA, "UN", octets_of(gradient())).file()
    start = image("P16-encapsulated-under-un", samples)
    octets = encapsulated(streams, frame_offsets(streams)).replace(b"OB", b"UN", 1)
    yield labelled(start.put(PIXEL_DATA, "", octets), codec.JPEG_LS)


def boxed_jpeg_2000() -> Iterator[QuirkFile]:
    stream = codec.jpeg_2000(gradient()[0], 12, boxed=True)
    yield labelled(wrapped(image("P17-jp2-container"), [stream]), codec.JPEG_2000_LOSSLESS)


def jai_jpeg_ls() -> Iterator[QuirkFile]:
    """A stream of more than 12 bits without a preset segment or any application's: which presets count cannot be told."""
    samples = gradient(bits=16)
    stream = codec.jpeg_ls(samples[0])
    stream = stream[:2] + stream[stream.index(b"\xff\xf7") :]  # without whatever the encoder says of itself before the frame
    stream = codec.without_marker(stream, 0xF8)
    start = wrapped(image("P18-jpeg-ls-without-presets", samples, 16), [stream]).show(None)
    yield labelled(start.keep_at("7FE00010", encapsulated([even(stream)], [0])[12:-8]), codec.JPEG_LS)


def odd_rle() -> Iterator[QuirkFile]:
    samples = gradient()
    for label, frame in (
        ("segments-unpadded", codec.rle(samples[0], pad=0)),
        ("header-of-128", codec.rle(samples[0], offset=128)),
    ):
        yield labelled(wrapped(image(f"P19-rle-{label}"), [frame]), codec.RLE)
    frame = codec.rle(samples[0], least_first=True)
    start = wrapped(image("P19-rle-least-significant-first"), [frame]).show(None)
    yield labelled(start.keep_at("7FE00010", encapsulated([frame], [0])[12:-8]), codec.RLE)


ENTRIES: Final[Mapping[str, Maker]] = {
    "P06": signs_and_precisions,
    "P07": colour_labels,
    "P08": component_transforms,
    "P09": other_codec,
    "P10": wrong_depth,
    "P11": codestream_ends,
    "P12": fragmented,
    "P13": offset_tables,
    "P14": extended_offsets,
    "P15": no_delimiter,
    "P16": odd_lengths_and_representations,
    "P17": boxed_jpeg_2000,
    "P18": jai_jpeg_ls,
    "P19": odd_rle,
}
"""Catalogue entry to the function that makes its files."""
