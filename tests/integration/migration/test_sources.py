"""A folder is migrated as a PACS is, and a file in it that cannot be read is told about."""

from __future__ import annotations

import io
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pydicom
import pytest

from tests.peers.archive import VNA, vna
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
