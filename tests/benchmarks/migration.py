"""Moves the same CT studies out of Orthanc in several ways, in one run and in turns.

    python -m tests.benchmarks.migration --instances 60
    python -m tests.benchmarks.migration --instances 1200 --rounds 3 --json figures.json

``vna-dimse`` and ``vna-orthanc`` are whole campaigns: inventory, fetch, normalization, two flushes, comparison by UID and digest. ``pacs-migrator``
and ``cloner`` are those of the package orthanc-tools, into a second Orthanc; ``movescu`` has the source send to DCMTK's storescp, which
flushes nothing and proves nothing. Every system gets a fresh target and the same number of retrievals at once; the time is that of the
whole command, start included. A ratio is the median of the ratios of the rounds.

orthanc-tools goes into an environment of its own:

    uv venv .venv/peers/orthanc-tools && uv pip install --python .venv/peers/orthanc-tools/bin/python orthanc-tools
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.peers.archive import VNA
from tests.peers.orthanc import OrthancServer, orthanc
from tests.peers.processes import free_port, program, running, wait_for_listener
from vna_core.testing import phantoms

AT_ONCE = 4
"""Retrievals at once, for whoever can be told."""
LIMIT = 1800.0
_TOOLS = Path(sys.prefix) / "peers/orthanc-tools/bin/python"
_PER_STUDY = 100


def call(url: str, body: bytes | None = None, method: str = "GET") -> Any:
    """One request to Orthanc."""
    asked = urllib.request.Request(url, body, {"Content-Type": "application/dicom"}, method=method)
    with urllib.request.urlopen(asked, timeout=60) as answer:
        octets = answer.read()
    return json.loads(octets) if octets else None


def filled(source: OrthancServer, instances: int) -> list[str]:
    """Put studies into the source; their UIDs."""
    size, number = min(_PER_STUDY, max(1, instances // 4)), 0
    left = instances
    while left > 0:
        number += 1
        for octets in phantoms.series(min(size, left), number=number, rows=512, columns=512):
            call(f"{source.web}/instances", octets, "POST")
        left -= size
    studies = call(f"{source.web}/studies?expand")
    return [one["MainDicomTags"]["StudyInstanceUID"] for one in studies]


def know(server: OrthancServer, name: str, aet: str, port: int) -> None:
    """Tell an Orthanc of a node."""
    body = json.dumps({"AET": aet, "Host": "127.0.0.1", "Port": port}).encode()
    call(f"{server.web}/modalities/{name}", body, "PUT")


def run(command: list[str], folder: Path, **environment: str) -> str:
    """Run a command to its end; what it wrote. Raises RuntimeError when it fails."""
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=LIMIT, env={**os.environ, "TCP_NODELAY": "1", **environment}
    )
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {done.stderr[-1000:]}")
    return done.stdout


def vna(url: str) -> Callable[[OrthancServer, list[str], int, Path], float]:
    """A whole campaign of ours; `url` has the places HTTP and DIMSE."""

    def moved(source: OrthancServer, studies: list[str], instances: int, folder: Path) -> float:
        address = url.replace("HTTP", str(source.http_port)).replace("DIMSE", str(source.dimse_port))
        begun = time.perf_counter()
        command = [*VNA, "migrate", "run", address, "--data", str(folder / "data"), "--concurrency", str(AT_ONCE), "--json"]
        summary = json.loads(run(command, folder).splitlines()[-1])["summary"]
        taken = time.perf_counter() - begun
        assert summary["held"] == instances, summary
        return taken

    return moved


@contextlib.contextmanager
def target(source: OrthancServer, folder: Path) -> Iterator[OrthancServer]:
    """A second Orthanc; both know each other."""
    with orthanc(folder / "target", TCP_NODELAY="1") as second:
        know(source, "target", "ORTHANC", second.dimse_port)
        know(second, "source", "ORTHANC", source.dimse_port)
        yield second


def pacs_migrator(source: OrthancServer, studies: list[str], instances: int, folder: Path) -> float:
    """PacsMigrator, which has the source move each study of a range of dates to the second Orthanc."""
    dates = sorted({one["MainDicomTags"].get("StudyDate", "") for one in call(f"{source.web}/studies?expand")})
    with target(source, folder) as second:
        command = [str(_TOOLS), "-m", "orthanc_tools.pacs_migrator", f"--url={second.web}", "--source_modality=source"]
        command += [f"--from_study_date={dates[0]}", f"--to_study_date={dates[-1]}", f"--worker_threads_count={AT_ONCE}"]
        begun = time.perf_counter()
        run(command, folder)
        taken = time.perf_counter() - begun
        _assert_count(second, instances)
    return taken


def cloner(source: OrthancServer, studies: list[str], instances: int, folder: Path) -> float:
    """The cloner, which follows the source's changes for ever: it is ended when everything has arrived."""
    with target(source, folder) as second:
        command = [str(_TOOLS), "-m", "orthanc_tools.orthanc_cloner", f"--source_url={source.web}", f"--dest_url={second.web}"]
        command += [f"--worker_threads_count={AT_ONCE}"]
        begun = time.perf_counter()
        with running(command, folder / "cloner.log") as process:
            while _count(second) < instances:
                if process.poll() is not None or time.perf_counter() - begun > LIMIT:
                    raise RuntimeError(
                        f"the cloner came to {_count(second)} of {instances}: {(folder / 'cloner.log').read_text()[-1000:]}"
                    )
                time.sleep(0.05)
            taken = time.perf_counter() - begun
    return taken


