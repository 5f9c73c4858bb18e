"""Faults on purpose: an ingesting process that dies at a named place, and the check that nothing acknowledged is lost.

As a program it ingests files and says what it acknowledged, one line each, so that whoever kills it knows what must be there::

    python -m vna_core.testing.fault_injection --data DIR [--config FILE] [--die-after ROOM] [--nth N] [--threads N] FILE...
"""

from __future__ import annotations

import argparse
import hashlib
import os
import queue
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from vna_core.bootstrap import open_archive
from vna_core.configuration import Settings, load_settings
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import CHUNK, Source
from vna_core.ingest.pipeline import ROOMS, IngestPipeline

_SOURCE: Final = Source("file", "fault-injection")


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """One success that a sender heard: digest of the octets sent, and the identifier under which they are held."""

    sha256: str
    sop_instance_uid: str


@dataclass(frozen=True, slots=True)
class Run:
    """An ingesting process that came to its end."""

    acknowledged: tuple[Acknowledged, ...]
    returncode: int


def start(
    data: Path,
    files: Sequence[Path],
    *,
    die_after: str = "",
    nth: int = 1,
    threads: int = 1,
    config: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a process of its own that ingests `files` into the archive at `data`.

    Parameters
    ----------
    die_after
        Room after which the process kills itself (SIGKILL), the `nth` time an instance leaves it.
    config
        Configuration file, for an archive that is not as it comes.
    environment
        Further variables.
    """
    command = [sys.executable, "-m", __name__, "--data", str(data), "--nth", str(nth), "--threads", str(threads)]
    command += ["--die-after", die_after] if die_after else []
    command += ["--config", str(config)] if config is not None else []
    return subprocess.Popen(
        [*command, *map(str, files)], stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
    )


def finish(process: subprocess.Popen[str], kill_after: int | None = None) -> Run:
    """Wait for the end of a process, or kill it when it has acknowledged `kill_after` instances; what it acknowledged."""
    acknowledged: list[Acknowledged] = []
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            if line.endswith("\n"):
                sha256, uid = line.split()
                acknowledged.append(Acknowledged(sha256, uid))
            if kill_after is not None and len(acknowledged) == kill_after:
                process.kill()
    return Run(tuple(acknowledged), process.wait())


def lost(data: Path, acknowledged: Iterable[Acknowledged], config: Path | None = None) -> list[Acknowledged]:
    """What was acknowledged and does not come back bit-exact, by the catalogue, from the archive at `data`."""
    missing = []
    with open_archive(_settings(data, config)) as archive:
        for one in acknowledged:
            versions = [held for held in archive.catalogue.versions(one.sop_instance_uid) if held.original_sha256 == one.sha256]
            try:
                digests = {_digest(archive.retriever.original(held)) for held in versions}
                served = [sum(map(len, archive.retriever.part10(held))) == held.trailer_offset for held in versions]
            except VnaError:
                digests, served = set(), [False]
            if digests != {one.sha256} or not all(served):
                missing.append(one)
    return missing


def _settings(data: Path, config: Path | None) -> Settings:
    return load_settings(config, {"data": str(data)}, environment={})


def _digest(pieces: Iterable[bytes]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()


def _dying_after(room: str, nth: int) -> Callable[[str], None]:
    """Kills the process when an instance leaves `room` the `nth` time; no handler runs and no buffer is written."""
    left = iter(range(1, sys.maxsize))

    def leaves(name: str) -> None:
        if name == room and next(left) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    return leaves


def _ingest(pipeline: IngestPipeline, waiting: queue.SimpleQueue[Path], telling: threading.Lock) -> None:
    while True:
        try:
            path = waiting.get_nowait()
        except queue.Empty:
            return
        with pipeline.reception(_SOURCE) as reception, path.open("rb") as stream:
            while piece := stream.read(CHUNK):
                reception.write(piece)
            received = reception.finish()
        sha256 = received.octets.sha256
        result = pipeline.offer(received)
        if result.outcome.acknowledged:
            with telling:
                os.write(1, f"{sha256} {result.sop_instance_uid}\n".encode())


def main() -> None:
    """The program."""
    parser = argparse.ArgumentParser(description="Ingest files, and die where told.")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--config", type=Path)
    parser.add_argument("--die-after", choices=ROOMS, default="")
    parser.add_argument("--nth", type=int, default=1)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("files", type=Path, nargs="+")
    arguments = parser.parse_args()
    settings = _settings(arguments.data, arguments.config)
    with open_archive(settings) as archive:
        after_room = _dying_after(arguments.die_after, arguments.nth) if arguments.die_after else None
        pipeline = IngestPipeline(archive.landing, archive.catalogue, settings.ingest, settings.data, after_room=after_room)
        waiting: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for path in arguments.files:
            waiting.put(path)
        telling = threading.Lock()
        threads = [threading.Thread(target=_ingest, args=(pipeline, waiting, telling)) for _ in range(arguments.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()


if __name__ == "__main__":
    main()
