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


@pytest.fixture(scope="module")
def ordered(client: DICOMwebClient, samples: list[Path]) -> None:
    """Three series, each asked for by a step of its own; the study of the first two has a procedure code."""
    made = []
    for number in (1, 2, 3):
        one = pydicom.dcmread(samples[0])
        one.StudyInstanceUID = "1.2.99.1" if number < 3 else "1.2.99.2"
        one.SeriesInstanceUID, one.SOPInstanceUID = f"1.2.99.0.{number}", f"1.2.99.0.{number}.1"
        one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
        one.AccessionNumber = "A1" if number < 3 else ""
        request, code = pydicom.Dataset(), pydicom.Dataset()
        request.ScheduledProcedureStepID, request.RequestedProcedureID = f"S{number}", "R1"
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "P1", "99X", "Head"
        one.RequestAttributesSequence = [request]
        if number < 3:
            one.ProcedureCodeSequence = [code]
        made.append(one)
    assert len(client.store_instances(made).ReferencedSOPSequence) == 3


def told(rows: list[dict[str, dict]], tag: str) -> list[str]:
    return sorted(row[tag]["Value"][0] for row in rows)


@pytest.mark.parametrize("path", ["RequestAttributesSequence.ScheduledProcedureStepID", "00400275.00400009"])
def test_series_are_found_by_what_is_in_a_sequence(client: DICOMwebClient, ordered: None, path: str) -> None:
    filters = {path: "S?", "RequestAttributesSequence.RequestedProcedureID": "R1", "StudyInstanceUID": "1.2.99.1"}
    assert told(client.search_for_series(search_filters=filters), "0020000E") == ["1.2.99.0.1", "1.2.99.0.2"]
    [row] = client.search_for_series(search_filters={path: "S3"})
    assert row["0020000E"]["Value"] == ["1.2.99.0.3"]
    assert row["00400275"]["Value"][0]["00400009"] == {"vr": "SH", "Value": ["S3"]}
    assert client.search_for_instances(search_filters={path: "S3"})[0]["00080018"]["Value"] == ["1.2.99.0.3.1"]
    assert client.search_for_series(search_filters={path: "S4"}) == []


def test_studies_are_found_by_a_code_and_page_by_page(client: DICOMwebClient, ordered: None) -> None:
    filters = {"ProcedureCodeSequence.CodeValue": "P1", "ProcedureCodeSequence.CodingSchemeDesignator": "99X"}
    [row] = client.search_for_studies(search_filters=filters, fields=["ProcedureCodeSequence"])
    assert row["0020000D"]["Value"] == ["1.2.99.1"]
    assert row["00081032"]["Value"][0]["00080104"]["Value"] == ["Head"]
    assert client.search_for_studies(search_filters=filters, offset=1) == []


def test_empty_values_are_found_where_that_is_asked_for(client: DICOMwebClient, ordered: None) -> None:
    filters = {"AccessionNumber": '""', "StudyInstanceUID": "1.2.99.1,1.2.99.2", "emptyvaluematching": "true"}
    assert told(client.search_for_studies(search_filters=filters), "0020000D") == ["1.2.99.2"]
    filters["emptyvaluematching"] = "false"
    assert told(client.search_for_studies(search_filters=filters), "0020000D") == ["1.2.99.1", "1.2.99.2"]


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
