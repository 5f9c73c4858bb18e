"""dicomweb-client, the reference client in Python, against the web face."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient


@pytest.fixture(scope="module")
def client(archive_url: str, samples: list[Path]) -> DICOMwebClient:
    client = DICOMwebClient(f"{archive_url}/dicom-web")
    answer = client.store_instances([pydicom.dcmread(path) for path in samples])
    assert len(answer.ReferencedSOPSequence) == len(samples)
    return client


def uids(path: Path) -> tuple[str, str, str]:
    data_set = pydicom.dcmread(path, stop_before_pixels=True)
    return str(data_set.StudyInstanceUID), str(data_set.SeriesInstanceUID), str(data_set.SOPInstanceUID)


def test_studies_series_and_instances_are_found(client: DICOMwebClient, samples: list[Path]) -> None:
    study, series, sop = uids(samples[0])
    [found] = client.search_for_studies(search_filters={"PatientID": "1CT1"})
    assert found["0020000D"]["Value"] == [study]
    assert client.search_for_series(study)[0]["0020000E"]["Value"] == [series]
    assert client.search_for_instances(study, series)[0]["00080018"]["Value"] == [sop]
    assert len(client.search_for_studies(limit=2)) == 2


def test_whole_objects_come_back(client: DICOMwebClient, samples: list[Path]) -> None:
    for path in samples:
        held = client.retrieve_instance(*uids(path), media_types=(("application/dicom", "*"),))
        assert np.array_equal(held.pixel_array, pydicom.dcmread(path).pixel_array)
    study, series, _ = uids(samples[0])
    assert len(client.retrieve_series(study, series)) == 1
    assert len(client.retrieve_study(study)) == 1


def test_metadata_and_bulk_data_come_back(client: DICOMwebClient, samples: list[Path]) -> None:
    [metadata] = client.retrieve_study_metadata(uids(samples[0])[0])
    assert metadata["00100020"]["Value"] == ["1CT1"]
    [pixels] = client.retrieve_bulkdata(metadata["7FE00010"]["BulkDataURI"])
    assert pixels == pydicom.dcmread(samples[0]).PixelData


def test_frames_come_back(client: DICOMwebClient, samples: list[Path]) -> None:
    frames = client.retrieve_instance_frames(*uids(samples[3]), frame_numbers=[1, 2], media_types=("application/octet-stream",))
    assert [bytes(frame) for frame in frames] == [frame.tobytes() for frame in pydicom.dcmread(samples[3]).pixel_array]


def test_pictures_come_back(client: DICOMwebClient, samples: list[Path]) -> None:
    assert client.retrieve_instance_rendered(*uids(samples[4]), media_types=("image/png",)).startswith(b"\x89PNG")
    assert client.retrieve_instance_rendered(*uids(samples[4]), media_types=("image/jpeg",)).startswith(b"\xff\xd8")
    study, series, _ = uids(samples[0])
    assert client.retrieve_series_rendered(study, series, media_types=("image/png",)).startswith(b"\x89PNG")
    frames = client.retrieve_instance_frames_rendered(*uids(samples[3]), frame_numbers=[1, 2])
    assert frames.startswith(b"--") and frames.count(b"Content-Type: image/jpeg") == 2
