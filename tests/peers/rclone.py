"""``rclone serve s3``: a service that ignores conditions and checksums, on a free port."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

from tests.peers.processes import free_port, peer, running, wait_for_listener
from tests.peers.s3_service import ACCESS_KEY, SECRET_KEY, S3Service


@contextlib.contextmanager
def rclone(folder: Path) -> Iterator[S3Service]:
    """Run it for as long as the block runs; a bucket is a folder below `folder`."""
    data = folder / "data"
    data.mkdir(parents=True)
    port = free_port()
    command = [peer("peers/bin/rclone"), "serve", "s3", "--addr", f"127.0.0.1:{port}", "--config", str(folder / "none.conf")]
    command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}", str(data)]
    with running(command, folder / "rclone.log") as process:
        wait_for_listener(port, process)
        yield S3Service(f"http://127.0.0.1:{port}", process.pid)
