"""STOW-RS: acknowledged exactly what the archive holds."""

from __future__ import annotations

import hashlib
import io
import re
import socket
import time
from typing import Any

import httpx2
import pydicom
import pytest

from tests.unit.web.web_samples import CONTENT_TYPE, Web, multipart, sample, store
from vna_core.dicom.container import open_container
from vna_core.ingest import identify
from vna_core.testing import phantoms

CT = "CT_small.dcm"
STUDY, SOP = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322", "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"


def other(octets: bytes, uid: str) -> bytes:
    """The same file under another SOP Instance UID of the same length."""
    old = re.search(rb"1\.3\.6\.1\.4\.1\.5962\.1\.1\.[0-9.]+", octets)
    assert old is not None
    return octets.replace(old.group(0), uid.encode().ljust(len(old.group(0)), b"9")[: len(old.group(0))])


def test_a_stored_instance_is_referenced_and_comes_back_bit_exact(client: httpx2.Client) -> None:
    answer = store(client, [sample(CT)])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/dicom+json"
    reference = answer.json()["00081199"]["Value"][0]
    assert reference["00081155"]["Value"] == [SOP]
    assert "00081198" not in answer.json()
    assert client.get(f"/api/v1/instances/{SOP}/original").content == sample(CT)
    assert client.get(reference["00081190"]["Value"][0], headers={"Accept": "application/dicom"}).status_code == 200


def test_the_same_again_is_acknowledged_and_not_stored_twice(client: httpx2.Client) -> None:
    store(client, [sample(CT)])
    before = client.get("/api/v1/statistics").json()
    assert store(client, [sample(CT), sample(CT)]).status_code == 200
    assert client.get("/api/v1/statistics").json() == before


def test_some_failed_is_202_and_says_which(client: httpx2.Client) -> None:
    answer = store(client, [sample("MR_small.dcm"), b"this is not DICOM", b""])
    assert answer.status_code == 202
    assert len(answer.json()["00081199"]["Value"]) == 1
    failed = answer.json()["0008119A"]["Value"]
    assert len(failed) == 2
    assert all(list(item) == sorted(item) for item in [answer.json(), *failed]), "PS3.18 F.2.2"
    assert all(item["00081197"]["Value"][0] >= 0xC000 for item in failed)


def test_nothing_stored_is_409_and_the_octets_are_in_quarantine(client: httpx2.Client) -> None:
    octets = b"neither is this DICOM"
    assert store(client, [octets]).status_code == 409
    entries = client.get("/api/v1/quarantine?limit=1000").json()["quarantine"]
    kept = [client.get(f"/api/v1/quarantine/{entry['id']}/original").content for entry in entries]
    assert octets in kept
    assert store(client, [octets]).status_code == 409
    assert len(client.get("/api/v1/quarantine?limit=1000").json()["quarantine"]) == len(entries)


def test_other_octets_under_a_held_uid_are_kept_as_a_conflict(client: httpx2.Client) -> None:
    store(client, [sample(CT)])
    changed = sample(CT).replace(b"CompressedSamples^CT1", b"CompressedSamples^CT9")
    assert store(client, [changed]).status_code == 200
    conflicts = client.get("/api/v1/conflicts").json()["conflicts"]
    assert SOP in [conflict["sop_instance_uid"] for conflict in conflicts]
    assert client.get(f"/api/v1/instances/{SOP}/original").content == sample(CT)
    assert client.get(f"/api/v1/instances/{SOP}/original?version=2").content == changed


def test_an_instance_of_another_study_is_refused_where_a_study_is_addressed(client: httpx2.Client) -> None:
    octets = sample("SC_rgb_rle.dcm")
    uid = str(pydicom.dcmread(io.BytesIO(octets)).StudyInstanceUID)
    answer = store(client, [octets], "/dicom-web/studies/1.2.3")
    assert answer.status_code == 409
    [failed] = answer.json()["00081198"]["Value"]
    assert failed["00081197"]["Value"] == [0xC409]
    assert failed["00081155"]["Value"] == [str(pydicom.dcmread(io.BytesIO(octets)).SOPInstanceUID)]
    assert client.get(f"/dicom-web/studies/{uid}").status_code == 404
    entries = client.get("/api/v1/quarantine?limit=1000").json()["quarantine"]
    assert octets in [client.get(f"/api/v1/quarantine/{entry['id']}/original").content for entry in entries]
    assert store(client, [octets], f"/dicom-web/studies/{uid}").status_code == 200


