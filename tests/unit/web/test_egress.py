"""Web clients with an egress profile get adapted objects and metadata; everybody else gets what is stored."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import httpx2
import numpy as np
import pydicom
import pytest

from tests.unit.egress.egress_samples import PIXELS, image, octets_of
from tests.unit.web.test_retrieve import EVERY, parts_of
from tests.unit.web.web_samples import Web, store
from vna_core.configuration import HttpSettings
from vna_core.configuration.egress import EgressSettings

LATIN = {"User-Agent": "OldViewer/1.2"}
IMPLICIT, LITTLE = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1"
INSTANCE = "/dicom-web/studies/1.2.3.4/series/1.2.3.4.0.1/instances/1.2.3.4.1"
SETTINGS = {
    "profiles": {
        "latin": {
            "character_set": "ISO_IR 100",
            "private": "remove",
            "values": [{"tag": "InstitutionName", "set": "Köln"}, {"tag": "PatientID", "prefix": "KH-"}],
        },
        "implicit": {"transfer_syntaxes": [IMPLICIT]},
        "clip": {"clip_text": True},
    },
    "user_agents": {"OldViewer/": "latin", "OldViewer/2": "implicit"},
    "principals": {"cutter": "clip"},
}


@dataclass
class Asked:
    """A client of an archive with one image of each kind."""

    client: httpx2.Client
    web: Web


@pytest.fixture(scope="module")
def asked(start_web: Callable[..., Web]) -> Asked:
    web = start_web(egress=EgressSettings.model_validate(SETTINGS))
    client = web.client()
    cyrillic = image(PatientName="Ковалёв^Пётр", StudyInstanceUID="1.2.3.5", SeriesInstanceUID="1.2.3.5.1")
    cyrillic.SOPInstanceUID = "1.2.3.5.1.1"
    fine = image(StudyInstanceUID="1.2.3.5", SeriesInstanceUID="1.2.3.5.1", SOPInstanceUID="1.2.3.5.1.2")
    assert store(client, [octets_of(image()), octets_of(cyrillic), octets_of(fine)]).status_code == 200
    return Asked(client, web)


def read(octets: bytes) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(octets))


@pytest.mark.parametrize("path", [INSTANCE, INSTANCE.split("/instances")[0], INSTANCE.split("/series")[0]])
def test_an_adapted_object_comes_at_every_level(asked: Asked, path: str) -> None:
    answer = asked.client.get(path, headers={"Accept": EVERY, **LATIN})
    [(_, content)] = parts_of(answer)
    got = read(content)
    assert (got.SpecificCharacterSet, got.InstitutionName, got.PatientID) == ("ISO_IR 100", "Köln", "KH-P1")
    assert got.PixelData == PIXELS.tobytes()
    assert int(answer.headers["content-length"]) == len(answer.content)


def test_also_as_one_file_and_in_a_zip(asked: Asked) -> None:
    single = asked.client.get(INSTANCE, headers={"Accept": "application/dicom; transfer-syntax=*", **LATIN})
    study = asked.client.get(INSTANCE.split("/series")[0], headers={"Accept": "application/zip", **LATIN})
    archive = zipfile.ZipFile(io.BytesIO(study.content))
    assert archive.read(archive.namelist()[0]) == single.content
    assert read(single.content).PatientID == "KH-P1"


def test_without_a_profile_the_octets_are_the_stored_ones(asked: Asked) -> None:
    answer = asked.client.get(INSTANCE, headers={"Accept": "application/dicom; transfer-syntax=*"})
    [held] = asked.web.catalogue.instances(sop="1.2.3.4.1")
    stored = (asked.web.data / "store" / held.locations[0].key).read_bytes()
    assert answer.content == stored[: held.trailer_offset]
    assert hashlib.sha256(stored).hexdigest() == held.sha256


def test_metadata_shows_the_same_values(asked: Asked) -> None:
    [adapted] = asked.client.get(f"{INSTANCE}/metadata", headers=LATIN).json()
    [plain] = asked.client.get(f"{INSTANCE}/metadata").json()
    assert adapted["00080080"]["Value"] == ["Köln"] and plain["00080080"]["Value"] == ["Städtisches Klinikum"]
    assert adapted["00100020"]["Value"] == ["KH-P1"]
    assert adapted["00100010"] == plain["00100010"]
    assert adapted["7FE00010"] == plain["7FE00010"]
    assert set(plain) - set(adapted) == {"00090010", "00091001"}


def test_a_profile_without_changes_of_attributes_leaves_metadata_alone(asked: Asked) -> None:
    implicit = asked.client.get(f"{INSTANCE}/metadata", headers={"User-Agent": "OldViewer/2"})
    assert implicit.json() == asked.client.get(f"{INSTANCE}/metadata").json()


def test_the_longest_beginning_of_the_user_agent_decides(asked: Asked) -> None:
    accept = {"Accept": EVERY, "User-Agent": "OldViewer/2.0"}
    [(content_type, content)] = parts_of(asked.client.get(INSTANCE, headers=accept))
    assert content_type == f"application/dicom; transfer-syntax={IMPLICIT}"
    assert np.array_equal(read(content).pixel_array, PIXELS)


def test_what_the_profile_forbids_is_not_sent_for_being_asked(asked: Asked) -> None:
    accept = {"Accept": f"application/dicom; transfer-syntax={LITTLE}", "User-Agent": "OldViewer/2.0"}
    assert asked.client.get(INSTANCE, headers=accept).status_code == 406


@pytest.mark.parametrize(
    "path", ["/dicom-web/studies/1.2.3.5", "/dicom-web/studies/1.2.3.5/series/1.2.3.5.1/instances/1.2.3.5.1.1"]
)
def test_text_the_client_cannot_read_is_answered_with_the_tag(asked: Asked, path: str) -> None:
    answer = asked.client.get(path, headers={"Accept": EVERY, **LATIN})
    assert answer.status_code == 406
    assert answer.json()["code"] == "not-adaptable" and answer.json()["tag"] == "00100010"
    assert "Ковал" not in answer.text
    assert asked.client.get(path, headers={"Accept": EVERY}).status_code == 200


def test_frames_and_bulk_data_are_those_of_the_store(asked: Asked) -> None:
    for below in ("/frames/1", "/bulkdata/7FE00010"):
        accept = {"Accept": "application/octet-stream"}
        plain, adapted = (asked.client.get(INSTANCE + below, headers={**accept, **more}).content for more in ({}, LATIN))
        assert plain == adapted == PIXELS.tobytes()


def test_a_principal_comes_before_the_user_agent(start_web: Callable[..., Web]) -> None:
    tokens = {name: hashlib.sha256(name.encode()).hexdigest() for name in ("cutter", "other")}
    web = start_web(http=HttpSettings(tokens=tokens), egress=EgressSettings.model_validate(SETTINGS))
    with web.client(headers={"Authorization": "Bearer cutter", **LATIN}) as client:
        assert store(client, [octets_of(image(AccessionNumber="0123456789ABCDEFGHIJ"))]).status_code == 200
        cut = read(parts_of(client.get(INSTANCE, headers={"Accept": EVERY}))[0][1])
        other = read(parts_of(client.get(INSTANCE, headers={"Accept": EVERY, "Authorization": "Bearer other"}))[0][1])
    assert (cut.AccessionNumber, cut.SpecificCharacterSet) == ("0123456789ABCDEF", "ISO_IR 192")
    assert (other.AccessionNumber, other.SpecificCharacterSet) == ("0123456789ABCDEFGHIJ", "ISO_IR 100")
