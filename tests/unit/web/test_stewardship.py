"""``/api/v1``: deletions, holds and findings, and that every route that deletes respects a hold."""

from __future__ import annotations

import json

import httpx2
import pytest

from tests.unit.web.web_samples import Web
from vna_core.domain.octets import Source
from vna_core.testing import phantoms

REASON = {"reason": "wrong patient"}


@pytest.fixture(scope="module", autouse=True)
def filled(web: Web) -> None:
    for octets in phantoms.series(3):
        with web.pipeline.reception(Source("file", "test")) as reception:
            reception.write(octets)
            assert web.pipeline.offer(reception.finish()).outcome.acknowledged


@pytest.fixture(scope="module")
def uids(web: Web) -> dict[str, str]:
    held = web.catalogue.instances()[0]
    return {"studies": held.study_instance_uid, "series": held.series_instance_uid, "instances": held.sop_instance_uid}


def test_what_is_deleted_is_hidden_and_can_be_taken_back(client: httpx2.Client, uids: dict[str, str]) -> None:
    study = uids["studies"]
    assert client.delete(f"/api/v1/studies/{study}").status_code == 400
    assert client.delete("/api/v1/studies/1.2.9", params=REASON).status_code == 404
    told = client.delete(f"/api/v1/studies/{study}", params=REASON).json()
    assert (told["state"], told["versions"], told["deleted_by"]) == ("hidden", 3, "anonymous")
    assert client.get("/dicom-web/studies").status_code in (200, 204)
    assert client.get(f"/dicom-web/studies/{study}/metadata").status_code == 404
    assert client.get(f"/api/v1/instances/{uids['instances']}").status_code == 404
    listed = client.get("/api/v1/deletions?state=hidden").json()
    assert [one["id"] for one in listed["deletions"]] == [told["id"]] and listed["next"] is None
    shown = client.get(f"/api/v1/deletions/{told['id']}").json()
    assert {one["study_instance_uid"] for one in shown["instances"]} == {study} and len(shown["instances"]) == 3
    refused = client.post(f"/api/v1/deletions/{told['id']}/purge")
    assert refused.status_code == 400 and "grace" in refused.json()["message"]
    assert client.post(f"/api/v1/deletions/{told['id']}/undelete").json()["state"] == "undone"
    assert len(client.get(f"/dicom-web/studies/{study}/metadata").json()) == 3
    assert client.post("/api/v1/deletions/nothing/undelete").status_code == 404


def test_every_route_that_deletes_respects_a_hold(web: Web, client: httpx2.Client, uids: dict[str, str]) -> None:
    hold = client.post("/api/v1/holds", json={"level": "study", "identifier": uids["studies"], "reason": "court"})
    assert hold.status_code == 201 and hold.json()["set_by"] == "anonymous"
    assert client.get("/api/v1/holds").json()["holds"] == [hold.json()]
    before = web.catalogue.fingerprint()
    tried = []
    for route in web.app.routes:
        path, methods = route.path, route.methods  # type: ignore[attr-defined]
        if "DELETE" not in (methods or ()) or path == "/api/v1/holds/{id}":
            continue
        kind = path.split("/")[3]
        answer = client.delete(path.split("{")[0] + uids[kind], params=REASON)
        assert (answer.status_code, answer.json()["code"], answer.json()["hold"]) == (409, "under-hold", hold.json()["id"])
        tried.append(kind)
    assert sorted(tried) == sorted(uids)
    assert web.catalogue.fingerprint() == before
    released = client.delete(f"/api/v1/holds/{hold.json()['id']}").json()
    assert released["released_by"] == "anonymous"
    assert client.get("/api/v1/holds").json() == {"holds": []}
    assert len(client.get("/api/v1/holds?all=true").json()["holds"]) == 1
    assert client.delete("/api/v1/holds/none").status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[" * 60_000,
        b"[]",
        b'{"level": "study"}',
        b'{"level": "planet", "identifier": "1", "reason": "x"}',
        b'{"level": "instance", "identifier": "1", "reason": "x"}',
        b'{"level": "study", "identifier": 1, "reason": "x"}',
        b'{"level": "study", "identifier": "1", "reason": "x", "why": "y"}',
    ],
)
def test_a_hold_that_cannot_be_meant_is_refused(client: httpx2.Client, body: bytes) -> None:
    assert client.post("/api/v1/holds", content=body).status_code == 400
    assert client.post("/api/v1/holds", content=b" " * (1 << 17)).status_code == 413
    assert client.get("/api/v1/holds").json() == {"holds": []}


def test_findings_are_listed(web: Web, client: httpx2.Client) -> None:
    from vna_core.stewardship.scrub import Scrub
    from vna_storage_filesystem.store import FilesystemStore

    landing = FilesystemStore("landing", web.data / "store")
    Scrub({"landing": landing}, web.catalogue).run()
    assert client.get("/api/v1/findings").json() == {"findings": [], "next": None}
    held = web.catalogue.instances()[0]
    path = web.data / "store" / held.locations[0].key
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-5])
    Scrub({"landing": landing}, web.catalogue).run()
    [found] = client.get("/api/v1/findings").json()["findings"]
    assert (found["finding"], found["key"]) == ("truncated", held.locations[0].key)
    assert client.get("/api/v1/findings?after=x&limit=0").status_code == 400


@pytest.mark.parametrize("odd", ["\\ud800", "\\u0000x", "\\ud83d\\ude00", "é"])
def test_what_only_an_escape_sequence_can_say_is_answered_as_it_was_said(client: httpx2.Client, odd: str) -> None:
    body = f'{{"level": "patient", "identifier": "P{odd}", "issuer": "{odd}", "reason": "of {odd}"}}'
    answer = client.post("/api/v1/holds", content=body.encode())
    assert answer.status_code == 201, answer.text
    said = json.loads(answer.content)
    assert {name: said[name] for name in ("identifier", "issuer", "reason")} == {
        name: value for name, value in json.loads(body).items() if name != "level"
    }
    assert said in json.loads(client.get("/api/v1/holds").content)["holds"]
    assert client.delete(f"/api/v1/holds/{said['id']}").status_code == 200
