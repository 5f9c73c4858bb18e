"""What a real Orthanc tells of sequences through its adapter: those of the level asked for and above, from the header of an instance."""

from __future__ import annotations

import io
from collections.abc import Iterator

import httpx2
import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.peers.orthanc import orthanc
from tests.unit.ingest.ct_samples import ct
from vna_core.dicom.answers import first_value
from vna_core.domain.query import Equals, Level, Query
from vna_core.ports.pacs import DicomJson
from vna_pacs_orthanc import sequences
from vna_pacs_orthanc.adapter import OrthancAdapter

PROCEDURE, REQUEST, ANATOMY, SERVICE = 0x00081032, 0x00400275, 0x00082218, 0x00321034
STUDY, SERIES = 0x0020000D, 0x0020000E


def code(value: str, meaning: str) -> Dataset:
    made = Dataset()
    made.CodeValue, made.CodingSchemeDesignator, made.CodeMeaning = value, "99TEST", meaning
    return made


def image(number: int, series: str, *, request: str = "") -> bytes:
    data_set = pydicom.dcmread(io.BytesIO(ct(number, rows=16, StudyInstanceUID=f"1.2.{number // 10}", SeriesInstanceUID=series)))
    data_set.SpecificCharacterSet = "ISO_IR 100"
    data_set.ProcedureCodeSequence = [code("P1", "Schädel"), code("P2", "")]
    if request:
        item = Dataset()
        item.RequestedProcedureID, item.ScheduledProcedureStepID = request, "S\\T"
        item.ScheduledProtocolCodeSequence = [code("Q1", "Protokoll")]
        data_set.RequestAttributesSequence = [item]
    data_set.AnatomicRegionSequence = [code("A1", "Kopf")]
    stream = io.BytesIO()
    data_set.save_as(stream)
    return stream.getvalue()


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OrthancAdapter]:
    with orthanc(tmp_path_factory.mktemp("orthanc")) as server:
        for one in (image(10, "1.2.1.1", request="R1"), image(20, "1.2.2.1"), image(21, "1.2.2.2", request="R2")):
            httpx2.post(f"{server.web}/instances", content=one).raise_for_status()
        adapter = OrthancAdapter.open("orthanc", f"orthanc+http://127.0.0.1:{server.http_port}", {})
        yield adapter
        adapter.close()


def rows(source: OrthancAdapter, level: Level, *tags: int, study: str = "1.2.1") -> list[DicomJson]:
    found = list(source.find(Query(level, (Equals(STUDY, (study,)),)), attributes=tags))
    return sorted(found, key=lambda row: first_value(row, SERIES))


def test_a_series_tells_its_sequences_and_those_above_it_with_what_is_in_them(source: OrthancAdapter) -> None:
    (row,) = rows(source, Level.SERIES, PROCEDURE, REQUEST, ANATOMY)
    first, second = row["00081032"]["Value"]
    assert first["00080104"] == {"vr": "LO", "Value": ["Schädel"]} and second["00080104"] == {"vr": "LO"}
    (request,) = row["00400275"]["Value"]
    assert request["00401001"] == {"vr": "SH", "Value": ["R1"]} and request["00400009"] == {"vr": "SH", "Value": ["S", "T"]}
    assert request["00400008"]["Value"][0]["00080100"] == {"vr": "SH", "Value": ["Q1"]}
    assert "00082218" not in row, "that of an instance stands for no series"
    assert rows(source, Level.IMAGE, ANATOMY)[0]["00082218"]["Value"][0]["00080100"]["Value"] == ["A1"]


def test_what_is_nowhere_is_told_as_empty_only_of_all_there_is(source: OrthancAdapter) -> None:
    (row,) = rows(source, Level.STUDY, PROCEDURE, REQUEST, SERVICE)
    assert row["00081032"]["Value"] and row["00321034"] == {"vr": "SQ"} and "00400275" not in row
    (row,) = rows(source, Level.STUDY, PROCEDURE, SERVICE, study="1.2.2")
    assert row["00081032"]["Value"] and "00321034" not in row, "the other series may have it"
    assert [row["00400275"].get("Value") is None for row in rows(source, Level.SERIES, REQUEST, study="1.2.2")] == [True, False]


def test_a_question_reads_so_many_headers_and_one_for_no_sequence_reads_none(
    source: OrthancAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequences, "HEADERS", 1)
    found = list(source.find(Query(Level.SERIES), attributes=(REQUEST,)))
    assert len(found) == 3 and sum("00400275" in row for row in found) == 1
    monkeypatch.setattr(sequences, "HEADERS", 0)
    assert all("00400275" not in row for row in rows(source, Level.SERIES, REQUEST))
