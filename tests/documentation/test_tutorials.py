"""The tutorials do what they say: their shell blocks are run, in order, in one shell and an empty folder."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest

TUTORIALS = sorted((Path(__file__).resolve().parents[2] / "docs" / "tutorials").glob("*.md"))
BLOCK = re.compile(r"^```bash\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind(("127.0.0.1", 0))
    ports = [int(probe.getsockname()[1]) for probe in probes]
    for probe in probes:
        probe.close()
    return ports


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("curl") is None, reason="the tutorials use curl")
@pytest.mark.parametrize("tutorial", TUTORIALS, ids=lambda path: path.stem)
def test_every_block_of_a_tutorial_succeeds(tutorial: Path, tmp_path: Path) -> None:
    blocks = BLOCK.findall(tutorial.read_text(encoding="utf-8"))
    assert blocks, "the tutorial has no block to run"
    web, dimse = free_ports(2)
    text = "\n".join(blocks).replace("8042", str(web)).replace("4242", str(dimse))
    script = "set -euo pipefail\ntrap 'kill $(jobs -p) 2>/dev/null || true' EXIT\n" + text
    environment = {name: value for name, value in os.environ.items() if not name.startswith("VNA_")}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
