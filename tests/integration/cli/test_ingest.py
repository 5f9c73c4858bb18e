"""``vna ingest`` of what cannot be read, and into an archive that takes nothing for a while: a line for each item, and a summary."""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import pytest

from vna_core.cli import ingest, offering
from vna_core.cli.application import run
from vna_core.dicom.offered_files import OfferedFile, offered_files
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("ingest")

Ingest = Callable[..., tuple[int, list[dict[str, Any]], dict[str, Any], str]]


@pytest.fixture
def vna_ingest(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Ingest:
    """Offers paths: exit code, a line for each item, summary, standard error."""

    def call(*arguments: str) -> tuple[int, list[dict[str, Any]], dict[str, Any], str]:
        config = tmp_path / "vna.yaml"
        config.write_text("catalogue:\n  busy_timeout: 0.2\n")
        capfd.readouterr()
        code = run(["ingest", *arguments, "--data", str(tmp_path / "data"), "--config", str(config), "--json"])
        output, error = capfd.readouterr()
        *lines, last = [json.loads(line) for line in output.splitlines()]
        summary = last["summary"]
        assert summary["offered"] == len(lines) == sum(summary[end] for end in ENDS)
        return code, lines, summary, error

    return call


ENDS = ("held", "duplicate", "conflict", "quarantined", "refused")


def files(folder: Path, count: int) -> list[str]:
    paths = [folder / f"{number}.dcm" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(phantoms.ct(1000 + number, 16, 16))
    return [str(path) for path in paths]


def test_a_path_that_is_not_there_is_one_item_that_failed(vna_ingest: Ingest, tmp_path: Path) -> None:
    [good] = files(tmp_path, 1)
    code, lines, summary, _ = vna_ingest(good, "/nonexistent/one", str(tmp_path / "nothing.dcm"))
    assert (code, summary["held"], summary["refused"]) == (3, 1, 2)
    told = {line["path"]: line for line in lines}
    assert told[good]["outcome"] == "held"
    assert told["/nonexistent/one"]["error"] == {"code": "not-found", "message": "No such file or folder."}


def test_what_is_no_file_and_what_may_not_be_read_are_told(vna_ingest: Ingest, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    loop = tmp_path / "loop"
    loop.symlink_to(loop)
    code, lines, _, _ = vna_ingest(str(tmp_path / "pipe"), str(loop))
    assert code == 3
    assert [line["error"]["code"] for line in lines] == ["invalid-request", "invalid-request"]


def test_the_archives_own_folders_in_an_offered_one_are_left_out(vna_ingest: Ingest, tmp_path: Path) -> None:
    paths = files(tmp_path, 3)
    for _ in range(2):  # there is an archive from the second on
        _, lines, _, _ = vna_ingest(str(tmp_path))
        assert [line["path"] for line in lines] == [*paths, str(tmp_path / "vna.yaml")]


def test_what_of_a_folder_cannot_be_looked_at_is_told(vna_ingest: Ingest, tmp_path: Path) -> None:
    offered, elsewhere = tmp_path / "offered", tmp_path / "elsewhere"
    for folder in (offered / "1999", elsewhere):
        folder.mkdir(parents=True)
    files(offered / "1999", 1)
    files(elsewhere, 1)
    (offered / "newest").symlink_to(offered / "1999")  # offered itself
    (offered / "other").symlink_to(elsewhere)
    code, lines, summary, _ = vna_ingest(str(offered))
    assert (code, summary["offered"], summary["held"], summary["refused"]) == (3, 2, 1, 1)
    told = next(line for line in lines if line["outcome"] == "refused")
    assert (told["path"], told["error"]["code"]) == (str(offered / "other"), "invalid-request")


class Locked:
    """The catalogue's database, locked by another program from the second item on, until it is released."""

    def __init__(self, data: Path) -> None:
        self._path = data / "catalogue.sqlite"
        self._is_to_come = True
        self._releasing = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def items(self, paths: list[Path], but: Collection[Path]) -> Iterator[OfferedFile]:
        for number, item in enumerate(offered_files(paths, but=but)):
            if number == 1 and self._is_to_come:
                self._is_to_come = False
                self._connection = sqlite3.connect(self._path, timeout=30, isolation_level=None, check_same_thread=False)
                self._connection.execute("BEGIN IMMEDIATE")
            yield item

    def release(self, *_: object) -> None:
        with self._releasing:
            if self._connection is not None:
                self._connection.execute("ROLLBACK")
                self._connection.close()
                self._connection = None


@pytest.fixture
def locked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Locked]:
    lock = Locked(tmp_path / "data")
    monkeypatch.setattr(ingest, "offered_files", lock.items)
    yield lock
    lock.release()


def test_an_archive_that_takes_nothing_ends_the_run_with_its_summary(vna_ingest: Ingest, locked: Locked, tmp_path: Path) -> None:
    paths = files(tmp_path, offering.ON_THEIR_WAY + 40)
    code, lines, summary, error = vna_ingest(*paths, "--wait", "0")
    assert code == 3
    assert summary["refused"] >= 1
    assert summary["offered"] < len(paths)
    assert summary["stopped"]["code"] == "catalogue-unavailable"
    assert "call this again" in " ".join(error.split())
    refused = [line for line in lines if line["outcome"] == "refused"]
    assert {line["error"]["code"] for line in refused} == {"catalogue-unavailable"}
    locked.release()
    code, lines, summary, _ = vna_ingest(*paths)
    assert (summary["held"] + summary["duplicate"], summary["refused"]) == (len(paths), 0)


def test_an_archive_that_comes_back_takes_everything(
    vna_ingest: Ingest, locked: Locked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    patient = ingest.Patience
    monkeypatch.setattr(ingest, "Patience", lambda seconds, told: patient(seconds, told, sleep=locked.release))
    code, _, summary, error = vna_ingest(*files(tmp_path, 20), "--wait", "600")
    assert (code, summary["held"]) == (0, 20)
    assert "stopped" not in summary
    assert "waiting: The catalogue" in error
