"""Every way in and out of a divided archive, made from the tables of routes and services: what has no rule fails here."""

from __future__ import annotations

import re
import threading
from typing import Any

import pytest
from pydicom import Dataset
from pynetdicom import AE, build_role, evt
from starlette.routing import Route

from tests.integration.departments.conftest import Hospital, instance, study
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.configuration_access import departments_of
from vna_core.dicom.network.command import Field
from vna_core.domain.access import Action
from vna_core.gateways.dicomweb.app import create_app
from vna_core.gateways.dimse.sop_classes import FIND, GET, MOVE, STORAGE_COMMITMENT
from vna_core.gateways.web.protection import Endpoint
from vna_core.stewardship.rebuild import rebuild

OPEN = {"health", "openapi", "capabilities", "options", "options-root"}
"""Names of the routes that tell nothing about what is held."""
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT = "1.2.840.10008.1.2.1"
NOT_AUTHORIZED = 0x0124
SECRETS = (b'"1.2.77.1"', b"1.2.77.1/", b"1.2.77.1.1", b"RAD1")


def routes(hospital: Hospital) -> list[tuple[Route, str]]:
    """Every route with every method it takes."""
    found = [route for route in hospital.app.routes if isinstance(route, Route)]
    return [(route, method) for route in found for method in sorted((route.methods or set()) - {"HEAD"})]


def path_to(route: Route, hospital: Hospital, number: int = 1) -> str:
    """The route's path with the identifiers of one study."""
    uid = f"1.2.77.{number}"
    known = {
        "study": uid, "series": f"{uid}.1", "instance": f"{uid}.1.1", "sop": f"{uid}.1.1", "frames": "1",
        "element": "7FE00010", "key": "zarr.json", "id": hospital.quarantine_id,
    }  # fmt: skip
    return re.sub(r"\{(\w+)(?::\w+)?\}", lambda match: known[match.group(1)], route.path)


def test_every_route_declares_what_it_needs(the_hospital: Hospital) -> None:
    for route, _ in routes(the_hospital):
        assert isinstance(route.endpoint, Endpoint), route.path
        assert (route.endpoint.needs is None) == (route.name in OPEN), route.path
    with pytest.raises(TypeError):
        Endpoint(None, None, the_hospital.archive.gate)  # type: ignore[arg-type,call-arg]


def test_whoever_belongs_nowhere_is_refused_on_every_route(the_hospital: Hospital) -> None:
    with the_hospital.client("nobody") as client:
        for route, method in routes(the_hospital):
            answer = client.request(method, path_to(route, the_hospital))
            if route.name in OPEN:
                assert answer.status_code == 200, route.path
            else:
                assert (answer.status_code, answer.json()["code"]) == (403, "not-authorized"), route.path


def test_another_department_finds_nothing_on_any_route(the_hospital: Hospital) -> None:
    """Neither octets nor their existence: the answer is that of a study which does not exist."""
    compared = 0
    with the_hospital.client("card") as client, the_hospital.client("rad") as owner:
        for route, method in routes(the_hospital):
            assert isinstance(route.endpoint, Endpoint)
            if route.endpoint.needs in (None, Action.STORE):
                continue
            answer = client.request(method, path_to(route, the_hospital))
            missing = client.request(method, path_to(route, the_hospital, 999))
            assert not any(secret in answer.content for secret in SECRETS), route.path
            assert (answer.status_code, answer.content) == (missing.status_code, missing.content), route.path
            if route.endpoint.needs in (Action.QUERY, Action.RETRIEVE):
                assert owner.request(method, path_to(route, the_hospital)).status_code == 200, route.path
                compared += 1
    assert compared >= 20


def test_a_search_shows_the_own_department_and_what_is_shared(the_hospital: Hospital) -> None:
    def seen(name: str, path: str = "studies") -> set[str]:
        with the_hospital.client(name) as client:
            answer = client.get(f"/dicom-web/{path}", headers={"Accept": "application/dicom+json"})
            return {row["0020000D"]["Value"][0][-1] for row in answer.json()}

    for path in ("studies", "series", "instances"):
        assert seen("rad", path) == {"1", "3"}
        assert seen("card", path) == {"2", "3"}
        assert seen("admin", path) == {"1", "2", "3", "4"}


