"""Work that is under way when `vna serve` is stopped in order is gone on with by the next start, not when a lease ends."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.peers.archive import VNA, served_archive, vna
from vna_core.testing.hostile_pacs.faults import FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog
from vna_core.testing.hostile_pacs.population import Population
from vna_core.testing.hostile_pacs.server import HostilePacs

pytestmark = pytest.mark.xdist_group("serve")
LEASE = 36_000.0


def test_a_study_whose_source_hangs_when_the_server_stops_is_moved_after_the_next_start(tmp_path: Path) -> None:
    data, configuration = tmp_path / "data", tmp_path / "vna.yaml"
    configuration.write_text(f"jobs:\n  lease: {LEASE}\n  threads: 1\n")
    plan = FaultPlan.parse(3, "W6=1")  # the first retrieval of each study is never answered
    log = InjectionLog()
    with HostilePacs(Population(plan, 1, 3), plan, log, hang=3600.0) as pacs:
        source = f"dimse://OLDPACS@127.0.0.1:{pacs.start()}"
        assert vna("migrate", "plan", source, data=data)[0] == 0
        subprocess.run([*VNA, "migrate", "resume", source, "--data", str(data)], check=True, timeout=60)
        with served_archive(data, "--config", str(configuration)) as served:
            wait_until(lambda: len(log.of("W6")) == 1)
            assert served.stop() < 20
        (job,) = jobs(data)
        assert job["attempts"] == 0
        with served_archive(data, "--config", str(configuration)):
            wait_until(lambda: not jobs(data))
        assert vna("stats", data=data)[1][0]["instances"] == sum(1 for _ in pacs.population.truth())


def jobs(data: Path) -> list[dict[str, object]]:
    return [one for one in vna("jobs", "list", data=data)[1] if one.get("kind") == "migration-study"]


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.2)
