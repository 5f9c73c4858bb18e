"""``vna get`` of one SOP Instance UID that several instances have: each comes out, and nothing is overwritten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vna_core.cli.application import run
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("get")

SOP = phantoms.uid(2, 1, 1)
STUDY = phantoms.uid(2)
OTHER_STUDY = phantoms.uid(77)
ALONE = phantoms.uid(2, 1, 2)
RECEIVED = {
    "one": phantoms.ct(1000, 32, 32),
    "in another study": phantoms.ct(1000, 32, 32, StudyInstanceUID=OTHER_STUDY),
    "of another patient": phantoms.ct(1000, 32, 32, PatientID="SOMEBODY ELSE"),
    "another version": phantoms.ct(1000, 32, 32, StudyDescription="Chest, once more"),
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("get")
    for number, octets in enumerate([*RECEIVED.values(), phantoms.ct(1001, 32, 32)]):
        path = folder / f"{number}.dcm"
        path.write_bytes(octets)
        assert run(["ingest", str(path), "--data", str(folder / "data")]) == 0
    return folder / "data"


def digests(folder: Path) -> list[str]:
    """SHA-256 of every file."""
    return sorted(hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir())


def received(*names: str) -> list[str]:
    """SHA-256 of what was received under these names."""
    return sorted(hashlib.sha256(RECEIVED[name]).hexdigest() for name in names)


Call = Callable[..., tuple[int, bytes, str]]
Got = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def vna(data: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> Call:
    """Calls a command: its exit code, standard output and standard error."""

    def call(*arguments: str) -> tuple[int, bytes, str]:
        capfdbinary.readouterr()
        code = run([*arguments, "--data", str(data)])
        output, error = capfdbinary.readouterr()
        return code, output, " ".join(error.decode().split())

    return call


@pytest.fixture
def got(vna: Call, tmp_path: Path) -> Got:
    """Writes into the test's folder: what is told of each file."""

    def get(*arguments: str) -> list[dict[str, Any]]:
        code, output, error = vna("get", *arguments, "-o", str(tmp_path), "--json")
        assert code == 0, error
        return [json.loads(line) for line in output.splitlines()]

    return get


def test_each_of_those_that_share_a_uid_is_a_file_of_its_own(got: Got, tmp_path: Path) -> None:
    lines = got(SOP, "--original")
    assert digests(tmp_path) == received("one", "in another study", "of another patient")
    assert {Path(line["path"]).name for line in lines} == {path.name for path in tmp_path.iterdir()}
    for line in lines:
        path = Path(line["path"])
        assert line["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
        assert path.name == f"{SOP}.{line['sha256'][:16]}.original.dcm"


def test_each_version_of_each_is_a_file_of_its_own(got: Got, tmp_path: Path) -> None:
    got(SOP, "--original", "--all-versions")
    assert digests(tmp_path) == received(*RECEIVED)


def test_canonical_files_are_told_apart_as_well(got: Got, tmp_path: Path) -> None:
    lines = got(SOP)
    assert len(digests(tmp_path)) == len(lines) == 3
    assert {line["study_instance_uid"] for line in lines} == {STUDY, OTHER_STUDY}


def test_what_shares_its_uid_with_nothing_has_the_plain_name(got: Got, tmp_path: Path) -> None:
    got(ALONE)
    got(ALONE, "--original")
    got(ALONE, "--all-versions")
    assert {path.name for path in tmp_path.iterdir()} == {f"{ALONE}.dcm", f"{ALONE}.original.dcm", f"{ALONE}.v1.dcm"}


def test_a_call_that_is_repeated_writes_what_is_missing_only(got: Got, tmp_path: Path) -> None:
    first = got(STUDY)
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    lost = Path(first[0]["path"])
    lost.unlink()
    again = got(STUDY)
    assert [line["outcome"] for line in again] == ["written"] + ["there-already"] * (len(first) - 1)
    after = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert {name for name in after if after[name] != before[name]} == {lost.name}


def test_calls_one_after_the_other_into_one_folder_overwrite_nothing(got: Got, tmp_path: Path) -> None:
    got(OTHER_STUDY, "--original")
    got(SOP, "--original", "--study", STUDY)
    assert digests(tmp_path) == received("one", "in another study", "of another patient")


def test_a_file_that_is_not_ours_stays_as_it_is(vna: Call, got: Got, tmp_path: Path) -> None:
    (tmp_path / f"{ALONE}.dcm").write_bytes(b"precious")
    (line,) = got(ALONE)
    assert (tmp_path / f"{ALONE}.dcm").read_bytes() == b"precious"
    assert Path(line["path"]).name == f"{ALONE}.{line['sha256'][:16]}.dcm"
    Path(line["path"]).write_bytes(b"precious too")
    code, _, error = vna("get", ALONE, "-o", str(tmp_path))
    assert (code, Path(line["path"]).read_bytes()) == (2, b"precious too")
    assert "not overwritten" in error
    assert not list(tmp_path.glob("*.partial"))


def test_standard_output_takes_one_that_is_named(vna: Call) -> None:
    code, octets, error = vna("get", SOP, "-o", "-", "--original")
    assert (code, octets) == (2, b"")
    assert "--sha256" in error
    assert "--study" in error
    assert vna("get", SOP, "-o", "-", "--original", "--study", OTHER_STUDY)[1] == RECEIVED["in another study"]
    for name, octets in RECEIVED.items():
        digest = hashlib.sha256(octets).hexdigest()
        assert vna("get", SOP, "-o", "-", "--original", "--sha256", digest)[:2] == (0, octets), name
        assert vna("get", SOP, "-o", "-", "--original", "--sha256", digest[:16])[:2] == (0, octets), name


def test_a_choice_that_names_nothing_is_told(vna: Call) -> None:
    assert vna("get", SOP, "-o", "-", "--sha256", "0" * 64)[0] == 1
    code, _, error = vna("get", SOP, "-o", "-", "--sha256", "nonsense")
    assert code == 2
    assert "hexadecimal" in error


def test_explain_lists_what_a_choice_is_made_by(vna: Call) -> None:
    told = [json.loads(line) for line in vna("explain", SOP, "--json")[1].splitlines()]
    assert {(one["study_instance_uid"], one["original_sha256"]) for one in told} == {
        (OTHER_STUDY if name == "in another study" else STUDY, hashlib.sha256(octets).hexdigest())
        for name, octets in RECEIVED.items()
    }
