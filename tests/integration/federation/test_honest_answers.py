"""Real archives asked as one, two of ours and an Orthanc: whatever is odd about a question or a member is said, and harms nobody."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx2
import pytest
from pydicom import Dataset, dcmread

from tests.peers.archive import ServedArchive, served_archive, vna
from tests.peers.orthanc import orthanc
from tests.peers.processes import program
from tests.unit.ingest.ct_samples import ct
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

CITY = {"IssuerOfPatientID": "CITY"}
pytestmark = pytest.mark.xdist_group("honest-federation")


def uid(number: int) -> str:
    return phantoms.uid(79, number)


def study(number: int, count: int, first: int = 1, **attributes: str) -> list[bytes]:
    named = {"StudyInstanceUID": uid(number), "SeriesInstanceUID": f"{uid(number)}.1", "PatientID": f"P{number}", **attributes}
    make = ct if "IssuerOfPatientID" in named else phantoms.ct
    return [
        make(number * 50 + one, rows=16, **{**named, "SOPInstanceUID": f"{uid(number)}.1.{one}", "InstanceNumber": str(one)})
        for one in range(first, first + count)
    ]


@dataclass
class House:
    """The hub keeps what it brings; cardiology and pathology are its members."""

    hub: ServedArchive
    cardiology: ServedArchive
    pathology: int
    config: Path

    def put(self, where: str, *files: bytes) -> None:
        port = {"hub": self.hub.dimse_port, "cardiology": self.cardiology.dimse_port, "pathology": self.pathology}[where]
        assert fill("127.0.0.1", port, "ORTHANC" if where == "pathology" else "VNA", list(files)).accepted == len(files)

    def get(self, path: str, root: str = "/federated/dicom-web", **parameters: str) -> httpx2.Response:
        with httpx2.Client(timeout=60) as client:
            return client.get(f"{self.hub.web}{root}{path}", params=parameters or None)

    def find(self, level: str, *keys: str, aet: str = "FEDERATED", model: str = "-S") -> str:
        """What findscu says."""
        listed = [word for key in (f"QueryRetrieveLevel={level}", *keys) for word in ("-k", key)]
        command = [program("findscu"), "-v", model, "-aec", aet, *listed, "127.0.0.1", str(self.hub.dimse_port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        return done.stdout + done.stderr


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("honest")
    with orthanc(folder / "pathology") as pathology, served_archive(folder / "cardiology") as cardiology:
        members = {
            "cardiology": {
                "url": f"dicomweb+http://127.0.0.1:{cardiology.http_port}/dicom-web",
                "issuer": "CARD",
            },
            "pathology": {
                "url": f"dicomweb+http://127.0.0.1:{pathology.http_port}/dicom-web",
                "issuer": "PATH",
                "corrections": {"reject": f"dicomweb+http://127.0.0.1:{pathology.http_port}/dicom-web"},
            },
        }
        config = folder / "hub.yaml"
        federation = {"deadline": 20, "members": members, "write_through": True, "pause": 3600}
        config.write_text(json.dumps({"ingest": {"issuer": "HUB"}, "federation": federation}))
        with served_archive(folder / "hub", "--config", str(config)) as hub:
            opened = House(hub, cardiology, pathology.dimse_port, config)
            opened.put("hub", *study(1, 2))
            opened.put("cardiology", *study(2, 3), *study(3, 2))
            opened.put("pathology", *study(4, 2), *study(5, 2), *study(6, 2))
            yield opened


def held_here(house: House) -> set[str]:
    return {row["0020000D"]["Value"][0] for row in house.get("/studies", "/dicom-web").json()}


def states(house: House) -> dict[str, str]:
    return {one["name"]: one["state"] for one in house.get("/members", "/federated").json()}


def test_what_is_no_uid_brings_nothing_here(house: House) -> None:
    before = held_here(house)
    for odd in ("%00", "%20", f"{uid(4)[:-1]}*", f"{uid(4)}%5C{uid(5)}", f"{uid(4)}%20", f"{uid(4)}%00"):
        for below in ("", "/metadata", "/series/1.2", "/series/1.2/instances/%00"):
            assert house.get(f"/studies/{odd}{below}").status_code == 400
    assert held_here(house) == before


def test_a_retrieval_over_dimse_takes_no_key_for_a_pattern(house: House, tmp_path: Path) -> None:
    before = held_here(house)
    address = ["127.0.0.1", str(house.hub.dimse_port)]
    get = [program("getscu"), "-v", "-aec", "FEDERATED", "-od", str(tmp_path)]
    studies = [f"StudyInstanceUID={one}" for one in (f"{uid(4)[:-1]}*", f"{uid(4)}\\{uid(5)[:-1]}?", f"{uid(4)}A")]
    patients = [f"PatientID={one}" for one in ("P?", "*", "P5*")]
    for model, level, keys in (("-S", "STUDY", studies), ("-P", "PATIENT", patients)):
        for key in keys:
            command = [*get, model, "-k", f"QueryRetrieveLevel={level}", "-k", key, *address]
            subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert list(tmp_path.iterdir()) == [] and held_here(house) == before
    command = [*get, "-P", "-k", "QueryRetrieveLevel=PATIENT", "-k", "PatientID=P4", *address]
    subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert len(list(tmp_path.iterdir())) == 2


def test_what_is_retrieved_is_kept_where_that_is_wanted(house: House) -> None:
    answer = house.get(f"/studies/{uid(6)}")
    assert answer.status_code == 200 and answer.content.count(b"DICM") == 2
    assert uid(6) in held_here(house)
    local = house.get(f"/studies/{uid(6)}/instances", "/dicom-web").json()
    assert len(local) == 2


def test_what_members_are_not_asked_is_told(house: House) -> None:
    asked = {"ProcedureCodeSequence.CodeValue": "P1", "limit": "2"}
    answer = house.get("/studies", **asked)
    assert len(answer.json()) == 2
    assert "00081032" in answer.headers["Warning"]
    again = house.get("/studies", **asked, offset="2")
    assert "00081032" in again.headers["Warning"], "pages of one answer say the same"
    empty = {"StudyInstanceUID": f"{uid(1)},{uid(4)}", "emptyvaluematching": "true"}
    assert house.get("/studies", **empty, PatientName='""').json() == []
    assert "Warning" not in house.get("/studies", **empty, PatientName='""').headers
    assert "(Pending: Warning" in house.find("STUDY", "StudyInstanceUID=", "ProcedureCodeSequence[0].CodeValue=P1")


def requested(octets: bytes, *steps: str) -> bytes:
    """An image of a series that was requested so."""
    made = dcmread(BytesIO(octets))
    made.RequestAttributesSequence = [Dataset() for _ in steps]
    for item, step in zip(made.RequestAttributesSequence, steps, strict=True):
        item.ScheduledProcedureStepID, item.RequestedProcedureID = step, "R1"
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def test_a_find_returns_the_sequences_that_members_tell(house: House) -> None:
    house.put("cardiology", requested(study(9, 1)[0], "S1", "S2"))
    step = "RequestAttributesSequence[0].ScheduledProcedureStepID"
    of_series = (f"StudyInstanceUID={uid(9)}", "SeriesInstanceUID=")
    said = house.find("SERIES", *of_series, f"{step}=")
    assert "[S1]" in said and "[S2]" in said and "[R1]" not in said
    assert "(Pending)" in said and "(Pending: Warning" not in said
    said = house.find("SERIES", *of_series, f"{step}=S2").split("Find Response", 1)[1]
    assert "[S2]" in said and "[S1]" not in said and "(Pending: Warning" not in said
    assert "Find Response: 1" not in house.find("SERIES", *of_series, f"{step}=S3")
    untold = house.find("SERIES", f"StudyInstanceUID={uid(2)}", "SeriesInstanceUID=", f"{step}=")
    assert "(Pending: Warning" in untold, "whether it has none, or its member tells none, is not known"


def test_an_odd_question_switches_no_member_off(house: House) -> None:
    for _ in range(5):
        house.get("/studies", StudyInstanceUID="1.2*")
        house.find("PATIENT", "PatientID=P4", "PatientName", model="-P")
    assert set(states(house).values()) == {"closed"}
    asked = {
        each["process"].rstrip("-0123456789") for one in house.get("/members", "/federated").json() for each in one["processes"]
    }
    assert {"web", "dimse"} <= asked
    answer = house.get("/studies", PatientID="P4")
    assert [row["0020000D"]["Value"] for row in answer.json()] == [[uid(4)]] and "warning" not in answer.headers


def test_a_whole_answer_has_no_warning(house: House) -> None:
    for path in (f"/studies/{uid(3)}", f"/studies/{uid(5)}/series/{uid(5)}.1"):
        answer = house.get(path)
        assert answer.content.count(b"DICM") == 2 and "warning" not in answer.headers


def test_what_is_rejected_here_is_not_found_elsewhere(house: House) -> None:
    house.put("hub", *study(8, 2, **CITY))
    house.put("cardiology", *study(8, 3, **CITY))
    assert len(house.get("/instances", StudyInstanceUID=uid(8)).json()) == 3
    code, _, said = vna(
        "reject",
        "study",
        uid(8),
        "--title",
        "patient-safety",
        "--reason",
        "wrong side",
        "--config",
        str(house.config),
        data=house.hub.data,
    )
    assert code == 0, said
    # The third instance is cardiology's alone, and was never rejected.
    assert [row["00080018"]["Value"][0] for row in house.get(f"/studies/{uid(8)}/instances").json()] == [f"{uid(8)}.1.3"]
    (row,) = house.get(f"/studies/{uid(8)}/series").json()
    assert row["00201209"]["Value"] == [1]
    (row,) = house.get("/studies", StudyInstanceUID=uid(8)).json()
    assert (row["00201206"]["Value"], row["00201208"]["Value"]) == ([1], [1])
    assert f"{uid(8)}.1.1" not in house.find("IMAGE", f"StudyInstanceUID={uid(8)}", "SOPInstanceUID")
    house.put("hub", *study(9, 2, **CITY))
    house.put("cardiology", *study(9, 2, **CITY))
    assert (
        vna(
            "reject",
            "study",
            uid(9),
            "--title",
            "quality",
            "--reason",
            "blurred",
            "--config",
            str(house.config),
            data=house.hub.data,
        )[0]
        == 0
    )
    for path in ("/studies", "/series", "/instances"):
        assert house.get(path, StudyInstanceUID=uid(9)).json() in ([], None)


def test_a_question_with_an_issuer_finds_every_instance_that_can_be_had(house: House) -> None:
    own = {"PatientID": "500", "IssuerOfPatientID": "RAD"}
    house.put("hub", *study(10, 3, **own))
    house.put("cardiology", *study(10, 1, 4, **own))
    for asked in ({"PatientID": "500"}, {"PatientID": "500", "IssuerOfPatientID": "RAD"}):
        answer = house.get("/studies", **asked)
        (row,) = answer.json()
        assert row["00201208"]["Value"] == [4] and "warning" not in answer.headers
        assert {one["name"]: one["outcome"] for one in json.loads(answer.headers["vna-members"])}["cardiology"] == "answered"


def test_patients_of_all_archives_are_found_and_strangers_do_not_disagree(house: House) -> None:
    house.put("cardiology", *study(11, 1, PatientID="4711"))
    house.put("pathology", *study(12, 1, PatientID="4711"))
    said = house.find(
        "PATIENT", "PatientID=4711", "IssuerOfPatientID", "0009,0010=VNA FEDERATION", "0009,1001", "0009,1002", model="-P"
    )
    assert "CARD" in said and "PATH" in said, said
    assert "No whole answer" not in said and "b000" not in said.lower(), said
    assert "0010,0020)\\" not in said
    code, lines, _ = vna(
        "federation", "find", "PatientID=4711", "--level", "patient", "--config", str(house.config), data=house.hub.data
    )
    rows = [line for line in lines if "member" not in line]
    assert code == 0 and len(rows) == 2
    assert all("00091002" not in row for row in rows)


def test_the_note_that_told_another_archive_of_a_rejection_is_not_found(house: House) -> None:
    house.put("hub", *study(13, 2))
    house.put("pathology", *study(13, 2))
    options = ("--config", str(house.config))
    assert vna("reject", "study", uid(13), "--title", "quality", "--reason", "blurred", *options, data=house.hub.data)[0] == 0
    vna("corrections", "send", *options, data=house.hub.data)
    with httpx2.Client(timeout=60) as client:
        pathology = json.loads(house.config.read_text())["federation"]["members"]["pathology"]["url"].removeprefix("dicomweb+")
        there = client.get(f"{pathology}/studies/{uid(13)}/instances").json()
    assert len(there) == 3, "its images, and the note"
    for path in ("/studies", "/series", "/instances"):
        assert house.get(path, StudyInstanceUID=uid(13)).json() in ([], None)


def test_every_row_over_dimse_says_where_it_is_and_an_answer_of_one_page_has_no_token(house: House) -> None:
    said = house.find("STUDY", f"StudyInstanceUID={uid(4)}")
    assert "pathology" in said and "VNA FEDERATION" in said and "FEDERATED" in said
    answer = house.get("/studies", StudyInstanceUID=uid(4))
    assert len(answer.json()) == 1 and "vna-consistency-token" not in answer.headers
    capabilities = house.get("/capabilities")
    assert capabilities.status_code == 200 and "/federated/dicom-web" in capabilities.text


def test_the_command_line_shows_the_circuits_of_every_process_of_the_run(house: House) -> None:
    code, lines, _ = vna("federation", "status", "--at", house.hub.web, "--config", str(house.config), data=house.hub.data)
    assert code == 0 and [line["name"] for line in lines] == ["local", "cardiology", "pathology"]
    assert all(len(line["circuits"]) >= 2 and {one["state"] for one in line["circuits"]} == {"closed"} for line in lines)
    for wrong in ("nonsense", "http://", "ftp://127.0.0.1"):
        code, _, said = vna("federation", "status", "--at", wrong, "--config", str(house.config), data=house.hub.data)
        assert code != 0 and "--at" in said
