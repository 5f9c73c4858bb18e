"""Pixels in (07A1,100A): decoded where the stream is PMSCT_RLE1 and there is nothing else, refused when damaged."""

from __future__ import annotations

import random
import struct
import time

import numpy
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.unit.dialects.instances import read, seen, text
from tests.unit.normalize.handmade import description, element, file, identification, number
from vna_core.dicom.instance_facts import InstanceFacts
from vna_core.domain.errors import Malformed
from vna_core.testing.quirks import quirk_file
from vna_dialect_elscint.dialect import ElscintDialect
from vna_dialect_elscint.pmsct_rle1 import MOST_SAMPLES, decode


def encode(samples: list[int]) -> bytes:
    """Differences where they fit an octet that is no marker, then runs of three octets or more."""
    codes = bytearray()
    before = 0
    for sample in samples:
        difference = (sample - before + 0x8000) % 0x10000 - 0x8000
        if -128 <= difference <= 127 and difference != 0x5A:
            codes.append(difference & 0xFF)
        else:
            codes += b"\x5a" + struct.pack("<H", sample)
        before = sample
    return runs(bytes(codes))


def runs(codes: bytes) -> bytes:
    packed = bytearray()
    position = 0
    while position < len(codes):
        end = position
        while end < len(codes) and codes[end] == codes[position] and end - position < 256:
            end += 1
        if end - position > 2 or codes[position] == 0xA5:
            packed += bytes((0xA5, end - position - 1, codes[position]))
        else:
            packed += codes[position:end]
        position = end
    return bytes(packed)


def one_by_one(octets: bytes, count: int) -> bytes | None:
    """The same code read octet by octet; None where it is damaged."""
    codes = bytearray()
    stream = iter(octets)
    for octet in stream:
        if octet == 0xA5:
            times, value = next(stream, None), next(stream, None)
            if times is None or value is None:
                return None
            codes += bytes((value,)) * (times + 1)
        else:
            codes.append(octet)
    samples, before = [], 0
    stream = iter(codes)
    for octet in stream:
        if octet == 0x5A:
            low, high = next(stream, None), next(stream, None)
            if low is None or high is None:
                return None
            before = high << 8 | low
        else:
            before = before + (octet if octet < 128 else octet - 256) & 0xFFFF
        samples.append(before)
    return struct.pack(f"<{count}H", *samples[:count]) if len(samples) - count in (0, 1) else None


def compressed(
    stream: bytes, *, rows: int = 4, columns: int = 4, bits: int = 16, kind: str = "PMSCT_RLE1", tail: bytes = b""
) -> bytes:
    private = text(0x07A10010, "LO", "ELSCINT1") + element(0x07A1100A, "OB", stream + b"\0" * (len(stream) & 1))
    image = identification(extra=text(0x00080070, "LO", "Philips")) + description(rows, columns, bits)
    return file(image + private + text(0x07A11011, "CS", kind) + tail)


@given(st.lists(st.integers(0, 0xFFFF), min_size=1, max_size=300))
@example([0xA5A5, 0x5A5A, 0x5A, 0, 0xFFFF, 0x7FFF])
def test_what_is_encoded_comes_back(samples: list[int]) -> None:
    assert decode(encode(samples), len(samples)) == struct.pack(f"<{len(samples)}H", *samples)


@given(st.lists(st.sampled_from([0x5A, 0xA5, 0, 1, 2, 0x7F, 0x80, 0xFF]), max_size=60).map(bytes), st.integers(1, 40))
@example(b"ZZZZZZ", 1)
def test_any_stream_is_read_as_octet_by_octet_or_refused(stream: bytes, count: int) -> None:
    expected = one_by_one(stream, count)
    if expected is None:
        with pytest.raises(Malformed):
            decode(stream, count)
    else:
        assert decode(stream, count) == expected


def test_an_image_is_derived_from_the_private_element() -> None:
    samples = [1000 + (index * 37) % 400 for index in range(16)]
    told = seen(compressed(encode(samples)))
    derived = told.derived
    assert derived is not None
    assert derived.samples == struct.pack("<16H", *samples)
    assert (derived.rows, derived.columns, derived.bits_allocated, derived.frames) == (4, 4, 16, 1)
    assert (derived.source_path, derived.photometric_interpretation) == ("07A1100A", "MONOCHROME2")
    assert (derived.bits_stored, derived.high_bit, derived.pixel_representation) == (16, 15, 0)
    assert told.messages("P20") == ["The only pixels are PMSCT_RLE1 in a private element."]


