"""The storage plugin that the how-to prints passes the conformance kit with the test file that it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from vna_core.testing.material import wheel_files

PAGE = Path(__file__).resolve().parents[2] / "docs" / "how-to" / "write-a-storage-plugin.md"
BLOCK = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The printed files, as files."""
    for name, content in BLOCK.findall(PAGE.read_text(encoding="utf-8")):
        (tmp_path / name).write_text(content, encoding="utf-8")
    return tmp_path


def test_the_printed_plugin_passes_the_conformance_kit(folder: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "-c",
        os.devnull,
        "--rootdir",
        str(folder),
        str(folder),
    ]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-4000:]
    assert " passed" in done.stdout


def test_an_archive_lands_its_instances_in_the_printed_plugin(folder: Path) -> None:
    installed = folder / "site_store-1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: site-store\nVersion: 1.0\n")
    (installed / "entry_points.txt").write_text("[vna.plugins]\nsite-store = site_store\n")
    (folder / "vna.yaml").write_text("stores:\n  landing:\n    type: sqlite\n    options: {path: objects.sqlite}\n")
    (folder / "in.dcm").write_bytes(wheel_files()[0])
    environment = {**os.environ, "PYTHONPATH": str(folder)}

    def vna(*arguments: str) -> str:
        command = [str(Path(sys.executable).parent / "vna"), *arguments, "--config", "vna.yaml", "--data", "data"]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert "1 held" in vna("ingest", "in.dcm")
    assert not (folder / "data" / "store").exists()
    uid = json.loads(vna("find", "--level", "image", "--json"))["00080018"]["Value"][0]
    vna("get", uid, "--original", "-o", "out")
    assert (folder / "out" / f"{uid}.original.dcm").read_bytes() == wheel_files()[0]
