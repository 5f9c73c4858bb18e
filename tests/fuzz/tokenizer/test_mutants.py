"""Damaged octets are read, or refused with one of our errors; nothing else happens."""

from __future__ import annotations

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.unit.dicom_read.reading import LIMITS, received
from vna_core.domain.errors import EmptyPayload, LimitExceeded, Unarchivable
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import normalize
from vna_core.testing import phantoms

SEEDS = [one.octets for one in phantoms.odd().values()] + [phantoms.ct(7, 16, 16)]


def offered(octets: bytes) -> None:
    arrived = received(octets)
    try:
        canonical = normalize(arrived, identify(arrived, LIMITS), LIMITS)
    except (Unarchivable, LimitExceeded, EmptyPayload):
        return
    assert sum(len(piece) for piece in canonical.chunks()) == canonical.size


@given(st.data())
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
def test_flipped_octets(data: st.DataObject) -> None:
    octets = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 8))):
        octets[data.draw(st.integers(0, min(len(octets) - 1, 4000)))] = data.draw(st.integers(0, 255))
    offered(bytes(octets))


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_cut_and_repeated_octets(data: st.DataObject) -> None:
    octets = data.draw(st.sampled_from(SEEDS))
    begin = data.draw(st.integers(0, len(octets)))
    end = data.draw(st.integers(0, len(octets)))
    offered(octets[:begin] + octets[end:])


@given(st.binary(max_size=2000))
@settings(max_examples=200, deadline=None)
def test_noise(octets: bytes) -> None:
    offered(octets)
    offered(bytes(128) + b"DICM" + octets)
