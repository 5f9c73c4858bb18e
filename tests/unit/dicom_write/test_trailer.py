"""A stored object tells everything about itself: read back with few reads, and never wrongly."""

from __future__ import annotations

import struct
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pytest
from google_crc32c import value as crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_core.dicom.trailer import Provenance, build_trailer, read_trailer
from vna_core.domain.errors import DigestMismatch, Malformed
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.transformation import Confidence, Finding, Transformation

PROVENANCE = Provenance(
    Source("dimse", "CT1", "10.0.0.7", "RAD"), datetime(2026, 11, 24, 8, 0, 0, 17, UTC), "2026.11.0", "ab" * 32, 4711
)


def stored(frames: int = 1, patch: bytes = b"patch", provenance: Provenance = PROVENANCE, before: bytes = bytes(1000)) -> bytes:
    ranges = [ByteRange(500 + 2 * number, 2) for number in range(frames)]
    return before + build_trailer(provenance, patch, 400, ByteRange(500, 2 * frames) if frames else None, ranges)


class Reads:
    """Range reads that are counted."""

    def __init__(self, octets: bytes) -> None:
        self.octets, self.count = octets, 0

    def __call__(self, offset: int, length: int) -> bytes:
        assert offset >= 0
        self.count += 1
        return self.octets[offset : offset + length]


@pytest.mark.parametrize("frames", [0, 1, 2, 300, 5000])
@pytest.mark.parametrize("patch", [b"", b"odd", bytes(100_000)], ids=["none", "odd", "large"])
def test_what_was_written_is_read(frames: int, patch: bytes) -> None:
    octets = stored(frames, patch)
    trailer = read_trailer(Reads(octets), len(octets))
    assert trailer.offset == 1000 and trailer.data_set_offset == 400
    assert trailer.patch == patch and len(trailer.frames) == frames
    assert trailer.frames[-1:] == ((ByteRange(500 + 2 * frames - 2, 2),) if frames else ())
    assert trailer.provenance == PROVENANCE
    assert (trailer.pixel_data is None) == (frames == 0)


def test_an_ordinary_trailer_takes_one_read() -> None:
    read = Reads(stored())
    read_trailer(read, len(read.octets))
    assert read.count == 1


def test_the_end_of_the_object_is_a_zarr_shard_index() -> None:
    octets = stored(3)
    index = octets[-52:]
    assert np.frombuffer(index[:48], "<u8").reshape(3, 2).tolist() == [[500, 2], [502, 2], [504, 2]]
    assert struct.unpack("<I", index[48:])[0] == crc32c(index[:48])


def test_it_is_one_element_of_data_set_trailing_padding() -> None:
    element = stored()[1000:]
    assert element[:8] == b"\xfc\xff\xfc\xffOB\0\0"
    assert struct.unpack("<I", element[8:12])[0] == len(element) - 12
    assert len(element) % 2 == 0


texts = st.text(max_size=40)
changes = st.builds(
    Transformation,
    st.sampled_from(["F01", "E28"]),
    st.sampled_from(list(Confidence)),
    texts,
    texts,
    st.none() | texts,
    st.none() | texts,
    st.integers(1, 9),
    texts,
)


@settings(max_examples=60)
@given(
    st.builds(Source, texts, texts, texts, texts),
    st.lists(changes, max_size=4),
    st.lists(st.builds(Finding, texts, texts, texts), max_size=3),
)
def test_every_provenance_comes_back(source: Source, transformations: list[Transformation], findings: list[Finding]) -> None:
    provenance = Provenance(source, PROVENANCE.received_at, "x", "00" * 32, 0, tuple(transformations), tuple(findings))
    octets = stored(provenance=provenance)
    assert read_trailer(Reads(octets), len(octets)).provenance == provenance


@settings(max_examples=150)
@given(st.data())
def test_one_flipped_bit_anywhere_in_the_trailer_is_noticed(data: st.DataObject) -> None:
    octets = bytearray(stored(2))
    octets[data.draw(st.integers(1000, len(octets) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises((DigestMismatch, Malformed)):
        read_trailer(Reads(bytes(octets)), len(octets))


@pytest.mark.parametrize(
    "make",
    [lambda: b"", lambda: bytes(5000), lambda: stored()[:-1], lambda: stored()[:1000]],
    ids=["empty", "zeros", "cut", "served"],
)
def test_an_object_without_a_whole_trailer_is_refused(make: Callable[[], bytes]) -> None:
    octets = make()
    with pytest.raises((DigestMismatch, Malformed)):
        read_trailer(Reads(octets), len(octets))
