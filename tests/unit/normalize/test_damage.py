"""Octets damaged anywhere are refused with an error of ours, or held so that they come back and pass again untouched."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.unit.normalize.handmade import (
    JPEG_BASELINE,
    data_set,
    description,
    element,
    file,
    fragments,
    identification,
    item,
    offer,
    original,
    sequence,
    stored,
    uid,
)
from vna_core.domain.errors import VnaError

ITEMS = [item(uid(0x00081150, "1.2") + uid(0x00081155, "1.2.3"), undefined=undefined) for undefined in (True, False)]
GROUPS = element(0x00080060, "CS", b"CT") + sequence(0x00081140, ITEMS, undefined=True) + element(0x00090010, "LO", b"ACME")
HEADER = identification(extra=GROUPS + element(0x00091001, "UN", b"\1\2\3\4")) + description(2, 2, 8, frames=2)
FILES = [
    file(HEADER + element(0x7FE00010, "OB", bytes(8))),
    file(HEADER + fragments([b"\xff\xd8\xff\xe0abcd", b"\xff\xd8\xff\xe0efgh"], [0, 16]), JPEG_BASELINE),
]
DAMAGE = st.lists(
    st.tuples(st.floats(0, 1, exclude_max=True), st.binary(min_size=1, max_size=4), st.sampled_from(["put", "insert", "cut"])),
    min_size=1,
    max_size=3,
)


@settings(max_examples=400, deadline=None)
@given(st.sampled_from(FILES), DAMAGE)
def test_damaged_octets_are_refused_or_come_back(octets: bytes, damage: list[tuple[float, bytes, str]]) -> None:
    damaged = bytearray(octets)
    for place, change, kind in damage:
        where = int(place * len(damaged))
        if kind == "put":
            damaged[where : where + len(change)] = change
        elif kind == "insert":
            damaged[where:where] = change
        else:
            del damaged[where : where + len(change)]
    try:
        canonical = offer(bytes(damaged))
    except VnaError:
        return
    assert original(stored(canonical)) == bytes(damaged)
    again = offer(stored(canonical))
    assert data_set(again) == data_set(canonical)
