"""Decoding subprocesses: right samples, hard limits, and an error for the one bad image alone."""

from __future__ import annotations

import contextlib
import struct
import threading
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset

from tests.unit.web.web_samples import SAMPLES
from vna_core.access.decode import DecodePool
from vna_core.access.decode_codecs import PixelDescription, decode, encode
from vna_core.configuration import DecodeSettings
from vna_core.domain.errors import DecodeError, UnsupportedMediaType

J2K = "1.2.840.10008.1.2.4.90"
JLS = "1.2.840.10008.1.2.4.80"
RLE = "1.2.840.10008.1.2.5"
LITTLE = "1.2.840.10008.1.2.1"


def header_and_frame(name: str) -> tuple[bytes, bytes, str]:
    """Explicit header octets, the first frame, and the transfer syntax of a sample."""
    data_set = pydicom.dcmread(SAMPLES / name)
    uid = data_set.file_meta.TransferSyntaxUID
    frames = int(data_set.get("NumberOfFrames", 1) or 1)
    pixels = data_set.PixelData
    frame = next(generate_frames(pixels, number_of_frames=frames)) if uid.is_compressed else pixels[: len(pixels) // frames]
    del data_set.PixelData
    list(data_set.iterall())
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, data_set)
    return out.getvalue(), frame, str(uid)


def rendering(**options: object) -> dict[str, object]:
    return {"frame": 1, "media_type": "image/png", "window": None, "viewport": None, "quality": 90, **options}


@pytest.fixture(scope="module")
def pool() -> Iterator[DecodePool]:
    pool = DecodePool(DecodeSettings(processes=1))
    yield pool
    pool.close()


def render(pool: DecodePool, name: str, **options: object) -> Image.Image:
    header, frame, uid = header_and_frame(name)
    _, results = pool.run({"job": "render", "transfer_syntax_uid": uid, "rendering": rendering(**options)}, [header, frame])
    return Image.open(BytesIO(results[0]))


@pytest.mark.parametrize(
    "name",
    ["MR_small_RLE.dcm", "MR_small_jp2klossless.dcm", "MR_small_jpeg_ls_lossless.dcm", "SC_rgb_rle_16bit.dcm", "SC_rgb_rle_32bit.dcm",
     "SC_rgb_jpeg_dcmtk.dcm", "SC_jpeg_no_color_transform.dcm", "J2K_pixelrep_mismatch.dcm", "SC_rgb_gdcm_KY.dcm"],
)  # fmt: skip
def test_samples_are_those_that_pydicom_decodes(pool: DecodePool, name: str) -> None:
    header, frame, uid = header_and_frame(name)
    answer, _ = pool.run({"job": "header", "source": uid, "target": LITTLE}, [header, frame])
    _, results = pool.run({"job": "frame", "source": uid, "target": LITTLE, "description": answer["before"]}, [frame])
    after = answer["after"]
    data_set = pydicom.dcmread(SAMPLES / name)
    expected = data_set.pixel_array
    assert after["photometric"] in ("RGB", "MONOCHROME2")
    assert results[0] == expected.tobytes()


@pytest.mark.parametrize("target", [J2K, JLS, RLE])
@pytest.mark.parametrize("name", ["MR_small.dcm", "CT_small.dcm", "SC_rgb_jpeg_dcmd.dcm"])
def test_compression_gives_every_sample_back(name: str, target: str) -> None:
    data_set = pydicom.dcmread(SAMPLES / name)
    description = PixelDescription(
        data_set.Rows, data_set.Columns, data_set.SamplesPerPixel, data_set.BitsAllocated, data_set.BitsStored,
        data_set.PixelRepresentation, data_set.PhotometricInterpretation, 0,
    )  # fmt: skip
    codestream = encode(target, data_set.pixel_array, description)
    frame, _ = decode(target, codestream, description, 1 << 30)
    assert np.array_equal(frame, data_set.pixel_array)


def test_float_samples_are_not_compressed() -> None:
    description = PixelDescription(2, 2, 1, 32, 32, 0, "MONOCHROME2", 0, "FloatPixelData")
    with pytest.raises(UnsupportedMediaType):
        encode(RLE, np.zeros((2, 2), np.float32), description)


def test_a_window_decides_what_is_black_and_white(pool: DecodePool) -> None:
    values = pydicom.dcmread(SAMPLES / "CT_small.dcm")
    hounsfield = values.pixel_array * float(values.RescaleSlope) + float(values.RescaleIntercept)
    picture = np.asarray(render(pool, "CT_small.dcm", window=[40.0, 400.0, "linear"]))
    assert picture.shape == (128, 128)
    assert (picture[hounsfield <= 40 - 0.5 - 399 / 2] == 0).all()
    assert (picture[hounsfield > 40 - 0.5 + 399 / 2] == 255).all()


