"""Counts of several processes come to one answer, whatever happens to a process."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vna_core.metering import Meter, Meters
from vna_core.metering.metrics import (
    DIMSE_ESTABLISHED,
    DROPPED,
    FAILURES,
    HTTP_RECEIVED,
    HTTP_REQUESTS,
    HTTP_SECONDS,
    INSTANCES,
    JOBS_RUNNING,
    METRICS,
    Kind,
    Metric,
)


def numbers(run: Meters) -> dict[tuple[str, ...], list[float]]:
    return {(one.metric.name, *one.labels): one.numbers for one in run.readings()}


def in_a_process(run: Meters, name: str, work: Callable[[Meter], object]) -> int:
    """Fork as the supervisor does, count there, and end without any clean-up; how it ended."""
    child = os.fork()
    if child == 0:
        work(Meter.of(run, name))
        os.kill(os.getpid(), signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_counts_of_processes_are_added_and_outlive_them() -> None:
    run = Meters(("dimse-1", "dimse-2", "web-1"))
    for name, times in (("dimse-1", 3), ("dimse-2", 4)):
        ended = in_a_process(
            run, name, lambda meter, times=times: [meter.count(INSTANCES, "dimse", "held") for _ in range(times)]
        )
        assert ended == -signal.SIGKILL
    Meter.of(run, "web-1").count(INSTANCES, "stow", "held")
    assert numbers(run) == {(INSTANCES.name, "dimse", "held"): [7], (INSTANCES.name, "stow", "held"): [1]}


def test_a_process_that_is_started_again_goes_on_counting() -> None:
    run = Meters(("dimse-1",))
    for start in range(1, 4):
        in_a_process(run, "dimse-1", lambda meter: meter.count(INSTANCES, "dimse", "held"))
        in_a_process(run, "dimse-1", lambda meter, start=start: meter.count(FAILURES, f"code-{start}"))
        counted = numbers(run)
        assert counted[INSTANCES.name, "dimse", "held"] == [start], "neither lost nor counted twice"
        assert [counted[FAILURES.name, f"code-{number}"] for number in range(1, start + 1)] == [[1]] * start


def test_gauges_tell_of_living_processes_only() -> None:
    run = Meters(("dimse-1", "dimse-2"))
    in_a_process(run, "dimse-1", lambda meter: meter.set(DIMSE_ESTABLISHED, 5))
    Meter.of(run, "dimse-2").set(DIMSE_ESTABLISHED, 2)
    assert numbers(run) == {(DIMSE_ESTABLISHED.name, "dimse-1"): [5], (DIMSE_ESTABLISHED.name, "dimse-2"): [2]}
    run.ended("dimse-1")
    assert numbers(run) == {(DIMSE_ESTABLISHED.name, "dimse-2"): [2]}
    assert run.living() == {"dimse-2": os.getpid()}
    again = Meter.of(run, "dimse-1")
    assert (DIMSE_ESTABLISHED.name, "dimse-1") not in numbers(run), "it has not said anything yet since it was started again"
    again.set(DIMSE_ESTABLISHED, 0)
    assert numbers(run)[DIMSE_ESTABLISHED.name, "dimse-1"] == [0]


def test_ranges_of_a_histogram_and_their_sum() -> None:
    run = Meters(("a", "b"))
    for name, seconds in (("a", (0.001, 0.0011, 59.0)), ("b", (61.0, 0.0))):
        meter = Meter.of(run, name)
        for value in seconds:
            meter.observe(HTTP_SECONDS, value, "/x")
    (ranges,) = numbers(run).values()
    *counts, total = ranges
    assert (counts[0], counts[1], counts[-2], counts[-1]) == (2, 1, 1, 1), "a bound belongs to the range below it"
    assert sum(counts) == 5
    assert total == pytest.approx(0.001 + 0.0011 + 59 + 61)


def test_threads_lose_no_count() -> None:
    meter = Meter.alone()

    def work() -> None:
        for number in range(5_000):
            meter.count(HTTP_RECEIVED, by=2)
            meter.count(FAILURES, f"code-{number % 50}")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    counted = numbers(meter.run)
    assert counted[(HTTP_RECEIVED.name,)] == [40_000]
    assert {counted[FAILURES.name, f"code-{number}"][0] for number in range(50)} == {400}


def test_what_finds_no_room_is_told_and_costs_the_others_nothing() -> None:
    meter = Meter.alone()
    meter.count(INSTANCES, "dimse", "held")
    for number in range(6_000):
        meter.count(HTTP_REQUESTS, "GET", f"/{number:05d}" + "x" * 100, "200")
        meter.observe(HTTP_SECONDS, 1.0, f"/{number:05d}")
    meter.count(INSTANCES, "dimse", "held")
    counted = numbers(meter.run)
    kept = sum(1 for key in counted if key[0] in (HTTP_REQUESTS.name, HTTP_SECONDS.name))
    assert 1_000 < kept < 12_000
    assert counted[(DROPPED.name,)] == [12_000 - kept]
    assert counted[INSTANCES.name, "dimse", "held"] == [2]


_COUNTED = [one for one in METRICS.values() if one.kind in (Kind.COUNTER, Kind.GAUGE) and one is not DROPPED]
_STEP = st.tuples(
    st.sampled_from(["a", "b"]), st.sampled_from(_COUNTED), st.text(max_size=20), st.integers(-5, 1_000), st.booleans()
)


@settings(max_examples=60, deadline=None)
@given(st.lists(_STEP, max_size=60))
def test_any_order_of_counts_and_restarts_comes_to_the_same_sums(steps: list[tuple[str, Metric, str, int, bool]]) -> None:
    run = Meters(("a", "b"))
    meters = {name: Meter.of(run, name) for name in ("a", "b")}
    wanted: dict[tuple[str, ...], list[float]] = {}
    for name, metric, text, number, restart in steps:
        if restart:
            meters[name] = Meter.of(run, name)
            for key in [key for key in wanted if METRICS[key[0]].kind is Kind.GAUGE and key[-1] == name]:
                del wanted[key]
        if metric.kind is Kind.GAUGE:
            labels = (text,) * (len(metric.labels) - 1)
            meters[name].set(metric, number, *labels)
            wanted[(metric.name, *labels, name)] = [number]
        else:
            labels = (text,) * len(metric.labels)
            meters[name].count(metric, *labels, by=abs(number))
            wanted.setdefault((metric.name, *labels), [0])[0] += abs(number)
        assert numbers(run) == wanted


def test_no_name_is_the_beginning_that_another_metric_adds_a_suffix_to() -> None:
    """Readers of the text format take ``x``, ``x_total``, ``x_sum``, ``x_count`` and ``x_bucket`` for one metric."""
    stems = [name.removesuffix("_total") for name in METRICS]
    assert sorted(set(stems)) == sorted(stems)
    assert not [name for name in METRICS if name.endswith(("_sum", "_count", "_bucket"))]


def test_a_reader_sees_what_a_running_process_writes() -> None:
    run = Meters(("worker-1",))
    told, answer = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        meter = Meter.of(run, "worker-1")
        for number in range(3):
            os.read(answer[0], 1)
            meter.set(JOBS_RUNNING, number)
            meter.count(FAILURES, f"code-{number}")
            os.write(told[1], b"x")
        os.read(answer[0], 1)
        os._exit(0)
    try:
        for number in range(3):
            os.write(answer[1], b"x")
            os.read(told[0], 1)
            counted = numbers(run)
            assert counted[JOBS_RUNNING.name, "worker-1"] == [number]
            assert counted[FAILURES.name, f"code-{number}"] == [1]
        assert run.living() == {"worker-1": child}
    finally:
        os.write(answer[1], b"x")
        os.waitpid(child, 0)
        for descriptor in (*told, *answer):
            os.close(descriptor)
