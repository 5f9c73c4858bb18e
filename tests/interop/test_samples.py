"""Wherever an independent reader reads the samples of a real file, it reads the same ones in the canonical object."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.benchmarks.readers import changed_samples

CORPUS = Path(os.environ.get("VNA_CORPUS", Path(__file__).resolve().parents[2].parent / "shared" / "corpus"))


@pytest.mark.skipif(not CORPUS.is_dir(), reason="the corpus folder is not here (set VNA_CORPUS)")
def test_no_sample_of_a_real_file_changes() -> None:
    compared, changed = changed_samples(CORPUS)
    assert changed == []
    assert compared > 250