def movescu(source: OrthancServer, studies: list[str], instances: int, folder: Path) -> float:
    """DCMTK's movescu, a study after the other, to storescp."""
    port, store = free_port(), folder / "store"
    store.mkdir()
    with running([program("storescp"), "-od", str(store), "--fork", str(port)], folder / "log", TCP_NODELAY="1") as process:
        wait_for_listener(port, process)
        know(source, "store", "STORE", port)
        begun = time.perf_counter()
        for uid in studies:
            command = [program("movescu"), "-S", "-aec", "ORTHANC", "-aem", "STORE", "-k", "QueryRetrieveLevel=STUDY"]
            run([*command, "-k", f"StudyInstanceUID={uid}", "127.0.0.1", str(source.dimse_port)], folder)
        taken = time.perf_counter() - begun
    found = sum(1 for one in store.iterdir() if one.is_file())
    assert found == instances, f"storescp has {found}"
    return taken


def _count(server: OrthancServer) -> int:
    return int(call(f"{server.web}/statistics")["CountInstances"])


def _assert_count(server: OrthancServer, instances: int) -> None:
    assert _count(server) == instances, f"the target has {_count(server)} of {instances}"


SYSTEMS: dict[str, Callable[[OrthancServer, list[str], int, Path], float]] = {
    "vna-dimse": vna("dimse://ORTHANC@127.0.0.1:DIMSE"),
    "pacs-migrator": pacs_migrator,
    "vna-orthanc": vna("orthanc+http://127.0.0.1:HTTP"),
    "cloner": cloner,
    "movescu": movescu,
}
RATIOS = (
    ("vna-dimse", "pacs-migrator"),
    ("vna-orthanc", "pacs-migrator"),
    ("vna-orthanc", "cloner"),
    ("vna-dimse", "movescu"),
)


def main() -> int:
    """Measure, and print instances a second and ratios."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--instances", type=int, default=1200, help="CT instances of half a megabyte")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(SYSTEMS), help="systems, separated by commas")
    parser.add_argument("--json", type=Path, help="file for the figures")
    arguments = parser.parse_args()
    names = [one for one in SYSTEMS if one in arguments.only.split(",")]
    if not _TOOLS.exists() and {"pacs-migrator", "cloner"} & set(names):
        print("orthanc-tools is not installed; see --help. Its rows are left out.")
        names = [one for one in names if one not in ("pacs-migrator", "cloner")]
    rates: dict[str, list[float]] = {name: [] for name in names}
    load = os.getloadavg()[0]
    with tempfile.TemporaryDirectory(prefix="vna-migration-") as root, orthanc(Path(root) / "source", TCP_NODELAY="1") as source:
        studies = filled(source, arguments.instances)
        for number in range(arguments.rounds):
            for name in names if number % 2 == 0 else reversed(names):
                folder = Path(root) / f"{name}-{number}"
                folder.mkdir()
                seconds = SYSTEMS[name](source, studies, arguments.instances, folder)
                rates[name].append(arguments.instances / seconds)
                print(f"round {number + 1} {name}: {rates[name][-1]:.1f} instances/s", flush=True)
    ratios = {f"{one}/{other}": _ratio(rates, one, other) for one, other in RATIOS if one in rates and other in rates}
    for name, ratio in ratios.items():
        print(f"{name}: {ratio:.2f}")
    if arguments.json:
        figures = {"instances": arguments.instances, "load": load, "rates": rates, "ratios": ratios}
        arguments.json.write_text(json.dumps(figures, indent=1))
    return 0


def _ratio(rates: dict[str, list[float]], one: str, other: str) -> float:
    return statistics.median(ours / theirs for ours, theirs in zip(rates[one], rates[other], strict=True))


if __name__ == "__main__":
    sys.exit(main())