def test_native_pixels_are_never_decoded_whatever_the_compression_type_says() -> None:
    pixels = element(0x7FE00010, "OW", bytes(range(32)))
    octets = compressed(encode([1] * 16), tail=pixels)
    told = seen(octets)
    assert told.derived is None
    assert ElscintDialect().derive_pixels(InstanceFacts(*read(octets))) is None
    assert told.messages("P20") == ["Compression type PMSCT_RLE1 is told, but there is Pixel Data: nothing is decoded."]


def test_the_block_may_be_another() -> None:
    octets = compressed(encode(list(range(16))))
    moved = octets.replace(struct.pack("<HH", 0x07A1, 0x0010), struct.pack("<HH", 0x07A1, 0x0055))
    for low in (0x0A, 0x11):
        moved = moved.replace(struct.pack("<HH", 0x07A1, 0x1000 | low), struct.pack("<HH", 0x07A1, 0x5500 | low))
    derived = seen(moved).derived
    assert derived is not None
    assert derived.source_path == "07A1550A"


@pytest.mark.parametrize("label", ["explicit", "private-transfer-syntax"])
def test_the_quirk_files_of_this_kind_are_decoded(label: str) -> None:
    file_ = quirk_file(f"P20-elscint-rle1-{label}")
    derived = seen(file_.octets).derived
    assert derived is not None
    assert file_.pixels is not None
    assert derived.samples == file_.pixels.astype("<u2").tobytes()


def test_the_quirk_file_that_is_decoded_already_is_left_alone() -> None:
    assert seen(quirk_file("P20-elscint-rle1-already-decoded").octets).derived is None


@pytest.mark.parametrize("kind", ["PMSCT_RGB1", "LOSSLESS RICE", ""])
def test_other_compressions_are_named_and_kept(kind: str) -> None:
    told = seen(compressed(b"\1\2\3\4", kind=kind))
    assert told.derived is None
    assert len(told.messages("P20")) == 1
    assert "kept, not decoded" in told.messages("P20")[0]


@pytest.mark.parametrize(
    ("stream", "problem"),
    [
        (b"", "not as many"),
        (b"\0" * 15, "not as many"),
        (b"\0" * 18, "not as many"),
        (b"\0" * 15 + b"\x5a\1", "end inside a sample"),
        (b"\0" * 16 + b"\xa5", "end inside a run"),
        (b"\0" * 15 + b"\xa5\1", "end inside a run"),
        (b"\xa5\xff\0" * 1000, "more samples"),
        (bytes(1000), "more samples"),
    ],
)
def test_a_damaged_stream_is_refused_with_a_reason(stream: bytes, problem: str) -> None:
    with pytest.raises(Malformed, match=problem):
        decode(stream, 16)


@pytest.mark.parametrize("count", [0, -1, MOST_SAMPLES + 1, 65535 * 65535])
def test_an_impossible_size_is_refused_before_anything_is_allocated(count: int) -> None:
    with pytest.raises(Malformed, match="impossible size"):
        decode(b"\0", count)


@pytest.mark.parametrize(
    "octets",
    [
        compressed(b"\xa5"),
        compressed(bytes(16), bits=8),
        compressed(bytes(16), rows=0),
        compressed(bytes(16), rows=65535, columns=65535),
        compressed(bytes(10000)),
        compressed(bytes(16)).replace(number(0x00280002, 1), number(0x00280002, 3)),
    ],
)
def test_what_cannot_be_decoded_is_a_finding_and_no_error(octets: bytes) -> None:
    told = seen(octets)
    assert told.derived is None
    assert any("cannot be decoded" in message for message in told.messages("P20"))


def test_an_image_of_512_by_512_is_decoded_at_once() -> None:
    draw = random.Random(1)
    samples = numpy.clip(numpy.cumsum([draw.randint(-300, 300) for _ in range(512 * 512)]) % 4096, 0, 4095).tolist()
    stream = encode(samples)
    begin = time.process_time()
    assert decode(stream, 512 * 512) == struct.pack(f"<{512 * 512}H", *samples)
    assert time.process_time() - begin < 2.0


def test_a_bomb_is_refused_at_once() -> None:
    begin = time.process_time()
    with pytest.raises(Malformed):
        decode(b"\xa5\xff\0" * (4 << 20), 512 * 512)
    assert time.process_time() - begin < 2.0
