"""Real archives asked as one by clients that know nothing of it: DCMTK's programs, dicomweb-client, and the example."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest
from dicomweb_client.api import DICOMwebClient

from tests.peers.archive import ServedArchive, served_archive, vna
from tests.peers.processes import free_port, program, running, wait_for_listener
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

PROJECT = Path(__file__).resolve().parents[3]
pytestmark = pytest.mark.xdist_group("federation")


def study(number: int, count: int, patient: str = "4711") -> list[bytes]:
    uid = study_uid(number)
    values = {"StudyInstanceUID": uid, "SeriesInstanceUID": f"{uid}.1", "PatientID": patient, "StudyDate": f"202603{number:02d}"}
    return [
        phantoms.ct(number * 50 + one, 64, 64, **{**values, "SOPInstanceUID": f"{uid}.1.{one}", "InstanceNumber": str(one)})
        for one in range(1, count + 1)
    ]


def study_uid(number: int) -> str:
    return phantoms.uid(78, number)


@dataclass
class House:
    hub: ServedArchive
    other: ServedArchive
    config: Path
    store_port: int


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    folder = tmp_path_factory.mktemp("federation")
    store_port = free_port()
    with served_archive(folder / "other") as other:
        members = {
            "other": {"url": f"dicomweb+http://127.0.0.1:{other.http_port}/dicom-web", "issuer": "OTHER"},
            "over-dimse": {"url": f"dimse://VNA@127.0.0.1:{other.dimse_port}", "issuer": "OTHER", "priority": 60},
            "gone": {"url": f"dimse://GONE@127.0.0.1:{free_port()}", "issuer": "GONE"},
        }
        config = folder / "hub.yaml"
        peers = {"STORESCP": {"host": "127.0.0.1", "port": store_port}}
        federation = {"deadline": 20, "members": members, "failures": 1000}
        config.write_text(json.dumps({"ingest": {"issuer": "HUB"}, "dimse": {"peers": peers}, "federation": federation}))
        with served_archive(folder / "hub", "--config", str(config)) as hub:
            assert fill("127.0.0.1", hub.dimse_port, "VNA", study(1, 2)).accepted == 2
            assert fill("127.0.0.1", other.dimse_port, "VNA", [*study(2, 3), *study(3, 5)]).accepted == 8
            yield House(hub, other, config, store_port)


def test_findscu_gets_every_study_once_and_is_told_who_was_silent(house: House) -> None:
    keys = [
        "-k",
        "QueryRetrieveLevel=STUDY",
        "-k",
        "StudyInstanceUID",
        "-k",
        "PatientID=4711",
        "-k",
        "NumberOfStudyRelatedInstances",
    ]
    command = [program("findscu"), "-v", "-S", "-aec", "FEDERATED", *keys, "127.0.0.1", str(house.hub.dimse_port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    said = done.stdout + done.stderr
    assert [said.count(study_uid(number) + "]") for number in (1, 2, 3)] == [1, 1, 1]
    assert "gone" in said or "b000" in said.lower(), said[-1500:]


@pytest.mark.parametrize("client", ["movescu", "getscu"])
def test_images_of_another_department_arrive_by(client: str, house: House, tmp_path: Path) -> None:
    number = 2 if client == "movescu" else 3
    keys = ["-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_uid(number)}"]
    address = ["127.0.0.1", str(house.hub.dimse_port)]
    if client == "movescu":
        scp = [program("storescp"), "-od", str(tmp_path), str(house.store_port)]
        with running(scp, tmp_path / "storescp.log") as process:
            wait_for_listener(house.store_port, process)
            command = [program("movescu"), "-d", "-S", "-aec", "FEDERATED", "-aem", "STORESCP", *keys, *address]
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    else:
        command = [program("getscu"), "-d", "-S", "-aec", "FEDERATED", "-od", str(tmp_path), *keys, *address]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    received = [path for path in tmp_path.iterdir() if path.name.startswith("CT")]
    assert len(received) == {2: 3, 3: 5}[number]
    said = (done.stdout + done.stderr).lower()
    assert "0xb000" in said and "from: gone" in said, "a member that is silent may have more of it"


@pytest.mark.parametrize(
    ("model", "level", "key"), [("-S", "STUDY", "StudyInstanceUID=1.2.3.4"), ("-P", "PATIENT", "PatientID=nobody")]
)
def test_nothing_found_is_no_success_while_a_member_is_silent(
    model: str, level: str, key: str, house: House, tmp_path: Path
) -> None:
    keys = ["-k", f"QueryRetrieveLevel={level}", "-k", key]
    command = [program("getscu"), "-d", model, "-aec", "FEDERATED", "-od", str(tmp_path), *keys]
    done = subprocess.run(
        [*command, "127.0.0.1", str(house.hub.dimse_port)], capture_output=True, text=True, timeout=120, check=False
    )
    said = (done.stdout + done.stderr).lower()
    assert "0xa701" in said and "from: gone" in said, said[-2000:]
    assert list(tmp_path.iterdir()) == []


def test_dicomweb_client_searches_and_retrieves_through_the_federation(house: House) -> None:
    client = DICOMwebClient(f"{house.hub.web}/federated/dicom-web")
    found = client.search_for_studies(search_filters={"PatientID": "4711"})
    assert sorted(row["0020000D"]["Value"][0] for row in found) == sorted(study_uid(number) for number in (1, 2, 3))
    datasets = client.retrieve_study(study_uid(3))
    assert sorted(one.InstanceNumber for one in datasets) == [1, 2, 3, 4, 5]
    metadata = client.retrieve_study_metadata(study_uid(3))
    assert len(metadata) == 5
    uid = study_uid(3)
    frames = client.retrieve_instance_frames(uid, f"{uid}.1", f"{uid}.1.1", [1])
    assert frames[0] == datasets[[one.InstanceNumber for one in datasets].index(1)].PixelData
    assert client.retrieve_instance_rendered(uid, f"{uid}.1", f"{uid}.1.1", media_types=("image/png",)).startswith(b"\x89PNG")
    local = DICOMwebClient(f"{house.hub.web}/dicom-web").search_for_studies()
    assert [row["0020000D"]["Value"][0] for row in local] == [study_uid(1)], "plain /dicom-web stays local"


def test_a_study_of_a_member_is_shown_as_pictures(house: House) -> None:
    uid = study_uid(3)
    url = f"{house.hub.web}/federated/dicom-web/studies/{uid}"
    with httpx2.Client(timeout=120) as client:
        answer = client.get(f"{url}/rendered", headers={"Accept": 'multipart/related; type="image/png"'})
        assert answer.headers["content-type"].startswith('multipart/related; type="image/png"; boundary=')
        delimiter = b"--" + answer.headers["content-type"].split("boundary=")[1].encode()
        parts = answer.content.split(delimiter)[1:-1]
        assert len(parts) == 5 and all(b"\r\n\r\n\x89PNG" in part for part in parts)
        assert all(f"Content-Location: {url}/series/{uid}.1/instances/".encode() in part for part in parts)
        reports = {one["name"]: one["outcome"] for one in json.loads(answer.headers["vna-members"])}
        silent = {name for name, outcome in reports.items() if outcome != "answered"}
        assert silent and all(name in answer.headers["warning"] for name in silent)
        assert client.get(f"{url}/rendered", headers={"Accept": "image/png"}).status_code == 406
        assert client.get(f"{url}/thumbnail", headers={"Accept": "image/png"}).content.startswith(b"\x89PNG")
    series = DICOMwebClient(f"{house.hub.web}/federated/dicom-web").retrieve_series_rendered(uid, f"{uid}.1")
    assert series.startswith(b"--") and series.count(b"\xff\xd8\xff") == 5


def parts_of(body: bytes, content_type: str) -> dict[str, bytes]:
    """Parts of a whole multipart body by the SOP Instance UID at the end of their location."""
    delimiter = b"--" + content_type.split("boundary=")[1].encode()
    found = {}
    for part in body.removesuffix(b"\r\n" + delimiter + b"--\r\n").split(delimiter + b"\r\n")[1:]:
        head, _, content = part.partition(b"\r\n\r\n")
        location = next(line for line in head.decode().split("\r\n") if line.startswith("Content-Location:"))
        size = int(next(line for line in head.decode().split("\r\n") if line.startswith("Content-Length:")).split(":")[1])
        found[location.rsplit("/", 1)[1]] = content[:size]
        assert len(content) in (size, size + 2), location
    return found


def test_whoever_reads_slowly_gets_every_octet_and_holds_no_member_up(house: House) -> None:
    values = {"StudyInstanceUID": study_uid(9), "SeriesInstanceUID": f"{study_uid(9)}.1", "PatientID": "9"}
    files = [
        phantoms.ct(9_000 + one, 512, 512, **values, SOPInstanceUID=f"{study_uid(9)}.1.{one}", InstanceNumber=str(one))
        for one in range(1, 91)
    ]
    assert fill("127.0.0.1", house.other.dimse_port, "VNA", files).accepted == 90
    headers = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    with httpx2.Client(timeout=120, headers=headers) as client:
        direct = client.get(f"{house.other.web}/dicom-web/studies/{study_uid(9)}")
        expected = parts_of(direct.content, direct.headers["content-type"])
        assert len(expected) == 90
        url = f"{house.hub.web}/federated/dicom-web/studies/{study_uid(9)}"
        folder, whole = house.hub.data / "federation", sum(map(len, expected.values()))
        with client.stream("GET", url) as slow:
            arriving = slow.iter_bytes(1 << 16)
            body = [next(arriving)]
            while sum(one.stat().st_size for one in folder.glob(f"*/passed/*/{study_uid(9)}/*.octets")) < whole:
                time.sleep(0.05)  # until the member has given everything
            body += arriving
        assert parts_of(b"".join(body), slow.headers["content-type"]) == expected
        again = client.get(url)
        assert parts_of(again.content, again.headers["content-type"]) == expected


def test_pages_of_an_answer_fit_together_whichever_process_is_asked(house: House) -> None:
    with httpx2.Client(base_url=f"{house.hub.web}/federated/dicom-web", timeout=60) as client:
        first = client.get("/studies", params={"PatientID": "4711", "limit": 2})
        assert "gone" in first.headers["warning"]
        members = {one["name"]: one["outcome"] for one in json.loads(first.headers["vna-members"])}
        assert members["gone"] in ("failed", "timeout") and members["other"] == members["local"] == "answered"
        token = first.headers["vna-consistency-token"]
        pages = [first.json()]
        for offset in (2, 4):
            page = client.get("/studies", params={"PatientID": "4711", "limit": 2, "offset": offset, "consistencytoken": token})
            assert page.status_code == 200 and "gone" in page.headers["warning"]
            pages.append(page.json())
        uids = [row["0020000D"]["Value"][0] for page in pages for row in page]
        assert uids == [study_uid(number) for number in (3, 2, 1)]
        assert client.get("/studies", params={"consistencytoken": "guessed"}).status_code == 404
        assert client.get("/studies/1.2.3.4").status_code in (404, 502)


def test_a_question_of_a_federation_is_not_passed_on(house: House) -> None:
    with httpx2.Client(base_url=f"{house.hub.web}/federated/dicom-web", timeout=60) as client:
        answer = client.get("/studies", headers={"Via": "1.1 vna-federation"})
    assert [row["0020000D"]["Value"][0] for row in answer.json()] == [study_uid(1)]
    assert [one["name"] for one in json.loads(answer.headers["vna-members"])] == ["local"]


def test_the_command_line_asks_members_and_tells_how_they_are(house: House) -> None:
    code, lines, _ = vna("federation", "status", "--config", str(house.config), data=house.hub.data)
    assert code == 3
    assert {line["name"]: line["answers"] for line in lines} == {"local": True, "other": True, "over-dimse": True, "gone": False}
    code, lines, _ = vna("federation", "find", "PatientID=4711", "--config", str(house.config), data=house.hub.data)
    rows = [line for line in lines if "member" not in line]
    assert code == 3 and len(rows) == 3


def test_the_example_of_departments_shows_an_honest_answer() -> None:
    script = PROJECT / "examples" / "federated_departments" / "federated_departments.py"
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, timeout=250, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    assert "basement did not answer in time" in " ".join(done.stdout.split())