def test_a_viewport_scales_and_crops(pool: DecodePool) -> None:
    assert render(pool, "CT_small.dcm", viewport=[64, 32, 0.0, 0.0, 0.0, 0.0]).size == (32, 32)
    assert render(pool, "CT_small.dcm", viewport=[100, 100, 10.0, 10.0, 50.0, 50.0]).size == (100, 100)
    whole = np.asarray(render(pool, "SC_rgb_rle.dcm"))
    flipped = np.asarray(render(pool, "SC_rgb_rle.dcm", viewport=[100, 100, 0.0, 0.0, -100.0, 100.0]))
    assert np.array_equal(whole[:, ::-1], flipped)


def test_colours_are_those_of_the_image(pool: DecodePool) -> None:
    expected = pydicom.dcmread(SAMPLES / "SC_rgb_rle.dcm").pixel_array
    assert np.array_equal(np.asarray(render(pool, "SC_rgb_rle.dcm")), expected)


def huge_codestream() -> bytes:
    """The head of a JPEG 2000 codestream of 60,000 by 60,000 samples."""
    size = struct.pack(">HH8IH3B", 41, 0, 60000, 60000, 0, 0, 60000, 60000, 0, 0, 1, 15, 1, 1)
    return b"\xff\x4f\xff\x51" + size + bytes(1000)


def test_a_codestream_larger_than_the_limit_is_refused_before_it_is_decoded(pool: DecodePool) -> None:
    header, _, _ = header_and_frame("MR_small.dcm")
    with pytest.raises(DecodeError, match="more samples than the limit"):
        pool.run({"job": "render", "transfer_syntax_uid": J2K, "rendering": rendering()}, [header, huge_codestream()])
    assert render(pool, "MR_small.dcm").size == (64, 64)


def test_an_rle_bomb_is_an_error() -> None:
    bomb = struct.pack("<16I", 1, 64, *([0] * 14)) + b"\x81\x00" * 100
    with pytest.raises(DecodeError):
        decode(RLE, bomb, PixelDescription(10000, 10000, 1, 8, 8, 0, "MONOCHROME2", 0), 200_000_000)


@pytest.mark.parametrize("octets", [b"", b"\xff\xd8", b"\xff\x4f\xff\x51\0", b"\0" * 64, bytes(range(256)) * 8])
@pytest.mark.parametrize(
    "uid", [J2K, JLS, RLE, "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.70", "1.2.840.10008.1.2.4.201", LITTLE]
)
def test_garbage_is_an_error_and_the_next_image_is_fine(pool: DecodePool, uid: str, octets: bytes) -> None:
    header, _, _ = header_and_frame("MR_small.dcm")
    with pytest.raises(DecodeError):
        pool.run({"job": "render", "transfer_syntax_uid": uid, "rendering": rendering()}, [header, octets])
    assert render(pool, "MR_small.dcm").size == (64, 64)


def decoders() -> set[str]:
    """Process ids of our decoding subprocesses."""
    children = Path(f"/proc/self/task/{threading.get_native_id()}/children").read_text().split()
    return {pid for pid in children if b"decode_worker" in Path("/proc", pid, "cmdline").read_bytes()}