def test_what_is_stored_belongs_to_the_department_of_its_sender(the_hospital: Hospital) -> None:
    octets = instance(21, "NEW21")
    with the_hospital.client("card") as client, the_hospital.client("rad") as other:
        headers = {"Content-Type": "application/dicom"}
        assert client.post("/dicom-web/studies", content=octets, headers=headers).status_code == 200
        assert client.get("/dicom-web/studies/1.2.77.21").status_code == 200
        assert other.get("/dicom-web/studies/1.2.77.21").status_code == 404
        # Radiology has the same octets: it delivers them, and sees them as well.
        assert other.post("/dicom-web/studies", content=octets, headers=headers).status_code == 200
        assert other.get("/dicom-web/studies/1.2.77.21").status_code == 200


def test_broken_glass_opens_all_departments_to_those_it_is_for(the_hospital: Hospital) -> None:
    with the_hospital.client("emergency") as client, the_hospital.client("rad") as other:
        path = "/dicom-web/studies/1.2.77.2/metadata"
        assert client.get(path).status_code == 404
        assert client.get(path, headers={"Break-Glass": "x"}).status_code == 400
        assert client.get(path, params={"break-glass": "unconscious, no time"}).status_code == 200
        assert client.get(path).status_code == 200  # it stays broken for a while
        assert client.get("/dicom-web/studies/1.2.77.4/metadata").status_code == 404  # what belongs nowhere stays closed
        assert client.get("/api/v1/conflicts").status_code == 403
        assert other.get(path, headers={"Break-Glass": "curiosity"}).status_code == 403


# -- DIMSE ----------------------------------------------------------------------------------------------------------------


def statuses(responses: Any) -> list[int]:
    return [int(status.Status) for status, _ in responses]


def test_every_service_is_behind_the_gate(the_hospital: Hospital) -> None:
    behind = {(service.field, uid) for service in the_hospital.server.services for uid in service.abstract_syntaxes}
    federated = {(service.field, uid) for service in the_hospital.server.federated_services for uid in service.abstract_syntaxes}
    assert federated == behind
    expected = {(Field.FIND_RQ, uid) for uid in FIND} | {(Field.MOVE_RQ, uid) for uid in MOVE}
    assert behind == expected | {(Field.GET_RQ, uid) for uid in GET} | {(Field.ACTION_RQ, STORAGE_COMMITMENT)}


@pytest.mark.parametrize("called", ["VNA", "FEDERATED"])
@pytest.mark.parametrize("title", ["STRANGER", "UNDECIDED"])
def test_a_title_of_no_department_is_refused_by_every_service(the_hospital: Hospital, title: str, called: str) -> None:
    ae = AE(ae_title=title)
    for uid in (*FIND, *MOVE, *GET, STORAGE_COMMITMENT, "1.2.840.10008.1.1"):
        ae.add_requested_context(uid)
    ae.add_requested_context(CT, EXPLICIT)
    association = ae.associate("127.0.0.1", the_hospital.dimse_port, ae_title=called)
    assert association.is_established
    assert association.send_c_echo().Status == 0
    for uid in FIND:
        assert statuses(association.send_c_find(study(1), uid)) == [NOT_AUTHORIZED]
    for uid in MOVE:
        assert statuses(association.send_c_move(study(1), "RAD", uid)) == [NOT_AUTHORIZED]
    for uid in GET:
        assert statuses(association.send_c_get(study(1), uid)) == [NOT_AUTHORIZED]
    status, _ = association.send_n_action(commitment(1), 1, STORAGE_COMMITMENT, f"{STORAGE_COMMITMENT}.1")
    assert status.Status == NOT_AUTHORIZED
    assert association.send_c_store(dataset(50)).Status == NOT_AUTHORIZED
    association.release()
    assert the_hospital.archive.catalogue.versions("1.2.77.50.1.1") == ()


def dataset(number: int) -> Dataset:
    from io import BytesIO

    from pydicom import dcmread

    return dcmread(BytesIO(instance(number, f"P{number}")))


def commitment(number: int) -> Dataset:
    asked = Dataset()
    asked.TransactionUID = f"1.2.88.{number}"
    item = Dataset()
    item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = CT, f"1.2.77.{number}.1.1"
    asked.ReferencedSOPSequence = [item]
    return asked


