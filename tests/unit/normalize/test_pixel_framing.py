"""Frames are found by what the octets prove, and every frame is one fragment with an offset table that is right."""

from __future__ import annotations

import io
import struct
from itertools import accumulate
from pathlib import Path

import pydicom
import pytest
from pydicom.encaps import generate_frames, parse_basic_offsets

from tests.unit.normalize.handmade import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    JPEG_BASELINE,
    LIMITS,
    RLE,
    assert_reversible_and_stable,
    data_set,
    description,
    element,
    file,
    fragments,
    identification,
    item,
    noticed,
    offer,
    original,
    rules,
    sequence,
    spooled,
    stored,
)
from vna_core.domain.instance import CanonicalInstance
from vna_core.domain.octets import ByteRange, Octets
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import normalize


def codestream(number: int, length: int = 40) -> bytes:
    return b"\xff\xd8\xff\xe0\0\4" + bytes([number & 0x7F]) * (length - 8) + b"\xff\xd9"


def encapsulated(parts: list[bytes], offsets: list[int] | None, frames: int, transfer_syntax: str = JPEG_BASELINE) -> bytes:
    return file(identification() + description(2, 2, 8, frames=frames) + fragments(parts, offsets), transfer_syntax)


def frames_of(canonical: CanonicalInstance) -> list[bytes]:
    octets = stored(canonical)
    return [octets[one.offset : one.end] for one in canonical.frames.ranges]


def offsets_of(parts: list[bytes]) -> list[int]:
    return list(accumulate((8 + len(part) for part in parts), initial=0))[:-1]


THREE = [codestream(1), codestream(2, 60), codestream(3)]


def halves(parts: list[bytes]) -> list[bytes]:
    return [half for part in parts for half in (part[:20], part[20:])]


def halves_offsets(parts: list[bytes]) -> list[int]:
    return offsets_of(halves(parts))[::2]


GROUPINGS = {
    "one fragment a frame": encapsulated(THREE, offsets_of(THREE), 3),
    "empty offset table": encapsulated(THREE, [], 3),
    "no offset table item": encapsulated(THREE, None, 3),
    "wrong offset table": encapsulated(THREE, [0, 2, 4], 3),
    "fragments by the offset table": encapsulated(halves(THREE), halves_offsets(THREE), 3),
    "fragments by their beginnings": encapsulated(halves(THREE), [], 3),
    "fragments against a lying table": encapsulated(halves(THREE), [0, 28], 3),
    "number of frames missing": encapsulated(halves(THREE), [], 0),
}


@pytest.mark.parametrize("octets", GROUPINGS.values(), ids=GROUPINGS.keys())
def test_every_frame_is_one_fragment(octets: bytes) -> None:
    canonical = offer(octets)
    assert frames_of(canonical) == THREE
    assert_reversible_and_stable(octets, canonical)


@pytest.mark.parametrize("octets", GROUPINGS.values(), ids=GROUPINGS.keys())
def test_another_reader_finds_the_same_frames_through_the_offset_table(octets: bytes) -> None:
    read = pydicom.dcmread(io.BytesIO(stored(offer(octets))))
    assert list(generate_frames(read.PixelData, number_of_frames=3)) == THREE
    assert parse_basic_offsets(read.PixelData) == offsets_of(THREE)


def test_conformant_framing_is_left_alone() -> None:
    octets = GROUPINGS["one fragment a frame"]
    canonical = offer(octets)
    assert rules(canonical) == []
    assert data_set(canonical) == octets[-(canonical.trailer_offset - canonical.data_set_offset) :]


def test_an_odd_codestream_is_padded_and_its_frame_is_not() -> None:
    odd = codestream(1, 41)
    octets = encapsulated([odd, THREE[1]], [], 2)
    canonical = offer(octets)
    assert frames_of(canonical) == [odd, THREE[1]]
    assert canonical.pixel_data is not None and canonical.pixel_data.length % 2 == 0
    assert_reversible_and_stable(octets, canonical)


