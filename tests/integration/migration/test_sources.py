"""A folder is migrated as a PACS is, and a file in it that cannot be read is told about."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.peers.archive import vna
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
