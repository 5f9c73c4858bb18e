"""Corrections travel: to another of these archives, to others by rejection notes and HL7, and to the dead when they live again."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from structlog.testing import capture_logs

from tests.peers.processes import free_port
from tests.unit.ingest.ct_samples import ct
from vna_core.bootstrap import Archive, open_archive
from vna_core.bootstrap_federation import correction_sender
from vna_core.bootstrap_jobs import job_work
from vna_core.cli.options import operator
from vna_core.configuration import Settings, load_settings
from vna_core.domain.corrections import CorrectionKind, Rejection
from vna_core.domain.errors import ConfigurationError, PeerUnavailable, UnderHold
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.identity import LinkKind, LinkOrigin
from vna_core.domain.octets import Source
from vna_core.domain.query import Equals, Level, Query
from vna_core.domain.stewardship import Extent
from vna_core.federation.telling import merge_message
from vna_core.gateways.dicomweb.app import create_app
from vna_core.gateways.dimse import DimseServer
from vna_core.gateways.hl7.message import parse
from vna_core.gateways.hl7.server import MllpServer
from vna_core.gateways.web_server import serve
from vna_core.stewardship.deletion import Deleting
from vna_core.stewardship.patient_identity import PatientIdentity

pytestmark = pytest.mark.xdist_group("corrections")
A, B = PatientKey("RAD", "4711"), PatientKey("RAD", "4712")
NAMES = ("ours", "foreign", "posted", "gone")


def study(number: int) -> str:
    return f"1.2.826.0.1.3680043.10.5.{number}"


def images(number: int, count: int = 2) -> list[bytes]:
    uid = study(number)
    values = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "PatientID": "4711", "IssuerOfPatientID": "RAD"}
    return [ct(number * 10 + one, rows=16, SOPInstanceUID=f"{uid}.1.{one}", **values) for one in range(1, count + 1)]


def put(archive: Archive, *files: bytes) -> None:
    for octets in files:
        with archive.pipeline.reception(Source("file", "test", "/somewhere")) as reception:
            reception.write(octets)
            assert archive.pipeline.offer(reception.finish()).outcome.acknowledged


def held(archive: Archive, number: int) -> int:
    return len(archive.catalogue.instances(study=study(number)))


@contextlib.contextmanager
def served(archive: Archive, web: socket.socket) -> Iterator[None]:
    """The web face of an archive."""
    stop = threading.Event()
    app = create_app(
        archive.settings, archive.pipeline, archive.catalogue, archive.retriever, archive.renderer, archive.transcoder,
        archive.stores, archive.gate,
    )  # fmt: skip
    thread = threading.Thread(target=serve, args=(app, web, archive.settings.http, stop))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@dataclass
class Hospital:
    """An archive, and those that it tells."""

    hub: Archive
    ours: Archive
    foreign: Archive
    web: int

    def identity(self) -> PatientIdentity:
        return PatientIdentity(self.hub.catalogue, self.hub.audit, operator())

    def deleting(self) -> Deleting:
        return Deleting(self.hub.stores, self.hub.landing, self.hub.catalogue, auditor=self.hub.audit)

    def tell(self, *names: str) -> None:
        sender = correction_sender(self.hub)
        for name in names or ("ours", "foreign", "posted"):
            sender.send(name)

    def not_applied(self, member: str) -> list[tuple[str, str, str]]:
        """What a member has not applied, but for what it never takes: kind, state and error."""
        ledger = self.hub.catalogue.corrections
        found = ledger.listed(limit=10_000, member=member)
        told = [one for each in ledger.deliveries(found).values() for one in each if one.member == member]
        told = [one for one in told if one.correction.kind is not CorrectionKind.EXPIRE]
        return [(one.correction.kind.value, one.state.value, one.error) for one in told]

    def states(self) -> dict[str, str]:
        """How far each member is with the latest correction."""
        (latest,) = list(self.hub.catalogue.corrections.listed(limit=10_000))[-1:]
        told = self.hub.catalogue.corrections.deliveries([latest])[latest.number]
        return {one.member: one.state.value for one in told}


def settings(folder: Path, **changes: Any) -> Settings:
    return Settings.model_validate({"data": folder, "decode": {"processes": 1}, "ingest": {"issuer": "RAD"}, **changes})


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("corrections")
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=64)) for _ in range(5)]
        hub_web, ours_web, foreign_web, dimse, mllp = sockets
        ports = [*(one.getsockname()[1] for one in sockets), free_port()]
        members = {
            "ours": {"url": "dicomweb+http://127.0.0.1:1/x", "corrections": {"all": f"vna+http://127.0.0.1:{ports[1]}"}},
            "foreign": {
                "url": "dimse://FOREIGN@127.0.0.1:1",
                "corrections": {
                    "merge": f"mllp://127.0.0.1:{ports[4]}",
                    "reject": f"dimse://VNA@127.0.0.1:{ports[3]}",
                    "delete": f"dimse://VNA@127.0.0.1:{ports[3]}",
                },
            },
            "posted": {
                "url": "dicomweb+http://127.0.0.1:1/x",
                "corrections": {"reject": f"dicomweb+http://127.0.0.1:{ports[2]}/dicom-web"},
            },
            "gone": {"url": "dicomweb+http://127.0.0.1:1/x", "corrections": {"all": f"vna+http://127.0.0.1:{ports[5]}"}},
            "silent": {"url": "dicomweb+http://127.0.0.1:1/x"},
        }
        back = {"hub": {"url": "dicomweb+http://127.0.0.1:1/x", "corrections": {"all": f"vna+http://127.0.0.1:{ports[0]}"}}}
        hub = stack.enter_context(open_archive(settings(folder / "hub", federation={"members": members})))
        ours = stack.enter_context(open_archive(settings(folder / "ours", federation={"members": back})))
        foreign = stack.enter_context(open_archive(settings(folder / "foreign")))
        for archive, web in ((hub, hub_web), (ours, ours_web), (foreign, foreign_web)):
            stack.enter_context(served(archive, web))
        scp = DimseServer(
            foreign.settings.dimse, foreign.pipeline, foreign.catalogue, foreign.retriever, foreign.transcoder, gate=foreign.gate
        )
        feed = MllpServer(foreign.settings, foreign.catalogue, foreign.audit)
        for server, listener in ((scp, dimse), (feed, mllp)):
            thread = threading.Thread(target=server.serve, args=(listener,))
            thread.start()
            stack.callback(thread.join)
            stack.callback(server.stop)
        for archive in (hub, ours, foreign):
            for number in range(1, 6):
                put(archive, *images(number))
        yield Hospital(hub, ours, foreign, ports[0])


def merges(archive: Archive) -> set[tuple[PatientKey, PatientKey, LinkOrigin]]:
    return {(one.first, one.second, one.origin) for one in archive.catalogue.identity.listed() if one.kind is LinkKind.MERGE}


def test_a_merge_travels_and_whoever_cannot_hear_that_it_is_taken_back_is_named(hospital: Hospital) -> None:
    link = hospital.identity().decide(LinkKind.MERGE, A, B, "registered twice", LinkOrigin.HAND)
    hospital.tell()
    assert merges(hospital.ours) == {(A, B, LinkOrigin.MEMBER)}
    assert merges(hospital.foreign) == {(A, B, LinkOrigin.ADT)}
    assert hospital.states() == {"ours": "applied", "foreign": "applied", "posted": "not-taken", "gone": "waiting"}
    hospital.identity().undo(link.id, "two people")
    hospital.tell()
    assert merges(hospital.ours) == set() and len(merges(hospital.foreign)) == 1
    assert hospital.states() == {"ours": "applied", "foreign": "not-taken", "posted": "not-taken", "gone": "waiting"}
    correction_sender(hospital.ours).send("hub")
    assert len(hospital.hub.catalogue.corrections.listed()) == 2, "what comes back to whoever sent it is known there"


def test_a_moved_study_is_moved_in_archives_that_know_moves(hospital: Hospital) -> None:
    hospital.identity().decide(LinkKind.MOVE, A, B, "wrong worklist entry", LinkOrigin.HAND, study(5))
    hospital.tell()
    assert hospital.ours.catalogue.identity.moved([study(5)]) == {(study(5), A): B}
    assert hospital.states()["foreign"] == "not-taken"


def test_a_move_reaches_what_is_filed_without_an_issuer_and_what_is_another_patients_is_refused(
    hospital: Hospital, tmp_path: Path
) -> None:
    first, second = PatientKey("CARD", "4711"), PatientKey("CARD", "4799")
    with socket.create_server(("127.0.0.1", 0), backlog=64) as web, contextlib.ExitStack() as stack:
        bare = {"data": tmp_path / "bare", "ingest": {"issuer": ""}}
        there = stack.enter_context(open_archive(settings(tmp_path / "bare").model_validate(bare)))
        stack.enter_context(served(there, web))
        address = f"http://127.0.0.1:{web.getsockname()[1]}"
        members = {"cardiology": {"url": f"dicomweb+{address}/x", "issuer": "CARD", "corrections": {"all": f"vna+{address}"}}}
        hub = stack.enter_context(open_archive(settings(tmp_path / "hub", federation={"members": members})))
        for number in (21, 22):
            uid = study(number)
            own = {} if number == 21 else {"IssuerOfPatientID": "OTHER"}
            put(there, ct(number, rows=16, StudyInstanceUID=uid, SeriesInstanceUID=f"{uid}.1", PatientID="4711", **own))
        identity, sender = PatientIdentity(hub.catalogue, hub.audit, operator()), correction_sender(hub)
        states = {}
        for number in (21, 22, 23):
            identity.decide(LinkKind.MOVE, first, second, "wrong worklist entry", LinkOrigin.HAND, study(number))
            sender.send("cardiology")
            (latest,) = list(hub.catalogue.corrections.listed(limit=100))[-1:]
            (states[number],) = hub.catalogue.corrections.deliveries([latest])[latest.number]
        assert [states[number].state.value for number in states] == ["applied", "refused", "applied"]
        assert "another patient" in states[22].error
        assert there.catalogue.identity.moved([study(21)]) == {(study(21), PatientKey("", "4711")): PatientKey("", "4799")}
        assert there.catalogue.identity.moved([study(22)]) == {}
        (found,) = there.catalogue.search(Query(Level.STUDY, (Equals(0x00100020, ("4799",)),), linked=True)).matches
        assert found.attributes[0x0020000D] == (study(21),)


def test_a_rejection_hides_the_same_everywhere_and_comes_back_where_that_can_be_told(hospital: Hospital) -> None:
    deleting = hospital.deleting()
    done = deleting.delete(Extent.INSTANCE, f"{study(1)}.1.1", "other side", "carol", rejection=Rejection.PATIENT_SAFETY)
    hospital.tell()
    archives = (hospital.hub, hospital.ours, hospital.foreign)
    assert [held(archive, 1) for archive in archives] == [1, 1, 1]
    (there,) = [one for one in hospital.ours.catalogue.deletions.listed() if one.rejection]
    assert there.rejection == "113037" and "carol" in there.reason
    assert {one.rejection for one in hospital.foreign.catalogue.deletions.listed()} == {"113037"}
    assert hospital.states() == {"ours": "applied", "foreign": "applied", "posted": "applied", "gone": "waiting"}
    deleting.undelete(done.id, "carol")
    hospital.tell()
    assert [held(archive, 1) for archive in archives] == [2, 2, 1]
    assert hospital.states()["foreign"] == "not-taken"


def test_a_deletion_hides_what_was_deleted_and_not_what_the_other_has_beyond_it(hospital: Hospital) -> None:
    put(hospital.ours, images(2, 3)[2])
    hospital.deleting().delete(Extent.STUDY, study(2), "test images", "carol")
    hospital.tell()
    assert [held(archive, 2) for archive in (hospital.hub, hospital.ours, hospital.foreign)] == [0, 1, 0]
    assert hospital.foreign.catalogue.deletions.listed()[-1].rejection == "113039", "told by a note, it is never purged there"
    assert hospital.ours.catalogue.deletions.listed()[-1].rejection == ""


def test_what_a_rule_of_retention_deletes_stays_at_home_unless_somebody_asked_for_it(hospital: Hospital) -> None:
    hospital.deleting().delete(Extent.STUDY, study(3), "rule", "retention", kind=CorrectionKind.EXPIRE)
    assert set(hospital.states().values()) == {"not-taken"}
    hospital.tell()
    assert held(hospital.ours, 3) == 2


def test_a_hold_of_the_member_is_its_answer_and_is_tried_again_when_it_is_gone(hospital: Hospital) -> None:
    there = Deleting(hospital.ours.stores, hospital.ours.landing, hospital.ours.catalogue)
    hold = there.set_hold(Extent.STUDY, study(4), "court", "judge")
    with pytest.raises(UnderHold):
        there.delete(Extent.STUDY, study(4), "no", "carol")
    hospital.deleting().delete(Extent.STUDY, study(4), "too old", "carol")
    with capture_logs() as logged:
        hospital.tell()
    assert hospital.states()["ours"] == "refused" and held(hospital.ours, 4) == 2
    why = f"The source answered with HTTP 409. It says: Under hold {hold.id} (study, set by judge"
    assert [error.startswith(why) and "[under-hold]" in error for *_, error in hospital.not_applied("ours")] == [True]
    assert logged and "judge" not in json.dumps(logged, default=str), "its words are in the ledger and in no log"
    there.release_hold(hold.id, "judge")
    assert hospital.hub.catalogue.corrections.retry(member="ours") >= 1
    hospital.tell("ours")
    assert hospital.states()["ours"] == "applied" and held(hospital.ours, 4) == 0


def test_a_dead_member_is_tried_again_by_the_worker_and_catches_up_in_order(hospital: Hospital, tmp_path: Path) -> None:
    identity = hospital.identity()
    link = identity.decide(LinkKind.MERGE, A, PatientKey("RAD", "4713"), "registered twice", LinkOrigin.HAND)
    identity.undo(link.id, "two people")
    identity.decide(LinkKind.MOVE, A, B, "wrong worklist entry", LinkOrigin.HAND, study(6))
    with pytest.raises(PeerUnavailable):
        hospital.tell("gone")
    waiting = hospital.hub.catalogue.corrections.counts()["gone", "waiting"]
    assert waiting >= 3
    work = job_work(hospital.hub, "test")
    work.run_until_idle(20)
    (job,) = hospital.hub.catalogue.jobs.listed(kind="correction")
    assert (job.key, job.state) == ("gone", "open") and job.attempts >= 1, "it is tried again, later"
    first = hospital.hub.catalogue.corrections.next_for("gone")[0]
    assert first.attempts >= 2 and "connection" in first.error.lower()
    port = int(hospital.hub.settings.federation.members["gone"].corrections["all"].rsplit(":", 1)[1])
    with (
        open_archive(settings(tmp_path)) as late,
        socket.create_server(("127.0.0.1", port), backlog=64) as web,
        served(late, web),
    ):
        hospital.tell("gone")
        assert hospital.not_applied("gone") == []
        assert late.catalogue.identity.moved([study(6)]) == {(study(6), A): B}
        assert merges(late) == set(), "the merge and what took it back came in their order"


def test_the_interface_lists_shows_and_retries_and_applies_once(hospital: Hospital) -> None:
    with httpx2.Client(base_url=f"http://127.0.0.1:{hospital.web}/api/v1", timeout=60) as client:
        listed = client.get("/corrections", params={"member": "foreign", "limit": 2}).json()
        assert len(listed["corrections"]) == 2 and listed["next"]
        one = client.get(f"/corrections/{listed['corrections'][0]['id']}").json()
        assert {each["member"] for each in one["members"]} == set(NAMES)
        assert client.post(f"/corrections/{one['id']}/retry").json()["deliveries"] >= 1
        assert client.get("/corrections/2.25.1").status_code == 404
        said = {"id": "2.25.900", "kind": "merge", "first": ["X", "1"], "second": ["X", "2"], "reason": "told"}
        assert [client.post("/corrections", json=said).json()["state"] for _ in range(2)] == ["applied", "known"]
        undo = {"id": "2.25.901", "kind": "merge", "undoes": "2.25.900"}
        assert client.post("/corrections", json=undo).json()["state"] == "applied"
        for wrong in ([], {"id": "x", "kind": "merge"}, {"id": "2.25.3", "kind": "merge"}, {**said, "id": "2.25.4", "more": 1}):
            assert client.post("/corrections", json=wrong).status_code == 400
        answer = client.post(f"/studies/{study(5)}/reject", params={"title": "quality", "reason": "moved"})
        assert answer.status_code == 200 and answer.json()["rejection"] == "113001"
        assert client.post(f"/studies/{study(5)}/reject", params={"title": "ugly", "reason": "x"}).status_code == 400


def test_merges_are_written_so_that_no_id_breaks_the_message() -> None:
    hostile = {"first": ["R|D", "4^7~1&1\\"], "second": ["RAD", "47\r12"]}
    link = type("Correction", (), {"id": "2.25.123", "content": hostile})
    message = parse(merge_message(link))  # type: ignore[arg-type]
    (merged,), (kept,) = message.named("MRG"), message.named("PID")
    assert (merged.value(1), merged.value(1, 4)) == ("4^7~1&1\\", "R|D") and kept.value(3) == "47 12"
    assert message.trigger == "ADT^A40" and len(message.segments) == 4


@pytest.mark.parametrize(
    ("corrections", "why"),
    [
        ({"reject": "mllp://host:1"}, "reject cannot be told"),
        ({"all": "mllp://host:1"}, "cannot be told"),
        ({"merge": "dimse://A@host:104"}, "merge cannot be told"),
        ({"reject": "ftp://host"}, "begins with vna"),
        ({"reject": "nonsense"}, "begins with vna"),
        ({"reject": "dimse://host"}, "names no port"),
        ({"merge": "mllp://:1"}, "names no host"),
        ({"reject": "dimse://A@host:x"}, "is no address"),
    ],
)
def test_an_address_that_cannot_take_it_is_refused_where_the_configuration_is_read(
    corrections: dict[str, str], why: str, tmp_path: Path
) -> None:
    file = tmp_path / "vna.yaml"
    file.write_text(json.dumps({"federation": {"members": {"m": {"url": "x", "corrections": corrections}}}}, indent=1))
    with pytest.raises(ConfigurationError) as told:
        load_settings(file)
    assert why in told.value.message and "corrections" in told.value.message
    file.write_text(file.read_text().replace(next(iter(corrections.values())), "vna+http://host"))
    load_settings(file)
