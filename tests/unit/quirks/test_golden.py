"""Every file of the catalogue becomes what it must become.

Whoever writes the rule of an entry takes the names it fulfils out of `AWAITING`; ``combinations`` goes last.
"""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.normalize.handmade import offer, original, stored
from tests.unit.quirks.awaiting import AWAITING
from tests.unit.quirks.canonical_values import Reading
from vna_core.testing.quirks import QuirkFile, combinations, quirk_files

HELD = [one for one in quirk_files() if one.outcome == "held"]
COMBINED = list(combinations(1, 60))


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
    assert {path: reading.values(path) for path in file.expected_values} == dict(file.expected_values)
    assert_kept(file, reading)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("file", COMBINED, ids=[one.name for one in COMBINED])
def test_nothing_is_lost_among_several_faults(file: QuirkFile) -> None:
    canonical = offer(file.octets)
    reading = Reading(stored(canonical))
    assert [path for path, values in file.expected_values.items() if values and not reading.octets(path)] == []
    assert_kept(file, reading)
    assert original(stored(canonical)) == file.octets


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.xfail("combinations" in AWAITING, strict=True, reason="rules are awaited")
def test_every_value_is_put_right_among_several_faults() -> None:
    wrong = {}
    for file in COMBINED:
        reading = Reading(stored(offer(file.octets)))
        found = {path: reading.values(path) for path in file.expected_values}
        wrong.update(
            {f"{file.name} {path}": found[path] for path, values in file.expected_values.items() if found[path] != values}
        )
    assert wrong == {}


def assert_kept(file: QuirkFile, reading: Reading) -> None:
    """What must not change has not, and the image is the true one."""
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
    assert {one.name for one in HELD} | {"combinations"} >= AWAITING
