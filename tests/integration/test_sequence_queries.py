"""One archive asked for what is in sequences over both of its faces: what would take too much is refused, and never answered in part."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx2
import pytest
from pydicom import Dataset, dcmread
from pydicom.data import get_testdata_file

from vna_core.bootstrap import open_archive
from vna_core.catalogue import sequence_matching
from vna_core.configuration import Settings
from vna_core.dicom.network import command as commands
from vna_core.dicom.network.command import Command, Field
from vna_core.dicom.network.identifier import Identifier, encode_identifier
from vna_core.dicom.network.requestor import request
from vna_core.domain.octets import Source
from vna_core.domain.query import Level, Query
from vna_core.gateways.dicomweb import qido
from vna_core.gateways.dicomweb.app import create_app
from vna_core.gateways.dimse.server import DimseServer
from vna_core.gateways.web_server import serve
from vna_pacs_dimse.adapter import DimseAdapter

EXPLICIT = "1.2.840.10008.1.2.1"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
REQUEST, STEP = 0x00400275, 0x00400009
STEP_OF = "RequestAttributesSequence.ScheduledProcedureStepID"
SERIES = 6


def image(number: int) -> bytes:
    """A small CT image of a series of its own, scheduled as a step of its own."""
    made = dcmread(get_testdata_file("CT_small.dcm", download=False))
    made.StudyInstanceUID, made.SeriesInstanceUID = f"1.2.66.{number % 2}", f"1.2.66.0.{number}"
    made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = f"1.2.66.0.{number}.1"
    item = Dataset()
    item.ScheduledProcedureStepID, item.RequestedProcedureID = f"S{number}", "R1"
    item.ScheduledProcedureStepDescription = "Head"
    made.RequestAttributesSequence = [item]
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


@dataclass
class Served:
    """Ports of both faces."""

    web: int
    dimse: int

    def get(self, path: str, **parameters: str) -> httpx2.Response:
        with httpx2.Client(base_url=f"http://127.0.0.1:{self.web}/dicom-web", timeout=30) as client:
            return client.get(path, params=parameters)

    def find(self, *steps: str) -> list[Command]:
        """Responses to a C-FIND of series by their steps: an item for each."""
        association = request("127.0.0.1", self.dimse, called="VNA", calling="RIS", contexts=[(STUDY_FIND, (EXPLICIT,))])
        asked: Command = {
            commands.AFFECTED_SOP_CLASS: STUDY_FIND,
            commands.COMMAND_FIELD: Field.FIND_RQ,
            commands.MESSAGE_ID: 1,
            commands.PRIORITY: 0,
        }
        items = {REQUEST: [Identifier({STEP: (step,)}) for step in steps]}
        data = encode_identifier({0x00080052: ("SERIES",), 0x0020000E: ()}, EXPLICIT, items)
        association.send(next(iter(association.contexts)), asked, [data])
        found: list[Command] = []
        while True:
            found.append(association.receive(timeout=30).command)
            if commands.number(found[-1], commands.STATUS) not in (0xFF00, 0xFF01):
                association.release()
                return found


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    settings = Settings(data=Path(tmp_path_factory.mktemp("sequences")))
    stop = threading.Event()
    with open_archive(settings) as archive:
        for number in range(SERIES):
            with archive.pipeline.reception(Source("dimse", "CT1", "127.0.0.1")) as reception:
                reception.write(image(number))
                assert archive.pipeline.offer(reception.finish()).outcome.acknowledged
        app = create_app(
            settings, archive.pipeline, archive.catalogue, archive.retriever, archive.renderer, archive.transcoder, archive.stores
        )
        server = DimseServer(settings.dimse, archive.pipeline, archive.catalogue, archive.retriever, archive.transcoder)
        web, dimse = (socket.create_server(("127.0.0.1", 0), backlog=64) for _ in range(2))
        threads = [
            threading.Thread(target=serve, args=(app, web, settings.http, stop)),
            threading.Thread(target=server.serve, args=(dimse,)),
        ]
        for thread in threads:
            thread.start()
        yield Served(web.getsockname()[1], dimse.getsockname()[1])
        stop.set()
        server.stop()
        for thread in threads:
            thread.join()
        web.close()
        dimse.close()


def test_both_faces_find_the_same(served: Served) -> None:
    [row] = served.get("/series", **{STEP_OF: "S4"}).json()
    assert row["0020000E"]["Value"] == ["1.2.66.0.4"]
    assert row["00400275"]["Value"][0]["00400009"]["Value"] == ["S4"]
    assert [commands.number(one, commands.STATUS) for one in served.find("S4")] == [0xFF00, 0x0000]
    assert [commands.number(one, commands.STATUS) for one in served.find("S4", "S5")] == [0xFF01] * SERIES + [0x0000]


def test_pages_follow_one_another(served: Served) -> None:
    parameters = {STEP_OF: "S*", "RequestAttributesSequence.RequestedProcedureID": "R1", "limit": "4"}
    first = served.get("/series", **parameters)
    last = served.get("/series", **parameters, offset="4")
    assert (len(first.json()), len(last.json())) == (4, SERIES - 4)
    assert "VNA-Last-Page" not in first.headers and last.headers["VNA-Last-Page"] == "true"
    uids = [row["0020000E"]["Value"][0] for row in (*first.json(), *last.json())]
    assert len(set(uids)) == SERIES


@pytest.mark.parametrize("resource", ["/series", "/instances"])
def test_an_answer_that_grows_too_long_ends_early_and_says_so(
    served: Served, monkeypatch: pytest.MonkeyPatch, resource: str
) -> None:
    whole = served.get(resource, includefield="RequestAttributesSequence")
    assert "Warning" not in whole.headers and whole.headers["VNA-Last-Page"] == "true"
    for limit in (1, len(whole.content) // 2):
        monkeypatch.setattr(qido, "ANSWER_LIMIT", limit)
        paged: list[object] = []
        sizes: list[int] = []
        while len(paged) < SERIES:
            page = served.get(resource, includefield="RequestAttributesSequence", offset=str(len(paged)))
            paged += page.json()
            sizes.append(len(page.json()))
            is_last = len(paged) == SERIES
            assert ("exceeded the maximum" in page.headers.get("Warning", "")) is not is_last
            assert ("VNA-Last-Page" in page.headers) is is_last
        assert paged == whole.json()
        assert max(sizes) < SERIES


@pytest.mark.parametrize("field", ["RequestAttributesSequence", "00400275.00400009"])
def test_a_sequence_is_told_where_it_is_asked_for_and_belongs(served: Served, field: str) -> None:
    for row in served.get("/series").json():
        assert [list(item) for item in row["00400275"]["Value"]] == [["00400009", "00401001"]]
    told = served.get("/series", includefield=field).json()
    assert sorted(row["00400275"]["Value"][0]["00400009"]["Value"][0] for row in told) == [f"S{n}" for n in range(SERIES)]
    assert all("00400007" in row["00400275"]["Value"][0] for row in told)
    assert all("00400275" not in row for row in served.get("/studies", includefield=field).json())
    assert all("00400275" in row for row in served.get("/instances", includefield=field).json())


def test_a_source_over_dimse_tells_its_sequences(served: Served) -> None:
    adapter = DimseAdapter.open("peer", f"dimse://VNA@127.0.0.1:{served.dimse}", {})
    rows = list(adapter.find(Query(Level.SERIES), attributes=(REQUEST, 0x00081032)))
    told = {row["0020000E"]["Value"][0]: row["00400275"]["Value"] for row in rows}
    assert {uid: [item["00400009"] for item in items] for uid, items in told.items()} == {
        f"1.2.66.0.{number}": [{"vr": "SH", "Value": [f"S{number}"]}] for number in range(SERIES)
    }
    assert all("00081032" not in row for row in rows), "an empty sequence tells nothing"


def test_what_would_take_too_much_is_refused(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sequence_matching, "READ_LIMIT", 20_000)
    answer = served.get("/series", **{STEP_OF: "S5"})
    assert (answer.status_code, answer.json()["code"], answer.json()["limit"]) == (413, "limit-exceeded", "query.sequences")
    refused = served.find("S5")
    assert [commands.number(one, commands.STATUS) for one in refused] == [0xC000]
    assert "Narrow the query" in commands.text(refused[0], commands.ERROR_COMMENT)
    assert len(served.get("/studies/1.2.66.1/series", **{STEP_OF: "S5", "SeriesInstanceUID": "1.2.66.0.5"}).json()) == 1
