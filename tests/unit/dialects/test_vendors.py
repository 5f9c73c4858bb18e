"""What each dialect says of a small instance of its kind."""

from __future__ import annotations

import struct

import pytest

from tests.unit.dialects.instances import Seen, seen, text
from tests.unit.normalize.handmade import (
    EXPLICIT,
    IMPLICIT,
    RLE,
    description,
    element,
    file,
    fragments,
    identification,
    item,
    number,
    sequence,
    uid,
)
from vna_dialect_siemens.csa_header import csa_values

GE_PRIVATE = "1.2.840.113619.5.2"
JPEG_2000 = "1.2.840.10008.1.2.4.90"


def of(manufacturer: str, tail: bytes = b"", *, image_type: str = "", transfer_syntax: str = EXPLICIT) -> Seen:
    head = text(0x00080008, "CS", image_type) if image_type else b""
    return seen(file(head + identification(extra=text(0x00080070, "LO", manufacturer)) + tail, transfer_syntax))


# -- GE -------------------------------------------------------------------------------------------------------------------


def test_ge_private_transfer_syntax() -> None:
    image = identification(implicit=True) + description(2, 2, 16, implicit=True)
    told = seen(file(image + element(0x7FE00010, "OW", bytes(range(8)), implicit=True), GE_PRIVATE))
    assert told.recognized["ge"].certainty >= 0.95
    assert told.messages("F15") == [
        "GE's private transfer syntax: the data set is implicit little endian, its pixels are big endian."
    ]


@pytest.mark.parametrize(("value", "told"), [(0, ""), (1, "phase"), (2, "real"), (3, "imaginary"), (9, "")])
def test_ge_complex_component(value: int, told: str) -> None:
    tail = text(0x00430010, "LO", "GEMS_PARM_01") + element(0x0043102F, "SS", struct.pack("<h", value))
    wanted = [f"Private values of dialect ge: complex image component = {told}."] if told else []
    assert of("GE MEDICAL SYSTEMS", tail).messages("V02") == wanted


def test_ge_jittering_sender() -> None:
    octets = file(identification(extra=text(0x00080070, "LO", "GE MEDICAL SYSTEMS")))
    meta = octets.index(struct.pack("<HH", 0x0002, 0x0012) + b"UI")
    grown = octets[:meta] + octets[meta : meta + 14] + text(0x00020016, "AE", "DIGITAL_JACKET") + octets[meta + 14 :]
    length = struct.unpack_from("<I", grown, 140)[0] + 22
    assert seen(grown[:140] + struct.pack("<I", length) + grown[144:]).paths("P33") == ["00200037"]


# -- Philips --------------------------------------------------------------------------------------------------------------


def scales(slope: float, block: int = 0x10) -> bytes:
    number_ = 0x20050000 | block << 8
    return (
        text(0x20050000 | block, "LO", "Philips MR Imaging DD 001")
        + element(number_ | 0x0D, "FL", struct.pack("<f", 0))
        + element(number_ | 0x0E, "FL", struct.pack("<f", slope))
    )


@pytest.mark.parametrize("block", [0x10, 0x11])
def test_philips_scalings_of_a_single_frame(block: int) -> None:
    standard = text(0x00281052, "DS", "0") + text(0x00281053, "DS", "1.5")
    mapping = sequence(0x00409096, [item(element(0x00409225, "FD", struct.pack("<d", 1.75)))])
    told = of("Philips Medical Systems", standard + mapping + scales(0.125, block))
    assert told.paths("P30") == [f"2005{block:02X}0E"]
    assert told.messages("V02") == [
        "Private values of dialect philips: scale slope = 0.125; scale intercept = 0.0; rescale slope = 1.5; "
        "rescale intercept = 0; real world value slope = 1.75."
    ]


def test_philips_scalings_of_an_enhanced_image_and_positions_told_twice() -> None:
    def frame(index: int) -> bytes:
        public = sequence(0x00209113, [item(text(0x00200032, "DS", f"0\\0\\{index}"))])
        transformation = sequence(0x00289145, [item(text(0x00281053, "DS", "2"))])
        private = item(text(0x00200032, "DS", f"0\\0\\{index}.5") + scales(0.25 if index else 0.5))
        creator = text(0x20050014, "LO", "Philips MR Imaging DD 005")
        return item(public + transformation + creator + sequence(0x2005140F, [private]))

    tail = scales(0.5)[:34] + sequence(0x52009230, [frame(0), frame(1), frame(2)])
    told = of("Philips", tail)
    assert told.paths("P30") == ["52009230[0].2005140F[0].2005100E"]
    assert told.messages("P30")[0].endswith("(3 elements)")
    assert told.paths("P31") == ["52009230[0].2005140F[0].00200032"]
    assert "scale slope = 0.5, 0.25; " in told.messages("V02")[0]


def test_philips_positions_that_agree_are_nothing() -> None:
    creator = text(0x20050014, "LO", "Philips MR Imaging DD 005")
    private = sequence(0x2005140F, [item(text(0x00200032, "DS", "1.0\\2\\3"))])
    frame = item(sequence(0x00209113, [item(text(0x00200032, "DS", "1\\2.00\\3"))]) + creator + private)
    assert of("Philips", sequence(0x52009230, [frame])).findings == ()


