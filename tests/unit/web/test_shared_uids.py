"""One SOP Instance UID in two studies and of two patients: each instance can be had, and answers with several tell them apart."""

from __future__ import annotations

import base64
import email
import email.policy
import hashlib
import io
import zipfile
from urllib.parse import urlsplit

import httpx2
import pydicom
import pytest

from tests.unit.web.web_samples import Web, store
from vna_core.testing import phantoms

SOP = phantoms.uid(2, 1, 1)
STUDY, OTHER_STUDY = phantoms.uid(2), phantoms.uid(77)
PATIENT, OTHER_PATIENT = "P000001", "SOMEBODY ELSE"
RECEIVED = {
    (STUDY, PATIENT): phantoms.ct(1000, 32, 32),
    (OTHER_STUDY, PATIENT): phantoms.ct(1000, 32, 32, StudyInstanceUID=OTHER_STUDY),
    (STUDY, OTHER_PATIENT): phantoms.ct(1000, 32, 48, PatientID=OTHER_PATIENT),
}
NOT_CURRENT = phantoms.ct(1000, 32, 32, StudyDescription="Chest, once more")
ALL = [*RECEIVED.values(), NOT_CURRENT]
PARTS = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}


@pytest.fixture(scope="module", autouse=True)
def stored(web: Web) -> None:
    with web.client() as client:
        for octets in [*ALL, phantoms.ct(1001, 32, 32)]:
            assert store(client, [octets]).status_code == 200


def local(url: str) -> str:
    """The URL without scheme and host, for this client."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"


def test_every_version_of_every_instance_is_listed_with_where_to_have_it(client: httpx2.Client) -> None:
    versions = client.get(f"/api/v1/instances/{SOP}").json()["versions"]
    assert client.get(f"/api/v1/instances/{SOP}/versions").json()["versions"] == versions
    got = {}
    for one in versions:
        octets = client.get(local(one["original_url"])).content
        got[octets] = one
        assert hashlib.sha256(octets).hexdigest() == one["original_sha256"]
        canonical = client.get(local(one["url"]), headers={"Accept": "application/dicom; transfer-syntax=*"}).content
        assert pydicom.dcmread(io.BytesIO(canonical)) == pydicom.dcmread(io.BytesIO(octets))
    assert set(got) == set(ALL)
    for (study, patient), octets in RECEIVED.items():
        assert (got[octets]["study_instance_uid"], got[octets]["patient_id"]) == (study, patient)


def test_an_original_is_chosen_by_study_or_digest(client: httpx2.Client) -> None:
    original = f"/api/v1/instances/{SOP}/original"
    assert client.get(original, params={"study": OTHER_STUDY}).content == RECEIVED[OTHER_STUDY, PATIENT]
    for octets in ALL:
        digest = hashlib.sha256(octets).hexdigest()
        assert client.get(original, params={"sha256": digest}).content == octets
        assert client.get(original, params={"sha256": digest[:16].upper()}).content == octets
    assert client.get(original, params={"study": STUDY, "version": "2"}).content == NOT_CURRENT
    assert client.get(original, params={"study": "1.2.3"}).status_code == 404
    assert client.get(original, params={"sha256": "nonsense"}).status_code == 400


def test_an_explanation_is_chosen_in_the_same_way(client: httpx2.Client) -> None:
    told = client.get(f"/api/v1/instances/{SOP}", params={"study": OTHER_STUDY}).json()
    assert told["study_instance_uid"] == OTHER_STUDY
    digest = hashlib.sha256(NOT_CURRENT).hexdigest()
    told = client.get(f"/api/v1/instances/{SOP}", params={"sha256": digest}).json()
    assert (told["original_sha256"], told["current"]) == (digest, False)


def test_an_original_says_which_one_it_is_and_where_the_others_are(client: httpx2.Client) -> None:
    answer = client.get(f"/api/v1/instances/{SOP}/original")
    digest = hashlib.sha256(answer.content).hexdigest()
    assert answer.headers["content-location"].endswith(f"/api/v1/instances/{SOP}/original?sha256={digest}")
    assert answer.headers["link"].endswith(f'/api/v1/instances/{SOP}/versions>; rel="version-history"')
    assert answer.headers["repr-digest"] == f"sha-256=:{base64.b64encode(bytes.fromhex(digest)).decode()}:"


def test_a_zip_file_has_one_member_for_each(client: httpx2.Client) -> None:
    answer = client.get(f"/dicom-web/studies/{STUDY}", headers={"Accept": "application/zip"})
    archive = zipfile.ZipFile(io.BytesIO(answer.content))
    names = archive.namelist()
    assert len(set(names)) == len(names) == 3
    assert f"{phantoms.uid(2, 1)}/{phantoms.uid(2, 1, 2)}.dcm" in names  # what shares its name with nothing has the plain one
    patients = sorted(str(pydicom.dcmread(io.BytesIO(archive.read(name))).PatientID) for name in names)
    assert patients == [PATIENT, PATIENT, OTHER_PATIENT]


def test_each_part_says_where_it_alone_can_be_had(client: httpx2.Client) -> None:
    answer = client.get(f"/dicom-web/studies/{STUDY}", headers=PARTS)
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = list(email.message_from_bytes(head + answer.content, policy=email.policy.HTTP).iter_parts())  # type: ignore[attr-defined]
    places = [str(part["Content-Location"]) for part in parts]
    assert len(set(places)) == len(places) == 3
    assert sum("?" in place for place in places) == 1
    for part, place in zip(parts, places, strict=True):
        path = local(place)
        alone = client.get(path, headers={"Accept": "application/dicom; transfer-syntax=*"})
        assert alone.content == part.get_payload(decode=True)


def test_a_digest_of_nothing_in_this_series_is_not_found(client: httpx2.Client) -> None:
    url = f"/dicom-web/studies/{STUDY}/series/{phantoms.uid(2, 1)}/instances/{SOP}"
    elsewhere = hashlib.sha256(RECEIVED[OTHER_STUDY, PATIENT]).hexdigest()
    assert client.get(url, params={"sha256": elsewhere}, headers=PARTS).status_code == 404
    assert client.get(url, params={"sha256": "x"}, headers=PARTS).status_code == 400


@pytest.mark.parametrize("level", ["", f"/series/{phantoms.uid(2, 1)}", f"/series/{phantoms.uid(2, 1)}/instances/{SOP}"])
def test_the_bulk_data_of_each_is_its_own(client: httpx2.Client, level: str) -> None:
    for _ in range(2):  # as it is made, and as it was prepared
        told = client.get(f"/dicom-web/studies/{STUDY}{level}/metadata").json()
        places = [one["7FE00010"]["BulkDataURI"] for one in told]
        assert len(set(places)) == len(places)
        for one, place in zip(told, places, strict=True):
            instance = urlsplit(place).path.removesuffix("/bulkdata/7FE00010")
            alone = client.get(
                f"{instance}?{urlsplit(place).query}", headers={"Accept": "application/dicom; transfer-syntax=*"}
            ).content
            held = pydicom.dcmread(io.BytesIO(alone))
            assert held.PatientID == one["00100020"]["Value"][0]
            assert client.get(local(place)).content == held.PixelData
