"""The other commands on a small archive."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.peers.archive import vna
from vna_core.testing import phantoms
from vna_core.testing.quirks import quirk_file

pytestmark = pytest.mark.xdist_group("commands")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("commands")
    source = folder / "source"
    source.mkdir()
    for number, octets in enumerate(phantoms.series(3)):
        (source / f"{number}.dcm").write_bytes(octets)
    (source / "implicit.dcm").write_bytes(phantoms.odd()["bare_implicit"].octets)
    (source / "letter.dcm").write_bytes(phantoms.odd()["not_dicom"].octets)
    assert vna("ingest", str(source), data=folder / "data")[0] == 3
    return folder / "data"


def test_find_answers_in_dicom_json(data: Path) -> None:
    code, lines, _ = vna("find", "PatientID=P000001", data=data)
    assert code == 0
    assert [line["00201208"]["Value"] for line in lines] == [[3]]


def test_find_asks_for_empty_values_and_for_what_is_in_sequences(data: Path) -> None:
    empty = vna("find", 'PatientBirthTime=""', "PatientID=P000001", data=data)[1]
    assert [line["00201208"]["Value"] for line in empty] == [[3]]
    assert vna("find", 'PatientID=""', "StudyInstanceUID=" + phantoms.uid(2), data=data)[1] == []
    code, lines, error = vna("find", "--level", "series", "RequestAttributesSequence.ScheduledProcedureStepID=S1", data=data)
    assert (code, lines, error) == (0, [], "")


def test_find_refuses_a_key_that_does_not_exist(data: Path) -> None:
    code, _, error = vna("find", "PatientNane=X", data=data)
    assert code == 2
    assert "KEYWORD=VALUE" in error.replace("\n", " ")


def test_get_writes_canonical_files_and_the_octets_as_received(data: Path, tmp_path: Path) -> None:
    uid = phantoms.uid(2, 1, 1)
    assert vna("get", uid, "-o", str(tmp_path), data=data)[0] == 0
    assert vna("get", uid, "--original", "-o", str(tmp_path), data=data)[0] == 0
    assert (tmp_path / f"{uid}.original.dcm").read_bytes() == phantoms.ct(1000, 64, 64)
    assert (tmp_path / f"{uid}.dcm").read_bytes()[128:132] == b"DICM"


def test_conflicts_tells_which_version_is_current_and_why(tmp_path: Path) -> None:
    whole = phantoms.ct(77, 8, 8)
    (tmp_path / "whole.dcm").write_bytes(whole)
    (tmp_path / "cut.dcm").write_bytes(whole[: whole.rindex(b"\xe0\x7f\x10\x00OW")])
    assert vna("ingest", str(tmp_path / "cut.dcm"), data=tmp_path / "data")[0] == 0
    assert vna("conflicts", data=tmp_path / "data") == (0, [], "")
    assert vna("ingest", str(tmp_path / "whole.dcm"), data=tmp_path / "data")[0] == 0
    code, [conflict], _ = vna("conflicts", data=tmp_path / "data")
    assert code == 0 and conflict["classification"] == "cut-first" and conflict["why"].startswith("Version 2 is current")
    assert [conflict[name]["current"] for name in ("first", "second")] == [False, True]
    [cut, _] = vna("explain", conflict["sop_instance_uid"], data=tmp_path / "data")[1]
    assert cut["whole_copies"] == [2] and cut["standing"].startswith("Ends before its pixels")


def test_explain_names_the_rules(data: Path) -> None:
    _, rows, _ = vna("find", "--level", "image", data=data)
    changed = {}
    for row in rows:
        uid = row["00080018"]["Value"][0]
        changed[uid] = [change["rule"] for change in vna("explain", uid, data=data)[1][0]["transformations"]]
    assert any("F03" in rules for rules in changed.values())


def test_explain_compares_element_by_element(tmp_path: Path) -> None:
    (tmp_path / "one.dcm").write_bytes(quirk_file("D01-da-with-dots").octets)
    _, lines, _ = vna("ingest", str(tmp_path / "one.dcm"), data=tmp_path / "data")
    (told,) = vna("explain", lines[0]["sop_instance_uid"], "--elements", data=tmp_path / "data")[1]
    (date,) = [one for one in told["elements"] if one["keyword"] == "StudyDate"]
    assert (date["original"], date["canonical"]) == ("1995.01.27", "19950127")
    assert all(change["evidence"] for change in told["transformations"])


def test_the_report_counts_deviations_by_source_and_model(data: Path) -> None:
    code, lines, _ = vna("normalize", "report", data=data)
    assert code == 0
    told = {line["rule"]: line for line in lines}
    assert (told["F03"]["kind"], told["F03"]["instances"]) == ("changed", 1)
    assert vna("explain", told["F03"]["sample"], data=data)[1][0]["transformations"][0]["rule"] == "F03"
    assert vna("normalize", "report", "--source", "nobody", data=data)[1] == []


def test_the_quarantine_is_listed_shown_and_retried(data: Path) -> None:
    _, listed, _ = vna("quarantine", "list", data=data)
    assert [one["code"] for one in listed] == ["not-dicom"]
    identity = listed[0]["id"]
    assert vna("quarantine", "show", identity, data=data)[1][0]["size"] == len(phantoms.odd()["not_dicom"].octets)
    code, lines, _ = vna("quarantine", "retry", identity, data=data)
    assert (code, lines[0]["outcome"]) == (3, "quarantined")


def test_rebuild_makes_the_same_archive_out_of_the_stores(data: Path) -> None:
    before = vna("stats", data=data)[1][0]
    for path in data.glob("catalogue.sqlite*"):
        path.unlink()
    code, lines, _ = vna("rebuild", data=data)
    assert (code, lines[0]["damaged"]) == (0, [])
    assert vna("stats", data=data)[1][0] == before


def test_archives_are_opened_and_bombs_are_not(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("folder/one.dcm", phantoms.ct(5000, 32, 32))
        archive.writestr("bomb.dcm", bytes(64 << 20))
    with tarfile.open(tmp_path / "b.tar.gz", "w:gz") as archive:
        octets = phantoms.ct(5001, 32, 32)
        member = tarfile.TarInfo("two.dcm")
        member.size = len(octets)
        archive.addfile(member, io.BytesIO(octets))
    _, lines, _ = vna("ingest", str(tmp_path), data=tmp_path / "data")
    ends = {line["path"].rsplit("/", 1)[1]: line["outcome"] for line in lines[:-1]}
    assert ends["one.dcm"] == "held"
    assert ends["b.tar.gz!two.dcm"] == "held"
    assert ends["a.zip!bomb.dcm"] == "refused"


def test_a_dicomdir_brings_the_files_it_names(tmp_path: Path) -> None:
    from pydicom.data import get_testdata_file

    dicomdir = Path(str(get_testdata_file("DICOMDIR", download=False)))
    code, lines, _ = vna("ingest", str(dicomdir), data=tmp_path / "data")
    assert lines[-1]["summary"]["held"] > 10
    assert code in (0, 3)


def test_plugins_load(data: Path) -> None:
    code, lines, _ = vna("plugins")
    assert code == 0
    assert lines[0]["storage_backends"] == ["azure", "filesystem", "fsspec", "s3"]
    assert lines[0]["pacs_adapters"] == [
        "dicomweb+http",
        "dicomweb+https",
        "dimse",
        "dimses",
        "file",
        "orthanc+http",
        "orthanc+https",
    ]
