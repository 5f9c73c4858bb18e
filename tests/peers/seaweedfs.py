"""SeaweedFS as S3 service, on free ports."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator
from pathlib import Path

from tests.peers.processes import free_port, peer, running, wait_for_listener
from tests.peers.s3_service import ACCESS_KEY, SECRET_KEY, S3Service


@contextlib.contextmanager
def seaweedfs(folder: Path, chunk: int = 4) -> Iterator[S3Service]:
    """Run it for as long as the block runs; its data lie below `folder`, in pieces of `chunk` MiB."""
    program = peer("peers/bin/weed")
    data = folder / "data"
    data.mkdir(parents=True)
    port = free_port()
    command = [program, "-logtostderr=true", "mini", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", f"-s3.port={port}"]
    command += [f"-{role}.port={free_port()}" for role in ("master", "volume", "filer")]
    # Every bucket takes volumes of its own; left alone, it counts how many full ones the disk would hold, and refuses more.
    command += ["-volume.max=100000"]
    command += ["-s3.port.iceberg=0", "-s3.port.lance=0", "-admin.ui=false", "-webdav=false", "-bucket=ready"]
    command += [f"-filer.maxMB={chunk}"]
    access = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "WEED_S3_SSE_KEY": "ci"}
    with running(command, folder / "weed.log", **access) as process:
        wait_for_listener(port, process)
        service = S3Service(f"http://127.0.0.1:{port}", process.pid)
        _wait_until_writable(service)
        yield service


def _wait_until_writable(service: S3Service) -> None:
    """It listens before it can write."""
    deadline = time.monotonic() + 60
    while True:
        try:
            service.call("put_object", Bucket="ready", Key="ready", Body=b"x")
        except OSError:
            assert time.monotonic() < deadline, "SeaweedFS does not become writable"
            time.sleep(0.1)
        else:
            return
