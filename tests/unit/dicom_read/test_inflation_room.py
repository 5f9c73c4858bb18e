"""Deflated data sets share memory: many small ones that become large take the process down no more than one."""

from __future__ import annotations

import gc
import threading
import zlib

import pytest

from vna_core.dicom.inflate import InflationRoom, inflate
from vna_core.domain.errors import LimitExceeded, OutOfResources

LARGE = 3 << 20


def deflated(size: int) -> bytes:
    engine = zlib.compressobj(wbits=-15)
    return engine.compress(bytes(size)) + engine.flush()


def test_what_is_inflated_beside_others_has_the_room_that_is_left() -> None:
    room = InflationRoom(4 << 20)
    first, _, _ = inflate(deflated(LARGE), 0, b"head", 1 << 30, room)
    assert len(first) == LARGE + 4
    for _ in range(3):
        with pytest.raises(OutOfResources) as refused:
            inflate(deflated(LARGE), 0, b"", 1 << 30, room)
        assert refused.value.transient, "its sender comes again"
    small, _, _ = inflate(deflated(1 << 18), 0, b"", 1 << 30, room)
    assert len(small) == 1 << 18
    del first
    gc.collect()
    again, _, _ = inflate(deflated(LARGE), 0, b"", 1 << 30, room)
    assert len(again) == LARGE


def test_one_that_is_alone_may_be_larger_than_the_room() -> None:
    room = InflationRoom(1 << 20)
    whole, _, _ = inflate(deflated(LARGE), 0, b"", 1 << 30, room)
    assert len(whole) == LARGE


def test_what_failed_gives_its_room_back_though_somebody_has_the_error() -> None:
    room = InflationRoom(4 << 20)
    with pytest.raises(LimitExceeded) as refused:
        inflate(deflated(LARGE), 0, b"", 2 << 20, room)
    first, _, _ = inflate(deflated(LARGE), 0, b"", 1 << 30, room)
    assert len(first) == LARGE
    assert refused.value.fields["maximum"] == 2 << 20


class Collecting(int):
    """A number at whose addition garbage is collected, as it may be at any moment."""

    def __radd__(self, other: int) -> int:
        gc.collect()
        return other + int(self)


def test_garbage_that_is_collected_while_room_is_taken_gives_its_own_back() -> None:
    room = InflationRoom(4 << 20)
    ring: list[object] = [inflate(deflated(LARGE), 0, b"", 1 << 30, room)[0]]
    ring.append(ring)
    gc.disable()
    del ring
    try:
        taking = threading.Thread(target=room.take, args=(Collecting(1 << 20), 0), daemon=True)
        taking.start()
        taking.join(30)
    finally:
        gc.enable()
    assert not taking.is_alive()
    room.take(3 << 20, 0)
