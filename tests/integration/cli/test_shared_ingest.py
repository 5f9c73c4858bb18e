"""``vna ingest`` in several processes: the same lines in the same order, and kill -9 of any of them loses nothing."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.peers.archive import VNA, vna
from vna_core.bootstrap import open_archive
from vna_core.configuration import Settings
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("shared")
COUNT = 120


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of which each tenth is in an archive, each twentieth no image; their names are in order."""
    made = tmp_path_factory.mktemp("offered")
    for number in range(COUNT):
        octets = phantoms.ct(number, 64, 64) if number % 20 != 7 else b"This is no image. " * 20 + str(number).encode()
        path = made / f"{number:04d}.dcm"
        if number % 10 == 3:
            with zipfile.ZipFile(path.with_suffix(".zip"), "w") as archive:
                archive.writestr("inside.dcm", octets)
        else:
            path.write_bytes(octets)
    return made


def ingesting(data: Path, folder: Path, *options: str) -> subprocess.Popen[str]:
    command = [*VNA, "ingest", "--data", str(data), "--json", *options, str(folder)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def helpers(of: subprocess.Popen[str]) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(of.pid), "vna-ingest"], capture_output=True, text=True, check=False).stdout
    return [int(line) for line in found.split()]


def told(lines: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """What is said of each item, in order. The second attempt at what a killed process had is a duplicate: both mean that it is durable."""
    return [(Path(line["path"]).name, line["outcome"].replace("duplicate", "held"), line["sop_instance_uid"]) for line in lines]


def figures(data: Path) -> dict[str, Any]:
    found: dict[str, Any] = vna("stats", data=data)[1][0]
    return {name: found[name] for name in ("patients", "studies", "series", "instances", "versions", "conflicts", "quarantined")}


@pytest.fixture(scope="module")
def alone(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple[str, str, str]], dict[str, Any]]:
    """What one process says, and what is held then."""
    data = tmp_path_factory.mktemp("alone")
    output, error = ingesting(data, folder, "--processes", "1").communicate(timeout=300)
    *lines, last = [json.loads(line) for line in output.splitlines()]
    assert last["summary"]["offered"] == len(lines) == COUNT, error
    return told(lines), figures(data)


def test_several_processes_say_the_same_as_one(
    folder: Path, alone: tuple[list[tuple[str, str, str]], dict[str, Any]], tmp_path: Path
) -> None:
    process = ingesting(tmp_path, folder, "--processes", "3")
    output, _ = process.communicate(timeout=300)
    *lines, last = [json.loads(line) for line in output.splitlines()]
    assert process.returncode == 3
    assert [last["summary"][end] for end in ("offered", "held", "quarantined")] == [COUNT, COUNT - COUNT // 20, COUNT // 20]
    assert (told(lines), figures(tmp_path)) == alone


def test_processes_that_are_killed_while_they_help_cost_nothing(
    folder: Path, alone: tuple[list[tuple[str, str, str]], dict[str, Any]], tmp_path: Path
) -> None:
    process = ingesting(tmp_path, folder, "--processes", "4")
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(json.loads(line))
        if len(lines) in (20, 50, 80):
            for one in helpers(process)[:1]:
                with contextlib.suppress(ProcessLookupError):  # it has ended by itself meanwhile
                    os.kill(one, signal.SIGKILL)
    process.communicate(timeout=300)
    assert process.returncode == 3
    assert (told(lines[:-1]), figures(tmp_path)) == alone


def test_what_was_told_is_held_when_the_command_is_killed_and_its_processes_end(
    folder: Path, alone: tuple[list[tuple[str, str, str]], dict[str, Any]], tmp_path: Path
) -> None:
    process = ingesting(tmp_path, folder, "--processes", "2")
    assert process.stdout is not None
    lines = [json.loads(process.stdout.readline()) for _ in range(40)]
    process.kill()
    ended = threading.Thread(target=process.communicate)  # the pipes end when every process that has them does
    ended.start()
    ended.join(300)
    assert not ended.is_alive()
    with open_archive(Settings(data=tmp_path)) as archive:
        for line in lines:
            if line["outcome"] == "held":
                assert [b"".join(archive.retriever.original(one)) for one in archive.catalogue.versions(line["sop_instance_uid"])]
    output, _ = ingesting(tmp_path, folder).communicate(timeout=300)
    *lines, _ = [json.loads(line) for line in output.splitlines()]
    assert (told(lines), figures(tmp_path)) == alone


def test_an_interrupted_command_finishes_what_it_began_and_leaves_no_process(folder: Path, tmp_path: Path) -> None:
    process = ingesting(tmp_path, folder, "--processes", "2")
    assert process.stdout is not None
    process.stdout.readline()
    for one in (process.pid, *helpers(process)):  # as a terminal does
        with contextlib.suppress(ProcessLookupError):
            os.kill(one, signal.SIGINT)
    process.communicate(timeout=300)  # the pipes end when every process has ended that has them
    assert process.returncode in (130, 3), "interrupted, or it had offered everything before"