def test_rle_has_one_fragment_a_frame_whatever_the_header_says() -> None:
    segment = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x03\1\2\3\4\0"
    canonical = offer(encapsulated([segment, segment], [], 1, RLE))
    assert frames_of(canonical) == [segment, segment]


def test_an_rle_frame_in_the_place_of_the_offset_table_is_a_frame() -> None:
    segment = struct.pack("<16I", 1, 64, *[0] * 14) + b"\x03\1\2\3\4\0"
    assert frames_of(offer(encapsulated([segment, segment], None, 2, RLE))) == [segment, segment]


def test_codestreams_that_cannot_be_told_apart_are_one_frame() -> None:
    parts = [b"\0\0\1\xb3" + bytes(20), bytes(20), bytes(20)]
    octets = encapsulated(parts, [], 9, "1.2.840.10008.1.2.4.100")
    canonical = offer(octets)
    assert frames_of(canonical) == [b"".join(parts)]
    assert_reversible_and_stable(octets, canonical)


def extended(parts: list[bytes], offsets: list[int], basic: list[int]) -> bytes:
    table = element(0x7FE00001, "OV", struct.pack(f"<{len(offsets)}Q", *offsets))
    lengths = element(0x7FE00002, "OV", struct.pack(f"<{len(parts)}Q", *map(len, parts)))
    return file(
        identification() + description(2, 2, 8, frames=len(parts)) + table + lengths + fragments(parts, basic), JPEG_BASELINE
    )


def test_a_right_extended_offset_table_stays() -> None:
    canonical = offer(extended(THREE, offsets_of(THREE), []))
    assert rules(canonical) == []
    assert frames_of(canonical) == THREE


def test_a_wrong_extended_offset_table_gives_way_to_the_basic_one() -> None:
    octets = extended(THREE, [0, 3, 5], [])
    canonical = offer(octets)
    assert rules(canonical) == ["P13", "P14"]
    assert b"\xe0\x7f\x01\x00OV" not in data_set(canonical)
    assert_reversible_and_stable(octets, canonical)


def test_encapsulated_icons_pass() -> None:
    icon = description(2, 2, 8) + fragments([codestream(7)], [0])
    octets = file(
        identification() + sequence(0x00880200, [item(icon)]) + description(2, 2, 8) + fragments([THREE[0]], [0]), JPEG_BASELINE
    )
    canonical = offer(octets)
    read = pydicom.dcmread(io.BytesIO(stored(canonical)))
    assert codestream(7) in read.IconImageSequence[0].PixelData
    assert_reversible_and_stable(octets, canonical)


# -- native --------------------------------------------------------------------------------------------------------------


def native(rows: int, columns: int, bits: int, octets: bytes, **more: object) -> bytes:
    vr = "OB" if bits <= 8 else "OW"
    return file(identification() + description(rows, columns, bits, **more) + element(0x7FE00010, vr, octets))  # type: ignore[arg-type]


def test_native_frames_follow_by_arithmetic() -> None:
    octets = native(2, 3, 16, bytes(range(36)), frames=3)
    assert frames_of(offer(octets)) == [bytes(range(12)), bytes(range(12, 24)), bytes(range(24, 36))]


def test_colour_with_half_the_chroma_counts_two_octets_a_pixel() -> None:
    octets = native(2, 4, 8, bytes(32), samples=3, frames=2, photometric=b"YBR_FULL_422")
    assert [one.length for one in offer(octets).frames.ranges] == [16, 16]


def test_the_same_label_over_full_samples_counts_three() -> None:
    octets = native(2, 4, 8, bytes(48), samples=3, frames=2, photometric=b"YBR_FULL_422")
    assert [one.length for one in offer(octets).frames.ranges] == [24, 24]


def test_a_frame_that_is_not_wholly_there_is_not_indexed() -> None:
    assert len(offer(native(2, 2, 16, bytes(20), frames=3)).frames.ranges) == 2


