"""A served archive with a cold tier: copies, commitment, honest availability, and a recall that blocks nobody."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import pydicom
import pytest
import yaml
from pydicom.dataset import Dataset
from pynetdicom import AE, evt

from tests.peers.archive import ServedArchive, served_archive, vna
from tests.peers.processes import free_port
from tests.peers.s3_service import S3Service
from vna_core.testing import phantoms

pytest.importorskip("s3fs", reason="the extra s3 is not installed")

pytestmark = pytest.mark.xdist_group("s3")
STUDY_ROOT_FIND, STUDY_ROOT_MOVE = "1.2.840.10008.5.1.4.1.2.2.1", "1.2.840.10008.5.1.4.1.2.2.2"
EXPLICIT = "1.2.840.10008.1.2.1"


def until(condition: Callable[[], Any]) -> Any:
    pause = threading.Event()
    for _ in range(600):
        if found := condition():
            return found
        pause.wait(0.1)
    raise AssertionError("it did not come to that")


@pytest.fixture(scope="module")
def store_port() -> int:
    return free_port()


@pytest.fixture(scope="module")
def archive(moto_service: S3Service, tmp_path_factory: pytest.TempPathFactory, store_port: int) -> Iterator[ServedArchive]:
    folder: Path = tmp_path_factory.mktemp("tiers")
    bucket = moto_service.make_bucket("placement-tiers")
    rules = [
        {
            "name": "cold",
            "copies": [
                {"store": "landing", "until": "1d", "since": "study"},
                {"store": "cloud", "tiers": [{"tier": "GLACIER", "after": "1d", "since": "study"}]},
            ],
        }
    ]
    document = {
        "stores": {"cloud": {"type": "s3", "options": moto_service.options(bucket, tiers=["GLACIER"])}},
        "dimse": {"processes": 1, "peers": {"SCP": {"host": "127.0.0.1", "port": store_port}}},
        "http": {"workers": 1},
        "jobs": {"poll": 0.1},
        "placement": {"rules": rules, "settle": 0.2, "recall": {"poll": 0.2, "retry_after": 7, "days": 3}},
    }
    (folder / "vna.yaml").write_text(yaml.safe_dump(document))
    with served_archive(folder / "data", "--config", str(folder / "vna.yaml")) as served:
        yield served


def stored(archive: ServedArchive, *images: Dataset) -> None:
    """Send images, and wait until they are put away."""
    ae = AE("SCU")
    ae.add_requested_context(phantoms.CT, EXPLICIT)
    association = ae.associate("127.0.0.1", archive.dimse_port)
    assert all(association.send_c_store(image).Status == 0 for image in images)
    association.release()
    until(lambda: availability_by_find(archive, images[0]) == "NEARLINE")


def another_study(number: int) -> Dataset:
    image = pydicom.dcmread(io.BytesIO(phantoms.ct(number, 64, 64)))
    image.StudyInstanceUID = f"2.25.4711.{number}"
    return image


@pytest.fixture(scope="module")
def study(archive: ServedArchive) -> list[Dataset]:
    """Three images, stored and put away."""
    images = [pydicom.dcmread(io.BytesIO(octets)) for octets in phantoms.series(3)]
    stored(archive, *images)
    return images


def availability_by_find(archive: ServedArchive, image: Dataset, level: str = "STUDY") -> str:
    ae = AE("SCU")
    ae.add_requested_context(STUDY_ROOT_FIND)
    association = ae.associate("127.0.0.1", archive.dimse_port)
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = level, image.StudyInstanceUID
    if level != "STUDY":
        asked.SeriesInstanceUID = image.SeriesInstanceUID
    if level == "IMAGE":
        asked.SOPInstanceUID = image.SOPInstanceUID
    asked.InstanceAvailability = ""
    found = [answer for _, answer in association.send_c_find(asked, STUDY_ROOT_FIND) if answer is not None]
    association.release()
    return str(found[0].InstanceAvailability) if found else ""


def path_of(image: Dataset) -> str:
    return f"/studies/{image.StudyInstanceUID}/series/{image.SeriesInstanceUID}/instances/{image.SOPInstanceUID}"


def move(archive: ServedArchive, image: Dataset, store_port: int) -> tuple[Any, list[str], str]:
    """C-MOVE of the study to a receiver of ours: the last response, what arrived, the comment."""
    got: list[str] = []

    def take(event: evt.Event) -> int:
        got.append(str(event.request.AffectedSOPInstanceUID))
        return 0

    receiver = AE("SCP")
    receiver.add_supported_context(phantoms.CT, EXPLICIT)
    server = receiver.start_server(("127.0.0.1", store_port), block=False, evt_handlers=[(evt.EVT_C_STORE, take)])
    ae = AE("SCU")
    ae.add_requested_context(STUDY_ROOT_MOVE)
    association = ae.associate("127.0.0.1", archive.dimse_port)
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.StudyInstanceUID = "STUDY", image.StudyInstanceUID
    statuses = [status for status, _ in association.send_c_move(asked, "SCP", STUDY_ROOT_MOVE)]
    association.release()
    server.shutdown()
    return statuses[-1], got, str(statuses[-1].get("ErrorComment", ""))


def test_availability_is_honest_at_every_level(archive: ServedArchive, study: list[Dataset]) -> None:
    for level in ("STUDY", "SERIES", "IMAGE"):
        assert availability_by_find(archive, study[0], level) == "NEARLINE"
    image = study[0]
    below = f"/dicom-web/studies/{image.StudyInstanceUID}"
    paths = (f"/dicom-web/studies?StudyInstanceUID={image.StudyInstanceUID}", f"{below}/series", f"{below}/instances")
    for path in paths:
        rows = httpx2.get(archive.web + path).json()
        assert rows and all(row["00080056"]["Value"] == ["NEARLINE"] for row in rows)
    shown = httpx2.get(f"{archive.web}/api/v1/instances/{image.SOPInstanceUID}").json()
    assert [(one["store"], one["state"], one["tier"]) for one in shown["locations"]] == [("cloud", "cold", "GLACIER")]
    assert shown["placement"] == {"rule": "cold", "met": True, "missing": []} and shown["availability"] == "NEARLINE"
    assert httpx2.get(f"{archive.web}/api/v1/placement").json()["met"] == 1


def test_what_is_asked_for_is_recalled_whole_and_the_client_is_told_when_to_come_again(
    archive: ServedArchive, study: list[Dataset], store_port: int
) -> None:
    status, got, comment = move(archive, study[0], store_port)
    assert (status.Status, got) == (0xA702, []) and "ask again" in comment
    assert status.NumberOfFailedSuboperations == 3
    until(lambda: availability_by_find(archive, study[0]) == "ONLINE")
    status, got, _ = move(archive, study[0], store_port)
    assert status.Status == 0 and sorted(got) == sorted(str(image.SOPInstanceUID) for image in study)
    for image in study:
        assert httpx2.get(f"{archive.web}/dicom-web{path_of(image)}").status_code == 200


def test_the_web_is_answered_503_with_a_time_and_then_the_image(archive: ServedArchive) -> None:
    image = another_study(77)
    stored(archive, image)
    below = f"{archive.web}/dicom-web{path_of(image)}"
    answer = httpx2.get(below)
    assert (answer.status_code, answer.json()["code"], answer.headers["retry-after"]) == (503, "recall-pending", "7")
    assert httpx2.get(below + "/metadata").status_code == 200, "metadata need no recall"
    until(lambda: httpx2.get(below).status_code == 200)
    assert httpx2.get(below + "/frames/1").status_code == 200


def test_prefetch_brings_a_study_back_before_it_is_asked_for(archive: ServedArchive) -> None:
    image = another_study(78)
    stored(archive, image)
    config, uid = str(archive.data.parent / "vna.yaml"), str(image.StudyInstanceUID)
    code, lines, error = vna("recall", "study", uid, "--config", config, "--wait", "30", data=archive.data)
    assert code == 0, error
    assert lines == [{"study_instance_uid": uid, "nearline": 0}]
    assert availability_by_find(archive, image) == "ONLINE"
    answer = httpx2.post(f"{archive.web}/api/v1/studies/{uid}/recall")
    assert (answer.status_code, answer.json()["nearline"]) == (200, 0)
    code, lines, error = vna("place", "status", "--usage", "--config", config, data=archive.data)
    assert code == 0 and lines[0]["unmet"] == 0, error
    assert {(one["store"], one["tier"]) for one in lines[0]["usage"]} == {("cloud", "GLACIER")}
    code, lines, error = vna("place", "plan", "--config", config, data=archive.data)
    assert code == 0 and lines[0]["rules"] == {"cold": lines[0]["instances"]}, error
