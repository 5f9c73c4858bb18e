"""The federation against its members: a question to all of them relative to the slowest alone, a study through it relative to its own archive.

    python -m tests.benchmarks.federation [--members 8] [--studies 50] [--instances 100] [--rounds 5] [--delay 0.1] [--json FILE]

Every member is an archive in processes of its own, and so is the one that asks them; all share this machine, where eight hospitals would have eight. So
each question goes through a line that delays answers by `--delay` seconds, as another building's PACS would, and the ratio without a delay is told beside
it: that one measures how many processors this machine has. Direct and federated questions take turns; a ratio is the median of those of the rounds.
Retrieval is measured cold (nothing is remembered of the study) and again (it is served from what is remembered), against the member's own WADO-RS.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx2

from tests.benchmarks.measuring import cpu_seconds
from tests.peers.archive import ServedArchive, served_archive
from vna_core.testing import phantoms
from vna_core.testing.fill import fill

PIECE = 1 << 18
DICOM = 'multipart/related; type="application/dicom"; transfer-syntax=*'
SMALL: dict[str, Any] = {"dimse": {"processes": 1}, "http": {"workers": 1}, "decode": {"processes": 1}}


class Line:
    """Forwards connections to a port, and delays each answer: the first octets after a question come `delay` seconds later."""

    def __init__(self, port: int, delay: float) -> None:
        self._port = port
        self.delay = delay
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port = int(self._listener.getsockname()[1])
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no further connection."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._port))
            except OSError:
                return
            asked = threading.Event()
            for ends in ((near, far, None, asked), (far, near, asked, None)):
                threading.Thread(target=self._forward, args=ends, daemon=True).start()

    def _forward(
        self, source: socket.socket, target: socket.socket, answers: threading.Event | None, asks: threading.Event | None
    ) -> None:
        with contextlib.suppress(OSError):
            for end in (source, target):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            while octets := source.recv(PIECE):
                if asks is not None:
                    asks.set()
                if answers is not None and answers.is_set():
                    answers.clear()
                    time.sleep(self.delay)
                target.sendall(octets)
        for end in (source, target):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


def uid(member: int, number: int) -> str:
    return phantoms.uid(90 + member, number)


def study(member: int, number: int, count: int, rows: int) -> Iterator[bytes]:
    """A study that one member has alone."""
    study_uid = uid(member, number)
    values = {"StudyInstanceUID": study_uid, "SeriesInstanceUID": f"{study_uid}.1", "PatientID": f"P{number % 20}"}
    values["StudyDate"] = f"2026{number % 12 + 1:02d}{number % 28 + 1:02d}"
    for one in range(1, count + 1):
        named = {"SOPInstanceUID": f"{study_uid}.1.{one}", "InstanceNumber": str(one)}
        yield phantoms.ct(member * 100_000 + number * 500 + one, rows, rows, **values, **named)


@contextlib.contextmanager
def hospital(folder: Path, members: int, studies: int, instances: int, cold: int) -> Iterator[tuple[ServedArchive, list[Line]]]:
    """Filled members behind lines without delay, and the archive that asks them."""
    (folder / "member.yaml").write_text(json.dumps(SMALL))
    with contextlib.ExitStack() as stack:
        lines = []
        for member in range(members):
            one = stack.enter_context(served_archive(folder / f"m{member}", "--config", str(folder / "member.yaml")))
            files = [octets for number in range(studies) for octets in study(member, number, 1, 16)]
            if member == 0:
                files += [octets for number in range(cold) for octets in study(0, 10_000 + number, instances, 512)]
            assert fill("127.0.0.1", one.dimse_port, "VNA", files).accepted == len(files)
            lines.append(Line(one.http_port, 0.0))
            stack.callback(lines[-1].close)
        named = {
            f"m{number}": {"url": f"dicomweb+http://127.0.0.1:{line.port}/dicom-web", "issuer": f"I{number}", "concurrency": 8}
            for number, line in enumerate(lines)
        }
        configuration = {**SMALL, "federation": {"deadline": 60, "members": named, "negative": 0}}
        (folder / "hub.yaml").write_text(json.dumps(configuration))
        yield stack.enter_context(served_archive(folder / "hub", "--config", str(folder / "hub.yaml"))), lines


def seconds(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def queries(hub: ServedArchive, lines: Sequence[Line], delay: float, rounds: int, rows: int) -> dict[str, Any]:
    """A question to all, against each member alone; the slowest of a round counts."""
    for line in lines:
        line.delay = delay
    parameters = {"limit": "100", "includefield": "00081030"}
    with httpx2.Client(timeout=120) as client:

        def ask(base: str) -> int:
            answer = client.get(f"{base}/studies", params=parameters, headers={"Accept": "application/dicom+json"})
            answer.raise_for_status()
            assert "warning" not in answer.headers, answer.headers["warning"]
            return len(answer.json())

        def ask_all() -> None:
            assert ask(f"{hub.web}/federated/dicom-web") == min(100, rows)

        def ask_one(line: Line) -> None:
            ask(f"http://127.0.0.1:{line.port}/dicom-web")

        ask_all()
        for line in lines:
            ask_one(line)
        whole, slowest = [], []
        for number in range(rounds):
            if number % 2:
                whole.append(seconds(ask_all))
            slowest.append(max(seconds(lambda line=line: ask_one(line)) for line in lines))  # type: ignore[misc]
            if not number % 2:
                whole.append(seconds(ask_all))
        before = cpu_seconds(hub.process.pid)
        for _ in range(10):
            ask_all()
        cpu = (cpu_seconds(hub.process.pid) - before) / 10
    ratios = [all_ / one for all_, one in zip(whole, slowest, strict=True)]
    return {
        "delay_s": delay,
        "federated_ms": round(statistics.median(whole) * 1000, 1),
        "slowest_member_ms": round(statistics.median(slowest) * 1000, 1),
        "hub_cpu_ms": round(cpu * 1000, 1),
        "ratio": round(statistics.median(ratios), 2),
        "ratios": [round(min(ratios), 2), round(max(ratios), 2)],
    }


def retrievals(hub: ServedArchive, line: Line, instances: int, rounds: int) -> dict[str, Any]:
    """A study of its own for each round through the federation, cold and again, against the member's own WADO-RS."""
    line.delay = 0.0

    def fetch(client: httpx2.Client, url: str) -> int:
        parts, tail = 0, b""
        with client.stream("GET", url, headers={"Accept": DICOM}) as answer:
            answer.raise_for_status()
            for octets in answer.iter_bytes(1 << 20):
                parts += (tail + octets).count(b"Content-Type: application/dicom")
                tail = octets[-32:] if b"Content-Type: application/dicom" not in octets[-32:] else b""
        return parts

    figures: dict[str, list[float]] = {"direct": [], "federated": [], "again": []}
    cpu = []
    with httpx2.Client(timeout=600) as client:
        for number in range(rounds):
            path = f"studies/{uid(0, 10_000 + number)}"

            def through(path: str = path) -> None:
                assert fetch(client, f"{hub.web}/federated/dicom-web/{path}") == instances

            def direct(path: str = path) -> None:
                assert fetch(client, f"http://127.0.0.1:{line.port}/dicom-web/{path}") == instances

            direct()  # both read a file that the operating system knows
            before = cpu_seconds(hub.process.pid)
            if number % 2:
                figures["federated"].append(seconds(through))
            figures["direct"].append(seconds(direct))
            if not number % 2:
                figures["federated"].append(seconds(through))
            cpu.append((cpu_seconds(hub.process.pid) - before) * 1000 / instances)
            figures["again"].append(seconds(through))
    told = {f"{name}_per_s": round(instances / statistics.median(values), 1) for name, values in figures.items()}
    for name in ("federated", "again"):
        ratios = [one / other for one, other in zip(figures["direct"], figures[name], strict=True)]
        told[f"{name}_ratio"] = round(statistics.median(ratios), 2)
        told[f"{name}_ratios"] = [round(min(ratios), 2), round(max(ratios), 2)]  # type: ignore[assignment]
    told["hub_cpu_ms_an_instance"] = round(statistics.median(cpu), 2)
    return {"instances": instances, **told}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--members", type=int, default=8)
    parser.add_argument("--studies", type=int, default=50, help="studies of each member")
    parser.add_argument("--instances", type=int, default=100, help="instances of the study that is retrieved")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--delay", type=float, default=0.1, help="seconds that a member's answer is on its way")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    with (
        tempfile.TemporaryDirectory(prefix="vna-federation-") as folder,
        hospital(Path(folder), given.members, given.studies, given.instances, given.rounds) as (hub, lines),
    ):
        rows = given.members * given.studies + given.rounds
        figures: dict[str, Any] = {
            "members": given.members,
            "load": round(os.getloadavg()[0], 1),
            "query": queries(hub, lines, given.delay, given.rounds, rows),
            "query_without_delay": queries(hub, lines, 0.0, given.rounds, rows),
            "retrieve": retrievals(hub, lines[0], given.instances, given.rounds),
        }
    for name, told in figures.items():
        print(f"{name}: {json.dumps(told)}", flush=True)
    if given.json is not None:
        given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
