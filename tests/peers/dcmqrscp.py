"""DCMTK's dcmqrscp with an empty archive."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers.processes import free_port, program, running, wait_for_listener

_CONFIGURATION = """
NetworkTCPPort  = {port}
MaxPDUSize      = 131072
MaxAssociations = 16
HostTable BEGIN
vna = (VNA, 127.0.0.1, {move_port})
HostTable END
VendorTable BEGIN
VendorTable END
AETable BEGIN
OLDPACS   {folder}   RW (5000, 4096mb)   ANY
AETable END
"""


@dataclass(frozen=True)
class Dcmqrscp:
    """A running PACS. `move_port` is where it moves to for the title VNA."""

    port: int
    move_port: int
    folder: Path

    @property
    def source(self) -> str:
        return f"dimse://OLDPACS@127.0.0.1:{self.port}"


@contextlib.contextmanager
def dcmqrscp(folder: Path, *options: str) -> Iterator[Dcmqrscp]:
    """Run it for as long as the block runs."""
    binary = program("dcmqrscp")
    store = folder / "OLDPACS"
    store.mkdir(parents=True)
    port, move_port = free_port(), free_port()
    configuration = folder / "dcmqrscp.cfg"
    configuration.write_text(_CONFIGURATION.format(port=port, move_port=move_port, folder=store))
    with running([binary, *options, "-c", str(configuration), str(port)], folder / "dcmqrscp.log", TCP_NODELAY="1") as process:
        wait_for_listener(port, process)
        yield Dcmqrscp(port, move_port, store)
