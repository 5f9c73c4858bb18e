"""What an image says of its pixels is put right where codestream or arithmetic prove it; the samples stay what they are."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.unit.normalize.handmade import (
    EXPLICIT,
    JPEG_BASELINE,
    LIMITS,
    assert_reversible_and_stable,
    data_set,
    description,
    element,
    file,
    fragments,
    identification,
    item,
    noticed,
    number,
    offer,
    received,
    rules,
    sequence,
    stored,
)
from tests.unit.normalize.labelled_images import (
    COLOUR,
    GREY,
    GREY_PICTURE,
    JFIF,
    PICTURE,
    RAMP,
    Labels,
    compressed,
    frame,
    group,
    imagecodecs,
    kept,
    labelled,
    native,
    read,
)
from vna_core.dicom.packed_samples import pack, pack_stream, unpack, unpack_stream
from vna_core.domain.instance import CanonicalInstance
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize.encoding import revise
from vna_core.ingest.normalize.engine import Journal
from vna_core.ingest.normalize.pixel_framing import FRAMING_RULES
from vna_core.ingest.normalize.pixel_image import examine
from vna_core.ingest.normalize.pixel_labels import _RULES_ABOUT_SAMPLES, LABEL_RULES


def test_every_rule_has_an_identity() -> None:
    identities = [(rule.id, rule.version, rule.summary) for rule in LABEL_RULES]
    identities += [(rule.id, rule.version, rule.summary) for rule in FRAMING_RULES]
    assert all(id_ and version >= 1 and summary.endswith(".") for id_, version, summary in identities)


@pytest.mark.parametrize(
    ("labels", "samples"),
    [(GREY, RAMP.tobytes()), (COLOUR, PICTURE.tobytes()), (COLOUR | {4: "YBR_FULL"}, PICTURE.tobytes())],
)
def test_a_conformant_image_passes(labels: Labels, samples: bytes) -> None:
    canonical = offer(native(labels, samples))
    assert rules(canonical) == [] and noticed(canonical) == []


# -- P01 -----------------------------------------------------------------------------------------------------------------


OTHER_LABELS = {
    2: [1, 2, 3, None],
    4: ["MONOCHROME1", "PALETTE COLOR", "RGB", None],
    6: [None, 0, 1],
    8: [None, "1", "2", "0", "x"],
    0x10: [4, 8, 5, 0],
    0x100: [8, 16, 12, None],
    0x101: [1, 8, 12, 16, 0, 17, None],
    0x102: [0, 7, 11, 15, None],
    0x103: [0, 1, None],
}
CHANGES = st.lists(st.sampled_from([(tag, value) for tag, values in OTHER_LABELS.items() for value in values]), max_size=2)


@settings(max_examples=300, deadline=None)
@given(CHANGES, st.sampled_from([48, 48, 24, 49, 50, 96]))
def test_rules_about_numbers_say_nothing_of_what_is_in_order(changes: list[tuple[int, int | str | None]], length: int) -> None:
    parsed = identify(received(native({**GREY, **dict(changes)}, bytes(length))), LIMITS)
    assert parsed.pixel is not None
    image = examine(revise(parsed, Journal()), parsed, parsed.pixel, EXPLICIT)
    event(f"in order: {image.in_order}")
    if image.in_order:
        assert [rule.id for rule in LABEL_RULES if rule not in _RULES_ABOUT_SAMPLES and rule.apply(image) is not None] == []


def test_a_conformant_image_is_in_order() -> None:
    parsed = identify(received(native(GREY, RAMP.tobytes())), LIMITS)
    assert parsed.pixel is not None
    assert examine(revise(parsed, Journal()), parsed, parsed.pixel, EXPLICIT).in_order


def test_missing_labels_of_grey_follow_from_the_octets() -> None:
    octets = native({0x10: 4, 0x11: 6}, RAMP.tobytes())
    canonical = labelled(
        octets, SamplesPerPixel=1, BitsAllocated=16, BitsStored=16, HighBit=15, PixelRepresentation=0, PhotometricInterpretation="MONOCHROME2"
    )  # fmt: skip
    assert set(rules(canonical)) == {"P01"}
    assert np.array_equal(frame(canonical), RAMP.reshape(4, 6))


def test_missing_labels_of_colour_follow_from_the_octets() -> None:
    octets = native(COLOUR | {2: None, 4: None, 6: None}, PICTURE.tobytes())
    canonical = labelled(octets, SamplesPerPixel=3, PhotometricInterpretation="RGB", PlanarConfiguration=0)
    assert np.array_equal(frame(canonical), PICTURE)


def test_missing_labels_follow_from_the_codestream() -> None:
    octets = compressed({0x103: 0, 6: 0}, [JFIF], JPEG_BASELINE)
    labelled(octets, Rows=16, Columns=16, SamplesPerPixel=3, BitsAllocated=8, HighBit=7, PhotometricInterpretation="YBR_FULL_422")


def test_what_was_absent_is_told_as_absent() -> None:
    (before,) = read(offer(native(GREY | {4: None}, RAMP.tobytes()))).OriginalAttributesSequence
    assert before.ModifiedAttributesSequence[0].PhotometricInterpretation == ""


def test_data_without_a_size_is_no_image() -> None:
    assert rules(offer(native({}, b"\1\2\3\4"))) in ([], ["E25"])


# -- P02, P03 ------------------------------------------------------------------------------------------------------------


def test_stored_bits_beyond_the_allocated_ones_are_all_of_them() -> None:
    labelled(native(GREY | {0x101: 20, 0x102: 19}, RAMP.tobytes()), BitsStored=16, HighBit=15)


def test_no_stored_bits_are_all_of_them() -> None:
    labelled(native(GREY | {0x101: 0, 0x102: 0}, RAMP.tobytes()), BitsStored=16, HighBit=15)


def test_right_aligned_samples_have_their_high_bit_put_right() -> None:
    samples = (RAMP | 1).astype("<u2")
    canonical = labelled(native(GREY | {0x102: 15}, samples.tobytes()), BitsStored=12, HighBit=11)
    assert np.array_equal(frame(canonical), samples.reshape(4, 6))


def test_left_aligned_samples_keep_their_high_bit() -> None:
    kept(native(GREY | {0x102: 15}, (RAMP << 4).astype("<u2").tobytes()), "P02")


def packed(values: np.ndarray) -> bytes:
    """Two samples in three octets, low bits first."""
    pairs = values.astype(int).reshape(-1, 2)
    return b"".join((int(first) | int(second) << 12).to_bytes(3, "little") for first, second in pairs)


def test_packed_samples_are_unpacked_and_packed_again() -> None:
    octets = native(GREY | {0x100: 12}, packed(RAMP))
    canonical = labelled(octets, BitsAllocated=16, BitsStored=12, HighBit=11)
    assert np.array_equal(read(canonical).pixel_array, RAMP.reshape(4, 6))
    assert np.array_equal(frame(canonical), RAMP.reshape(4, 6))


def test_padding_of_packed_samples_is_not_unpacked() -> None:
    octets = native(GREY | {0x10: 1, 0x11: 6, 0x100: 12}, packed(RAMP[:6]) + b"\0")
    canonical = labelled(octets, BitsAllocated=16, PixelData=RAMP[:6].tobytes())
    assert set(rules(canonical)) == {"P03"}


def test_large_packed_samples_come_back() -> None:
    values = np.arange(2048 * 2048) % 4096
    octets = native(GREY | {0x10: 2048, 0x11: 2048, 0x100: 12}, packed(values))
    canonical = offer(octets)
    assert np.array_equal(frame_of_size(canonical, 2048), values.reshape(2048, 2048))
    assert_reversible_and_stable(octets, canonical)


def frame_of_size(canonical: CanonicalInstance, size: int) -> np.ndarray:
    octets, place = stored(canonical), canonical.frames.ranges[0]
    return np.frombuffer(octets[place.offset : place.end], "<u2").reshape(size, size)


@pytest.mark.parametrize("length", [0, 1, 2, 3, 4, 5, 6, 7, 1000])
def test_packing_undoes_unpacking_whatever_the_pieces(length: int) -> None:
    octets = bytes(index * 37 & 0xFF for index in range(length))
    assert pack(unpack(octets)) == octets
    pieces = [octets[begin : begin + 5] for begin in range(0, length, 5)]
    assert b"".join(pack_stream(unpack_stream(pieces))) == octets


def test_unusual_bits_over_words_are_words() -> None:
    labelled(native(GREY | {0x100: 14}, RAMP.tobytes()), BitsAllocated=16, BitsStored=12)


def test_a_sample_of_24_bits_is_three() -> None:
    octets = native(COLOUR | {2: 1, 6: None, 0x100: 24, 0x101: 24, 0x102: 23}, PICTURE.tobytes())
    canonical = labelled(octets, SamplesPerPixel=3, BitsAllocated=8, BitsStored=8, HighBit=7, PlanarConfiguration=0)
    assert np.array_equal(frame(canonical), PICTURE)


# -- P04, P05 ------------------------------------------------------------------------------------------------------------


def overlay(bits: int, position: int) -> bytes:
    head = number(0x60000010, 4) + number(0x60000011, 6) + element(0x60000040, "CS", b"G ")
    return head + element(0x60000050, "SS", b"\1\0\1\0") + number(0x60000100, bits) + number(0x60000102, position)


def test_an_overlay_in_unused_bits_is_copied_out() -> None:
    drawn = np.arange(24) % 5 == 0
    samples = (RAMP | (drawn.astype("<u2") << 14)).astype("<u2").tobytes()
    canonical = labelled(native(GREY, samples, behind=overlay(16, 14)), PixelData=samples)
    found = read(canonical)
    assert np.array_equal(found.overlay_array(0x6000).ravel(), drawn)
    assert (found[0x6000, 0x0100].value, found[0x6000, 0x0102].value) == (1, 0)


def test_an_overlay_in_compressed_samples_is_flagged() -> None:
    labels: Labels = {**GREY, 0x10: 16, 0x11: 16, 0x100: 8, 0x101: 8, 0x102: 7}
    grey = bytes(imagecodecs.jpeg8_encode(GREY_PICTURE))
    octets = file(
        identification() + group(labels) + overlay(8, 7) + fragments([grey + b"\0" * (len(grey) & 1)], [0]), JPEG_BASELINE
    )
    kept(octets, "P04")


def test_bits_above_the_stored_ones_are_flagged() -> None:
    kept(native(GREY, (RAMP | 0x4000).astype("<u2").tobytes()), "P05")


def test_extended_signs_are_not() -> None:
    samples = (RAMP.astype("<i2") - 2048).tobytes()
    assert noticed(offer(native(GREY | {0x103: 1}, samples))) == []


# -- P21 to P27, F23 -----------------------------------------------------------------------------------------------------


def test_the_first_pixel_data_at_the_top_level_counts() -> None:
    icon = sequence(0x00880200, [item(group(GREY | {0x10: 1, 0x11: 1}) + element(0x7FE00010, "OW", b"\7\0"))])
    octets = file(
        identification() + group(GREY) + icon + element(0x7FE00010, "OW", RAMP.tobytes()) + element(0x7FE00010, "OW", bytes(48))
    )
    canonical = offer(octets)
    assert np.array_equal(frame(canonical), RAMP.reshape(4, 6)) and rules(canonical) == ["E27"]
    assert_reversible_and_stable(octets, canonical)


@pytest.mark.parametrize(("declared", "frames"), [("2", 3), ("5", 2), ("1", 7)])
def test_there_are_as_many_frames_as_the_samples_make(declared: str, frames: int) -> None:
    canonical = labelled(native(GREY | {8: declared}, (RAMP | 1).astype("<u2").tobytes() * frames), NumberOfFrames=frames)
    assert len(canonical.frames.ranges) == frames and rules(canonical) == ["P22"]


def test_twice_the_octets_of_narrow_samples_may_be_wider_ones_and_are_flagged() -> None:
    narrow = GREY | {0x100: 8, 0x101: 8, 0x102: 7}
    kept(native(narrow, (RAMP | 1).astype("u1").tobytes() * 2), "P22")


def test_twice_the_octets_of_wide_samples_are_two_frames() -> None:
    octets = native(GREY, (RAMP | 1).astype("<u2").tobytes() * 2)
    canonical = labelled(octets, NumberOfFrames=2)
    assert rules(canonical) == ["P22"] and len(canonical.frames.ranges) == 2


@pytest.mark.parametrize(("declared", "count"), [("1", 3), (None, 3), ("0", 1), ("4", 2)])
def test_there_are_as_many_frames_as_codestreams(declared: str | None, count: int) -> None:
    octets = compressed(COLOUR | {4: "YBR_FULL_422", 8: declared}, [JFIF] * count, JPEG_BASELINE)
    canonical = labelled(octets, NumberOfFrames=count)
    assert rules(canonical) == ["P22"] and len(canonical.frames.ranges) == count


def test_a_count_of_frames_that_functional_groups_deny_is_flagged() -> None:
    groups = sequence(0x52009230, [item(b"")] * 3)
    kept(native(GREY | {8: "3"}, RAMP.tobytes() * 2, behind=groups), "P22")


def test_grey_has_no_planes() -> None:
    assert b"\x28\0\6\0US" not in data_set(labelled(native(GREY | {6: 0}, RAMP.tobytes()))).rpartition(b"\x28\0\x10\0")[0][-60:]
    assert rules(offer(native(GREY | {6: 0}, RAMP.tobytes()))) == ["P23"]


def test_impossible_planes_are_flagged() -> None:
    kept(native(COLOUR | {6: 2}, PICTURE.tobytes()), "P23")


def test_full_chroma_is_named() -> None:
    canonical = labelled(native(COLOUR | {4: "YBR_FULL_422"}, PICTURE.tobytes()), PhotometricInterpretation="YBR_FULL")
    assert np.array_equal(frame(canonical), PICTURE)


def test_padding_behind_the_last_frame_is_left_out() -> None:
    canonical = labelled(native(GREY, RAMP.tobytes() + bytes(464)), PixelData=RAMP.tobytes())
    assert rules(canonical) == ["P25"]


def test_anything_else_behind_the_last_frame_stays() -> None:
    canonical = kept(native(GREY, RAMP.tobytes() + b"something"[:8]), "P25")
    assert canonical.frames.ranges[0].length == 48


def test_samples_that_end_early_are_flagged() -> None:
    canonical = kept(native(GREY | {8: "3"}, RAMP.tobytes() * 2 + b"\1\2"), "F23")
    assert len(canonical.frames.ranges) == 2


def test_a_palette_of_another_size_is_flagged() -> None:
    labels: Labels = {**GREY, 4: "PALETTE COLOR", 0x100: 8, 0x101: 8, 0x102: 7}
    tables = b"".join(element(0x00281101 + index, "US", struct.pack("<3H", 256, 0, 8)) for index in range(3))
    tables += b"".join(element(0x00281201 + index, "OW", bytes(512 if index else 100)) for index in range(3))
    kept(native(labels, bytes(24), behind=tables), "P26")


@pytest.mark.parametrize(("tag", "vr", "bits"), [(0x7FE00008, "OF", 32), (0x7FE00009, "OD", 64)])
def test_floating_samples_have_no_bits_to_store(tag: int, vr: str, bits: int) -> None:
    labels: Labels = {2: 1, 4: "MONOCHROME2", 0x10: 2, 0x11: 3, 0x100: bits}
    octets = file(identification() + group(labels) + element(tag, vr, bytes(6 * bits // 8)))
    canonical = offer(octets)
    assert rules(canonical) == [] and noticed(canonical) == [] and canonical.transfer_syntax_uid == EXPLICIT
    assert [one.length for one in canonical.frames.ranges] == [6 * bits // 8]


@pytest.mark.parametrize("bits", [1, 8, 16, 32, 64])
def test_every_width_of_samples_passes(bits: int) -> None:
    octets = native({**GREY, 0x10: 4, 0x11: 4, 0x100: bits, 0x101: bits, 0x102: bits - 1}, bytes(range(2 * bits)))
    canonical = offer(octets)
    assert [rule for rule in rules(canonical) if rule != "E25"] == [] and noticed(canonical) == []
    assert canonical.frames.ranges[0].length == 2 * bits


def test_samples_in_private_elements_are_flagged() -> None:
    private = element(0x07A10010, "LO", b"ELSCINT1") + element(0x07A1100A, "OW", bytes(8))
    assert "P20" in [finding.rule for finding in offer(file(identification() + private)).findings]


@pytest.mark.parametrize("number", [b"0 ", b"\0 ", b"x "])
@pytest.mark.parametrize("extra", [0, 1, 4, 8, 10])
def test_octets_of_zero_behind_a_frame_without_a_number_are_settled_at_once(number: bytes, extra: int) -> None:
    pixels = element(0x7FE00010, "OB", b"\1\2\3\4" + bytes(extra + (extra & 1)))
    octets = file(identification() + description(2, 2, 8, frames=1).replace(b"IS\2\0001 ", b"IS\2\0" + number) + pixels)
    assert b"IS\2\0" + number in octets
    assert_reversible_and_stable(octets, offer(octets))
