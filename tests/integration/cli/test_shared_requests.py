"""One store request is taken in by several processes of `vna serve`: its answer is the same, whatever happens to them."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import subprocess
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.peers.archive import ServedArchive, served_archive, vna
from tests.unit.web.web_samples import CONTENT_TYPE, multipart
from vna_core.testing import phantoms

pytestmark = [
    pytest.mark.xdist_group("shared"),
    pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one processor: nothing is shared"),
]
REFERENCED, OTHER_FAILURES = "00081199", "0008119A"
Between = Callable[[], object]


def store(archive: ServedArchive, parts: list[bytes], between: Between = lambda: None) -> tuple[int, dict[str, Any]]:
    """Status and answer; `between` is called when half of the body is sent to a process that has taken the connection.

    Half of a body fits into the buffers of a connection that nobody has taken yet: one process could be killed then, and
    the next take the request whole.
    """
    body = multipart(parts)
    connection = http.client.HTTPConnection("127.0.0.1", archive.http_port, timeout=120)
    with contextlib.closing(connection):
        connection.request("GET", "/healthz")
        taken = connection.getresponse()
        taken.read()
        assert (taken.status, taken.will_close) == (200, False)
        connection.putrequest("POST", "/dicom-web/studies")
        connection.putheader("Content-Type", CONTENT_TYPE)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders()
        connection.send(body[: len(body) // 2])
        between()
        connection.send(body[len(body) // 2 :])
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


def shared(archive: ServedArchive) -> dict[str, float]:
    """How many instances other processes took, and how many came back from them."""
    with urllib.request.urlopen(f"{archive.web}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
    samples = [sample for family in families for sample in family.samples]
    return {one.labels["outcome"]: one.value for one in samples if one.name == "vna_instances_shared_total"}


def stored(module: dict[str, Any]) -> list[str]:
    """SOP Instance UIDs of what was stored, in the order of the answer."""
    return [item["00081155"]["Value"][0] for item in module.get(REFERENCED, {}).get("Value", [])]


def processes(archive: ServedArchive, kind: str) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(archive.process.pid), kind], capture_output=True, text=True, check=False).stdout
    return [int(line) for line in found.split()]


def kill(archive: ServedArchive, kind: str) -> None:
    for one in processes(archive, kind):
        with contextlib.suppress(ProcessLookupError):  # it has ended by itself meanwhile
            os.kill(one, signal.SIGKILL)


def uid(number: int) -> str:
    return phantoms.uid(1, 1, number + 1)


def statistics(data: Path) -> dict[str, Any]:
    return vna("stats", data=data)[1][0]


def test_a_large_request_is_answered_in_the_order_of_its_parts(tmp_path: Path) -> None:
    offered: list[tuple[str, bytes]] = []
    for number in range(160):
        offered.append((uid(number), phantoms.ct(number, 96, 96)))
        if number % 10 == 5:  # the same again, and the same UID with other content
            offered += [offered[-3], (uid(number - 3), phantoms.ct(number - 3, 96, 96, StudyDescription="Other"))]
        if number % 20 == 7:
            offered.append(("", b"This part is no image. " * 20 + str(number).encode()))
    parts = [octets for _, octets in offered]
    wanted = [name for name, _ in offered if name]
    assert len(parts) == 200
    deadline = time.monotonic() + 60
    with served_archive(tmp_path / "data") as served:
        while not shared(served).get("taken"):  # the others sit down soon after the start
            status, module = store(served, parts)
            assert status == 202
            assert stored(module) == wanted
            assert len(module[OTHER_FAILURES]["Value"]) == 8
            assert time.monotonic() < deadline
    figures = statistics(tmp_path / "data")
    assert (figures["instances"], figures["versions"], figures["quarantined"]) == (160, 176, 8)


def test_processes_that_are_killed_while_they_help_cost_nothing(tmp_path: Path) -> None:
    configuration = tmp_path / "vna.yaml"
    configuration.write_text("http:\n  workers: 1\n")  # so that none of those that are killed is the receiver
    parts = [phantoms.ct(number, 256, 256) for number in range(120)]
    ended = threading.Event()

    def keep_killing(archive: ServedArchive) -> None:
        while not ended.wait(0.05):
            kill(archive, "vna-dimse")

    with served_archive(tmp_path / "data", "--config", str(configuration)) as served:
        killing = threading.Thread(target=keep_killing, args=(served,))
        killing.start()
        try:
            status, module = store(served, parts)
        finally:
            ended.set()
            killing.join()
        assert status == 200
        assert stored(module) == [uid(number) for number in range(120)]
    figures = statistics(tmp_path / "data")
    assert (figures["instances"], figures["versions"], figures["conflicts"]) == (120, 120, 0)


def test_a_receiver_that_is_killed_has_acknowledged_nothing_and_the_same_is_taken_again(tmp_path: Path) -> None:
    parts = [phantoms.ct(number, 256, 256) for number in range(60)]
    with served_archive(tmp_path / "data") as served:
        with pytest.raises((OSError, http.client.HTTPException)):
            store(served, parts, between=lambda: kill(served, "vna-web"))
        deadline = time.monotonic() + 60
        while True:
            try:
                status, module = store(served, parts)
                break
            except (OSError, http.client.HTTPException):
                assert time.monotonic() < deadline
                time.sleep(0.2)
        assert (status, stored(module)) == (200, [uid(number) for number in range(60)])
    figures = statistics(tmp_path / "data")
    assert (figures["instances"], figures["versions"]) == (60, 60)


def test_a_request_under_way_is_answered_when_the_archive_is_told_to_end(tmp_path: Path) -> None:
    parts = [phantoms.ct(number, 256, 256) for number in range(60)]
    with served_archive(tmp_path / "data") as served:

        def tell_to_end() -> None:
            served.process.send_signal(signal.SIGTERM)

        try:
            status, module = store(served, parts, between=tell_to_end)
            acknowledged = stored(module)
            assert status == 200 and len(acknowledged) == 60
        except (OSError, http.client.HTTPException):  # on a machine so busy that the grace was too short
            acknowledged = []
        assert served.stop() < 10
        assert served.process.returncode == 0
    assert statistics(tmp_path / "data")["instances"] >= len(acknowledged)
