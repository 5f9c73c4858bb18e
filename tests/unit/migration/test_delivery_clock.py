"""What a source is waited for is told from what is done with what it delivers, one instance at a time or several."""

from __future__ import annotations

import pytest

from vna_core.migration.delivery_clock import DeliveryClock


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_only_time_without_a_delivery_was_waiting() -> None:
    clock = Clock()
    watch = DeliveryClock(clock)
    with watch.retrieval():
        clock.now += 3.0
        with watch.delivery():
            clock.now += 5.0
        clock.now += 1.0
    clock.now += 50.0
    assert watch.waited == 4.0


def test_deliveries_that_overlap_count_once() -> None:
    clock = Clock()
    watch = DeliveryClock(clock)
    with watch.retrieval():
        clock.now += 2.0
        first, second = watch.delivery(), watch.delivery()
        first.__enter__()
        clock.now += 4.0
        second.__enter__()
        clock.now += 4.0
        first.__exit__(None, None, None)
        clock.now += 4.0
        second.__exit__(None, None, None)
        clock.now += 1.0
    assert watch.waited == 3.0


def test_a_retrieval_and_a_delivery_that_fail_are_counted() -> None:
    clock = Clock()
    watch = DeliveryClock(clock)
    with pytest.raises(OSError), watch.retrieval():
        clock.now += 2.0
        with watch.delivery():
            clock.now += 7.0
            raise OSError
    with watch.retrieval():
        clock.now += 1.0
    assert watch.waited == 3.0
