"""Real files: every one that is understood comes back bit-exact, passes a second time untouched, and others can read it."""

from __future__ import annotations

import io
import json
import os
import shutil
import statistics
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest

from tests.unit.normalize.handmade import LIMITS, data_set, offer, original, rules, stored
from vna_core.dicom.trailer import index_entry_fields, read_trailer
from vna_core.domain.errors import VnaError
from vna_core.domain.instance import CanonicalInstance

CORPUS = Path(os.environ.get("VNA_CORPUS", Path(__file__).resolve().parents[3].parent / "shared" / "corpus"))
pytestmark = [
    pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus folder is not here (set VNA_CORPUS)"),
    pytest.mark.filterwarnings("ignore"),
]


@pytest.fixture(scope="module")
def canonical() -> list[tuple[Path, bytes, CanonicalInstance]]:
    assert LIMITS.max_depth >= 64
    return list(understood())


def understood() -> Iterator[tuple[Path, bytes, CanonicalInstance]]:
    for path in sorted(CORPUS.rglob("*")):
        if path.is_file() and path.parent != CORPUS and path.stat().st_size:
            octets = path.read_bytes()
            try:
                yield path, octets, offer(octets)
            except VnaError as error:
                assert error.code in ("not-dicom", "truncated", "malformed", "limit-exceeded"), (path, error)


def test_the_octets_of_every_file_come_back(canonical: list[tuple[Path, bytes, CanonicalInstance]]) -> None:
    assert [path.name for path, octets, one in canonical if original(stored(one)) != octets] == []


def test_every_canonical_object_passes_untouched(canonical: list[tuple[Path, bytes, CanonicalInstance]]) -> None:
    changed = []
    for path, _, one in canonical:
        again = offer(stored(one))
        if data_set(again) != data_set(one) or rules(again) != ["F21"]:
            changed.append((path.name, rules(again)))
    assert changed == []


def test_every_object_tells_its_index_entry_by_itself(canonical: list[tuple[Path, bytes, CanonicalInstance]]) -> None:
    for path, _, one in canonical:
        object_ = stored(one)
        fields = index_entry_fields(lambda offset, length, octets=object_: octets[offset : offset + length], len(object_))  # type: ignore[misc]
        for name in ("json_header", "attributes", "pixel_data", "transformations", "study_instance_uid", "sop_class_uid"):
            assert getattr(fields, name) == getattr(one, name), (path, name)
        json.loads(fields.json_header)


def test_pydicom_reads_every_element(canonical: list[tuple[Path, bytes, CanonicalInstance]]) -> None:
    for path, _, one in canonical:
        read = pydicom.dcmread(io.BytesIO(stored(one)))
        assert str(read.file_meta.TransferSyntaxUID) == one.transfer_syntax_uid, path
        for found in read.iterall():
            _ = found.value


def test_patches_stay_small(canonical: list[tuple[Path, bytes, CanonicalInstance]]) -> None:
    patches = []
    for _, _, one in canonical:
        object_ = stored(one)
        read = read_trailer(lambda offset, length, octets=object_: octets[offset : offset + length], len(object_))  # type: ignore[misc]
        patches.append(len(read.patch))
    assert statistics.median(patches) < 250


@pytest.mark.skipif(shutil.which("dcmdump") is None, reason="dcmdump (Debian package dcmtk) is not installed")
def test_dcmdump_reads_every_object(canonical: list[tuple[Path, bytes, CanonicalInstance]], tmp_path: Path) -> None:
    paths = []
    for number, (_, _, one) in enumerate(canonical):
        paths.append(tmp_path / f"{number}.dcm")
        paths[-1].write_bytes(stored(one))
    run = subprocess.run(
        ["dcmdump", "-q", "+fo", *map(str, paths)], capture_output=True, text=True, errors="replace", timeout=120, check=False
    )
    assert run.returncode == 0 and "E:" not in run.stderr, run.stderr[-500:]
