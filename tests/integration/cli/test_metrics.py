"""`/metrics` of a running archive tells what all of its processes counted, whichever of them answers."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.peers.archive import ServedArchive, served_archive
from tests.peers.processes import program
from vna_core.gateways.hl7.server import END, START
from vna_core.metering.metrics import METRICS
from vna_core.testing import phantoms

pytestmark = pytest.mark.xdist_group("metrics")
MEMBER = "radiology"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServedArchive]:
    folder = tmp_path_factory.mktemp("metrics")
    with socket.create_server(("127.0.0.1", 0)) as nobody:  # bound, so that nobody else listens there; it never answers
        configuration = folder / "vna.yaml"
        configuration.write_text(
            "dimse:\n  processes: 2\n"
            "http:\n  workers: 2\n"
            "hl7:\n  host: 127.0.0.1\n  port: 0\n"
            "federation:\n  aet: ALL\n  deadline: 1\n  failures: 1\n  members:\n"
            f"    {MEMBER}:\n      url: dicomweb+http://127.0.0.1:{nobody.getsockname()[1]}\n      department: rad\n"
        )
        with served_archive(folder / "data", "--config", str(configuration)) as served:
            yield served


class Scraped:
    """One answer of ``/metrics``."""

    def __init__(self, archive: ServedArchive) -> None:
        with urllib.request.urlopen(f"{archive.web}/metrics", timeout=30) as answer:
            self.families = {family.name: family for family in text_string_to_metric_families(answer.read().decode())}

    def samples(self, name: str, **labels: str) -> list[tuple[dict[str, str], float]]:
        """Labels and value of every sample of that name with these labels."""
        every = (sample for family in self.families.values() for sample in family.samples)
        return [(one.labels, one.value) for one in every if one.name == name and labels.items() <= one.labels.items()]

    def value(self, name: str, **labels: str) -> float:
        """The sum of them."""
        return sum(value for _, value in self.samples(name, **labels))

    def processes(self) -> set[str]:
        """Names of the processes that live."""
        return {labels["process"] for labels, _ in self.samples("process_resident_memory_bytes")}


def until(archive: ServedArchive, holds: Callable[[Scraped], bool]) -> Scraped:
    """Scrape until it holds what is waited for; both web processes answer in turn."""
    deadline = time.monotonic() + 60
    while not holds(scraped := Scraped(archive)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return scraped


def send(archive: ServedArchive, folder: Path, study: int, count: int) -> None:
    """C-STORE by DCMTK's storescu, an association for each instance, so that both processes get some."""
    for number, octets in enumerate(phantoms.series(count, number=study)):
        path = folder / f"{study}.{number}.dcm"
        path.write_bytes(octets)
        command = [program("storescu"), "-aec", "VNA", "127.0.0.1", str(archive.dimse_port), str(path)]
        subprocess.run(command, check=True, timeout=60)


def dimse_children(archive: ServedArchive) -> list[int]:
    found = subprocess.run(
        ["pgrep", "-P", str(archive.process.pid), "vna-dimse"], capture_output=True, text=True, check=False
    ).stdout
    return [int(line) for line in found.split()]


def test_what_dimse_processes_take_is_in_every_web_processs_answer(archive: ServedArchive, tmp_path: Path) -> None:
    send(archive, tmp_path, 1, 6)
    for _ in range(6):  # whichever web process answers
        scraped = Scraped(archive)
        assert scraped.value("vna_instances_total", kind="dimse", outcome="held") == 6
        assert scraped.value("vna_dimse_responses_total", request="C-STORE", status="0000") == 6
        assert scraped.value("vna_dimse_associations_total", outcome="accepted") == 6
        assert scraped.value("vna_dimse_received_bytes_total") > 6 * 10_000


def test_killed_processes_lose_no_count_and_their_successors_go_on(archive: ServedArchive, tmp_path: Path) -> None:
    before = Scraped(archive)
    held = before.value("vna_instances_total", kind="dimse", outcome="held")
    children, names = dimse_children(archive), {"dimse-1", "dimse-2"}
    assert len(children) == len(names)
    for child in children:
        os.kill(child, signal.SIGKILL)
    until(archive, lambda one: all(one.value("vna_process_starts_total", process=name) == 2 for name in names))
    until(archive, lambda one: names <= one.processes())
    assert Scraped(archive).value("vna_instances_total", kind="dimse", outcome="held") == held
    send(archive, tmp_path, 2, 4)
    after = until(archive, lambda one: one.value("vna_instances_total", kind="dimse", outcome="held") == held + 4)
    assert after.value("vna_instances_total", kind="dimse", outcome="duplicate") == 0
    assert after.value("vna_dimse_responses_total", request="C-STORE", status="0000") == held + 4


def test_every_process_tells_of_itself(archive: ServedArchive) -> None:
    living = {"supervisor", "dimse-1", "dimse-2", "web-1", "web-2", "worker-1", "hl7"}
    scraped = until(archive, lambda one: living <= one.processes())
    assert scraped.processes() == living
    assert all(scraped.value("process_resident_memory_bytes", process=name) > 1 << 20 for name in living)
    established = scraped.samples("vna_dimse_associations_established")
    assert {labels["process"] for labels, _ in established} == {"dimse-1", "dimse-2"}


def test_what_the_worker_and_the_feed_do_is_counted(archive: ServedArchive) -> None:
    scraped = until(archive, lambda one: one.value("vna_jobs_ended_total") > 0)
    for labels, _ in scraped.samples("vna_jobs_ended_total"):
        assert scraped.value("vna_job_seconds_count", kind=labels["kind"]) >= 1
    with socket.create_connection(("127.0.0.1", archive.hl7_port), timeout=30) as connection:
        connection.sendall(START + b"this is no message" + END)
        assert b"MSA|AR" in connection.recv(4096)
    assert Scraped(archive).value("vna_hl7_messages_total", acknowledgement="AR") == 1


def test_each_process_tells_how_it_sees_a_member(archive: ServedArchive) -> None:
    """A question over DIMSE opens the circuit in the process that asked; the other processes have not met the member yet."""
    command = [program("findscu"), "-S", "-aec", "ALL", "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=1", "127.0.0.1"]
    subprocess.run([*command, str(archive.dimse_port)], capture_output=True, timeout=60, check=False)

    def opened(one: Scraped) -> list[str]:
        return [labels["process"] for labels, value in one.samples("vna_federation_member", member=MEMBER, state="open") if value]

    scraped = until(archive, lambda one: len(opened(one)) == 1)
    assert opened(scraped)[0].startswith("dimse-")
    for process in ("web-1", "web-2"):
        assert scraped.value("vna_federation_member", member=MEMBER, state="closed", process=process) == 1
    assert scraped.value("vna_federation_answers_total", member=MEMBER) == 1


def test_every_metric_has_a_kind_and_a_meaning(archive: ServedArchive) -> None:
    scraped = Scraped(archive)
    told = {name if name in scraped.families else name.removesuffix("_total") for name in METRICS}
    assert told <= set(scraped.families)
    assert all(scraped.families[name].documentation and scraped.families[name].type != "unknown" for name in told)
