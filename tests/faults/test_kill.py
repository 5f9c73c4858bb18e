"""kill -9 at any moment loses nothing acknowledged, and what was not acknowledged can be offered again."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from vna_core.bootstrap import open_archive
from vna_core.configuration import Settings
from vna_core.ingest.pipeline import ROOMS
from vna_core.stewardship.rebuild import rebuild
from vna_core.testing.fault_injection import finish, lost, start


@pytest.mark.parametrize("room", ROOMS)
def test_a_process_killed_between_two_rooms_loses_nothing_acknowledged(tmp_path: Path, files: list[Path], room: str) -> None:
    run = finish(start(tmp_path, files[:20], die_after=room, nth=12))
    assert run.returncode == -signal.SIGKILL
    assert len(run.acknowledged) == 11
    assert lost(tmp_path, run.acknowledged) == []
    again = finish(start(tmp_path, files[:20]))
    assert again.returncode == 0
    assert len(again.acknowledged) == 20
    assert lost(tmp_path, again.acknowledged) == []
    with open_archive(Settings(data=tmp_path)) as archive:
        assert archive.catalogue.statistics().versions == 20
        rebuild(archive.stores, archive.catalogue)
        assert archive.catalogue.statistics().versions == 20
        assert list((tmp_path / "spool").iterdir()) == []


@pytest.mark.parametrize("acknowledged", [1, 17, 40])
def test_a_process_killed_under_load_loses_nothing_acknowledged(tmp_path: Path, files: list[Path], acknowledged: int) -> None:
    run = finish(start(tmp_path, files, threads=6), kill_after=acknowledged)
    assert run.returncode == -signal.SIGKILL
    assert len(run.acknowledged) >= acknowledged
    assert lost(tmp_path, run.acknowledged) == []
    with open_archive(Settings(data=tmp_path)) as archive:
        report = rebuild(archive.stores, archive.catalogue)
        assert report.damaged == []


def test_two_processes_with_the_same_files_hold_each_once_even_when_one_is_killed(tmp_path: Path, files: list[Path]) -> None:
    first, second = start(tmp_path, files, threads=3), start(tmp_path, files, threads=3)
    killed, ended = finish(first, kill_after=20), finish(second)
    assert killed.returncode == -signal.SIGKILL
    assert ended.returncode == 0
    assert len(ended.acknowledged) == len(files)
    assert lost(tmp_path, {*killed.acknowledged, *ended.acknowledged}) == []
    with open_archive(Settings(data=tmp_path)) as archive:
        assert archive.catalogue.statistics().versions == len(files)
