"""Starting and ending peers: free ports, waiting for a listener, ending by process id."""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

_SYSTEMS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_TURNS = itertools.count(os.getpid() * 769)
"""Where this process goes on looking: each begins at another place, and gives no port twice before it has given all of them."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on, below those that the system gives to whoever asks for any.

    Other tests connect and listen before the peer binds its port, or while a test wants nobody to listen there. A port that the
    system has just given would be one that it may give to them as well.
    """
    ports = range(10_240, int(_SYSTEMS.read_text().split()[0]))
    for turn in itertools.islice(_TURNS, len(ports)):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", ports[turn % len(ports)]))
            return int(probe.getsockname()[1])
    with socket.socket() as probe:  # a machine whose system gives nearly all of them
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for_listener(port: int, process: subprocess.Popen[bytes], seconds: float = 60.0) -> None:
    """Return when somebody accepts on the port; fail when the process ends before."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            assert process.poll() is None, f"the peer ended with {process.returncode}"
            assert time.monotonic() < deadline, "the peer does not listen"
            time.sleep(0.05)
        else:
            return


def program(name: str, package: str = "dcmtk") -> str:
    """Path of a program; the test is skipped where it is not installed."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} (Debian package {package}) is not installed")
    return found


def peer(path: str) -> str:
    """Path of a file of a peer that ``tests/run.sh`` installs below the virtual environment; skipped where it is not."""
    found = Path(sys.prefix) / path
    if not found.exists():
        pytest.skip(f"{path} is not installed; bash tests/run.sh installs it")
    return str(found)


@contextlib.contextmanager
def running(command: Sequence[str], log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process for as long as the block runs."""
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent, env={**os.environ, **environment})
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
