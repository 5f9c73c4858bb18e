"""Files to offer, and file systems that break."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.ingest.ct_samples import ct


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Sixty instances of two series, one of them large enough to be spooled."""
    folder = tmp_path_factory.mktemp("offered")
    paths = []
    for number in range(1, 61):
        paths.append(folder / f"{number}.dcm")
        series = f"1.2.826.0.1.3680043.10.2.{number % 2}"
        paths[-1].write_bytes(ct(number, rows=20_000 if number == 10 else 64, SeriesInstanceUID=series))
    return paths


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 24 MiB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=24m", "none", str(folder)], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip(f"a small file system cannot be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture(scope="session")
def flush_journal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The library that keeps what was flushed."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if compiler is None:
        pytest.skip("no C compiler: what was flushed cannot be observed")
    library = tmp_path_factory.mktemp("flush") / "flush_journal.so"
    source = Path(__file__).with_name("flush_journal.c")
    subprocess.run([compiler, "-O1", "-shared", "-fPIC", "-o", str(library), str(source), "-ldl", "-lpthread"], check=True)
    assert os.access(library, os.R_OK)
    return library
