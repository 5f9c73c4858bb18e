"""Every file of the catalogue becomes what it must become."""

from __future__ import annotations

import numpy as np
import pytest

from tests.unit.dialects.instances import installed
from tests.unit.normalize.handmade import LIMITS, original, received, stored
from tests.unit.quirks.canonical_values import Reading
from vna_core.domain.instance import CanonicalInstance
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import normalize
from vna_core.testing.quirks import QuirkFile, combinations, quirk_files

HELD = [one for one in quirk_files() if one.outcome == "held"]
COMBINED = list(combinations(1, 60))


DIALECTS = installed()


def offer(octets: bytes) -> CanonicalInstance:
    """As the archive takes it in, with the dialects that come with it."""
    one = received(octets)
    return normalize(one, identify(one, LIMITS), LIMITS, dialects=DIALECTS)


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("file", HELD, ids=[one.name for one in HELD])
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
