"""`vna serve` as an administrator runs it."""

from __future__ import annotations

import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.peers.archive import VNA, ServedArchive, served_archive, vna
from vna_core.dicom.network import command as commands
from vna_core.dicom.network import pdu
from vna_core.dicom.network.requestor import request
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

pytestmark = pytest.mark.xdist_group("serve")


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedArchive]:
    with served_archive(tmp_path_factory.mktemp("serve") / "data") as served:
        yield served


def children(process: int) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process)], capture_output=True, text=True, check=False).stdout
    return [int(line) for line in found.split()]


def test_both_faces_answer_after_the_ready_line(archive: ServedArchive) -> None:
    with urllib.request.urlopen(f"{archive.web}/readyz") as answer:
        assert answer.status == 200
    assert fill("127.0.0.1", archive.dimse_port, "VNA", phantoms.series(3)).accepted == 3


def test_ingest_works_beside_the_server_and_its_sums_close(archive: ServedArchive, tmp_path: Path) -> None:
    for number, octets in enumerate(phantoms.series(4, number=2)):
        (tmp_path / f"{number}.dcm").write_bytes(octets)
    (tmp_path / "letter.txt").write_bytes(b"Dear colleague, this is not an image. " * 20)
    (tmp_path / "empty.dcm").write_bytes(b"")
    code, lines, _ = vna("ingest", str(tmp_path), data=archive.data)
    summary = lines[-1]["summary"]
    assert code == 3
    assert (summary["held"], summary["quarantined"], summary["refused"], summary["offered"]) == (4, 1, 1, 6)
    assert summary["offered"] == sum(summary[name] for name in ("held", "duplicate", "conflict", "quarantined", "refused"))
    with urllib.request.urlopen(f"{archive.web}/dicom-web/studies/{phantoms.uid(3)}/instances") as answer:
        assert answer.read().count(b'"00080018"') == 4


def test_the_same_folder_offered_again_is_all_duplicates(archive: ServedArchive, tmp_path: Path) -> None:
    (tmp_path / "one.dcm").write_bytes(phantoms.ct(77_000, 32, 32))
    assert vna("ingest", str(tmp_path), data=archive.data)[0] == 0
    code, lines, _ = vna("ingest", str(tmp_path), data=archive.data)
    assert (code, lines[0]["outcome"]) == (0, "duplicate")


def test_a_killed_process_is_started_again(archive: ServedArchive) -> None:
    for child in children(archive.process.pid):
        os.kill(child, signal.SIGKILL)
    deadline = time.monotonic() + 120
    while True:
        try:
            if fill("127.0.0.1", archive.dimse_port, "VNA", phantoms.series(1, number=5)).accepted == 1:
                with urllib.request.urlopen(f"{archive.web}/healthz", timeout=2) as answer:
                    assert answer.status == 200
                return
        except Exception:  # noqa: BLE001 - whatever a dead server answers with, the question is whether it comes back
            if time.monotonic() > deadline:
                raise
        time.sleep(0.3)


def test_sigterm_ends_everything_within_ten_seconds_and_nothing_is_lost(tmp_path: Path) -> None:
    with served_archive(tmp_path / "data") as served:
        accepted = fill("127.0.0.1", served.dimse_port, "VNA", phantoms.series(5, number=6)).accepted
        below = children(served.process.pid)
        assert served.stop() < 10
        assert served.process.returncode == 0
        assert not any(Path(f"/proc/{child}").exists() for child in below)
    _, lines, _ = vna("stats", data=tmp_path / "data")
    assert lines[0]["instances"] == accepted == 5


def test_what_has_come_of_an_instance_at_the_end_is_kept(tmp_path: Path) -> None:
    """A sender that stops in the midst of an instance holds up the end for some seconds; then it is as if it had gone."""
    octets = phantoms.ct(7)
    with served_archive(tmp_path / "data") as served:
        association = request(
            "127.0.0.1", served.dimse_port, called="VNA", calling="CT", contexts=[(phantoms.CT, ("1.2.840.10008.1.2.1",))]
        )
        asked = {
            commands.AFFECTED_SOP_CLASS: phantoms.CT,
            commands.COMMAND_FIELD: commands.Field.STORE_RQ,
            commands.MESSAGE_ID: 1,
            commands.DATA_SET_TYPE: 1,
        }
        half = octets[octets.index(b"\x08\0\x05\0CS") :][:20_000]
        for is_command, piece in ((True, commands.encode(asked)), (False, half)):
            for buffers in pdu.data_pdus(1, is_command, [memoryview(piece)], is_command, 0):
                association.send_octets(buffers)
        assert served.stop() < 10
        assert served.process.returncode == 0
    (kept,) = vna("quarantine", "list", data=tmp_path / "data")[1]
    assert (kept["code"], kept["size"]) == ("truncated", 20_000)


def test_children_end_when_the_supervisor_is_killed(tmp_path: Path) -> None:
    with served_archive(tmp_path / "data") as served:
        below = children(served.process.pid)
        served.process.kill()
        served.process.wait()
        deadline = time.monotonic() + 60
        while any(Path(f"/proc/{child}/fd").exists() and _alive(child) for child in below):
            assert time.monotonic() < deadline
            time.sleep(0.1)


def _alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.parametrize(("option", "setting"), [("--http", "http.tokens"), ("--dimse", "dimse.accept_only_peers")])
def test_listening_beyond_this_machine_without_authentication_is_refused(tmp_path: Path, option: str, setting: str) -> None:
    done = subprocess.run(
        [*VNA, "serve", "--data", str(tmp_path), option, "0.0.0.0:0"], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 2
    assert setting in done.stderr.replace("\n", "")


def test_an_unknown_setting_is_named_with_its_line(tmp_path: Path) -> None:
    (tmp_path / "vna.yaml").write_text("dimse:\n  port: 0\n  prot: 1\n")
    done = subprocess.run(
        [*VNA, "config", "check", "-c", str(tmp_path / "vna.yaml")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    message = done.stderr.replace("\n", "")
    assert "vna.yaml:3" in message and "dimse.prot" in message and "'port'" in message
