"""Every file of the catalogue becomes what it must become.

Whoever writes the rule of an entry takes the names it fulfils out of `AWAITING`.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.normalize.handmade import offer, stored
from tests.unit.quirks.awaiting import AWAITING
from tests.unit.quirks.canonical_values import Reading
from vna_core.testing.quirks import QuirkFile, quirk_files

HELD = [one for one in quirk_files() if one.outcome == "held"]


def cases(files: list[QuirkFile]) -> list[object]:
    return [
        pytest.param(
            one, id=one.name, marks=[pytest.mark.xfail(strict=True, reason="its rule is awaited")] * (one.name in AWAITING)
        )
        for one in files
    ]


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("file", cases(HELD))
def test_the_canonical_object_holds_what_is_true(file: QuirkFile) -> None:
    reading = Reading(stored(offer(file.octets)))
    found = {path: reading.values(path) for path in file.expected_values}
    assert found == dict(file.expected_values)
    assert {path: bare(reading.octets(path)) for path in file.unchanged} == {
        path: bare(octets) for path, octets in file.original_values.items()
    }
    if file.pixels is not None:
        samples = reading.samples()
        assert samples.shape == file.pixels.shape
        assert np.array_equal(samples, file.pixels)


def bare(octets: bytes | None) -> bytes | None:
    """Without the padding to even length, which is no part of the value (PS3.5 section 6.2)."""
    return None if octets is None else octets.rstrip(b" \0")


def test_what_is_awaited_exists() -> None:
    assert {one.name for one in HELD} >= AWAITING