def test_bits_of_a_segmentation_are_covered() -> None:
    octets = native(3, 3, 1, bytes(4), frames=2)
    first, second = offer(octets).frames.ranges
    assert (second.offset - first.offset, first.length, second.length) == (1, 2, 2)


def test_an_index_never_outgrows_the_pixels() -> None:
    canonical = offer(native(1, 1, 8, bytes(70_000), frames=70_000))
    assert canonical.frames.ranges == ()
    assert noticed(canonical) == ["P22"]
    assert canonical.size - canonical.trailer_offset < 400


def test_no_pixel_data_means_no_frames() -> None:
    canonical = offer(file(identification()))
    assert canonical.pixel_data is None and canonical.frames.ranges == ()


def test_elements_behind_the_pixel_data_stay_behind_it() -> None:
    signature = sequence(0xFFFAFFFA, [item(element(0x04000005, "US", b"\1\0"))])
    octets = file(identification() + description(2, 2, 8) + element(0x7FE00010, "OB", b"\1\2\3\4") + signature)
    canonical = offer(octets)
    assert data_set(canonical).endswith(signature) and rules(canonical) == []
    assert_reversible_and_stable(octets, canonical)


# -- large ---------------------------------------------------------------------------------------------------------------


def test_a_spooled_multi_frame_is_named_by_range(tmp_path: Path) -> None:
    path = tmp_path / "large"
    octets = native(1024, 1024, 16, bytes(8 << 20), frames=4)
    path.write_bytes(octets)
    one = spooled(path)
    canonical = normalize(one, identify(one, LIMITS), LIMITS)
    assert sum(len(segment) for segment in canonical.segments if isinstance(segment, bytes)) < 4096
    assert [one.length for one in canonical.frames.ranges] == [2 << 20] * 4
    assert original(stored(canonical)) == octets
    one.octets.close()


def test_a_large_payload_in_the_other_byte_order_is_spooled(tmp_path: Path) -> None:
    samples = struct.pack(">3145728H", *[index & 0xFFFF for index in range(3_145_728)])
    octets = file(
        identification(big=True) + description(1024, 1024, frames=3, big=True) + element(0x7FE00010, "OW", samples, big=True),
        BIG_ENDIAN,
    )
    path = tmp_path / "large"
    path.write_bytes(octets)
    one = spooled(path)
    canonical = normalize(one, identify(one, LIMITS), LIMITS, spool=tmp_path)
    (payload,) = [segment for segment in canonical.segments if isinstance(segment, Octets)]
    assert payload.spooled and [entry.name for entry in tmp_path.iterdir()] == ["large"]
    assert stored(canonical)[canonical.frames.ranges[0].offset :][:6] == b"\0\0\1\0\2\0"
    assert original(stored(canonical)) == octets
    payload.close()
    one.octets.close()


def test_many_large_fragments_are_joined_by_range(tmp_path: Path) -> None:
    parts = [codestream(number, 100_000) for number in range(20)]
    octets = encapsulated([half for part in parts for half in (part[:70_000], part[70_000:])], [], 20)
    path = tmp_path / "large"
    path.write_bytes(octets)
    one = spooled(path)
    canonical = normalize(one, identify(one, LIMITS), LIMITS)
    assert sum(isinstance(segment, ByteRange) for segment in canonical.segments) == 20
    assert frames_of(canonical) == parts
    assert canonical.size - canonical.trailer_offset < 2048
    assert original(stored(canonical)) == octets
    one.octets.close()


def test_native_and_implicit_give_the_same_frames() -> None:
    explicit = native(2, 2, 16, bytes(range(8)))
    implicit = file(
        identification(implicit=True)
        + description(2, 2, implicit=True)
        + element(0x7FE00010, "OW", bytes(range(8)), implicit=True),
        IMPLICIT,
    )
    assert offer(implicit).transfer_syntax_uid == EXPLICIT
    assert frames_of(offer(implicit)) == frames_of(offer(explicit))
