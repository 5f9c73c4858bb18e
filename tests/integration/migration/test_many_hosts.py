"""A campaign on two hosts with one PostgreSQL, one bucket and RabbitMQ: a host and the broker die in the middle, and the proof holds."""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.peers.archive import VNA, vna
from tests.peers.dcmqrscp import dcmqrscp
from tests.peers.postgresql import PostgresqlNotInstalled, postgresql
from tests.peers.processes import running
from tests.peers.rabbitmq import RabbitMq, rabbitmq
from tests.peers.s3_service import S3Service
from tests.peers.seaweedfs import seaweedfs
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

for needed in ("celery", "s3fs", "cryptography"):
    pytest.importorskip(needed)
pytestmark = [pytest.mark.xdist_group("s3"), pytest.mark.slow]

STUDIES, SLICES = 12, 3


@contextlib.contextmanager
def database() -> Iterator[str]:
    """URL of an empty database of a server of its own."""
    with contextlib.ExitStack() as closing:
        try:
            server = closing.enter_context(postgresql())
        except PostgresqlNotInstalled as error:
            pytest.skip(str(error))
        yield server.new_database("hosts")


def configure(folder: Path, name: str, url: str, service: S3Service, broker: RabbitMq) -> Path:
    """The configuration of one host: a working folder of its own, everything else shared."""
    path = folder / f"{name}.yaml"
    path.write_text(
        yaml.safe_dump(
            {
                "data": str(folder / name),
                "landing": "bucket",
                "stores": {"bucket": {"type": "s3", "options": service.options("ready")}},
                "catalogue": {"url": url},
                "jobs": {"engine": "celery", "options": {"broker": broker.url}, "lease": 4, "poll": 0.3, "threads": 2},
            }
        )
    )
    return path


def wait_for(condition: Callable[[], bool], *processes: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 300
    while not condition():
        assert all(process.poll() is None for process in processes), "a host ended by itself"
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.02)


def stored(catalogue: Catalogue, source: str) -> int:
    """Instances that the ledger counts as stored."""
    tallies = catalogue.ledger_reader.tallies(source)
    return sum(one.number for one in tallies if (one.level, one.state) == ("instance", "stored"))


@pytest.mark.timeout(900)
def test_a_host_and_the_broker_die_and_nothing_is_lost_or_done_twice(tmp_path: Path) -> None:
    with contextlib.ExitStack() as peers:
        url = peers.enter_context(database())
        broker = peers.enter_context(rabbitmq(tmp_path / "rabbitmq"))
        service = peers.enter_context(seaweedfs(tmp_path / "seaweedfs"))
        pacs = peers.enter_context(dcmqrscp(tmp_path / "pacs"))
        for number in range(1, STUDIES + 1):
            fill("127.0.0.1", pacs.port, "OLDPACS", phantoms.series(SLICES, number=number))
        first, second = (configure(tmp_path, name, url, service, broker) for name in ("first", "second"))

        slowly = ("--rate", "2", "--concurrency", "6")  # so that there is a middle in which things can die
        code, lines, error = vna("migrate", "plan", pacs.source, *slowly, "--quick", "--config", str(first))
        assert code == 0 and lines[-1]["plan"]["instances"] == STUDIES * SLICES, error
        catalogue = peers.enter_context(Catalogue.open(CatalogueSettings(url=url), tmp_path))
        hosts = [
            peers.enter_context(running([*VNA, "jobs", "run", "--config", str(one)], one.with_suffix(".log")))
            for one in (first, second)
        ]
        assert subprocess.run([*VNA, "migrate", "resume", pacs.source, "--config", str(first)], check=False).returncode == 0

        def works(host: subprocess.Popen[bytes]) -> bool:
            listed = catalogue.jobs.listed(kind="migration-study", state="open", limit=1000)
            return any(job.worker.endswith(f":{host.pid}") for job in listed)

        def in_the_middle() -> bool:
            """In the middle of a study where it can be seen, of the campaign at the latest."""
            done = stored(catalogue, pacs.source)
            return (done >= SLICES and works(hosts[0])) or done >= STUDIES * SLICES // 3

        wait_for(in_the_middle, *hosts)
        hosts[0].kill()
        killed_at = stored(catalogue, pacs.source)
        assert killed_at < STUDIES * SLICES, "it was over before the host died"
        wait_for(lambda: stored(catalogue, pacs.source) > killed_at + SLICES, hosts[1])
        broker.kill()
        assert stored(catalogue, pacs.source) < STUDIES * SLICES, "it was over before the broker died"
        broker.start()
        wait_for(lambda: stored(catalogue, pacs.source) == STUDIES * SLICES, hosts[1])
        wait_for(lambda: _state(catalogue, pacs.source) == "complete", hosts[1])

        assert catalogue.statistics().instances == STUDIES * SLICES
        assert not catalogue.ledger_reader.exceptions(pacs.source, state=None)
        code, lines, error = vna("migrate", "verify", pacs.source, "--pixels", "1", "--config", str(second))
        assert (code, lines[-1]["verification"]["equal_octets"]) == (0, STUDIES * SLICES), error
        evidence = str(tmp_path / "evidence")
        assert vna("migrate", "certify", pacs.source, "--out", evidence, "--config", str(second))[1][-1]["totals"]["held"] == 36
        assert vna("certificate", "verify", evidence)[1][-1]["holds"] is True


def _state(catalogue: Catalogue, source: str) -> str:
    campaign = catalogue.campaigns.load(source)
    return "" if campaign is None else campaign.state
