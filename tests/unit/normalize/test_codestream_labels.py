"""What a codestream says of itself stands in the labels: colour, transfer syntax, bits, and where a frame ends."""

from __future__ import annotations

import struct

import numpy as np
import pytest

from tests.unit.normalize.handmade import (
    JPEG_BASELINE,
    RLE,
    offer,
    rules,
    stored,
)
from tests.unit.normalize.labelled_images import (
    ADOBE_RGB,
    BOXED,
    COLOUR,
    GREY,
    GREY_PICTURE,
    JFIF,
    JPEG,
    PICTURE,
    REVERSIBLE,
    UNTRANSFORMED,
    Labels,
    compressed,
    frame,
    imagecodecs,
    kept,
    labelled,
    without_segment,
)


def test_jfif_proves_luma_and_chroma() -> None:
    canonical = labelled(compressed(COLOUR, [JFIF], JPEG_BASELINE), PhotometricInterpretation="YBR_FULL_422")
    assert rules(canonical) == ["P07"]
    assert np.abs(frame(canonical).astype(int) - PICTURE).max() < 12


def test_adobe_proves_rgb() -> None:
    octets = compressed(COLOUR | {4: "YBR_FULL_422"}, [ADOBE_RGB], JPEG_BASELINE)
    canonical = labelled(octets, PhotometricInterpretation="RGB")
    assert np.abs(frame(canonical).astype(int) - PICTURE).max() < 12


def test_a_stream_that_proves_nothing_is_believed_its_label() -> None:
    plain = without_segment(JFIF, b"\xff\xe0")
    assert rules(offer(compressed(COLOUR, [plain], JPEG_BASELINE))) == []


def test_the_colour_transformation_of_jpeg_2000_is_named() -> None:
    octets = compressed(COLOUR, [REVERSIBLE], JPEG + "90")
    canonical = labelled(octets, PhotometricInterpretation="YBR_RCT")
    assert rules(canonical) == ["P08"]
    assert np.array_equal(frame(canonical), PICTURE)


def test_no_colour_transformation_is_no_transformed_colour() -> None:
    octets = compressed(COLOUR | {4: "YBR_RCT"}, [UNTRANSFORMED], JPEG + "90")
    assert np.array_equal(frame(labelled(octets, PhotometricInterpretation="RGB")), PICTURE)


def test_three_full_rle_segments_leave_no_chroma_out() -> None:
    segments = [b"\x81\x05" * 2, b"\x81\x06" * 2, b"\x81\x07" * 2]
    rle = struct.pack("<16I", 3, 64, 68, 72, *[0] * 12) + b"".join(segments)
    octets = compressed(COLOUR | {4: "YBR_FULL_422"}, [rle], RLE)
    assert rules(labelled(octets, PhotometricInterpretation="YBR_FULL")) == ["P08"]


@pytest.mark.parametrize(
    ("marker", "uid"),
    [(b"\xff\xc0", JPEG + "50"), (b"\xff\xc1", JPEG + "51"), (b"\xff\xc2", JPEG + "55"), (b"\xff\xc3", JPEG + "57")],
)
def test_the_transfer_syntax_is_that_of_the_codestream(marker: bytes, uid: str) -> None:
    grey = bytes(imagecodecs.jpeg8_encode(GREY_PICTURE)).replace(b"\xff\xc0", marker)
    declared = JPEG + ("51" if uid.endswith("50") else "50")
    canonical = offer(compressed(COLOUR | {2: 1, 4: "MONOCHROME2", 6: None}, [grey], declared))
    assert (canonical.transfer_syntax_uid, rules(canonical)) == (uid, ["P09"])


def test_a_lossy_stream_is_not_under_a_lossless_label() -> None:
    lossy = bytes(imagecodecs.jpeg2k_encode(PICTURE, codecformat="j2k", reversible=False, level=40, mct=True))
    octets = compressed(COLOUR | {4: "YBR_ICT", 0x2110: "00"}, [lossy], JPEG + "90")
    canonical = labelled(octets, LossyImageCompression="01")
    assert (canonical.transfer_syntax_uid, set(rules(canonical))) == (JPEG + "91", {"P09"})


def test_bits_follow_the_frame_header_where_the_labels_cannot_be_right() -> None:
    grey = bytes(imagecodecs.jpeg8_encode(GREY_PICTURE))
    labels: Labels = {2: 1, 4: "MONOCHROME2", 0x10: 16, 0x11: 16, 0x100: 16, 0x101: 12, 0x102: 11, 0x103: 0}
    canonical = labelled(compressed(labels, [grey], JPEG_BASELINE), BitsAllocated=8, BitsStored=8, HighBit=7)
    assert np.array_equal(frame(canonical), imagecodecs.jpeg8_decode(grey))


def test_another_sign_in_jpeg_2000_is_flagged() -> None:
    labels: Labels = {2: 1, 4: "MONOCHROME2", 0x10: 16, 0x11: 16, 0x100: 8, 0x101: 8, 0x102: 7, 0x103: 1}
    stream = bytes(imagecodecs.jpeg2k_encode(GREY_PICTURE, codecformat="j2k", reversible=True, level=0))
    kept(compressed(labels, [stream], JPEG + "90"), "P06")


def test_a_codestream_without_end_is_flagged() -> None:
    kept(compressed(COLOUR | {4: "YBR_FULL_422"}, [JFIF[:-2]], JPEG_BASELINE), "P11")


def test_octets_behind_the_end_are_not_in_the_frame() -> None:
    canonical = kept(compressed(COLOUR | {4: "YBR_FULL_422"}, [JFIF + bytes(40)], JPEG_BASELINE), "P11")
    assert canonical.frames.ranges[0].length == len(JFIF)


def test_the_frame_of_a_jp2_file_is_the_codestream_inside() -> None:
    canonical = kept(compressed(COLOUR | {4: "YBR_RCT"}, [BOXED], JPEG + "90"), "P17")
    place = canonical.frames.ranges[0]
    assert stored(canonical)[place.offset : place.offset + 4] == b"\xff\x4f\xff\x51"
    assert np.array_equal(frame(canonical), PICTURE)


def test_rle_segments_that_are_not_the_images_are_flagged() -> None:
    kept(compressed(GREY | {0x100: 16}, [struct.pack("<16I", 1, 64, *[0] * 14) + b"\x00\x05"], RLE), "P19")


def test_jpeg_ls_without_parameters_is_flagged() -> None:
    stream = b"\xff\xd8\xff\xf7\0\x0b\x10\0\4\0\6\1\1\x11\0\xff\xda\0\x08\1\1\0\0\0\0\x2a\xff\xd9"
    kept(compressed(GREY | {0x101: 16, 0x102: 15}, [stream], JPEG + "80"), "P18")


def test_a_video_is_flagged() -> None:
    assert "P28" in [
        finding.rule
        for finding in offer(compressed(COLOUR | {8: "9"}, [b"\0\0\0\x18ftypmp42" + bytes(20)], JPEG + "102")).findings
    ]
