"""Starting, feeding and watching the systems that are compared."""

from __future__ import annotations

import contextlib
import os
import random
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.peers.archive import served_archive
from tests.peers.orthanc import orthanc
from tests.peers.processes import free_port, program, running, wait_for_listener

QUICK = {"TCP_NODELAY": "1"}
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class System:
    """A running system under measurement. `web` is empty where it has no web face."""

    name: str
    process: int
    dimse_port: int
    web: str = ""


@contextlib.contextmanager
def system(name: str, folder: Path, quick: bool = True) -> Iterator[System]:
    """Start one of ``vna``, ``orthanc`` and ``storescp`` on a fresh folder; `quick` tells DCMTK inside the peer to set TCP_NODELAY."""
    environment = QUICK if quick else {}
    folder.mkdir(parents=True, exist_ok=True)
    if name == "vna":
        with served_archive(folder / "data") as served:
            yield System(name, served.process.pid, served.dimse_port, served.web)
    elif name == "orthanc":
        with orthanc(folder, **environment) as peer:
            yield System(name, peer.process, peer.dimse_port, peer.web)
    else:
        port = free_port()
        store = folder / "store"
        store.mkdir()
        with running([program("storescp"), "-od", str(store), "--fork", str(port)], folder / "log", **environment) as process:
            wait_for_listener(port, process)
            yield System(name, process.pid, port)


def tree(root: int) -> list[int]:
    """A process and everything below it."""
    found, waiting = [], [root]
    while waiting:
        one = waiting.pop()
        found.append(one)
        listed = subprocess.run(["pgrep", "-P", str(one)], capture_output=True, text=True, check=False).stdout
        waiting += [int(line) for line in listed.split()]
    return found


def cpu_seconds(root: int) -> float:
    """User and system time of a tree of processes and of their ended children.

    The time of living processes comes from their clocks, which count nanoseconds (clock_getcpuclockid(3)): ticks are too coarse.
    """
    total = 0.0
    for process in tree(root):
        with contextlib.suppress(OSError):
            total += time.clock_gettime(~process << 3 | 2)
            fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
            total += sum(int(field) for field in fields[13:15]) / _TICKS
    return total


def peak_memory(root: int) -> int:
    """Highest resident memory of any one process of a tree, in MB."""
    peaks = [0]
    for process in tree(root):
        with contextlib.suppress(OSError):
            status = Path(f"/proc/{process}/status").read_text()
            peaks += [int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")]
    return max(peaks)


def store(port: int, groups: Sequence[Sequence[Path]], quick: bool = True) -> float:
    """Send every group over an association of its own with DCMTK's storescu; the seconds it took."""
    environment = {**os.environ, **(QUICK if quick else {})}
    begin = time.perf_counter()
    senders = [
        subprocess.Popen([program("storescu"), "-aec", "ANY", "127.0.0.1", str(port), *map(str, group)], env=environment)
        for group in groups
    ]
    codes = [sender.wait() for sender in senders]
    taken = time.perf_counter() - begin
    if any(codes):
        raise RuntimeError("a sender failed")
    return taken


def requests_per_second(urls: Sequence[str], folder: Path, seconds: int = 4, accept: str = "") -> float:
    """Load by wrk with random URLs out of a list, four connections."""
    shuffled = list(urls)
    random.Random(1).shuffle(shuffled)
    paths = ",".join('"' + url.split("/", 3)[3].join(["/", ""]) + '"' for url in shuffled[:2000])
    header = f'wrk.headers["Accept"] = "{accept}"\n' if accept else ""
    script = folder / "urls.lua"
    script.write_text(
        f"{header}local paths = {{{paths}}}\nrequest = function() return wrk.format(nil, paths[math.random(#paths)]) end\n"
    )
    done = subprocess.run(
        [program("wrk", "wrk"), "-t1", "-c4", f"-d{seconds}s", "-s", str(script), urls[0]],
        capture_output=True,
        text=True,
        check=True,
    )
    errors = [line for line in done.stdout.splitlines() if "Non-2xx" in line]
    if errors:
        raise RuntimeError(f"{urls[0]}: {errors[0].strip()}")
    return float(next(line.split()[1] for line in done.stdout.splitlines() if "Requests/sec" in line))


def median_and_spread(values: Sequence[float]) -> tuple[float, float]:
    """The median, and half the distance between the extremes as a part of it."""
    middle = statistics.median(values)
    return middle, (max(values) - min(values)) / (2 * middle) if middle else 0.0