# -- Siemens --------------------------------------------------------------------------------------------------------------


def csa_tag(name: bytes, values: list[bytes], *, version: int, first: int) -> bytes:
    octets = name.ljust(64, b"\0") + struct.pack("<i4sii i", len(values), b"IS\0\0", 6, max(len(values), 6), 77)
    for value in values + [b""] * (max(len(values), 6) - len(values)):
        lengths = (len(value),) * 4 if version == 2 else (len(value) + first, 0, 0, 0)
        octets += struct.pack("<4I", *lengths) + value + b"\0" * (-len(value) % 4)
    return octets


def csa(values: dict[str, list[bytes]], version: int = 2) -> bytes:
    first = 0 if version == 2 else 6
    head = b"SV10\4\3\2\1" if version == 2 else b""
    body = b"".join(csa_tag(name.encode(), one, version=version, first=first) for name, one in values.items())
    return head + struct.pack("<II", len(values), 77) + body


@pytest.mark.parametrize("version", [1, 2])
def test_csa_headers_of_both_versions(version: int) -> None:
    empty_first = {
        "EchoLinePosition": [] if version == 1 else [b"32 \0"],
        "NumberOfImagesInMosaic": [b"35 \0"],
        "Last": [b"a", b"b"],
    }
    header = csa(empty_first, version)
    assert csa_values(header, "NumberOfImagesInMosaic") == ("35",)
    assert csa_values(header, "Last") == ("a", "b")
    assert csa_values(header, "Absent") == ()


def test_a_damaged_csa_header_tells_nothing() -> None:
    header = csa({"A": [b"1"], "NumberOfImagesInMosaic": [b"35"]})
    for cut in range(len(header) - 80):
        assert csa_values(header[:cut], "NumberOfImagesInMosaic") == ()
    assert csa_values(b"SV10\4\3\2\1" + b"\xff" * 500, "A") == ()


def mosaic(*, mr_header: bool = False, csa_header: bool = False) -> bytes:
    tail = b""
    if mr_header:
        tail += text(0x00190010, "LO", "SIEMENS MR HEADER") + number(0x0019100A, 35)
    tail += description(384, 384)
    if csa_header:
        header = csa({"NumberOfImagesInMosaic": [b"35"]})
        tail += text(0x00290010, "LO", "SIEMENS CSA HEADER") + element(0x00291010, "OB", header)
    return tail


@pytest.mark.parametrize("where", ["mr_header", "csa_header"])
def test_a_mosaic_is_described(where: str) -> None:
    told = of("SIEMENS", mosaic(**{where: True}), image_type="ORIGINAL\\PRIMARY\\M\\MOSAIC")
    assert told.messages("P29")[0] == "Mosaic: 35 slices of 64 rows and 64 columns in a grid of 6 by 6. Kept as one image."
    assert told.messages("V02") == ["Private values of dialect siemens: slices in mosaic = 35."]
    assert ("00291010" in told.paths("P29")) == (where == "csa_header")


def test_a_mosaic_of_unknown_slices_is_said_to_be_one() -> None:
    told = of("SIEMENS", mosaic(), image_type="ORIGINAL\\PRIMARY\\M\\MOSAIC")
    assert told.messages("P29") == ["Image Type says MOSAIC, but nothing says of how many slices: kept as one image."]
    assert told.messages("V02") == []


def test_a_multi_frame_image_is_no_mosaic() -> None:
    told = of("SIEMENS", description(64, 64) + sequence(0x52009230, [item(b"")]), image_type="ORIGINAL\\PRIMARY\\M\\MOSAIC")
    assert told.findings == ()


# -- Canon and Toshiba ----------------------------------------------------------------------------------------------------


def codestream(signed: bool) -> bytes:
    size = struct.pack(">HHIIIIIIIIH", 41, 0, 2, 2, 0, 0, 2, 2, 0, 0, 1)
    return b"\xff\x4f\xff\x51" + size + bytes((0x8F if signed else 0x0F, 1, 1)) + b"\xff\xd9"


@pytest.mark.parametrize(("told", "signed", "odd"), [(1, False, True), (0, True, True), (1, True, False), (0, False, False)])
def test_sign_of_a_jpeg_2000_codestream(told: int, signed: bool, odd: bool) -> None:
    image = description(2, 2).replace(number(0x00280103, 0), number(0x00280103, told))
    result = of("TOSHIBA", image + fragments([codestream(signed)]), transfer_syntax=JPEG_2000)
    assert bool(result.paths("P06")) == odd


def test_diffusion_in_image_comments_and_nothing_else_of_it() -> None:
    told = of("CANON_MEC", text(0x00204000, "LT", "Mrs. Doe b=1500(0.000,0.445,-0.895)"))
    assert told.messages("V02") == [
        "Private values of dialect canon: diffusion b-value = 1500; diffusion gradient direction = 0.000, 0.445, -0.895."
    ]
    assert not any("Doe" in finding.message for finding in told.findings)


# -- Agfa -----------------------------------------------------------------------------------------------------------------


