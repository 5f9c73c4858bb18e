"""A run has several processes to itself: together they move everything, and one that dies costs nothing but time."""

from __future__ import annotations

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.peers.archive import VNA, vna
from tests.peers.dcmqrscp import dcmqrscp
from vna_core.catalogue import Catalogue
from vna_core.configuration import load_settings
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

pytestmark = pytest.mark.xdist_group("migration")


def children(process: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def workers(data: Path) -> set[str]:
    """Who moved studies."""
    with Catalogue.open(load_settings(None, {"data": str(data)}).catalogue, data) as catalogue:
        studies = [one for campaign in catalogue.campaigns.listed() for one in catalogue.ledger_reader.studies(campaign.name)]
        moves = [move for one in studies for move in catalogue.ledger_reader.transitions(one.pk)]
    return {move.worker for move in moves if move.new == "retrieving"}


def test_what_helpers_fetch_is_told_and_counted(tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "pacs") as pacs:
        for number in range(1, 17):
            fill("127.0.0.1", pacs.port, "OLDPACS", phantoms.series(10, number=number))
        at_once = ("--processes", "2", "--concurrency", "2", "--rate", "40")
        code, lines, error = vna("migrate", "run", pacs.source, *at_once, data=tmp_path / "data")
    *instances, last = lines
    assert code == 0, error
    assert last["summary"]["held"] == last["summary"]["fetched"] == 160
    assert len({one["sop_instance_uid"] for one in instances}) == len(instances) == 160
    assert len(workers(tmp_path / "data")) == 2


def test_a_run_goes_on_without_a_helper_that_dies(tmp_path: Path) -> None:
    with dcmqrscp(tmp_path / "pacs") as pacs:
        for number in range(1, 9):
            fill("127.0.0.1", pacs.port, "OLDPACS", phantoms.series(20, number=number))
        command = [*VNA, "migrate", "run", pacs.source, "--data", str(tmp_path / "data"), "--processes", "2", "--json"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            process.stdout.readline()  # something was fetched
            (helper,) = children(process.pid)
            os.kill(helper, signal.SIGKILL)
            process.stdout.read()
        assert process.returncode == 0
        code, lines, _ = vna("migrate", "run", pacs.source, data=tmp_path / "data")
    summary = lines[-1]["summary"]
    assert (code, summary["fetched"], summary["held"] + summary["duplicate"], summary["missing"]) == (0, 0, 160, 0)
