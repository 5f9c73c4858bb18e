"""What a source delivers is taken off its hands: in order, in groups, bounded, and whatever goes wrong is heard."""

from __future__ import annotations

import threading
from datetime import UTC, datetime

import pytest

from vna_core.domain.errors import OutOfResources, PeerUnavailable
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.migration.handover import Handover


def received(number: int, size: int = 8) -> ReceivedInstance:
    octets = Octets(size, "", memory=bytes([number]) * size)
    return ReceivedInstance(octets, Source("migration", "OLD"), datetime(2026, 1, 1, tzinfo=UTC), sop_instance_uid=str(number))


def numbers(group: list[ReceivedInstance]) -> list[int]:
    return [int(one.sop_instance_uid) for one in group]


class Store:
    """Takes groups, the first of them only when it is told to."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.busy, self.go = threading.Event(), threading.Event()

    def take(self, group: list[ReceivedInstance]) -> None:
        self.busy.set()
        assert self.go.wait(60)
        self.groups.append(numbers(group))


def test_what_comes_while_others_are_stored_goes_together_in_its_order() -> None:
    store = Store()
    with Handover(store.take) as handover:
        handover.put(received(1))
        assert store.busy.wait(60)
        for number in range(2, 6):
            handover.put(received(number))
        assert store.groups == [], "whoever delivers does not wait for the first to be stored"
        store.go.set()
    assert store.groups == [[1], [2, 3, 4, 5]], "the end waits until all are taken"


@pytest.mark.parametrize(("bounds", "size"), [({"instances": 3}, 8), ({"octets": 24}, 8), ({"octets": 4}, 2)])
def test_what_waits_is_bounded(bounds: dict[str, int], size: int) -> None:
    store, done = Store(), threading.Event()
    room = bounds.get("instances") or bounds["octets"] // size
    with Handover(store.take, **bounds) as handover:
        handover.put(received(0, size))
        assert store.busy.wait(60)
        for number in range(1, room + 1):
            handover.put(received(number, size))
        one_more = threading.Thread(target=lambda: (handover.put(received(room + 1, size)), done.set()))
        one_more.start()
        assert not done.wait(0.2)
        store.go.set()
        one_more.join(60)
    assert done.is_set() and sum(store.groups, []) == list(range(room + 2))


def test_one_that_is_larger_than_the_bound_is_taken_alone() -> None:
    store = Store()
    store.go.set()
    with Handover(store.take, octets=4) as handover:
        for number in range(3):
            handover.put(received(number, 100))
    assert sum(store.groups, []) == [0, 1, 2]


def test_a_failure_is_heard_by_the_next_delivery_and_what_waits_is_dropped() -> None:
    full = threading.Event()

    def take(group: list[ReceivedInstance]) -> None:
        full.set()
        raise OutOfResources("The disk is full.")

    later = received(2)
    with pytest.raises(OutOfResources), Handover(take) as handover:
        handover.put(received(1))
        assert full.wait(60)
        for _ in range(1000):
            handover.put(later)
    with pytest.raises(ValueError, match="closed"):
        _ = later.octets.sha256


def test_a_failure_of_the_last_is_heard_at_the_end() -> None:
    def take(group: list[ReceivedInstance]) -> None:
        raise OutOfResources("The disk is full.")

    with pytest.raises(OutOfResources), Handover(take) as handover:
        handover.put(received(1))


def test_what_came_before_the_source_broke_off_is_taken() -> None:
    store = Store()
    store.go.set()
    with pytest.raises(PeerUnavailable), Handover(store.take) as handover:
        handover.put(received(1))
        raise PeerUnavailable("gone")
    assert store.groups == [[1]]


def test_nothing_delivered_needs_no_thread() -> None:
    before = threading.active_count()
    with Handover(lambda group: None):
        assert threading.active_count() == before
