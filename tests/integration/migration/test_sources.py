"""A folder is migrated as a PACS is, and a file in it that cannot be read is told about."""

from __future__ import annotations

import io
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pydicom
import pytest

from tests.peers.archive import VNA, vna
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.dicom.rejection_note import Rejected
from vna_core.dicom.rejection_note_writing import write_note
from vna_core.domain.corrections import Rejection
from vna_core.domain.identifiers import PatientKey
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("migration")


def test_a_folder_is_migrated_and_what_is_damaged_is_quarantined(tmp_path: Path) -> None:
    files = list(phantoms.series(4, 1, 16, 16))
    folder = tmp_path / "export"
    folder.mkdir()
    for number, octets in enumerate(files[:3]):
        (folder / f"{number}.dcm").write_bytes(octets)
    (folder / "cut.dcm").write_bytes(files[3][:300])
    code, lines, _ = vna("migrate", "run", str(folder), data=tmp_path / "data")
    counts = lines[-1]["summary"]
    assert (code, counts["inventoried"], counts["held"], counts["quarantined"], counts["missing"]) == (0, 4, 3, 1, 0)
    for command in ("pause", "resume", "cancel"):  # it is finished: nothing of that can be meant
        called = [*VNA, "migrate", command, str(folder), "--data", str(tmp_path / "data")]
        done = subprocess.run(called, capture_output=True, text=True, check=False)
        assert done.returncode == 2 and "is complete" in done.stderr
    assert vna("migrate", "status", str(folder), data=tmp_path / "data")[1][-1]["state"] == "complete"


