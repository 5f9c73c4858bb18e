"""Every way in and out of a divided archive, made from the tables of routes and services: what has no rule fails here."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.routing import Route

from tests.integration.departments.conftest import Hospital, instance
from vna_core.access.gate import Gate
from vna_core.access.policy import Policy
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings, Settings
from vna_core.configuration.access import departments_of
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.association import Association
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import Identifier, decode_identifier, encode_identifier
from vna_core.dicom.network.pdu import Role
from vna_core.dicom.network.requestor import request
from vna_core.domain.access import EVERYTHING, Action, Principal, PrincipalKind
from vna_core.domain.audit import AuditEvent, AuditEventId
from vna_core.domain.errors import AuditUnavailable, NotAuthorized
from vna_core.domain.octets import Source
from vna_core.gateways.dicomweb.app import create_app
from vna_core.gateways.dimse.sop_classes import FIND, GET, MOVE, SERVICES, STORAGE_COMMITMENT, VERIFICATION
from vna_core.gateways.web.protection import Endpoint
from vna_core.stewardship.audit.trail import AuditTrail
from vna_core.stewardship.audit.verification import read, verify
from vna_core.stewardship.rebuild import rebuild

OPEN = {"health", "openapi", "capabilities", "federated-capabilities", "options", "options-root"}
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
        "study": uid, "series": f"{uid}.1", "instance": f"{uid}.1.1", "sop": f"{uid}.1.1", "frames": "1", "uid": uid,
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


def test_a_version_of_another_department_takes_no_image_from_sight(the_hospital: Hospital) -> None:
    """Whoever stores first under a UID, with intent or because the modality sends to both, hides nothing of the others."""
    the_hospital.offer(instance(60, "BOTH", "OF-CARD"), Source("stow", "card", "127.0.0.1"))
    the_hospital.offer(instance(60, "BOTH", "OF-RAD"), Source("dimse", "RAD", "127.0.0.1"))
    for name, accession in (("card", "OF-CARD"), ("rad", "OF-RAD"), ("admin", "OF-CARD")):
        with the_hospital.client(name) as client:
            [study] = client.get(
                "/dicom-web/studies", params={"StudyInstanceUID": "1.2.77.60", "includefield": "00201208"}
            ).json()
            assert study["00201208"]["Value"] == [1]
            assert len(client.get("/dicom-web/studies/1.2.77.60/instances").json()) == 1
            for level in ("", "/series/1.2.77.60.1"):
                [header] = client.get(f"/dicom-web/studies/1.2.77.60{level}/metadata").json()
                assert header["00080050"]["Value"] == [accession]
            answer = client.get("/dicom-web/studies/1.2.77.60", headers={"Accept": 'multipart/related; type="application/dicom"'})
            assert answer.content.count(accession.encode()) == 1


def test_nobody_deletes_or_rejects_what_is_in_part_of_another_department(the_hospital: Hospital) -> None:
    """Also where the version of the other department is not the current one; and that somebody tried is in the audit trail."""
    the_hospital.offer(instance(61, "BOTH", "OF-RAD"), Source("dimse", "RAD", "127.0.0.1"))
    the_hospital.offer(instance(61, "BOTH", "OF-CARD"), Source("stow", "card", "127.0.0.1"))

    def attempts(number: int) -> list[int]:
        uid, reason = f"1.2.77.{number}", {"reason": "wrong"}
        found = []
        with the_hospital.client("rad") as client:
            for path in (f"studies/{uid}", f"series/{uid}.1", f"instances/{uid}.1.1"):
                found.append(client.delete(f"/api/v1/{path}", params=reason).status_code)
                rejection = reason | {"title": "quality"}
                found.append(client.post(f"/api/v1/{path}/reject", params=rejection).status_code)
        return found

    assert attempts(61) == [403] * 6
    assert attempts(2) == attempts(9999) == [404] * 6
    with the_hospital.client("card") as client:
        [header] = client.get("/dicom-web/studies/1.2.77.61/metadata").json()
        assert header["00080050"]["Value"] == ["OF-CARD"]
    trail = the_hospital.archive.audit
    trail.note_durably(AuditEvent(AuditEventId.ACTIVITY, Principal(PrincipalKind.LOCAL, "test")))
    told = [
        record["event"]["outcome"]
        for record in read(trail.folder)
        if record["participants"][0]["user_id"] == "rad" and "1.2.77.61" in str(record) and "in part outside" in str(record)
    ]
    assert told == [8, 8], "once for each deed and study"


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

STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"


def asking(hospital: Hospital, title: str, called: str = "VNA") -> Association:
    """An association of a calling title with every service."""
    services = [(uid, (EXPLICIT,)) for uid in (*FIND, *MOVE, *GET, STORAGE_COMMITMENT, VERIFICATION, CT)]
    roles = [Role(CT, True, True), Role(STORAGE_COMMITMENT, True, True)]
    return request("127.0.0.1", hospital.dimse_port, called=called, calling=title, contexts=services, roles=roles)


def ask(association: Association, uid: str, field: Field, data: bytes | None, **more: int | str) -> list[Command]:
    """Send a request; everything that comes back until its final response. What is stored on the way is taken."""
    context = next(one.id for one in association.contexts.values() if one.abstract_syntax == uid)
    asked: Command = {
        commands.AFFECTED_SOP_CLASS: uid,
        commands.COMMAND_FIELD: field,
        commands.MESSAGE_ID: 7,
        commands.PRIORITY: 0,
    }
    association.send(context, asked | {getattr(commands, name): value for name, value in more.items()}, [data] if data else None)
    found: list[Command] = []
    while True:
        message = association.receive(timeout=30)
        if commands.number(message.command, commands.COMMAND_FIELD) == Field.STORE_RQ:
            taken = {name: message.command[name] for name in (commands.AFFECTED_SOP_CLASS, commands.AFFECTED_SOP_INSTANCE)}
            number = commands.number(message.command, commands.MESSAGE_ID)
            taken |= {commands.COMMAND_FIELD: Field.STORE_RSP, commands.RESPONDED_TO: number, commands.STATUS: 0}
            association.send(message.context_id, taken)
            continue
        found.append(message.command)
        if commands.number(message.command, commands.STATUS) not in (0xFF00, 0xFF01):
            return found


def status_of(responses: list[Command]) -> int:
    return commands.number(responses[-1], commands.STATUS)


def study_key(number: int) -> bytes:
    return encode_identifier({0x00080052: ("STUDY",), 0x0020000D: (f"1.2.77.{number}",)}, EXPLICIT)


def find_and_get(association: Association, number: int) -> dict[str, int]:
    """By every service of query and retrieve: how many were found or would have been sent."""
    found = {uid: len(ask(association, uid, Field.FIND_RQ, study_key(number))) - 1 for uid in FIND}
    for uid in GET:
        found[uid] = commands.number(ask(association, uid, Field.GET_RQ, study_key(number))[-1], commands.COMPLETED)
    return found


def moved(association: Association, number: int, destination: str, uid: str = STUDY_MOVE) -> int:
    """How many instances were to be sent; nobody listens at any destination, so each of them fails."""
    answer = ask(association, uid, Field.MOVE_RQ, study_key(number), MOVE_DESTINATION=destination)[-1]
    return commands.number(answer, commands.FAILED)


def committed(association: Association, number: int) -> tuple[int, int]:
    """Status of a commitment request, and how many instances were committed."""
    item = Identifier({0x00081150: (CT,), 0x00081155: (f"1.2.77.{number}.1.1",)})
    data = encode_identifier({0x00081195: (f"1.2.88.{number}",)}, EXPLICIT, {0x00081199: [item]})
    requested = {"REQUESTED_SOP_CLASS": STORAGE_COMMITMENT, "REQUESTED_SOP_INSTANCE": f"{STORAGE_COMMITMENT}.1", "ACTION_TYPE": 1}
    status = status_of(ask(association, STORAGE_COMMITMENT, Field.ACTION_RQ, data, **requested))
    if status:
        return status, 0
    report = association.receive(timeout=30)
    answer: Command = {commands.COMMAND_FIELD: Field.EVENT_REPORT_RSP, commands.RESPONDED_TO: 1, commands.STATUS: 0}
    association.send(report.context_id, answer)
    return 0, len(decode_identifier(report.data or b"", EXPLICIT).items.get(0x00081199, ()))


def test_every_service_is_behind_the_gate(the_hospital: Hospital) -> None:
    server = the_hospital.server
    behind = {(service.field, uid) for service in server.services_of("") for uid in service.abstract_syntaxes}
    federated = {
        (service.field, uid) for service in server.services_of(server.federated_title) for uid in service.abstract_syntaxes
    }
    assert federated == behind
    expected = {(Field.FIND_RQ, uid) for uid in FIND} | {(Field.MOVE_RQ, uid) for uid in MOVE}
    assert behind == expected | {(Field.GET_RQ, uid) for uid in GET} | {(Field.ACTION_RQ, STORAGE_COMMITMENT)}
    assert {service for service in SERVICES if service != VERIFICATION} == {uid for _, uid in behind}


@pytest.mark.parametrize("called", ["VNA", "FEDERATED"])
@pytest.mark.parametrize("title", ["STRANGER", "UNDECIDED"])
def test_a_title_of_no_department_is_refused_by_every_service(the_hospital: Hospital, title: str, called: str) -> None:
    association = asking(the_hospital, title, called)
    assert status_of(ask(association, VERIFICATION, Field.ECHO_RQ, None)) == 0
    for field, services in ((Field.FIND_RQ, FIND), (Field.MOVE_RQ, MOVE), (Field.GET_RQ, GET)):
        for uid in services:
            assert status_of(ask(association, uid, field, study_key(1), MOVE_DESTINATION="RAD")) == NOT_AUTHORIZED
    assert committed(association, 1) == (NOT_AUTHORIZED, 0)
    octets = instance(50, "P50")
    data_set = octets[octets.index(b"\x08\x00\x05\x00") :]
    sent = ask(association, CT, Field.STORE_RQ, data_set, AFFECTED_SOP_INSTANCE="1.2.77.50.1.1")
    assert status_of(sent) == NOT_AUTHORIZED
    association.release()
    assert the_hospital.archive.catalogue.versions("1.2.77.50.1.1") == ()


def test_another_department_finds_nothing_by_any_service(the_hospital: Hospital) -> None:
    for title, expected in (("CARD", 0), ("RAD", 1)):
        association = asking(the_hospital, title)
        assert set(find_and_get(association, 1).values()) == {expected}
        assert {moved(association, 1, title, uid) for uid in MOVE} == {expected}
        assert committed(association, 1) == (0, expected)
        association.release()


def test_nothing_is_sent_to_a_destination_that_may_not_have_it(the_hospital: Hospital) -> None:
    association = asking(the_hospital, "RAD")
    asked = ((1, "CARD"), (3, "CARD"), (1, "UNDECIDED"), (1, "RAD"))
    sent = {(number, destination): moved(association, number, destination) for number, destination in asked}
    association.release()
    assert sent == {(1, "CARD"): 0, (3, "CARD"): 1, (1, "UNDECIDED"): 0, (1, "RAD"): 1}


def test_without_departments_every_route_is_open_as_before(the_hospital: Hospital) -> None:
    archive = the_hospital.archive
    settings = Settings(data=archive.settings.data)
    gate = Gate(Policy(settings), archive.catalogue)
    app = create_app(settings, archive.pipeline, archive.catalogue, archive.retriever, archive.renderer, gate=gate)
    app.close()
    for action in Action:
        permit = gate.enter(Principal(PrincipalKind.ANONYMOUS, "anonymous"), action)
        assert permit.catalogue.scope == EVERYTHING


def test_a_rebuilt_catalogue_has_the_same_walls(the_hospital: Hospital) -> None:
    """Octets that a second department delivered included."""
    archive = the_hospital.archive
    octets = instance(31, "BOTH31")
    the_hospital.offer(octets, Source("dimse", "RAD", "127.0.0.1"))
    the_hospital.offer(octets, Source("dimse", "CARD", "127.0.0.1"))
    departments = departments_of(archive.settings.departments, archive.settings.policy)
    held = archive.catalogue.fingerprint()
    with Catalogue.open(CatalogueSettings(), archive.settings.data / "rebuilt", departments) as again:
        report = rebuild(archive.stores, again)
        assert report.damaged == []
        made = again.fingerprint()
    for name in ("labels", "labels of studies"):
        assert made[name] == held[name]
    assert ("1.2.77.31", ";cardiology;radiology;") in made["labels of studies"]


def test_everything_that_happened_is_in_the_audit_trail(the_hospital: Hospital) -> None:
    """Over every face, with every outcome; and the chain is whole."""
    trail = the_hospital.archive.audit
    for name, path in (("rad", "studies/1.2.77.1"), ("card", "studies/1.2.77.1"), ("nobody", "studies"), ("rad", "studies")):
        with the_hospital.client(name) as client:
            client.get(f"/dicom-web/{path}")
    with the_hospital.client("emergency") as client:
        client.get("/dicom-web/studies", headers={"Break-Glass": "unconscious"})
    for title in ("RAD", "STRANGER"):
        association = asking(the_hospital, title)
        find = next(iter(FIND))
        ask(association, find, Field.FIND_RQ, study_key(1))
        ask(association, next(iter(GET)), Field.GET_RQ, study_key(1))
        association.release()
    trail.note_durably(AuditEvent(AuditEventId.ACTIVITY, Principal(PrincipalKind.LOCAL, "test")))
    report = verify(trail.folder, tuple(the_hospital.archive.stores.values()))
    assert report.findings == []
    seen = set()
    for record in read(trail.folder):
        asker = record["participants"][0]
        seen.add((asker["user_id"], record["event"]["id"][1 + 1], record["event"]["outcome"]))
    assert seen >= {
        ("RAD", "Query", 0),
        ("rad", "Query", 0),
        ("rad", "DICOM Instances Transferred", 0),
        ("card", "DICOM Instances Transferred", 4),
        ("RAD", "DICOM Instances Transferred", 0),
        ("nobody", "Query", 8),
        ("STRANGER", "Query", 8),
        ("STRANGER", "DICOM Instances Transferred", 8),
        ("emergency", "Security Alert", 0),
    }


def test_without_an_audit_trail_the_glass_stays_whole(the_hospital: Hospital, tmp_path: Path) -> None:
    archive = the_hospital.archive
    (tmp_path / "audit").write_text("in the way")
    trail = AuditTrail(archive.settings.audit, tmp_path / "audit", archive.landing)
    gate = Gate(Policy(archive.settings), archive.catalogue, trail)
    asker = Principal(PrincipalKind.AE_TITLE, "EMERGENCY", "127.0.0.1")
    with pytest.raises(AuditUnavailable):
        gate.enter(asker, Action.RETRIEVE, "unconscious")
    with pytest.raises(NotAuthorized):
        Gate(Policy(archive.settings), archive.catalogue).enter(Principal(PrincipalKind.TOKEN, "nobody"), Action.RETRIEVE)
    assert archive.catalogue.emergencies.reason(asker) is None
    trail.close()
