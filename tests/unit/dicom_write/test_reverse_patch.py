"""The octets as received come back from copies, swaps and literals, whatever they were."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vna_core.dicom.reverse_patch import (
    SWAB16,
    Copy,
    apply,
    decode,
    dictionary_ranges,
    encode,
    swap,
    swap_stream,
)
from vna_core.domain.errors import Malformed


@st.composite
def patched(draw: st.DrawFn) -> tuple[bytes, bytes, list[Copy]]:
    """A canonical object, an original and copies that hold between them."""
    canonical = draw(st.binary(min_size=1, max_size=400))
    original, copies = bytearray(), []
    for _ in range(draw(st.integers(0, 6))):
        original += draw(st.binary(max_size=40))
        begin = draw(st.integers(0, len(canonical) - 1))
        length = draw(st.integers(1, len(canonical) - begin))
        unit = draw(st.sampled_from([1, 2, 4, 8]))
        copies.append(Copy(len(original), begin, length, unit))
        original += swap(canonical[begin : begin + length], unit)
    original += draw(st.binary(max_size=40))
    return canonical, bytes(original), copies


def literals(original: bytes, copies: list[Copy]) -> bytes:
    ends = [0, *(copy.original + copy.length for copy in copies)]
    begins = [*(copy.original for copy in copies), len(original)]
    return b"".join(original[end:begin] for end, begin in zip(ends, begins, strict=True))


def dictionary(canonical: bytes, copies: list[Copy]) -> bytes:
    return b"".join(canonical[begin:end] for begin, end in dictionary_ranges(copies, len(canonical)))


@given(patched())
def test_what_is_encoded_comes_back(case: tuple[bytes, bytes, list[Copy]]) -> None:
    canonical, original, copies = case
    octets = encode(copies, literals(original, copies), dictionary(canonical, copies))
    patch = decode(octets, len(original))
    assert list(patch.copies) == copies
    assert b"".join(apply(patch, lambda offset, length: canonical[offset : offset + length], len(canonical))) == original


@given(patched())
def test_a_swapped_whole_comes_back(case: tuple[bytes, bytes, list[Copy]]) -> None:
    canonical, original, copies = case
    octets = encode(copies, literals(original, copies), dictionary(canonical, copies), SWAB16)
    patch = decode(octets, len(original))
    pieces = apply(patch, lambda offset, length: canonical[offset : offset + length], len(canonical))
    assert b"".join(pieces) == swap(original, 2)


@given(patched())
def test_the_dictionary_is_what_copies_leave_but_for_short_runs(case: tuple[bytes, bytes, list[Copy]]) -> None:
    canonical, _, copies = case
    free = dictionary_ranges(copies, len(canonical))
    covered = {index for copy in copies for index in range(copy.canonical, copy.canonical + copy.length)}
    taken = {index for begin, end in free for index in range(begin, end)}
    assert not taken & covered
    assert all(left[1] < right[0] for left, right in pairwise(free))
    left_out = sorted(set(range(len(canonical))) - covered - taken)
    assert all(left_out[place + 31] - left_out[place] > 31 for place in range(len(left_out) - 31))


@given(st.binary(max_size=100), st.sampled_from([1, 2, 4, 8]), st.lists(st.integers(1, 9), max_size=30))
def test_swapping_a_stream_is_swapping_the_whole(octets: bytes, unit: int, steps: list[int]) -> None:
    pieces, position = [], 0
    for step in steps:
        pieces.append(octets[position : position + step])
        position += step
    pieces.append(octets[position:])
    assert b"".join(swap_stream(pieces, unit)) == swap(octets, unit)
    assert swap(swap(octets, unit), unit) == octets


def test_literals_that_the_object_already_has_cost_next_to_nothing() -> None:
    header = bytes(index * 37 % 251 for index in range(4000))
    assert len(encode([], header, header)) < 40


@given(st.binary(max_size=60))
def test_garbage_is_refused(octets: bytes) -> None:
    try:
        patch = decode(octets, 1000)
        b"".join(apply(patch, lambda offset, length: b"", 0))
    except Malformed:
        return
    pytest.fail("a patch of garbage was applied")
