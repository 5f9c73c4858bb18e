"""Where pydicom reads a real file well, we read the same elements with the same octets."""

from __future__ import annotations

import os
import warnings
from pathlib import Path

import pydicom
import pytest
from pydicom.dataset import Dataset

from tests.unit.dicom_read.reading import read
from vna_core.dicom.elements import DataSet, ParsedOctets

SAMPLES = sorted((Path(pydicom.__file__).parent / "data" / "test_files").glob("*.dcm"))
CORPUS = Path(os.environ.get("VNA_CORPUS", Path(__file__).resolve().parents[4] / "shared" / "corpus"))
REAL = sorted(path for path in CORPUS.rglob("*") if path.is_file() and path.parent != CORPUS) if CORPUS.is_dir() else []
KNOWN_TO_DIFFER = {"GH1339.dcm", "GH179A.dcm", "rtplan_truncated.dcm", "MR_truncated.dcm", "no_meta.dcm"}
"""Files that pydicom itself reads wrongly or in part (GH179A: it swallows what follows a blank representation; no_meta: it takes
the octet before the first tag for a part of it)."""


def raw_elements(dataset: Dataset) -> dict[int, bytes | None]:
    found: dict[int, bytes | None] = {}
    for tag in list(dataset.keys()):  # noqa: SIM118 - iterating a data set gives elements
        item = dataset.get_item(tag)
        value = getattr(item, "value", None)
        found[int(tag)] = value if isinstance(value, bytes) else None
    return found


def compared(path: Path) -> list[str]:
    octets = path.read_bytes()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = raw_elements(pydicom.dcmread(path, force=True))
        ours: ParsedOctets = read(octets)
    except Exception:  # noqa: BLE001 - what one of the two refuses is not compared here
        return []
    return differences(path.name, ours, ours.data_set, theirs)


def differences(name: str, parsed: ParsedOctets, data_set: DataSet, theirs: dict[int, bytes | None]) -> list[str]:
    mine = {element.tag: element for element in reversed(data_set.elements)}
    wrong = [
        f"{name}: pydicom has {tag:08X}, we do not" for tag in theirs if tag not in mine and tag & 0xFFFF and tag >> 16 != 0xFFFE
    ]
    for tag, value in theirs.items():
        element = mine.get(tag)
        if element is None or value is None or element.items is not None or tag == 0x7FE00010:
            continue
        octets = bytes(parsed.buffer[element.start : element.start + element.length])
        if octets != value:
            wrong.append(f"{name}: {tag:08X} differs")
    return wrong


@pytest.mark.parametrize("path", [path for path in SAMPLES if path.name not in KNOWN_TO_DIFFER], ids=lambda path: path.name)
def test_the_files_of_the_pydicom_wheel(path: Path) -> None:
    assert compared(path) == []


@pytest.mark.skipif(not REAL, reason="the corpus folder is not here (set VNA_CORPUS)")
def test_the_files_of_the_corpus() -> None:
    wrong = [line for path in REAL if path.name not in KNOWN_TO_DIFFER for line in compared(path)]
    assert wrong == []
