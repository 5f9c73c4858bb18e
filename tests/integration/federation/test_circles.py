"""Two archives that ask each other's federation over DIMSE, and neither was told the title under which the other one calls."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from tests.peers.archive import ServedArchive, served_archive
from tests.peers.processes import free_port, program
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

PUBLIC = "https://vna.hospital.example"


def uid(number: int) -> str:
    return phantoms.uid(83, number)


def put(archive: ServedArchive, number: int) -> None:
    named = {"StudyInstanceUID": uid(number), "SeriesInstanceUID": f"{uid(number)}.1", "PatientID": f"P{number}"}
    files = [phantoms.ct(number * 50 + one, 16, 16, **named, SOPInstanceUID=f"{uid(number)}.1.{one}") for one in (1, 2)]
    assert fill("127.0.0.1", archive.dimse_port, "VNA", files).accepted == 2


def served(folder: Path, asks: int, *options: str) -> Iterator[ServedArchive]:
    config = folder / "config.yaml"
    folder.mkdir()
    members = {"other": {"url": f"dimse://FEDERATED@127.0.0.1:{asks}", "concurrency": 1}}
    config.write_text(json.dumps({"federation": {"deadline": 30, "members": members}, "http": {"url": PUBLIC}}))
    with served_archive(folder / "data", "--config", str(config), *options) as archive:
        yield archive


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[ServedArchive, ServedArchive]]:
    folder = tmp_path_factory.mktemp("circles")
    port = free_port()
    for first in served(folder / "first", port):
        for second in served(folder / "second", first.dimse_port, "--dimse", f"127.0.0.1:{port}"):
            put(first, 1)
            put(second, 2)
            yield first, second


def find(archive: ServedArchive, *keys: str) -> str:
    listed = [word for key in keys for word in ("-k", key)]
    command = [program("findscu"), "-v", "-S", "-aec", "FEDERATED", *listed, "127.0.0.1", str(archive.dimse_port)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    return done.stdout + done.stderr


def test_each_is_asked_once_and_the_answer_is_whole(archives: tuple[ServedArchive, ServedArchive]) -> None:
    for one in archives:
        said = find(one, "QueryRetrieveLevel=STUDY", "StudyInstanceUID=")
        assert sorted(re.findall(r"\(0020,000d\) UI \[([0-9.]+)", said)) == [uid(1), uid(2)]
        assert "Received Final Find Response (Success)" in said


def test_rows_tell_where_they_are_had_over_the_web(archives: tuple[ServedArchive, ServedArchive]) -> None:
    series = find(archives[0], "QueryRetrieveLevel=SERIES", f"StudyInstanceUID={uid(2)}", "SeriesInstanceUID=")
    url = re.search(r"\(0008,1190\) UR \[([^ \]]+)", series)
    assert url is not None
    assert url[1] == f"{PUBLIC}/federated/dicom-web/studies/{uid(2)}/series/{uid(2)}.1"


def test_what_the_other_one_holds_is_retrieved(archives: tuple[ServedArchive, ServedArchive]) -> None:
    accept = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
    answer = httpx2.get(f"{archives[0].web}/federated/dicom-web/studies/{uid(2)}", headers=accept, timeout=60)
    assert answer.status_code == 200 and "warning" not in answer.headers
    assert answer.content.count(b"Content-Type: application/dicom") == 2
