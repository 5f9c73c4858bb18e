"""The audit trail: complete under several processes and force, and silent about no change made to it afterwards."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vna_core.configuration.audit import AuditSettings
from vna_core.domain.access import Principal, PrincipalKind
from vna_core.domain.audit import AuditEvent, AuditEventId, AuditOutcome, StudyObject
from vna_core.domain.errors import AuditUnavailable
from vna_core.domain.octets import Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.stewardship.audit.chain import Chain, link, segments
from vna_core.stewardship.audit.reception import ReceptionNotes
from vna_core.stewardship.audit.records import record_of
from vna_core.stewardship.audit.trail import AuditTrail
from vna_core.stewardship.audit.verification import read, verify
from vna_core.stewardship.audit.xml import audit_message
from vna_storage_filesystem.store import FilesystemStore

VIEWER = Principal(PrincipalKind.TOKEN, "viewer", "10.1.2.3")
QUERY = AuditEvent(AuditEventId.QUERY, VIEWER, query="STUDY\n(0010,0020)=4711")


def filled(folder: Path, count: int = 12, segment_size: int = 1 << 20) -> Path:
    chain = Chain(folder, segment_size)
    for number in range(count):
        chain.append([{"event": number}])
    chain.close()
    return folder


def kinds(folder: Path) -> set[str]:
    return {finding.kind for finding in verify(folder).findings}


Change = Callable[[list[bytes]], list[bytes]]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_change_of_a_line_is_found(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    folder = filled(tmp_path_factory.mktemp("audit"))
    path = segments(folder)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    assert verify(folder).findings == []
    at = data.draw(st.integers(0, len(lines) - 2))
    how = data.draw(st.sampled_from(["octet", "remove", "swap", "repeat", "insert"]))
    if how == "octet":
        place = data.draw(st.integers(0, len(lines[at]) - 1))
        changed = bytearray(lines[at])
        changed[place] ^= 1 << data.draw(st.integers(0, 7))
        lines[at] = bytes(changed)
    elif how == "remove":
        del lines[at]
    elif how == "swap":
        lines[at], lines[at + 1] = lines[at + 1], lines[at]
    elif how == "repeat":
        lines.insert(at, lines[at])
    else:
        lines.insert(at, lines[at].replace(b'"event":', b'"event":9'))
    path.write_bytes(b"".join(lines))
    assert kinds(folder)


def test_files_continue_one_another_and_a_missing_one_is_found(tmp_path: Path) -> None:
    folder = filled(tmp_path / "audit", 40, segment_size=1000)
    assert len(segments(folder)) > 3
    report = verify(folder)
    assert (report.records, report.findings) == (40, [])
    segments(folder)[1].unlink()
    assert kinds(folder) == {"removed"}


def test_a_forged_or_shortened_chain_contradicts_what_is_in_the_store(tmp_path: Path) -> None:
    """Whoever recomputes every digest after a change is found by the anchors."""
    store = FilesystemStore("landing", tmp_path / "store")
    trail = AuditTrail(AuditSettings(anchor_interval=0.01), tmp_path / "audit", store)
    for _ in range(5):
        trail.note_durably(QUERY)
    while not list(store.list("audit/")):
        time.sleep(0.02)
    trail.close()
    assert verify(trail.folder, (store,)).findings == []
    assert verify(trail.folder, (store,)).anchors >= 1
    path = segments(trail.folder)[0]
    whole = path.read_bytes()
    anchored = max(int(one.key.rsplit("/", 1)[1].split(".")[0]) for one in store.list("audit/"))
    path.write_bytes(b"".join(whole.splitlines(keepends=True)[: anchored - 1]))
    assert {one.kind for one in verify(trail.folder, (store,)).findings} == {"truncated"}
    path.unlink()
    forged = Chain(trail.folder, 1 << 20)
    forged.append([{"event": number} for number in range(10)])
    assert verify(trail.folder).findings == []
    assert "altered" in {one.kind for one in verify(trail.folder, (store,)).findings}


def test_full_files_are_copied_to_the_store(tmp_path: Path) -> None:
    store = FilesystemStore("landing", tmp_path / "store")
    trail = AuditTrail(AuditSettings(segment_size=4096), tmp_path / "audit", store)
    for _ in range(20):
        trail.note_durably(QUERY)
    trail.close()
    copies = [one.key for one in store.list("audit/") if one.key.endswith(".log")]
    assert len(copies) == len(segments(trail.folder)) - 1 > 0
    assert verify(trail.folder, (store,)).findings == []
    segments(trail.folder)[0].write_bytes(b"")
    assert {one.kind for one in verify(trail.folder, (store,)).findings} >= {"removed", "altered"}


WRITER = """
import sys
from pathlib import Path
from vna_core.configuration.audit import AuditSettings
from vna_core.domain.access import Principal, PrincipalKind
from vna_core.domain.audit import AuditEvent, AuditEventId
from vna_core.stewardship.audit.trail import AuditTrail
from vna_storage_filesystem.store import FilesystemStore
folder = Path(sys.argv[1])
trail = AuditTrail(AuditSettings(segment_size=20000), folder / "audit", FilesystemStore("landing", folder / "store"))
for number in range(int(sys.argv[3])):
    event = AuditEvent(AuditEventId.QUERY, Principal(PrincipalKind.TOKEN, sys.argv[2]), query=str(number))
    if number % 10:
        trail.note(event)
    else:
        trail.note_durably(event)
        print(number, flush=True)
