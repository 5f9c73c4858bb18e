"""Orthanc's DICOMweb plugin, as client of the web face and as the server that its content comes from."""

from __future__ import annotations

import io
from pathlib import Path

import httpx2
import numpy as np
import pydicom
import pytest


@pytest.fixture
def orthanc(orthanc_url: str, samples: list[Path]) -> httpx2.Client:
    client = httpx2.Client(base_url=orthanc_url, timeout=60)
    for path in samples:
        assert client.post("/instances", content=path.read_bytes()).status_code == 200
    return client


def test_orthanc_stores_into_the_archive(orthanc: httpx2.Client, archive_url: str, samples: list[Path]) -> None:
    resources = orthanc.get("/instances").json()
    job = orthanc.post("/dicom-web/servers/archive/stow", json={"Resources": resources, "Synchronous": True})
    assert job.status_code == 200, job.text
    with httpx2.Client(base_url=archive_url) as archive:
        for path in samples:
            sop = pydicom.dcmread(path, stop_before_pixels=True).SOPInstanceUID
            assert archive.get(f"/api/v1/instances/{sop}").status_code == 200


def test_orthanc_finds_and_retrieves_from_the_archive(orthanc: httpx2.Client, archive_url: str, samples: list[Path]) -> None:
    octets = samples[0].read_bytes()
    body = b"--limit\r\nContent-Type: application/dicom\r\n\r\n" + octets + b"\r\n--limit--"
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=limit'}
    assert httpx2.post(f"{archive_url}/dicom-web/studies", content=body, headers=headers).status_code == 200
    data_set = pydicom.dcmread(samples[0], stop_before_pixels=True)
    found = orthanc.post("/dicom-web/servers/archive/qido", json={"Uri": "/studies", "Arguments": {"PatientID": "1CT1"}})
    assert data_set.StudyInstanceUID in [row["0020000D"]["Value"] for row in found.json()]
    [held] = orthanc.post("/tools/find", json={"Level": "Instance", "Query": {"SOPInstanceUID": data_set.SOPInstanceUID}}).json()
    assert orthanc.delete(f"/instances/{held}").status_code == 200
    retrieved = orthanc.post(
        "/dicom-web/servers/archive/retrieve",
        json={"Resources": [{"Study": data_set.StudyInstanceUID}], "Synchronous": True},
    )
    assert retrieved.status_code == 200, retrieved.text
    again = pydicom.dcmread(io.BytesIO(orthanc.get(f"/instances/{held}/file").content))
    assert np.array_equal(again.pixel_array, pydicom.dcmread(samples[0]).pixel_array)