def test_where_a_study_is_addressed_each_part_is_read_once(client: httpx2.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    study = phantoms.uid(91)
    parts = [phantoms.ct(number, 16, 16, StudyInstanceUID=study) for number in range(910, 913)]
    read: list[int] = []

    def opening(buffer: Any, **named: Any) -> Any:
        read.append(len(buffer))
        return open_container(buffer, **named)

    monkeypatch.setattr(identify, "open_container", opening)
    answer = store(client, [*parts, phantoms.ct(913, 16, 16, StudyInstanceUID=phantoms.uid(92))], f"/dicom-web/studies/{study}")
    assert (answer.status_code, len(answer.json()["00081199"]["Value"])) == (202, 3)
    assert len(read) == 4


def test_a_single_instance_needs_no_multipart(client: httpx2.Client) -> None:
    answer = client.post("/dicom-web/studies", content=sample("MR_small_RLE.dcm"), headers={"Content-Type": "application/dicom"})
    assert answer.status_code == 200


def test_extra_part_headers_preamble_and_padding_are_no_hindrance(client: httpx2.Client) -> None:
    body = b"to be ignored\r\n--a b'c  \r\nMIME-Version: 1.0\r\nContent-Length: 7\r\nContent-Type: application/dicom;\r\n transfer-syntax=1.2\r\n\r\n"
    body += sample(CT) + b"\r\n--a b'c--  \r\nepilogue"
    content_type = 'Multipart/Related; Type="application/dicom"; BOUNDARY="a b\'c"'
    assert client.post("/dicom-web/studies", content=body, headers={"Content-Type": content_type}).status_code == 200


@pytest.mark.parametrize(
    ("content_type", "extra", "status"),
    [
        ("application/json", {}, 415),
        ('multipart/related; type="application/dicom+json"; boundary=limit', {}, 415),
        ("multipart/form-data; boundary=limit", {}, 415),
        (CONTENT_TYPE, {"Content-Encoding": "gzip"}, 415),
        (CONTENT_TYPE, {"Accept": "application/dicom+xml"}, 406),
        ('multipart/related; type="application/dicom"', {}, 400),
        (f'multipart/related; type="application/dicom"; boundary="{"x" * 201}"', {}, 400),
        ('multipart/related; type="application/dicom"; boundary=other', {}, 400),
    ],
)
def test_bodies_of_other_kinds_are_refused(client: httpx2.Client, content_type: str, extra: dict[str, str], status: int) -> None:
    answer = client.post("/dicom-web/studies", content=multipart([sample(CT)]), headers={"Content-Type": content_type, **extra})
    assert answer.status_code == status
    assert set(answer.json()) >= {"code", "message"}


def test_parts_of_other_kinds_are_refused(client: httpx2.Client) -> None:
    body = multipart([b"{}"], content_type="application/dicom+json")
    assert client.post("/dicom-web/studies", content=body, headers={"Content-Type": CONTENT_TYPE}).status_code == 415


def raw(web: Web, head: str, body: bytes, shut: bool = False) -> bytes:
    """An answer to octets sent by hand."""
    with socket.create_connection(web.address, timeout=20) as connection:
        connection.sendall(head.replace("\n", "\r\n").encode() + b"\r\n\r\n" + body)
        if shut:
            connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
            if b"\r\n\r\n" in answer:
                break
        return answer


def test_a_body_cut_in_the_middle_is_never_acknowledged(web: Web, client: httpx2.Client) -> None:
    octets = sample("JPEG2000.dcm")
    uid = str(pydicom.dcmread(io.BytesIO(octets), stop_before_pixels=True).SOPInstanceUID)
    body = multipart([octets])
    head = f"POST /dicom-web/studies HTTP/1.1\nHost: x\nContent-Type: {CONTENT_TYPE}\nContent-Length: {len(body)}"
    answer = raw(web, head, body[: len(body) // 2], shut=True)
    assert b" 200 " not in answer.split(b"\r\n")[0]
    time.sleep(0.2)
    assert client.get(f"/api/v1/instances/{uid}").status_code == 404
    assert store(client, [octets]).status_code == 200


def test_a_missing_last_boundary_fails_the_last_part_alone(client: httpx2.Client) -> None:
    whole, cut = sample("MR_small_jp2klossless.dcm"), sample("MR_small_padded.dcm")
    body = multipart([whole, cut])[: -len(b"\r\n--limit--\r\n")]
    answer = client.post("/dicom-web/studies", content=body, headers={"Content-Type": CONTENT_TYPE})
    assert answer.status_code == 202
    assert len(answer.json()["00081199"]["Value"]) == 1


def test_an_announced_size_past_the_limit_is_refused_before_the_body(web: Web) -> None:
    head = f"POST /dicom-web/studies HTTP/1.1\nHost: x\nContent-Type: {CONTENT_TYPE}\nContent-Length: {1 << 60}"
    assert raw(web, head, b"").startswith(b"HTTP/1.1 413")


def test_a_cut_file_is_named_among_the_failed_by_the_uids_that_can_be_read(client: httpx2.Client) -> None:
    whole, cut = sample("MR_small.dcm"), sample("JPEG2000.dcm")
    named = pydicom.dcmread(io.BytesIO(cut)).file_meta
    uid = named.MediaStorageSOPInstanceUID.encode()
    in_meta = cut[: cut.index(uid, cut.index(uid) + 1) - 2]  # ends before the SOP Instance UID of the data set
    deep = cut[:-100]
    for damaged in (in_meta, deep):
        answer = store(client, [whole, damaged, b"this is not DICOM"])
        assert answer.status_code == 202
        [failed] = answer.json()["00081198"]["Value"]
        assert failed["00081155"]["Value"] == [str(named.MediaStorageSOPInstanceUID)]
        assert failed["00081150"]["Value"] == [str(named.MediaStorageSOPClassUID)]
        assert failed["00081197"]["Value"][0] >= 0xC000
        assert len(answer.json()["0008119A"]["Value"]) == 1


def test_what_was_cut_right_before_its_pixels_is_told_and_the_whole_copy_takes_its_place(client: httpx2.Client) -> None:
    whole = phantoms.ct(77, 8, 8)
    cut = whole[: whole.rindex(b"\xe0\x7f\x10\x00OW")]
    sop = str(pydicom.dcmread(io.BytesIO(whole)).SOPInstanceUID)
    assert store(client, [cut]).status_code == 200
    assert "P34" in [warning["rule"] for warning in client.get(f"/api/v1/instances/{sop}").json()["warnings"]]
    assert store(client, [whole]).status_code == 200
    [conflict] = [one for one in client.get("/api/v1/conflicts").json()["conflicts"] if one["sop_instance_uid"] == sop]
    assert conflict["classification"] == "cut-first" and conflict["why"].startswith("Version 2 is current")
    assert (conflict["first"]["current"], conflict["second"]["current"]) == (False, True)
    explained = client.get(f"/api/v1/instances/{sop}").json()
    assert (explained["version"], explained["cut_copies"], explained["whole_copies"]) == (2, [1], [])
    assert explained["standing"].startswith("Stands in the place of version 1")
    [found] = client.get("/dicom-web/instances", params={"SOPInstanceUID": sop}).json()
    series = f"/dicom-web/studies/{found['0020000D']['Value'][0]}/series/{found['0020000E']['Value'][0]}"
    frame = client.get(
        f"{series}/instances/{sop}/frames/1", headers={"Accept": 'multipart/related; type="application/octet-stream"'}
    )
    assert frame.status_code == 200
    [metadata] = client.get(f"{series}/metadata").json()
    assert "7FE00010" in metadata


def test_which_version_is_right_is_said_and_taken_back(client: httpx2.Client) -> None:
    first, second = phantoms.ct(5088, 8, 8), phantoms.ct(5088, 8, 8, StudyDescription="Thorax")
    for octets in (first, second):
        assert store(client, [octets]).status_code in (200, 202)
    named = pydicom.dcmread(io.BytesIO(first))
    api, sop, study = "/api/v1/instances", named.SOPInstanceUID, named.StudyInstanceUID
    digest = hashlib.sha256(second).hexdigest()
    for wrong, status in (({}, 400), ({"version": "2"}, 400), ({"reason": "x"}, 400), ({"version": "9", "reason": "x"}, 404)):
        assert client.post(f"{api}/{sop}/keep", params=wrong).status_code == status
    kept = client.post(f"{api}/{sop}/keep", params={"sha256": digest, "reason": "corrected"}).json()
    assert (kept["level"], kept["uid"], kept["versions"], kept["reason"]) == ("version", sop, 1, "corrected")
    [version] = client.get(f"{api}/{sop}/versions").json()["versions"]
    assert (version["original_sha256"], version["current"]) == (digest, True)
    assert client.post(f"{api}/{sop}/keep", params={"version": "1", "reason": "again"}).status_code == 400
    assert client.post(f"/api/v1/deletions/{kept['id']}/purge").status_code == 400
    assert client.post(f"/api/v1/deletions/{kept['id']}/undelete").json()["state"] == "undone"
    assert client.post(f"/api/v1/studies/{study}/keep", params={"reason": "x"}).status_code == 400
    assert client.post("/api/v1/studies/1.2.9/keep", params={"which": "first", "reason": "x"}).status_code == 404
    kept = client.post(f"/api/v1/studies/{study}/keep", params={"which": "first", "reason": "the first is right"}).json()
    assert (kept["level"], kept["uid"], kept["versions"]) == ("version", study, 1)
    [version] = client.get(f"{api}/{sop}/versions").json()["versions"]
    assert version["original_sha256"] == hashlib.sha256(first).hexdigest()
