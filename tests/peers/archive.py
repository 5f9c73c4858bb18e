"""A real `vna serve` process on free ports."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

VNA = [str(Path(sys.executable).parent / "vna")]


@dataclass
class ServedArchive:
    """A running archive."""

    data: Path
    process: subprocess.Popen[str]
    http_port: int
    dimse_port: int
    hl7_port: int | None = None
    https_port: int = 0
    dimses_port: int = 0
    hl7s_port: int = 0

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def log(self) -> str:
        """What it has logged up to now."""
        return self.data.with_name(self.data.name + ".log").read_text()

    def stop(self) -> float:
        """SIGTERM; the seconds until the end."""
        begin = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)
        return time.monotonic() - begin


@contextlib.contextmanager
def served_archive(data: Path, *options: str, **environment: str) -> Iterator[ServedArchive]:
    """Run `vna serve` for as long as the block runs."""
    command = [*VNA, "serve", "--data", str(data), "--http", "127.0.0.1:0", "--dimse", "127.0.0.1:0", *options]
    log = data.with_name(data.name + ".log")
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=output, text=True, env={**os.environ, **environment})
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("ready "), log.read_text()[-2000:]
            named = (part.split("=", 1) for part in line.split()[1:])
            ports = {f"{name}_port": int(address.rsplit(":", 1)[1]) for name, address in named}
            yield ServedArchive(data, process, **{"http_port": 0, "dimse_port": 0, **ports})
        finally:
            if process.poll() is None:
                process.terminate()
                try:
                    process.wait(20)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()


def vna(*arguments: str, data: Path | None = None) -> tuple[int, list[dict[str, Any]], str]:
    """Run one command with --json: exit code, lines of standard output, standard error."""
    folder = ["--data", str(data)] if data is not None else []
    done = subprocess.run([*VNA, *arguments, *folder, "--json"], capture_output=True, text=True, timeout=120, check=False)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr
