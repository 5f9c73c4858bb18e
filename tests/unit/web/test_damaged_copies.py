"""A stored file that was changed behind the archive's back is never taken for whole by a client."""

from __future__ import annotations

import io

import httpx2
import numpy as np
import pydicom
import pytest
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.unit.web.web_samples import Web, sample, store


def large_instance() -> tuple[bytes, str]:
    """A CT of 8 MiB, and its URL."""
    data_set = pydicom.dcmread(io.BytesIO(sample("CT_small.dcm")))
    for keyword in ("SmallestImagePixelValue", "LargestImagePixelValue"):
        data_set.pop(keyword, None)
    data_set.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data_set.Rows = data_set.Columns = 2048
    data_set.PixelData = np.arange(2048 * 2048, dtype=np.uint16).tobytes()
    data_set.SOPInstanceUID = data_set.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    out = io.BytesIO()
    data_set.save_as(out)
    url = (
        f"/dicom-web/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"
    )
    return out.getvalue(), url


def damage(web: Web, sop: str) -> None:
    """Flip one octet in the middle of the only stored copy."""
    [held] = web.catalogue.versions(sop)
    path = web.data / "store" / held.locations[0].key
    path.chmod(0o600)
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


ACCEPT = {"Accept": "application/dicom"}


def test_a_large_damaged_instance_ends_the_answer_early_and_is_healed_by_its_next_arrival(
    web: Web, client: httpx2.Client
) -> None:
    octets, url = large_instance()
    assert store(client, [octets]).status_code == 200
    assert len(client.get(url, headers=ACCEPT).content) > 8 << 20
    damage(web, url.rsplit("/", 1)[1])
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get(url, headers=ACCEPT)
    with pytest.raises(httpx2.RemoteProtocolError):
        client.get(f"/api/v1/instances/{url.rsplit('/', 1)[1]}/original")
    assert store(client, [octets]).status_code == 200
    assert client.get(f"/api/v1/instances/{url.rsplit('/', 1)[1]}/original").content == octets


def test_a_small_damaged_instance_is_an_error_and_others_are_served(web: Web, client: httpx2.Client) -> None:
    assert store(client, [sample("MR_small.dcm"), sample("SC_rgb_rle.dcm")]).status_code == 200
    data_set = pydicom.dcmread(io.BytesIO(sample("MR_small.dcm")))
    url = (
        f"/dicom-web/studies/{data_set.StudyInstanceUID}/series/{data_set.SeriesInstanceUID}/instances/{data_set.SOPInstanceUID}"
    )
    damage(web, str(data_set.SOPInstanceUID))
    answer = client.get(url, headers=ACCEPT)
    assert (answer.status_code, answer.json()["code"]) == (500, "digest-mismatch")
    other = pydicom.dcmread(io.BytesIO(sample("SC_rgb_rle.dcm")))
    assert client.get(f"/dicom-web/studies/{other.StudyInstanceUID}", headers={"Accept": "application/zip"}).status_code == 200


def test_a_damaged_instance_ends_a_study_visibly(web: Web, client: httpx2.Client) -> None:
    octets, url = large_instance()
    store(client, [octets])
    damage(web, url.rsplit("/", 1)[1])
    study = url.split("/series")[0]
    for accept in ('multipart/related; type="application/dicom"; transfer-syntax=*', "application/zip"):
        with pytest.raises(httpx2.RemoteProtocolError):
            client.get(study, headers={"Accept": accept})
