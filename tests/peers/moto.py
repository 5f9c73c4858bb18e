"""Moto's S3 service, the one with cold tiers, on a free port."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.peers.processes import free_port, peer, running, wait_for_listener
from tests.peers.s3_service import S3Service


@contextlib.contextmanager
def moto(folder: Path) -> Iterator[S3Service]:
    """Run it for as long as the block runs; its data are in memory."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    command = [peer("peers/bin/python"), peer("peers/bin/moto_server"), "-H", "127.0.0.1", "-p", str(port)]
    with running(command, folder / "moto.log") as process:
        wait_for_listener(port, process)
        yield S3Service(f"http://127.0.0.1:{port}", process.pid)