trail.close()
"""


def writer(folder: Path, name: str, count: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITER, str(folder), name, str(count)], stdout=subprocess.PIPE, text=True)


def test_several_processes_write_one_chain(tmp_path: Path) -> None:
    running = [writer(tmp_path, f"p{number}", 200) for number in range(3)]
    for process in running:
        process.communicate(timeout=120)
        assert process.returncode == 0
    report = verify(tmp_path / "audit", (FilesystemStore("landing", tmp_path / "store"),))
    assert (report.records, report.findings) == (600, [])
    of_each: dict[str, list[str]] = {}
    for record in read(tmp_path / "audit"):
        of_each.setdefault(record["participants"][0]["user_id"], []).append(record["objects"][0]["query"])
    assert {name: len(set(found)) for name, found in of_each.items()} == {"p0": 200, "p1": 200, "p2": 200}


def test_a_killed_process_leaves_everything_that_was_durable(tmp_path: Path) -> None:
    process = writer(tmp_path, "killed", 100_000)
    assert process.stdout is not None
    durable = [int(process.stdout.readline()) for _ in range(5)]
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert verify(tmp_path / "audit").findings == []
    assert sum(1 for _ in read(tmp_path / "audit")) >= durable[-1] + 1


def test_a_torn_line_is_dropped_and_told(tmp_path: Path) -> None:
    folder = filled(tmp_path / "audit", 3)
    with segments(folder)[0].open("ab") as stream:
        stream.write(b"0123456789abcdef")
    filled(folder, 1)
    assert verify(folder).findings == []
    assert [record.get("torn") for record in read(folder)] == [None, None, None, 16, None]


@pytest.mark.parametrize("before", [0, 3])
@pytest.mark.parametrize(
    "junk", [b'{"x":1}\n', b"\n", b"\xff" * 70 + b"\n", b"0" * 64 + b' {"n": "4"}\n', b"0" * 64 + b" []\n", b"one\ntwo\n"]
)
def test_a_last_line_that_nobody_can_read_ends_no_record_keeping_and_is_found(tmp_path: Path, junk: bytes, before: int) -> None:
    folder = filled(tmp_path / "audit", before)
    folder.mkdir(exist_ok=True)
    with (segments(folder) or [folder / "00000001.log"])[0].open("ab") as stream:
        stream.write(junk)
    filled(folder, 2)
    found = verify(folder).findings
    assert [(one.kind, one.number) for one in found] == [("unreadable", before + 1 + one) for one in range(junk.count(b"\n"))]
    assert verify(folder).records == before + 2


def test_a_record_of_any_size_leaves_a_trail_that_can_be_continued(tmp_path: Path) -> None:
    folder, many = tmp_path / "audit", 3000
    patients = tuple(StudyObject("", "\u7530" * 700, "HIS") for _ in range(many))
    body = record_of(AuditEvent(AuditEventId.PATIENT_RECORD, VIEWER, description="merge", studies=patients), "", "vna")
    chain = Chain(folder, 64 << 20)
    for _ in range(2):
        chain.append([body, {"event": {"id": "x" * (3 << 20)}}])
    chain.close()
    filled(folder, 2)
    assert verify(folder).findings == []
    records = list(read(folder))
    assert len(records) == 6 and records[-1] == {"n": 6, "event": 1}
    assert records[0]["shortened"] > 1 << 20 and records[0]["event"] == json.loads(json.dumps(body["event"]))
    assert len(records[0]["objects"]) >= 100


@pytest.mark.parametrize("torn", [b"", b"0" * 40, b"\0" * (3 << 20)], ids=["whole", "torn", "never written"])
def test_a_line_longer_than_any_that_is_written_now_is_continued(tmp_path: Path, torn: bytes) -> None:
    folder = filled(tmp_path / "audit", 3)
    before = list(read(folder))[-1]["n"]
    digest = segments(folder)[0].read_bytes().split(b"\n")[-2][:64].decode()
    content = json.dumps({"n": before + 1, "event": "x" * (2 << 20)}).encode()
    with segments(folder)[0].open("ab") as stream:
        stream.write(link(digest, content).encode() + b" " + content + b"\n" + torn)
    filled(folder, 1, 64 << 20)
    assert verify(folder).findings == []
    assert [one["n"] for one in read(folder)] == list(range(1, 6 + bool(torn)))


def test_what_cannot_be_written_waits_and_what_must_be_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "audit"
    folder.write_text("in the way")
    trail = AuditTrail(AuditSettings(), folder, FilesystemStore("landing", tmp_path / "store"))
    trail.note(QUERY)
    with pytest.raises(AuditUnavailable):
        trail.note_durably(QUERY)
    assert trail.failing
    os.unlink(folder)
    trail.note_durably(AuditEvent(AuditEventId.DELETED, VIEWER))
    trail.close()
    assert not trail.failing
    events = [record["event"]["id"][0] for record in read(folder)]
    assert sorted(events) == ["110105", "110112"]  # what was only noted is there, what was refused is not
    assert verify(folder).findings == []


def test_accesses_that_come_often_become_one_further_record(tmp_path: Path) -> None:
    trail = AuditTrail(AuditSettings(), tmp_path / "audit", FilesystemStore("landing", tmp_path / "store"))
    for study in ("1.2.3", "1.2.4"):
        for _ in range(100):
            trail.note_access(AuditEvent(AuditEventId.TRANSFERRED, VIEWER, studies=(StudyObject(study),)))
    trail.close()
    counted = [(record["objects"][0]["id"], record["event"].get("count", 1)) for record in read(tmp_path / "audit")]
    assert sorted(counted) == [("1.2.3", 1), ("1.2.3", 99), ("1.2.4", 1), ("1.2.4", 99)]


def test_files_of_a_folder_are_of_one_sender(tmp_path: Path) -> None:
    trail = AuditTrail(AuditSettings(), tmp_path / "audit", FilesystemStore("landing", tmp_path / "store"))
    received = ReceptionNotes(trail)
    for number in range(100):
        source = Source("file", "vna ingest", f"incoming/{number}.dcm")
        received(IngestResult(Outcome.HELD, "1.2.3", "1.2.3.1", f"1.2.3.1.{number}", "1.2.840.10008.5.1.4.1.1.2", source=source))
    trail.close()
    assert [record["event"].get("count", 1) for record in read(tmp_path / "audit")] == [1, 99]


def test_records_have_the_content_of_the_standard() -> None:
    study = StudyObject("1.2.3", "4711\x00<&", "RAD", (("1.2.840.10008.5.1.4.1.1.2", 3),))
    event = AuditEvent(
        AuditEventId.TRANSFERRED, VIEWER, AuditOutcome.SUCCESS, studies=(study,), destination="WORKSTATION", emergency=True
    )
    message = ElementTree.fromstring(audit_message(record_of(event, "General", "vna@host")))
    identification = message.find("EventIdentification")
    assert identification is not None
    assert (identification.get("EventActionCode"), identification.get("EventOutcomeIndicator")) == ("R", "0")
    event_id = identification.find("EventID")
    assert event_id is not None and event_id.attrib == {
        "csd-code": "110104", "codeSystemName": "DCM", "originalText": "DICOM Instances Transferred",
    }  # fmt: skip
    participants = message.findall("ActiveParticipant")
    assert [one.get("UserID") for one in participants] == ["viewer", "vna@host", "WORKSTATION"]
    assert [one.get("UserIsRequestor") for one in participants] == ["true", "false", "false"]
    assert participants[0].attrib["NetworkAccessPointID"] == "10.1.2.3"
    source = message.find("AuditSourceIdentification")
    assert source is not None and source.get("AuditEnterpriseSiteID") == "General"
    objects = message.findall("ParticipantObjectIdentification")
    assert [one.get("ParticipantObjectID") for one in objects] == ["1.2.3", "4711\\u0000<&^^^RAD"]
    sop_class = objects[0].find("ParticipantObjectDescription/SOPClass")
    assert sop_class is not None and sop_class.get("NumberOfInstances") == "3"