def test_a_folder_with_the_archive_in_it_is_no_source_and_one_behind_a_link_is_told(tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "export", tmp_path / "elsewhere"
    for number, place in enumerate((folder, elsewhere)):
        place.mkdir()
        (place / "1.dcm").write_bytes(phantoms.ct(number, 16, 16))
    (folder / "older").symlink_to(elsewhere)
    code, lines, _ = vna("migrate", "run", str(folder), data=tmp_path / "data")
    counts = lines[-1]["summary"]
    assert (code, counts["inventoried"], counts["held"], counts["failed"], counts["exceptions"]) == (3, 2, 1, 1, 1)
    code, _, error = vna("migrate", "run", str(tmp_path), data=tmp_path / "data")
    assert code == 2 and f"has this archive's own folder {tmp_path / 'data'} in it" in error


def test_what_a_note_of_the_source_rejects_is_held_however_often_it_is_migrated(tmp_path: Path) -> None:
    """A rejection note hides itself and what it names as soon as it is here: it is kept all the same, and nothing is missing."""
    files = list(phantoms.series(3, 1, 16, 16))
    named = pydicom.dcmread(io.BytesIO(files[0]))
    rejected = Rejected(named.StudyInstanceUID, named.SeriesInstanceUID, named.SOPInstanceUID, named.SOPClassUID)
    patient = PatientKey("", named.PatientID)
    note = write_note("2.25.4711", Rejection.PATIENT_SAFETY, "wrong side", patient, [rejected], datetime.now(UTC))
    folder, again = tmp_path / "export", tmp_path / "again"
    for place in (folder, again):
        place.mkdir()
        for number, octets in enumerate([*files, note]):
            (place / f"{number}.dcm").write_bytes(octets)
    data = tmp_path / "data"
    for fetched in (4, 0):
        code, lines, error = vna("migrate", "run", str(folder), data=data)
        assert code == 0, error
        counts = lines[-1]["summary"]
        ends = {name: counts[name] for name in ("held", "failed", "missing", "waiting", "exceptions", "fetched")}
        assert ends == {"held": 4, "fetched": fetched, **dict.fromkeys(("failed", "missing", "waiting", "exceptions"), 0)}
    assert vna("migrate", "verify", str(folder), data=data)[0] == 0
    code, lines, error = vna("migrate", "run", str(again), data=data)
    assert code == 0, error
    counts = lines[-1]["summary"]
    assert (counts["duplicate"], counts["fetched"], counts["failed"]) == (4, 0, 0)


def test_what_the_source_corrected_is_fetched_once_more_and_stands_beside_the_copy(tmp_path: Path) -> None:
    folder, data = tmp_path / "export", tmp_path / "data"
    folder.mkdir()
    for number, octets in enumerate([*phantoms.series(2, 1, 16, 16), *phantoms.series(2, 2, 16, 16)]):
        (folder / f"{number}.dcm").write_bytes(octets)
    assert vna("migrate", "run", str(folder), data=data)[1][-1]["summary"]["held"] == 4
    corrected = pydicom.dcmread(folder / "0.dcm")
    for number in range(2):
        one = pydicom.dcmread(folder / f"{number}.dcm")
        one.StudyDescription = "corrected"
        one.save_as(folder / f"{number}.dcm")
    reasons = exceptions_after("plan", folder, data)
    assert [(one["reason"], one["study_instance_uid"]) for one in reasons] == [("source-changed", corrected.StudyInstanceUID)]

    _, (retried,), _ = vna("migrate", "retry", str(folder), "--reason", "source-changed", data=data)
    assert (len(retried["retried"]), retried["studies"], retried["left"]) == (1, 1, [])
    summary = vna("migrate", "run", str(folder), "--no-inventory", data=data)[1][-1]["summary"]
    assert (summary["held"], summary["conflict"], summary["fetched"]) == (2, 2, 2)
    assert {one["reason"] for one in exceptions_after("status", folder, data)} == {"same-uid-other-content"}
    with Catalogue.open(CatalogueSettings(), data) as catalogue:
        versions = catalogue.versions(corrected.SOPInstanceUID)
    assert sorted((one.version, one.current) for one in versions) == [(1, True), (2, False)]

    _, (retried,), _ = vna("migrate", "retry", str(folder), "--reason", "same-uid-other-content", data=data)
    assert (retried["retried"], retried["studies"], len(retried["left"])) == ([], 0, 2)

    study = corrected.StudyInstanceUID
    assert vna("keep", "study", study, "--reason", "corrected", data=data)[0] == 2
    for which, described in (("--first", "Chest"), ("--latest", "corrected")):
        code, (kept,), error = vna("keep", "study", study, which, "--reason", "corrected", "--by", "J. Doe", data=data)
        assert (code, kept["level"], kept["versions"], kept["deleted_by"]) == (0, "version", 2, "J. Doe"), error
        assert vna("conflicts", data=data)[1] == []
        (found,) = vna("find", f"StudyInstanceUID={study}", data=data)[1]
        assert (found["00081030"]["Value"], found["00201208"]["Value"]) == ([described], [2])
        assert vna("migrate", "verify", str(folder), "--again", data=data)[0] == 0
        summary = vna("migrate", "run", str(folder), data=data)[1][-1]["summary"]
        assert (summary["held"], summary["conflict"], summary["fetched"], summary["failed"]) == (2, 2, 0, 0)
        if which == "--first":
            assert vna("undelete", kept["id"], data=data)[0] == 0
            assert len(vna("conflicts", data=data)[1]) == 2
    assert vna("keep", "study", study, "--latest", "--reason", "again", data=data)[0] == 2
    assert vna("keep", "instance", corrected.SOPInstanceUID, "--version", "1", "--reason", "x", data=data)[0] == 2


def test_what_is_the_same_when_it_is_fetched_once_more_is_on_the_worklist_again(tmp_path: Path) -> None:
    """The description of a study lies in one file; another, which no one corrected, is fetched with it."""
    folder, data = tmp_path / "export", tmp_path / "data"
    folder.mkdir()
    for number, octets in enumerate(phantoms.series(2, 1, 16, 16)):
        (folder / f"{number}.dcm").write_bytes(octets)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert vna("migrate", "run", str(folder), data=data)[0] == 0
    for name in before:
        one = pydicom.dcmread(folder / name)
        one.StudyDescription = "corrected"
        one.save_as(folder / name)
    assert [one["reason"] for one in exceptions_after("plan", folder, data)] == ["source-changed"]
    for name, octets in before.items():
        (folder / name).write_bytes(octets)
    vna("migrate", "retry", str(folder), "--reason", "source-changed", data=data)
    summary = vna("migrate", "run", str(folder), "--no-inventory", data=data)[1][-1]["summary"]
    assert (summary["held"], summary["conflict"], summary["fetched"]) == (2, 0, 2)
    (again,) = exceptions_after("status", folder, data)
    assert (again["reason"], again["times"]) == ("source-changed", 2) and "0 of 2 with other octets" in again["detail"]


@pytest.mark.parametrize("command", ["run", "plan"])
def test_a_list_of_what_is_moved_first_holds_for_what_the_same_command_finds(tmp_path: Path, command: str) -> None:
    folder, data, first = tmp_path / "export", tmp_path / "data", tmp_path / "first.csv"
    folder.mkdir()
    for number in range(1, 4):
        (folder / f"{number}.dcm").write_bytes(phantoms.ct(number * 1000, 16, 16))
    listed = pydicom.dcmread(folder / "2.dcm").StudyInstanceUID
    first.write_text("study\n1.2\n")
    code, lines, error = vna("migrate", command, str(folder), "--priority", str(first), data=data)
    assert (code, lines) == (2, []) and "neither a column" in error
    assert "there is no campaign" in vna("migrate", "status", str(folder), data=data)[2].lower()
    first.write_text(f"StudyInstanceUID\n{listed}\n")
    code, lines, error = vna("migrate", command, str(folder), "--priority", str(first), data=data)
    assert code == 0, error
    with Catalogue.open(CatalogueSettings(), data) as catalogue:
        (name,) = [one.name for one in catalogue.campaigns.listed()]
        studies = {one.study_instance_uid: one.priority for one in catalogue.ledger_reader.studies(name)}
    assert len(studies) == 3 and [uid for uid, priority in studies.items() if priority < 50] == [listed]


def exceptions_after(command: str, folder: Path, data: Path) -> list[dict[str, Any]]:
    vna("migrate", command, str(folder), data=data)
    return vna("migrate", "exceptions", str(folder), "--each", data=data)[1]


def test_a_rate_means_the_same_in_the_configuration_and_on_the_command_line(tmp_path: Path) -> None:
    """Instances a second: a factor of sixty would be felt by the old PACS."""
    (tmp_path / "export").mkdir()
    (tmp_path / "export" / "1.dcm").write_bytes(phantoms.ct(rows=16, columns=16))
    config = tmp_path / "vna.yaml"
    config.write_text(f"data: {tmp_path / 'data'}\nsources:\n  old: {{url: {tmp_path / 'export'}, rate: 40}}\n")
    configured = vna("migrate", "plan", "old", "--config", str(config))[1][-1]["plan"]
    given = vna("migrate", "plan", "old", "--config", str(config), "--rate", "40")[1][-1]["plan"]
    assert configured["options"]["rate"] == given["options"]["rate"] == 40.0
