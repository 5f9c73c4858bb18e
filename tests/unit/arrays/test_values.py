"""The numbers that arrays give are those of the images: unused bits, signs and colours, compared with pydicom; stored and exported alike."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import zarr
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless, SecondaryCaptureImageStorage

from tests.unit.arrays.array_samples import SERIES, STUDY, image
from tests.unit.ingest.small_archive import SmallArchive, small_archive
from vna_core.access.arrays import SeriesArrays, open_series
from vna_core.access.arrays.export import export_zarr
from vna_core.access.arrays.zarr_store import ArchiveZarrStore
from vna_core.access.decode_codecs import PixelDescription, encode
from vna_core.access.sample_bits import SampleBits

GENERATOR = np.random.default_rng(11)
SIGNED = GENERATOR.integers(-2048, 2048, (2, 6, 5), np.int16)
OVERLAY = GENERATOR.integers(1, 16, (2, 6, 5), np.uint16) << 12
BITS: Any = {"BitsStored": 12, "HighBit": 11}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[SmallArchive]:
    with small_archive(tmp_path / "data") as opened:
        yield opened


def read(archive: SmallArchive, files: list[bytes], folder: Path) -> list[np.ndarray[Any, Any]]:
    """The first array of the series in every way there is to read it."""
    for octets in files:
        assert archive.offer(octets).outcome.acknowledged
    arrays = SeriesArrays.of_series(archive.catalogue, archive.retriever, STUDY, SERIES)
    export_zarr(arrays, folder / "exported.zarr")
    ways = [
        open_series(archive.catalogue, archive.retriever, STUDY, SERIES),
        zarr.open_group(ArchiveZarrStore(arrays), mode="r"),
        zarr.open_group(folder / "exported.zarr", mode="r"),
    ]
    return [np.asarray(group["0/0"][...]) for group in ways]  # type: ignore[index]


def expected(files: list[bytes]) -> np.ndarray[Any, Any]:
    return np.stack([pydicom.dcmread(io.BytesIO(octets)).pixel_array for octets in files])


@pytest.mark.parametrize(
    "cells",
    [
        pytest.param(SIGNED.view(np.uint16) & 0x0FFF, id="sign-not-extended"),
        pytest.param(SIGNED.view(np.uint16), id="sign-extended"),
        pytest.param((SIGNED.view(np.uint16) & 0x0FFF) | OVERLAY, id="overlay-over-signed"),
    ],
)
def test_signed_samples_have_their_sign_whatever_stands_above_them(
    archive: SmallArchive, tmp_path: Path, cells: np.ndarray[Any, Any]
) -> None:
    files = [image(number, cells[number], PixelRepresentation=1, InstanceNumber=number, **BITS) for number in (0, 1)]
    assert np.array_equal(expected(files), SIGNED)
    for found in read(archive, files, tmp_path):
        assert found.dtype == np.int16 and np.array_equal(found, SIGNED)


def test_frames_of_one_object_have_no_overlay_in_them(archive: SmallArchive, tmp_path: Path) -> None:
    samples = GENERATOR.integers(0, 4096, (2, 6, 5), np.uint16)
    files = [image(1, samples | OVERLAY, **BITS)]
    assert np.array_equal(expected(files)[0], samples)
    for found in read(archive, files, tmp_path):
        assert np.array_equal(found, samples)


def test_samples_that_are_not_right_aligned_are_moved(archive: SmallArchive, tmp_path: Path) -> None:
    """PS3.5 2014 section 8.1.1 knew High Bit beyond Bits Stored less one; bits below the sample are no part of it."""
    samples = GENERATOR.integers(0, 4096, (2, 6, 5), np.uint16)
    noise = GENERATOR.integers(0, 16, (2, 6, 5), np.uint16)
    for found in read(archive, [image(1, samples << 4 | noise, BitsStored=12, HighBit=15)], tmp_path):
        assert np.array_equal(found, samples)


def test_compressed_samples_are_those_of_native_ones(archive: SmallArchive, tmp_path: Path) -> None:
    native = (SIGNED.view(np.uint16) & 0x0FFF) | OVERLAY
    files = []
    for number in (0, 1):
        one = pydicom.dcmread(io.BytesIO(image(number, native[number], PixelRepresentation=1, **BITS)))
        one.compress(RLELossless, generate_instance_uid=False)
        buffer = io.BytesIO()
        one.save_as(buffer)
        files.append(buffer.getvalue())
    for found in read(archive, files, tmp_path):
        assert np.array_equal(found, SIGNED)


def test_attributes_describe_the_values_that_are_given(archive: SmallArchive) -> None:
    archive.offer(image(1, SIGNED.view(np.uint16) & 0x0FFF, PixelRepresentation=1, **BITS))
    said: Any = open_series(archive.catalogue, archive.retriever, STUDY, SERIES)["0/0"].attrs["dicom"]
    assert (said["bits_stored"], said["high_bit"], said["pixel_representation"]) == (12, 11, 1)


def test_ordinary_slices_need_no_codec_of_ours(archive: SmallArchive) -> None:
    archive.offer(image(1, SIGNED.view(np.uint16) & 0x0FFF, **BITS))
    metadata = SeriesArrays.of_series(archive.catalogue, archive.retriever, STUDY, SERIES).documents()["0/0/zarr.json"]
    assert b"vna.dicom_frame" not in metadata


@pytest.mark.parametrize("frames", [1, 3])
def test_any_part_of_a_frame_is_put_right(archive: SmallArchive, frames: int) -> None:
    cells = GENERATOR.integers(0, 1 << 16, (frames, 6, 5), np.uint16)
    archive.offer(image(1, cells[0] if frames == 1 else cells, PixelRepresentation=1, **BITS))
    arrays = SeriesArrays.of_series(archive.catalogue, archive.retriever, STUDY, SERIES)
    whole = ((cells[-1].view(np.int16) << 4) >> 4).tobytes()
    for start in (0, 1, 2, 31, -7):
        for length in (None, 0, 1, 2, 5, 900):
            begin = start if start >= 0 else len(whole) + start
            part = whole[begin : None if length is None else begin + length]
            assert arrays.read(f"0/0/c/{frames - 1}/0/0", start, length) == part


@pytest.mark.parametrize("allocated", [8, 16, 32])
@pytest.mark.parametrize("signed", [False, True])
def test_samples_come_out_of_any_bits(allocated: int, signed: bool) -> None:
    """Every Bits Stored and High Bit there can be, against arithmetic on single numbers."""
    for stored in range(1, allocated):
        ends = [
            0,
            1,
            (1 << stored - 1) - 1,
            1 << stored - 1,
            (1 << stored) - 1,
            (1 << allocated) - 1,
            (1 << allocated) - (1 << stored - 1),
        ]
        noise = [int(cell) for cell in GENERATOR.integers(0, 1 << allocated, 5)]
        for high in range(stored - 1, allocated):
            bits = SampleBits.of(PixelDescription(1, 1, 1, allocated, stored, int(signed), "MONOCHROME2", 0), high)
            assert bits is not None

            def sample(cell: int, stored: int = stored, high: int = high) -> int:
                value = cell >> (high - stored + 1) & ((1 << stored) - 1)
                return value - (1 << stored) if signed and value >> (stored - 1) else value

            for cells in (*([cell] for cell in ends), noise):
                octets = np.array(cells, f"<u{allocated // 8}").tobytes()
                found = np.frombuffer(bits.of_octets(octets), f"<{'i' if signed else 'u'}{allocated // 8}")
                assert found.tolist() == [sample(cell) for cell in cells]


def colour(syntax: str, codestream: bytes, photometric: str) -> bytes:
    one = pydicom.dcmread(
        io.BytesIO(image(1, np.zeros((16, 16, 3), np.uint8), SecondaryCaptureImageStorage, SamplesPerPixel=3, Modality="OT"))
    )
    one.PhotometricInterpretation = photometric
    one.file_meta.TransferSyntaxUID = syntax
    one.PixelData = pydicom.encaps.encapsulate([codestream])
    one["PixelData"].is_undefined_length = True
    buffer = io.BytesIO()
    one.save_as(buffer)
    return buffer.getvalue()


@pytest.mark.parametrize(("syntax", "stored"), [(JPEGBaseline8Bit, "YBR_FULL_422"), (JPEG2000Lossless, "YBR_RCT")])
def test_colours_are_called_what_they_are(archive: SmallArchive, tmp_path: Path, syntax: str, stored: str) -> None:
    import imagecodecs

    picture = np.zeros((16, 16, 3), np.uint8)
    picture[..., 0] = 200  # red: as luminance and chrominance it is something else altogether
    description = PixelDescription(16, 16, 3, 8, 8, 0, "RGB", 0)
    codestream = (
        imagecodecs.jpeg8_encode(picture, level=95, subsampling="422")
        if syntax == JPEGBaseline8Bit
        else encode(syntax, picture, description)
    )
    for found in read(archive, [colour(syntax, codestream, stored)], tmp_path):
        assert np.abs(np.moveaxis(found.reshape(3, 16, 16), 0, -1).astype(int) - picture).max() <= 3
    for group in (
        open_series(archive.catalogue, archive.retriever, STUDY, SERIES),
        zarr.open_group(tmp_path / "exported.zarr", mode="r"),
    ):
        said: Any = group["0/0"].attrs["dicom"]
        assert (said["photometric_interpretation"], said["stored_photometric_interpretation"]) == ("RGB", stored)