def test_another_department_finds_nothing_by_any_service(the_hospital: Hospital) -> None:
    reports: list[Dataset] = []
    came = threading.Event()

    def on_report(event: Any) -> tuple[int, None]:
        reports.append(event.event_information)
        came.set()
        return 0, None

    def on_store(event: Any) -> int:
        return 0

    counted = {}
    for title in ("CARD", "RAD"):
        ae = AE(ae_title=title)
        for uid in (*FIND, *MOVE, *GET, STORAGE_COMMITMENT):
            ae.add_requested_context(uid)
        ae.add_requested_context(CT, EXPLICIT)
        roles = [build_role(CT, scp_role=True, scu_role=True), build_role(STORAGE_COMMITMENT, scu_role=True, scp_role=True)]
        handlers = [(evt.EVT_C_STORE, on_store), (evt.EVT_N_EVENT_REPORT, on_report)]
        association = ae.associate("127.0.0.1", the_hospital.dimse_port, ae_title="VNA", ext_neg=roles, evt_handlers=handlers)
        assert association.is_established
        for uid in FIND:
            counted[title, uid] = statuses(association.send_c_find(study(1), uid)).count(0xFF00)
        for uid in GET:
            last = list(association.send_c_get(study(1), uid))[-1][0]
            counted[title, uid] = int(last.NumberOfCompletedSuboperations)
        for uid in MOVE:  # nobody listens there: what would be sent is what fails
            last = list(association.send_c_move(study(1), title, uid))[-1][0]
            counted[title, uid] = int(last.NumberOfFailedSuboperations)
        reports.clear()
        came.clear()
        association.send_n_action(commitment(1), 1, STORAGE_COMMITMENT, f"{STORAGE_COMMITMENT}.1")
        assert came.wait(30)
        counted[title, STORAGE_COMMITMENT] = len(reports[0].get("ReferencedSOPSequence", ()))
        association.release()
    assert {seen for (title, _), seen in counted.items() if title == "CARD"} == {0}
    assert {seen for (title, _), seen in counted.items() if title == "RAD"} == {1}


def test_nothing_is_sent_to_a_destination_that_may_not_have_it(the_hospital: Hospital) -> None:
    ae = AE(ae_title="RAD")
    move = "1.2.840.10008.5.1.4.1.2.2.2"
    ae.add_requested_context(move)
    association = ae.associate("127.0.0.1", the_hospital.dimse_port, ae_title="VNA")
    sent = {
        (number, destination): int(
            list(association.send_c_move(study(number), destination, move))[-1][0].NumberOfFailedSuboperations
        )
        for number, destination in ((1, "CARD"), (3, "CARD"), (1, "UNDECIDED"), (1, "RAD"))
    }
    association.release()
    assert sent == {(1, "CARD"): 0, (3, "CARD"): 1, (1, "UNDECIDED"): 0, (1, "RAD"): 1}


def test_without_departments_every_route_is_open_as_before(the_hospital: Hospital) -> None:
    from vna_core.access.gate import Gate
    from vna_core.access.policy import Policy
    from vna_core.configuration import Settings
    from vna_core.domain.access import EVERYTHING, Principal, PrincipalKind

    archive = the_hospital.archive
    settings = Settings(data=archive.settings.data)
    gate = Gate(Policy(settings), archive.catalogue)
    app = create_app(settings, archive.pipeline, archive.catalogue, archive.retriever, archive.renderer, gate=gate)
    app.close()
    for action in Action:
        permit = gate.enter(Principal(PrincipalKind.ANONYMOUS, "anonymous"), action)
        assert permit.catalogue.scope == EVERYTHING


def test_a_rebuilt_catalogue_has_the_same_walls(the_hospital: Hospital) -> None:
    """Run last: it needs what the others stored, octets that a second department delivered among it."""
    archive = the_hospital.archive
    departments = departments_of(archive.settings.departments, archive.settings.policy)
    held = archive.catalogue.fingerprint()
    with Catalogue.open(CatalogueSettings(), archive.settings.data / "rebuilt", departments) as again:
        report = rebuild(archive.stores, again)
        assert report.damaged == []
        made = again.fingerprint()
    for name in ("labels", "labels of studies"):
        assert made[name] == held[name]
    assert ("1.2.77.21", ";cardiology;radiology;") in made["labels of studies"]
