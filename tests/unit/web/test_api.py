"""``/api/v1``, health, metrics, tokens, and the description of all routes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from urllib.parse import parse_qsl

import httpx2
import pytest
from starlette.routing import Match

from tests.unit.web.web_samples import Web, sample, store
from vna_core.configuration import HttpSettings
from vna_core.gateways.admin.openapi import public_path

SOP = "1.3.6.1.4.1.5962.1.1.1.1.1.20040119072730.12322"


def test_every_change_of_an_instance_is_explained(client: httpx2.Client) -> None:
    assert store(client, [sample("CT_small.dcm")]).status_code == 200
    explained = client.get(f"/api/v1/instances/{SOP}").json()
    assert explained["source"]["kind"] == "stow"
    assert explained["original_sha256"] == hashlib.sha256(sample("CT_small.dcm")).hexdigest()
    assert len(explained["locations"]) == 1
    assert [version["version"] for version in explained["versions"]] == [1]
    for change in explained["transformations"]:
        assert set(change) >= {"tag", "keyword", "original", "canonical", "rule", "confidence"}
    assert isinstance(explained["warnings"], list)
    assert client.get(f"/api/v1/instances/{SOP}/versions").json()["versions"][0]["sop_instance_uid"] == SOP


def test_elements_are_compared_on_demand(client: httpx2.Client) -> None:
    store(client, [sample("CT_small.dcm")])
    told = client.get(f"/api/v1/instances/{SOP}?elements=true").json()
    assert all({"tag", "original", "canonical"} <= set(element) for element in told["elements"])
    assert "elements" not in client.get(f"/api/v1/instances/{SOP}").json()
    assert client.get(f"/api/v1/instances/{SOP}?elements=perhaps").status_code == 400


def test_an_original_is_an_attachment_with_its_digest(client: httpx2.Client) -> None:
    store(client, [sample("CT_small.dcm")])
    answer = client.get(f"/api/v1/instances/{SOP}/original")
    assert answer.content == sample("CT_small.dcm")
    assert answer.headers["content-disposition"].startswith("attachment")
    assert client.get(f"/api/v1/instances/{SOP}/original?version=7").status_code == 404
    assert client.get(f"/api/v1/instances/{SOP}/original?version=x").status_code == 400


def test_unknown_things_are_404_with_a_code(client: httpx2.Client) -> None:
    for path in (
        "/api/v1/instances/1.2",
        "/api/v1/instances/1.2/original",
        "/api/v1/quarantine/0000",
        "/api/v1/quarantine/0000/original",
        "/nothing",
    ):
        answer = client.get(path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


def test_a_wrong_method_is_405(client: httpx2.Client) -> None:
    assert client.delete("/dicom-web/studies").status_code == 405


def test_lists_are_paged(client: httpx2.Client) -> None:
    store(client, [b"first bad", b"second bad", b"third bad"])
    first = client.get("/api/v1/quarantine?limit=2").json()
    second = client.get("/api/v1/quarantine", params={"limit": 2, "after": first["next"]}).json()
    assert len({entry["id"] for page in (first, second) for entry in page["quarantine"]}) == 3
    assert client.get("/api/v1/quarantine?limit=0").status_code == 400
    assert client.get("/api/v1/conflicts?after=x").status_code == 400


def test_the_archive_says_that_it_is_well(client: httpx2.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json()["checks"] == {"audit": "ok", "catalogue": "ok", "store:landing": "ok"}


def test_metrics_count_instances_by_outcome(client: httpx2.Client) -> None:
    store(client, [sample("MR_small.dcm")])
    text = client.get("/metrics").text
    assert 'vna_instances_total{kind="stow",outcome="held"}' in text
    assert 'vna_held{level="instances"}' in text
    assert SOP not in text


def test_every_route_is_described(web: Web, client: httpx2.Client) -> None:
    described = client.get("/api/v1/openapi.json").json()
    table = {(public_path(route.path), method) for route in web.app.routes for method in route.methods if method != "HEAD"}  # type: ignore[attr-defined]
    assert table == {(path, method.upper()) for path, operations in described["paths"].items() for method in operations}
    assert all(operation["summary"] for operations in described["paths"].values() for operation in operations.values())


STUDY, SERIES = "1.3.6.1.4.1.5962.1.2.1.20040119072730.12322", "1.3.6.1.4.1.5962.1.3.1.1.20040119072730.12322"
HELD = f"/dicom-web/studies/{STUDY}/series/{SERIES}/instances/{SOP}"
PNG, ZIP, ONE, XML = "image/png", "application/zip", "application/dicom", "application/dicom+xml"
ASKED: list[tuple[str, str, dict[str, str], int]] = [
    ("GET", "/dicom-web/studies?limit=1", {}, 200),
    ("GET", "/dicom-web/studies?limit=x", {}, 400),
    ("GET", "/dicom-web/series", {"Accept": XML}, 406),
    ("GET", f"/dicom-web/studies/{STUDY}", {}, 200),
    ("GET", f"/dicom-web/studies/{STUDY}", {"Accept": ZIP}, 200),
    ("GET", "/dicom-web/studies/1.2", {}, 404),
    ("GET", HELD, {"Accept": ONE}, 200),
    ("GET", f"{HELD}/metadata", {}, 200),
    ("GET", f"{HELD}/frames/1", {"Accept": "application/octet-stream"}, 200),
    ("GET", f"{HELD}/frames/x", {}, 400),
    ("GET", f"{HELD}/rendered?accept=image/png", {}, 200),
    ("GET", f"{HELD}/rendered?viewport=5,5,900,0", {}, 400),
    ("GET", f"{HELD}/frames/1/rendered", {"Accept": 'multipart/related; type="image/png"'}, 200),
    ("GET", f"{HELD}/frames/2/thumbnail", {}, 404),
    ("GET", f"/dicom-web/studies/{STUDY}/thumbnail", {"Accept": PNG}, 200),
    ("GET", f"{HELD}/bulkdata/7FE00010", {"Range": "bytes=0-9"}, 206),
    ("GET", f"{HELD}/bulkdata/7FE00010", {"Range": "bytes=999999999-"}, 416),
    ("POST", "/dicom-web/studies", {"Content-Type": "text/plain"}, 415),
    ("POST", "/dicom-web/studies", {"Content-Type": ONE}, 409),
    ("OPTIONS", "/dicom-web/", {}, 200),
    ("GET", "/healthz", {}, 200),
    ("GET", "/readyz", {}, 200),
    ("GET", "/metrics", {}, 200),
    ("GET", "/api/v1/statistics", {}, 200),
    ("GET", f"/api/v1/instances/{SOP}?version=1", {}, 200),
    ("GET", f"/api/v1/instances/{SOP}/original", {}, 200),
    ("GET", f"/api/v1/instances/{SOP}/versions", {}, 200),
    ("GET", "/api/v1/quarantine/0000/original", {}, 404),
    ("GET", "/api/v1/conflicts?limit=5&after=1", {}, 200),
    ("POST", f"/api/v1/studies/{STUDY}/recall", {}, 200),
    ("POST", "/api/v1/holds", {}, 201),
    ("GET", "/api/v1/holds?all=true", {}, 200),
    ("DELETE", "/api/v1/holds/none", {}, 404),
    ("DELETE", f"/api/v1/studies/{STUDY}?reason=held", {}, 409),
    ("DELETE", "/api/v1/studies/1.2?reason=absent", {}, 404),
    ("POST", f"/api/v1/studies/{STUDY}/reject?title=quality", {}, 400),
    ("POST", "/api/v1/deletions/none/purge", {}, 404),
    ("GET", f"/zarr/studies/{STUDY}/series/{SERIES}/zarr.json", {"Range": "bytes=0-3"}, 206),
    ("GET", "/api/v1/openapi.json", {}, 200),
]


def test_answers_are_as_described(web: Web, client: httpx2.Client) -> None:
    store(client, [sample("CT_small.dcm")])
    paths = client.get("/api/v1/openapi.json").json()["paths"]
    hold = json.dumps({"level": "study", "identifier": STUDY, "reason": "of the test"}).encode()
    for method, url, headers, status in ASKED:
        body = (
            hold if url == "/api/v1/holds" and method == "POST" else b"no DICOM" if headers.get("Content-Type") == ONE else None
        )
        answer = client.request(method, url, headers=headers, content=body)
        assert answer.status_code == status, (method, url, answer.text[:200])
        path, _, query = url.partition("?")
        asked = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
        [route] = [one for one in web.app.routes if one.matches(asked)[0] is Match.FULL]
        described = paths[public_path(route.path)][method.lower()]  # type: ignore[attr-defined]
        kinds = described["responses"][str(status)]["content"]
        assert answer.headers["content-type"].split(";")[0] in kinds, (method, url)
        names = {one["name"] for one in described["parameters"] if one["in"] == "query"}
        assert {name for name, _ in parse_qsl(query)} <= names, (method, url)
        assert ("Range" in headers) <= any(one["name"] == "Range" for one in described["parameters"])
        assert (body is not None) <= ("requestBody" in described)


def test_the_description_keeps_the_rules_of_openapi(client: httpx2.Client) -> None:
    described = client.get("/api/v1/openapi.json").json()
    operations = [one for operations in described["paths"].values() for one in operations.values()]
    assert len({one["operationId"] for one in operations}) == len(operations)
    for one in operations:
        parameters = [(parameter["in"], parameter["name"]) for parameter in one["parameters"]]
        assert len(set(parameters)) == len(parameters)
        assert all(answer.get("description") or answer.get("$ref") for answer in one["responses"].values())
        assert {"200", "201"} & one["responses"].keys()


def test_capabilities_name_the_resources(client: httpx2.Client) -> None:
    answer = client.get("/dicom-web/capabilities")
    assert answer.headers["content-type"] == "application/vnd.sun.wadl+xml"
    assert b"studies/{study}/series/{series}/instances/{instance}/rendered" in answer.content
    assert client.options("/dicom-web/").status_code == 200


def test_answers_cannot_be_sniffed_or_stored(client: httpx2.Client) -> None:
    for path in ("/dicom-web/studies", "/api/v1/statistics", "/nothing", "/dicom-web/studies?Nonsense=1"):
        headers = client.get(path).headers
        assert (headers["x-content-type-options"], headers["cache-control"]) == ("nosniff", "no-store")


@pytest.fixture(scope="module")
def guarded(start_web: Callable[..., Web]) -> Web:
    digest = hashlib.sha256(b"secret").hexdigest()
    return start_web(HttpSettings(tokens={"reader": digest}, issuers={"reader": "SOUTH"}))


@pytest.mark.parametrize("authorization", [None, "Bearer wrong", "Basic c2VjcmV0", "secret"])
def test_without_a_token_nothing_but_health_answers(guarded: Web, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    with guarded.client(headers=headers) as client:
        for path in ("/dicom-web/studies", "/api/v1/statistics", "/metrics", "/readyz", "/nothing"):
            answer = client.get(path)
            assert (answer.status_code, answer.headers.get("www-authenticate")) == (401, "Bearer")
        assert store(client, [sample("CT_small.dcm")]).status_code == 401
        assert client.get("/healthz").status_code == 200


def test_a_token_names_the_source(guarded: Web) -> None:
    with guarded.client(headers={"Authorization": "Bearer secret"}) as client:
        assert store(client, [sample("CT_small.dcm")]).status_code == 200
        assert client.get(f"/api/v1/instances/{SOP}").json()["source"]["name"] == "reader"


def test_the_owner_of_a_token_names_the_domain_of_patient_ids_that_carry_none(guarded: Web) -> None:
    with guarded.client(headers={"Authorization": "Bearer secret"}) as client:
        store(client, [sample("CT_small.dcm")])
        held = guarded.catalogue.instances(sop=SOP)[0]
        assert held.patient.issuer == "SOUTH"
        warnings = client.get(f"/api/v1/instances/{SOP}").json()["warnings"]
        assert any(one["rule"] == "I09" and "SOUTH" in one["message"] for one in warnings)
        assert "00100021" not in client.get(f"/dicom-web/studies/{held.study_instance_uid}/metadata").json()[0]


def test_a_warning_names_what_was_not_matched_on_and_what_is_no_attribute(client: httpx2.Client) -> None:
    store(client, [sample("CT_small.dcm")])
    query = {"PatientID.StudyDate": "1", "includefield": "Nonsense\r\nX: y"}
    warning = client.get("/dicom-web/series", params=query).headers["warning"]
    matched, included = warning.split("ignored: ")[1].split("passed over: ")
    assert matched.startswith("PatientID.StudyDate.")
    assert "Nonsense" not in matched
    assert included == 'Nonsense??X??y."'
