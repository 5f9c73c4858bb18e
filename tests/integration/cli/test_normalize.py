"""``vna normalize`` as a process on a real archive: told beforehand, done, killed at any moment, gone on with, taken back."""

from __future__ import annotations

import fcntl
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.peers.archive import VNA, vna
from vna_core.bootstrap import open_archive
from vna_core.configuration import Settings
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("normalize")

RULES = """
site_rules:
  - id: hospital
    version: 3
    when: {source: {kind: file}}
    issuer: HOSPITAL
    institution: Klinik Köln
    prefix: {tag: AccessionNumber, prefix: N-}
"""


@pytest.fixture
def data(tmp_path: Path) -> Path:
    source = tmp_path / "source"
    source.mkdir()
    for number, octets in enumerate(phantoms.series(40)):
        (source / f"{number}.dcm").write_bytes(octets)
    (tmp_path / "rules.yaml").write_text(RULES)
    assert vna("ingest", str(source), data=tmp_path / "data")[0] == 0
    return tmp_path / "data"


def fingerprint(data: Path) -> dict[str, Any]:
    with open_archive(Settings(data=data)) as archive:
        return archive.catalogue.fingerprint()


def objects(data: Path) -> int:
    return sum(1 for _ in (data / "store").rglob("*.dcm"))


def test_a_rule_is_tried_applied_explained_and_undone(data: Path, tmp_path: Path) -> None:
    rules, before = str(tmp_path / "rules.yaml"), fingerprint(data)
    code, lines, _ = vna("normalize", "check", "--all", "--rules", rules, "--samples", "1", data=data)
    told = {(line["rule"], line["confidence"]): line for line in lines if "rule" in line}
    site = told["site:hospital", "inferred"]
    assert code == 0 and (site["version"], site["instances"], site["changed"]) == (3, 40, 40) and len(site["samples"]) == 1
    assert lines[-1]["summary"]["would_change"] == 40
    assert fingerprint(data) == before and objects(data) == 40

    code, lines, _ = vna("normalize", "apply", "--all", "--rules", rules, data=data)
    assert code == 0 and lines[-1]["changed"] == 40 and objects(data) == 80
    run = lines[-1]["run"]
    _, found, _ = vna("find", "IssuerOfPatientID=HOSPITAL", data=data)
    assert len(found) == 1 and found[0]["00201208"]["Value"] == [40]
    _, images, _ = vna("find", "--level", "image", data=data)
    _, explained, _ = vna("explain", images[0]["00080018"]["Value"][0], data=data)
    assert [one["run"] for one in explained[0]["objects"]] == ["", run]
    assert vna("normalize", "apply", "--all", "--rules", rules, data=data)[1][-1].get("changed", 0) == 0

    assert vna("normalize", "apply", "--undo", run, data=data)[0] == 0
    assert fingerprint(data) == before
    assert [line["state"] for line in vna("normalize", "runs", data=data)[1]] == ["undone", "done"]


def test_files_are_tried_as_if_from_a_source(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(RULES.replace("kind: file", "kind: dimse, name: CT_*"))
    (tmp_path / "one.dcm").write_bytes(next(iter(phantoms.series(1))))
    (tmp_path / "letter.txt").write_text("Dear colleague, this is no image at all.")
    options = (str(tmp_path / "one.dcm"), "--rules", str(tmp_path / "rules.yaml"))
    for source, fires in (("dimse:CT_1", True), ("dimse:MR_1", False), ("stow:CT_1", False)):
        code, lines, _ = vna("normalize", "check", *options, "--from", source, data=tmp_path / "data")
        assert code == 0 and any(line.get("rule") == "site:hospital" for line in lines) == fires
    code, lines, _ = vna("normalize", "check", str(tmp_path / "letter.txt"), data=tmp_path / "data")
    assert code == 3 and lines[0]["code"] == "not-dicom"
    assert not list((tmp_path / "data" / "store").rglob("*.dcm"))


def test_a_mistake_in_a_rule_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text("site_rules:\n  - id: a\n    set: {StudyDate: tomorrow}\n")
    code, _, error = vna("normalize", "check", "--all", "--rules", str(tmp_path / "rules.yaml"), data=tmp_path / "data")
    assert code not in (0, 3) and "rules.yaml:3" in error.replace("\n", "")


def test_killed_at_any_moment_it_goes_on(data: Path, tmp_path: Path) -> None:
    command = [*VNA, "normalize", "apply", "--all", "--rules", str(tmp_path / "rules.yaml"), "--data", str(data)]
    before, killed = fingerprint(data), 0
    for wanted in (41, 55, 70):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and objects(data) < wanted:
            time.sleep(0.002)
        process.kill()
        killed += process.wait() < 0
    code, lines, _ = vna("normalize", "apply", "--all", "--rules", str(tmp_path / "rules.yaml"), data=data)
    assert killed and code == 0 and objects(data) == 80
    after = fingerprint(data)
    for path in data.glob("catalogue.sqlite*"):
        path.unlink()
    assert vna("rebuild", data=data)[0] == 0
    assert fingerprint(data) == after != before


def test_two_runs_at_once_are_refused(data: Path, tmp_path: Path) -> None:
    with (data / "normalize.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        code, _, error = vna("normalize", "apply", "--all", "--rules", str(tmp_path / "rules.yaml"), data=data)
    assert code not in (0, 3) and "under way" in error.replace("\n", " ")
    assert objects(data) == 40
