"""Cut-over on the first day: real clients ask the archive for what only DCMTK's dcmqrscp has, and get it as if it were here."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pydicom
import pytest
from dicomweb_client.api import DICOMwebClient

from tests.peers.archive import ServedArchive, served_archive, vna
from tests.peers.dcmqrscp import Dcmqrscp, dcmqrscp
from tests.peers.processes import free_port, program, running, wait_for_listener
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

pytestmark = pytest.mark.xdist_group("migration")

STUDIES = 7
INSTANCES = 3


@dataclass(frozen=True)
class Hospital:
    """A source of which nothing was moved but the first study, in part, and the archive in its place."""

    pacs: Dcmqrscp
    archive: ServedArchive
    store_port: int
    stop_source: Callable[[], object]

    @property
    def web(self) -> str:
        return f"{self.archive.web}/dicom-web"

    def dcmtk(self, name: str, *options: str) -> str:
        command = [program(name), "-v", "-aec", "VNA", *options, "127.0.0.1", str(self.archive.dimse_port)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env={"TCP_NODELAY": "1"})
        return done.stdout + done.stderr

    def retrievals(self, study: str) -> int:
        """How often the study was fetched from the source."""
        with Catalogue.open(CatalogueSettings(), self.archive.data) as catalogue:
            found = catalogue.ledger_reader.study_by_uid(self.pacs.source, study)
            assert found is not None
            return sum(one.new == "retrieving" for one in catalogue.ledger_reader.transitions(found.pk, 0))


def study(number: int) -> str:
    return phantoms.uid(number + 1)


def _until(look: Callable[[], Any], wanted: Any) -> Any:
    """What is seen, looked for again until it is what is wanted: running servers follow a switch within seconds."""
    deadline = time.monotonic() + 120
    while (seen := look()) != wanted and time.monotonic() < deadline:
        time.sleep(0.2)
    return seen


@pytest.fixture(scope="module")
def hospital(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hospital]:
    folder = tmp_path_factory.mktemp("cutover")
    data, store_port = folder / "data", free_port()
    with contextlib.ExitStack() as source:
        pacs = source.enter_context(dcmqrscp(folder / "pacs"))
        for number in range(1, STUDIES + 1):
            fill("127.0.0.1", pacs.port, "OLDPACS", phantoms.series(INSTANCES, number, 16, 16))
        (folder / "held").mkdir()
        (folder / "held" / "one.dcm").write_bytes(next(iter(phantoms.series(INSTANCES, 1, 16, 16))))
        assert vna("ingest", str(folder / "held"), data=data)[0] == 0
        code, _, error = vna("migrate", "plan", pacs.source, "--window", "mon-mon 03:00-03:01", data=data)
        assert code == 0, error
        options = ("--peer", f"STORESCP=127.0.0.1:{store_port}")
        with served_archive(data, *options, VNA_JOBS__POLL="0.1", VNA_CUTOVER__WAIT_WEB="60") as archive:
            yield Hospital(pacs, archive, store_port, source.close)


def test_queries_answer_for_the_whole_source(hospital: Hospital) -> None:
    client = DICOMwebClient(hospital.web)
    rows = client.search_for_studies()
    assert sorted(row["0020000D"]["Value"][0] for row in rows) == sorted(study(number) for number in range(1, STUDIES + 1))
    assert {row["00201208"]["Value"][0] for row in rows} == {INSTANCES}
    assert {row["00080056"]["Value"][0] for row in rows} == {"NEARLINE"}
    assert all(row["00081190"]["Value"][0].startswith(hospital.web) for row in rows)
    assert len(client.search_for_studies(limit=2, offset=STUDIES - 1)) == 1
    assert len(client.search_for_series(study(1))) == 1  # held in part: one row
    [series] = client.search_for_series(study(2))
    assert (series["00080060"]["Value"], series["00201209"]["Value"]) == (["CT"], [INSTANCES])
    assert len(client.search_for_instances(study(2))) == INSTANCES
    answered = hospital.dcmtk(
        "findscu", "-S", "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID=", "-k", "InstanceAvailability=",
        "-k", "RetrieveAETitle=",
    )  # fmt: skip
    assert answered.count("(Pending") == answered.count("[NEARLINE") == answered.count("[VNA") == STUDIES
    assert vna("migrate", "cutover", data=hospital.archive.data)[1][0]["cutover"]["answering"] is True


def test_what_is_not_here_is_found_by_its_modality(hospital: Hospital) -> None:
    """dcmqrscp says no modalities of studies: they are those of the series in its inventory."""
    client = DICOMwebClient(hospital.web)
    found = client.search_for_studies(search_filters={"ModalitiesInStudy": "CT"}, fields=["ModalitiesInStudy"])
    assert sorted(row["0020000D"]["Value"][0] for row in found) == sorted(study(number) for number in range(1, STUDIES + 1))
    assert all(row["00080061"]["Value"] == ["CT"] for row in found)
    assert client.search_for_studies(search_filters={"ModalitiesInStudy": "MR"}) == []
    assert len(client.search_for_instances(search_filters={"SOPClassUID": "1.2.840.10008.5.1.4.1.1.2"})) == STUDIES * INSTANCES


def test_a_viewer_opens_a_study_that_is_not_here(hospital: Hospital) -> None:
    client = DICOMwebClient(hospital.web)
    metadata = client.retrieve_study_metadata(study(2))
    assert len(metadata) == INSTANCES
    uids = [metadata[0][tag]["Value"][0] for tag in ("0020000D", "0020000E", "00080018")]
    [frame] = client.retrieve_instance_frames(*uids, frame_numbers=[1], media_types=("application/octet-stream",))
    number = int(uids[2].rsplit(".", 1)[1])
    assert bytes(frame) == phantoms.pixels(2000 + number - 1, 16, 16)
    assert client.retrieve_instance_rendered(*uids, media_types=("image/png",)).startswith(b"\x89PNG")
    [row] = client.search_for_studies(search_filters={"StudyInstanceUID": study(2)})
    assert row["00080056"]["Value"] == ["ONLINE"]
    assert hospital.retrievals(study(2)) == 1


def test_what_is_held_in_part_is_completed(hospital: Hospital) -> None:
    assert len(DICOMwebClient(hospital.web).retrieve_study(study(1))) == INSTANCES


def test_many_askers_share_one_fetch(hospital: Hospital) -> None:
    client = DICOMwebClient(hospital.web)
    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(lambda _: len(client.retrieve_study(study(3))), range(6)))
    assert found == [INSTANCES] * 6
    assert hospital.retrievals(study(3)) == 1


def test_get_waits_and_brings_everything(hospital: Hospital, tmp_path: Path) -> None:
    said = hospital.dcmtk(
        "getscu", "-S", "-od", str(tmp_path), "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study(4)}"
    )
    assert sorted(pydicom.dcmread(path).SOPInstanceUID for path in tmp_path.iterdir()) == sorted(
        phantoms.uid(5, 1, number + 1) for number in range(INSTANCES)
    ), said


def test_move_waits_and_sends_everything(hospital: Hospital, tmp_path: Path) -> None:
    with running(
        [program("storescp"), "-od", str(tmp_path), "-aet", "STORESCP", str(hospital.store_port)], tmp_path / "log"
    ) as process:
        wait_for_listener(hospital.store_port, process)
        said = hospital.dcmtk(
            "movescu", "-S", "-aem", "STORESCP", "-k", "QueryRetrieveLevel=SERIES", "-k", f"StudyInstanceUID={study(5)}",
            "-k", f"SeriesInstanceUID={study(5)}.1",
        )  # fmt: skip
        assert len([path for path in tmp_path.iterdir() if path.name != "log"]) == INSTANCES, said
        assert "Pending" in said and "Success" in said


def test_switched_off_it_answers_for_what_was_moved(hospital: Hospital) -> None:
    data, last = hospital.archive.data, f"{hospital.web}/studies/{study(6)}"
    assert vna("migrate", "cutover", hospital.pacs.source, "--off", data=data)[1][0]["cutover"]["why"] == "switched off"
    seen = _until(lambda: httpx2.get(last, headers={"Accept": "multipart/related; type=application/dicom"}).status_code, 404)
    assert seen == 404
    assert len(DICOMwebClient(hospital.web).search_for_studies(search_filters={"StudyInstanceUID": study(6)})) == 0
    assert vna("migrate", "cutover", hospital.pacs.source, "--on", data=data)[0] == 0
    assert _until(lambda: len(DICOMwebClient(hospital.web).search_for_studies()), STUDIES) == STUDIES


def test_a_source_that_is_gone_is_told(hospital: Hospital, tmp_path: Path) -> None:
    """The last test: the source does not come back."""
    hospital.stop_source()
    answers = list[httpx2.Response]()

    def ask() -> tuple[int, str]:
        headers = {"Accept": "multipart/related; type=application/dicom"}
        answers.append(httpx2.get(f"{hospital.web}/studies/{study(7)}", headers=headers, timeout=90))
        return answers[-1].status_code, answers[-1].json()["code"]

    # A retrieval that was under way when the source went away ends incomplete; whoever asks again hears that it is gone.
    assert _until(ask, (504, "peer-unavailable")) == (504, "peer-unavailable"), [one.text for one in answers]
    answer = answers[-1]
    assert "old archive" in answer.json()["message"] and answer.headers["retry-after"]
    said = hospital.dcmtk(
        "getscu", "-S", "-od", str(tmp_path), "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study(7)}"
    )
    assert not list(tmp_path.iterdir())
    assert "0xa702" in said.lower() or "SubOperationsFailed" in said or "OutOfResources" in said, said