def philips_block(block: int) -> bytes:
    return text(0x20050000 | block, "LO", "Philips MR Imaging DD 005") + text(0x20050000 | block << 8 | 0x0B, "LO", "normalized")


def test_a_moved_block_is_told() -> None:
    told = of("Philips Medical Systems", philips_block(0x11))
    assert told.recognized["agfa"].certainty == pytest.approx(0.6)
    assert told.paths("E31") == ["20050011"]
    assert told.messages("E31") == ["Philips MR Imaging DD 005 reserves block 11 where scanners reserve 14: address by creator."]


def test_a_block_in_its_usual_place_or_above_is_not_moved() -> None:
    assert of("Philips Medical Systems", philips_block(0x14)).messages("E31") == []
    assert of("Philips Medical Systems", philips_block(0x20)).messages("E31") == []


def test_a_block_whose_usual_place_is_taken_is_not_moved() -> None:
    tail = text(0x20050011, "LO", "Philips MR Imaging DD 005") + text(0x20050014, "LO", "SOMEBODY") + text(0x2005110B, "LO", "x")
    assert of("Philips Medical Systems", tail).messages("E31") == []


# -- ACR-NEMA -------------------------------------------------------------------------------------------------------------


def old(*elements: bytes) -> bytes:
    """A bare implicit little endian data set, as ACR-NEMA objects are files."""
    return b"".join(elements)


def plain(tag: int, value: bytes) -> bytes:
    return element(tag, "UN", value, implicit=True)


def test_acr_nema_by_its_recognition_code() -> None:
    told = seen(
        old(
            plain(0x00080000, struct.pack("<I", 60)),
            plain(0x00080010, b"ACR-NEMA 2.0"),
            plain(0x00080020, b"1993.02.24"),
            plain(0x00080060, b"MR"),
            plain(0x00280005, struct.pack("<H", 2)),
            plain(0x00280010, struct.pack("<H", 2)),
            plain(0x00280011, struct.pack("<H", 2)),
            plain(0x00280100, struct.pack("<H", 12)),
            plain(0x00280101, struct.pack("<H", 12)),
            plain(0x7FE00010, bytes(6)),
        )
    )
    assert told.recognized["acr-nema"].certainty > 0.95
    assert told.messages("F05") == [
        "ACR-NEMA 2.0 object: older than DICOM, retired elements are kept.",
        "Samples of 12 bits are packed across octets: kept as they are.",
    ]


def test_dicom_with_elements_left_over_from_acr_nema_is_dicom() -> None:
    head = element(0x00080016, "UI", b"1.2.840.10008.5.1.4.1.1.4\0") + uid(0x00080018, "1.2.3.4") + number(0x00080040, 0)
    tail = number(0x00280005, 2) + number(0x00280010, 2) + number(0x00280200, 0x7FE0)
    assert seen(file(head + uid(0x0020000D, "1.2.3.1") + uid(0x0020000E, "1.2.3.2") + tail)).recognized == {}


# -- ultrasound -----------------------------------------------------------------------------------------------------------


def rle_frame(segments: int, first: int = 64) -> bytes:
    offsets = [first + 2 * index for index in range(segments)]
    return struct.pack("<16I", segments, *offsets, *[0] * (15 - segments)) + b"\0\1" * segments


@pytest.mark.parametrize(
    ("manufacturer", "frame", "odd"),
    [
        ("ALOKA", rle_frame(1), []),
        ("ALOKA", rle_frame(2), ["RLE frame of 2 segments where the image has 1: kept."]),
        ("ALOKA", rle_frame(1, 65), ["RLE segments do not begin where PS3.5 annex G puts them: kept."]),
        ("Other", rle_frame(2), []),
    ],
)
def test_rle_headers_of_old_ultrasound(manufacturer: str, frame: bytes, odd: list[str]) -> None:
    assert of(manufacturer, description(2, 2, 8) + fragments([frame]), transfer_syntax=RLE).messages("P19") == odd


@pytest.mark.parametrize(("second", "odd"), [(66, False), (67, True), (62, True)])
def test_rle_segments_begin_at_even_places_in_order(second: int, odd: bool) -> None:
    frame = struct.pack("<16I", 2, 64, second, *[0] * 13) + b"\0\1\0\1"
    told = of("ALOKA", description(2, 2, 16) + fragments([frame]), transfer_syntax=RLE)
    assert bool(told.messages("P19")) == odd


def test_rle_in_ybr_full() -> None:
    image = description(2, 2, 8, samples=3, photometric=b"YBR_FULL") + fragments([rle_frame(3)])
    assert of("ACUSON", image, transfer_syntax=RLE).paths("P19") == ["00280004"]


def test_implicit_private_values_are_read_by_their_creator() -> None:
    tail = element(0x20050010, "LO", b"Philips MR Imaging DD 001 ", implicit=True)
    tail += element(0x2005100E, "FL", struct.pack("<f", 0.5), implicit=True)
    told = seen(file(identification(implicit=True) + tail, IMPLICIT))
    assert told.messages("V02") == ["Private values of dialect philips: scale slope = 0.5."]
