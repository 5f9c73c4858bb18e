"""Migrating DCMTK's dcmqrscp: everything arrives, sums close, and a second run fetches only what is missing."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.peers.archive import VNA, vna
from tests.peers.dcmqrscp import dcmqrscp
from vna_core.testing import phantoms
from vna_core.testing.fill import fill
from vna_core.testing.material import wheel_files

pytestmark = pytest.mark.xdist_group("migration")


def summary(lines: list[dict[str, dict[str, int]]]) -> dict[str, int]:
    return lines[-1]["summary"]


def closes(counts: dict[str, int]) -> bool:
    ends = ("held", "duplicate", "conflict", "quarantined", "failed", "missing")
    return counts["inventoried"] == sum(counts[name] for name in ends)


def test_everything_the_source_has_is_held_afterwards(tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "pacs") as pacs:
        fill("127.0.0.1", pacs.port, "OLDPACS", [*phantoms.series(12), *phantoms.series(7, number=2), *wheel_files()[:40]])
        code, lines, _ = vna("migrate", "run", pacs.source, data=tmp_path / "data")
        first = summary(lines)
        assert (code, first["failed"], first["missing"]) == (0, 0, 0)
        assert first["held"] >= 19 and closes(first)
        code, lines, _ = vna("migrate", "run", pacs.source, data=tmp_path / "data")
        again = summary(lines)
        assert (code, again["fetched"], again["held"]) == (0, 0, first["held"])


def test_only_what_is_missing_is_fetched(tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "pacs") as pacs:
        octets = list(phantoms.series(6))
        fill("127.0.0.1", pacs.port, "OLDPACS", octets)
        (tmp_path / "held").mkdir()
        for number in (1, 4):
            (tmp_path / "held" / f"{number}.dcm").write_bytes(octets[number])
        vna("ingest", str(tmp_path / "held"), data=tmp_path / "data")
        counts = summary(vna("migrate", "run", pacs.source, data=tmp_path / "data")[1])
        assert (counts["held"], counts["duplicate"], counts["fetched"]) == (4, 2, 4)
        assert closes(counts)
        fill("127.0.0.1", pacs.port, "OLDPACS", phantoms.series(3, number=4))
        counts = summary(vna("migrate", "run", pacs.source, data=tmp_path / "data")[1])
        assert (counts["inventoried"], counts["fetched"]) == (9, 3)


def test_a_source_without_c_get_moves_to_us(tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "pacs") as pacs:
        from vna_core.domain.octets import ReceivedInstance
        from vna_pacs_dimse.adapter import DimseAdapter

        fill("127.0.0.1", pacs.port, "OLDPACS", phantoms.series(5))
        adapter = DimseAdapter.open("old", f"{pacs.source}?calling=VNA&move_port={pacs.move_port}&retrieve=move", {})
        arrived: list[str] = []

        def deliver(received: ReceivedInstance) -> None:
            arrived.append(received.sop_instance_uid)
            received.octets.close()

        report = adapter.fetch(phantoms.uid(2), deliver)
        adapter.close()
        assert sorted(arrived) == sorted(phantoms.uid(2, 1, number) for number in range(1, 6))
        assert (report.delivered, report.failed) == (5, 0)


def test_a_campaign_killed_in_the_middle_goes_on(tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "pacs") as pacs:
        for number in range(1, 9):
            fill("127.0.0.1", pacs.port, "OLDPACS", phantoms.series(10, number=number))
        command = [*VNA, "migrate", "run", pacs.source, "--data", str(tmp_path / "data"), "--concurrency", "1", "--json"]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for _ in range(15):
            process.stdout.readline()
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        time.sleep(0.2)
        counts = summary(vna("migrate", "run", pacs.source, data=tmp_path / "data")[1])
        assert counts["inventoried"] == counts["held"] + counts["duplicate"] == 80
        assert counts["fetched"] <= 66


def test_a_source_that_is_not_there_is_an_error_with_a_reason(tmp_path: Path) -> None:
    code, _, error = vna("migrate", "run", "dimse://NOBODY@127.0.0.1:1", data=tmp_path / "data")
    assert code == 1
    assert "No connection" in error


@pytest.mark.parametrize("source", ["http://x", "dimse://127.0.0.1:1", "dimse://A@127.0.0.1:1?colour=red"])
def test_a_source_that_cannot_be_meant_is_refused(tmp_path: Path, source: str) -> None:
    assert vna("migrate", "run", source, data=tmp_path / "data")[0] == 2
