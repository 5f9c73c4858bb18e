"""WADO-RS: images that a codec hardly or never takes are converted, or refused with 406."""

from __future__ import annotations

import io

import httpx2
import numpy as np
import pydicom
import pytest

from tests.unit.web.web_samples import sample, store
from vna_core.testing import phantoms


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (2, 2), (31, 31), (40, 16), (16, 700), (32, 32)])
def test_small_images_are_compressed_with_as_many_resolutions_as_they_have_room_for(
    client: httpx2.Client, rows: int, columns: int
) -> None:
    octets = phantoms.ct(rows * 1000 + columns, rows, columns)
    url = store(client, [octets]).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    answer = client.get(url, headers={"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"})
    assert answer.status_code == 200
    served = pydicom.dcmread(io.BytesIO(answer.content))
    assert served.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.90"
    assert np.array_equal(served.pixel_array, pydicom.dcmread(io.BytesIO(octets)).pixel_array)


@pytest.mark.parametrize(("rows", "columns"), [(5, 9), (33, 35)])
def test_colour_images_are_compressed_and_labelled_by_their_transform(client: httpx2.Client, rows: int, columns: int) -> None:
    colours = np.random.default_rng(5).integers(0, 256, (rows, columns, 3), dtype=np.uint8)
    made = pydicom.dcmread(io.BytesIO(sample("SC_rgb_small_odd.dcm")))
    made.Rows, made.Columns, made.PixelData = rows, columns, colours.tobytes() + b"\0"
    made.PlanarConfiguration = 0
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.{rows}.{columns}.3"
    file = io.BytesIO()
    made.save_as(file)
    url = store(client, [file.getvalue()]).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    answer = client.get(url, headers={"Accept": "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.90"})
    served = pydicom.dcmread(io.BytesIO(answer.content))
    assert served.PhotometricInterpretation == "YBR_RCT"
    assert np.array_equal(served.pixel_array, colours)


@pytest.mark.parametrize("syntax", ["1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.5"])
def test_what_has_no_frames_cannot_be_compressed(client: httpx2.Client, syntax: str) -> None:
    made = pydicom.dcmread(io.BytesIO(sample("CT_small.dcm")))
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = "1.2.3.5.9.4"
    made.PixelData = b""
    file = io.BytesIO()
    made.save_as(file)
    url = store(client, [file.getvalue()]).json()["00081199"]["Value"][0]["00081190"]["Value"][0]
    assert client.get(url, headers={"Accept": f"application/dicom; transfer-syntax={syntax}"}).status_code == 406
    assert client.get(url, headers={"Accept": "application/dicom"}).status_code == 200
