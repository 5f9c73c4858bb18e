"""Another process stores what it is given; wherever it dies, nothing is lost and no instance fails."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.unit.ingest.ct_samples import ct
from tests.unit.sharing.shared_archive import SOURCE, Shared, outcomes
from vna_core.domain.errors import VnaError
from vna_core.domain.octets import Octets
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.ingest.pipeline import ROOMS
from vna_core.ingest.sharing import Colleague, Helper
from vna_core.ingest.sharing.lending import KEPT, LentFiles


def is_held(shared: Shared, octets: bytes, uid: str) -> bool:
    held = shared.archive.catalogue.versions(uid)
    return octets in [b"".join(shared.archive.retriever.original(one)) for one in held]


def uid(number: int) -> str:
    return f"1.2.826.0.1.3680043.10.1.{number}"


def test_results_come_in_the_order_of_the_instances(shared: Shared) -> None:
    shared.help()
    large = ct(3, rows=20_000)  # beyond `ingest.spool_threshold`: it lies in a file already
    offered = [ct(1), ct(2), ct(1), large, b"this is not DICOM", b"", ct(2, PatientName="Other"), ct(4)]
    received = [shared.received(one) for one in offered]
    results = shared.idle().offer_all(received)
    assert outcomes(results) == [
        Outcome.HELD,
        Outcome.HELD,
        Outcome.DUPLICATE,
        Outcome.HELD,
        Outcome.QUARANTINED,
        Outcome.REFUSED,
        Outcome.CONFLICT,
        Outcome.HELD,
    ]
    assert [one.sop_instance_uid for one in results[:4] if isinstance(one, IngestResult)] == [uid(1), uid(2), uid(1), uid(3)]
    assert all(one.source == SOURCE for one in results if isinstance(one, IngestResult))
    assert is_held(shared, large, uid(3)) and is_held(shared, offered[6], uid(2))
    assert shared.counted() == {"taken": 8}
    assert shared.archive.pipeline.budget.free == shared.archive.pipeline.budget.maximum, "the octets were given back"


def offered_to_one_that_dies(shared: Shared, place: str) -> None:
    helper = shared.help(place, "3")
    offered = [ct(number) for number in range(1, 7)]
    received = [shared.received(one) for one in offered]
    results = shared.idle().offer_all(received)
    assert helper.wait(60) == -signal.SIGKILL
    assert set(outcomes(results)) <= {Outcome.HELD, Outcome.DUPLICATE}
    assert all(is_held(shared, octets, uid(number)) for number, octets in enumerate(offered, 1))
    assert shared.archive.catalogue.statistics().versions == 6
    assert shared.counted() == {"returned": 6}


@pytest.mark.parametrize("place", ["given", *ROOMS, "answer"])
def test_a_helper_that_is_killed_anywhere_costs_nothing(shared_embedded: Shared, place: str) -> None:
    offered_to_one_that_dies(shared_embedded, place)


def test_a_helper_that_is_killed_behind_its_commit_costs_nothing(shared: Shared) -> None:
    offered_to_one_that_dies(shared, "index")


def test_octets_for_which_there_is_no_room_twice_stay_here(shared_embedded: Shared) -> None:
    shared = shared_embedded
    shared.help()
    received = [shared.received(ct(number)) for number in range(1, 4)]
    budget = shared.archive.pipeline.budget
    taken = budget.free - budget.maximum // 4
    budget.take(taken)
    results = shared.idle().offer_all(received)
    budget.give_back(taken)
    assert outcomes(results) == [Outcome.HELD] * 3
    assert shared.counted() == {"returned": 3}
    assert budget.free == budget.maximum


def test_files_of_memory_are_written_again_when_nobody_reads_them() -> None:
    files = LentFiles()
    short, long = (Octets(size, "", memory=bytes([size % 251]) * size) for size in (1_000, 3_000_000))
    first = files.lend(long)
    second = files.lend(short)
    assert first != second
    files.take_back(first, is_free=True)
    files.take_back(second, is_free=False)
    with pytest.raises(OSError, match="descriptor"):
        os.fstat(second)
    again = files.lend(short)
    assert again == first and os.pread(again, 1_000, 0) == bytes(short.read(0, 1_000))
    files.take_back(again, is_free=True)
    kept = [files.lend(long) for _ in range(8)]
    for one in kept:
        files.take_back(one, is_free=True)
    sizes = [os.fstat(one).st_size for one in kept if Path(f"/proc/self/fd/{one}").exists()]
    assert sum(sizes) <= KEPT, "no more is kept than is good"
    files.close()
    assert not any(Path(f"/proc/self/fd/{one}").exists() for one in kept)


def test_a_process_with_work_of_its_own_takes_nothing(shared_embedded: Shared) -> None:
    """Whoever took its line while it was idle stores the instances itself."""
    shared, stop = shared_embedded, threading.Event()
    # The helper of this process; to be given something it must look like another one.
    helper = Helper(shared.bench, shared.archive.pipeline, shared.colleagues, stop)
    lines: list[object] = []
    helper.begin()
    try:
        while shared.bench.is_empty():
            pass
        _, line = shared.bench._next() or (0, None)
        assert line is not None
        lines.append(line)
        with shared.colleagues.occupied():
            results = Colleague(line, shared.archive.pipeline, LentFiles(), shared.meter).offer_all([shared.received(ct(1))])
            assert outcomes(results) == [Outcome.HELD]
            assert shared.counted() == {"returned": 1}
            assert shared.bench.is_empty(), "and lays no line as long as it has"
        while shared.bench.is_empty():
            pass
    finally:
        helper.end(30)


def test_a_helper_that_is_told_to_stop_finishes_what_it_has(shared_embedded: Shared) -> None:
    shared = shared_embedded
    helper = shared.help()
    received = [shared.received(ct(number)) for number in range(1, 9)]
    results: list[IngestResult | VnaError] = []
    colleague = shared.idle()
    giving = threading.Thread(target=lambda: results.extend(colleague.offer_all(received)))
    giving.start()
    helper.communicate("", timeout=60)
    giving.join()
    assert helper.returncode == 0
    assert outcomes(results) == [Outcome.HELD] * 8


def test_many_give_to_many_and_everything_is_held_once(shared: Shared) -> None:
    for _ in range(2):
        shared.help()
    results: list[IngestResult | VnaError] = []

    def give(numbers: range) -> None:
        for at in range(0, len(numbers), 4):
            received = [shared.received(ct(number)) for number in numbers[at : at + 4]]
            colleague = shared.colleagues.idle()
            offer: Callable[..., list[IngestResult | VnaError]] = (colleague or shared.archive.pipeline).offer_all
            results.extend(offer(received))

    threads = [threading.Thread(target=give, args=(range(1, 25),)) for _ in range(3)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert Counter(outcomes(results)) == {Outcome.HELD: 24, Outcome.DUPLICATE: 48}
    assert shared.archive.catalogue.statistics().versions == 24
