"""Starts a legacy PACS for the example: DCMTK's dcmqrscp where it is installed, else the phantom PACS that ships with the archive."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

CONFIGURATION = """
NetworkTCPPort  = {port}
MaxPDUSize      = 131072
MaxAssociations = 16
HostTable BEGIN
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
OLDPACS   {folder}   RW (5000, 4096mb)   ANY
AETable END
"""


def free_port() -> int:
    """A TCP port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(port: int, seconds: float = 20.0) -> None:
    """Return when somebody accepts on the port."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1.0).close()
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return


@contextlib.contextmanager
def legacy_pacs(folder: Path) -> Iterator[tuple[str, int]]:
    """Run a PACS with an empty archive below `folder`; its product name and its port."""
    port = free_port()
    store = folder / "OLDPACS"
    store.mkdir(parents=True)
    program = shutil.which("dcmqrscp")
    if program is not None:
        configuration = folder / "dcmqrscp.cfg"
        configuration.write_text(CONFIGURATION.format(port=port, folder=store))
        command, product = [program, "-c", str(configuration), str(port)], "DCMTK dcmqrscp"
    else:
        command = [sys.executable, "-m", "vna_core.testing.phantom_pacs", "--port", str(port), "--aet", "OLDPACS", str(store)]
        product = "the phantom PACS"
    with (folder / "pacs.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, cwd=folder, env=_environment())
        try:
            wait_for(port)
            yield product, port
        finally:
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _environment() -> dict[str, str]:

    return {**os.environ, "TCP_NODELAY": "1"}