def test_behind_an_image_at_which_a_codec_broke_off_another_process_decodes() -> None:
    header, frame, uid = header_and_frame("JPEG2000.dcm")
    others = decoders()
    pool = DecodePool(DecodeSettings(processes=1))
    try:
        seen = []
        for octets in (frame, b"", frame[: len(frame) // 8], frame):
            with contextlib.suppress(DecodeError):
                pool.run({"job": "render", "transfer_syntax_uid": uid, "rendering": rendering()}, [header, octets])
            seen.append(decoders() - others)
        first, *_, last = seen
        assert len(first) == len(last) == 1
        assert first != last
    finally:
        pool.close()


def test_no_rows_and_too_many_samples_are_errors() -> None:
    for description in (
        PixelDescription(0, 5, 1, 8, 8, 0, "MONOCHROME2", 0),
        PixelDescription(5, 5, 65535, 8, 8, 0, "RGB", 0),
        PixelDescription(65535, 65535, 3, 16, 16, 0, "RGB", 0),
    ):
        with pytest.raises(DecodeError):
            decode(LITTLE, bytes(100), description, 1_000_000)


def test_a_decoder_past_its_time_is_killed_and_replaced() -> None:
    header, frame, uid = header_and_frame("MR_small.dcm")
    pool = DecodePool(DecodeSettings(processes=1, timeout=0.001))
    try:
        for _ in range(2):
            with pytest.raises(DecodeError, match="longer"):
                pool.run({"job": "render", "transfer_syntax_uid": uid, "rendering": rendering()}, [header, frame])
    finally:
        pool.close()


def test_a_decoder_past_its_memory_is_an_error() -> None:
    header, _, _ = header_and_frame("MR_small.dcm")
    rows = header.replace(b"\x28\x00\x10\x00US\x02\x00\x40\x00", b"\x28\x00\x10\x00US\x02\x00\xff\xff")
    wide = rows.replace(b"\x28\x00\x11\x00US\x02\x00\x40\x00", b"\x28\x00\x11\x00US\x02\x00\x00\x20")
    pool = DecodePool(DecodeSettings(processes=1, memory=1 << 30, max_pixels=1 << 31))
    try:
        with pytest.raises(DecodeError):
            pool.run({"job": "render", "transfer_syntax_uid": LITTLE, "rendering": rendering()}, [wide, bytes(2 * 65535 * 8192)])
    finally:
        pool.close()


def test_palettes_with_indices_out_of_range_render_or_fail_alone(pool: DecodePool) -> None:
    data_set = pydicom.Dataset()
    data_set.Rows = data_set.Columns = 4
    data_set.SamplesPerPixel, data_set.BitsAllocated, data_set.BitsStored, data_set.PixelRepresentation = 1, 8, 8, 0
    data_set.PhotometricInterpretation = "PALETTE COLOR"
    for colour in ("Red", "Green", "Blue"):
        setattr(data_set, f"{colour}PaletteColorLookupTableDescriptor", [2, 0, 8])
        setattr(data_set, f"{colour}PaletteColorLookupTableData", b"\x00\xff")
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, data_set)
    job = {"job": "render", "transfer_syntax_uid": LITTLE, "rendering": rendering()}
    _, results = pool.run(job, [out.getvalue(), bytes(range(240, 256))])
    assert Image.open(BytesIO(results[0])).size == (4, 4)


def with_table(keyword: str, representation: str, entries: list[int], first: int, bits: int) -> bytes:
    """The head of an image of 8-bit samples with a lookup table."""
    table = pydicom.Dataset()
    signed = "SS" if first < 0 else "US"
    table.add_new(0x00283002, signed, [len(entries), first, bits])
    table.add_new(0x00283006, representation, struct.pack(f"<{len(entries)}H", *entries) if representation == "OW" else entries)
    data_set = pydicom.Dataset()
    data_set.Rows, data_set.Columns, data_set.SamplesPerPixel, data_set.PhotometricInterpretation = 2, 3, 1, "MONOCHROME2"
    data_set.BitsAllocated, data_set.BitsStored, data_set.HighBit, data_set.PixelRepresentation = 8, 8, 7, int(first < 0)
    setattr(data_set, keyword, [table])
    if keyword == "ModalityLUTSequence":
        data_set.WindowCenter, data_set.WindowWidth, data_set.VOILUTFunction = 2048, 4096, "LINEAR_EXACT"
    out = DicomBytesIO()
    out.is_little_endian, out.is_implicit_VR = True, False
    write_dataset(out, data_set)
    return out.getvalue()


@pytest.mark.parametrize("representation", ["OW", "US"])
@pytest.mark.parametrize("keyword", ["ModalityLUTSequence", "VOILUTSequence"])
@pytest.mark.parametrize("first", [2, -3])
def test_lookup_tables_are_followed_in_every_form(pool: DecodePool, keyword: str, representation: str, first: int) -> None:
    """PS3.3 C.11.1.1.1, C.11.2.1.1: LUT Data are US or OW; what lies before and behind the table is as its ends."""
    header = with_table(keyword, representation, [4095, 0, 1024, 2048], first, 12)
    samples = np.asarray([first - 2, first, first + 1, first + 2, first + 3, first + 9], np.int16).astype(np.int8)
    job = {"job": "render", "transfer_syntax_uid": LITTLE, "rendering": rendering()}
    _, results = pool.run(job, [header, samples.tobytes()])
    picture = np.asarray(Image.open(BytesIO(results[0]))).ravel().astype(int)
    assert np.abs(picture - [255, 255, 0, 64, 128, 128]).max() <= 1


def test_a_lookup_table_that_is_none_changes_nothing(pool: DecodePool) -> None:
    plain = with_table("ModalityLUTSequence", "US", [], 0, 12)
    job = {"job": "render", "transfer_syntax_uid": LITTLE, "rendering": rendering(window=[3, 6, "linear-exact"])}
    _, results = pool.run(job, [plain, bytes(range(6))])
    assert np.asarray(Image.open(BytesIO(results[0]))).ravel().tolist() == [0, 43, 85, 128, 170, 213]
