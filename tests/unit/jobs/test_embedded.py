"""The embedded engine: jobs are done, tried again, given up, handed over, and none is lost when it stops."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from vna_core.catalogue import Catalogue
from vna_core.catalogue.schema_jobs import jobs
from vna_core.configuration import CatalogueSettings
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.errors import LeaseLost, OutOfResources, PeerUnavailable, VnaError
from vna_core.domain.jobs import SUSPECT, URGENT, Again, Job
from vna_core.jobs import EmbeddedEngine, LedgerWork
from vna_core.ports.jobs import Handler, Running

QUICK = JobsSettings(poll=0.02, pause=0.01, max_attempts=3)


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(CatalogueSettings(), tmp_path) as opened:
        yield opened


def work(catalogue: Catalogue, settings: JobsSettings = QUICK, **handlers: Handler) -> LedgerWork:
    return LedgerWork(catalogue.jobs, handlers, settings, "test")


def engine(catalogue: Catalogue, settings: JobsSettings = QUICK, **handlers: Handler) -> EmbeddedEngine:
    return EmbeddedEngine(work(catalogue, settings, **handlers))


def wait_for(condition: Callable[[], bool]) -> None:
    pause = threading.Event()
    for _ in range(1000):
        if condition():
            return
        pause.wait(0.02)
    raise AssertionError("it did not come to that")


def test_a_suspect_is_done_when_nothing_else_is_and_nothing_beside_it(catalogue: Catalogue) -> None:
    running: set[str] = set()
    seen: dict[str, set[str]] = {}
    begun, go_on = threading.Event(), threading.Event()

    def note(job: Job, _: Running) -> None:
        running.add(job.key)
        seen[job.key] = set(running)
        if job.key == "first":
            begun.set()
            assert go_on.wait(20)
        if job.key == "suspect":
            threading.Event().wait(0.2)  # others would be taken meanwhile
            seen[job.key] |= running
        running.discard(job.key)

    catalogue.jobs.add("note", "first", priority=URGENT)
    stop = threading.Event()
    working = threading.Thread(target=engine(catalogue, note=note).run, args=(stop,))
    working.start()
    assert begun.wait(20)
    catalogue.jobs.add("other", "suspect")
    for _ in range(SUSPECT):
        (job,) = catalogue.jobs.take(("other",), 1, 60.0, "dies")
        catalogue.jobs.free(job.pk, "dies")
    with catalogue.jobs._database.transaction() as session:
        session.run(update(jobs).where(jobs.c.kind == "other").values(kind="note"))
    for number in range(4):
        catalogue.jobs.add("note", f"behind {number}")
    go_on.set()
    wait_for(lambda: not catalogue.jobs.listed())
    stop.set()
    working.join(20)
    assert seen["suspect"] == {"suspect"}
    assert set(seen) == {"first", "suspect", *(f"behind {number}" for number in range(4))}


def test_what_takes_long_keeps_no_suspect_waiting_and_a_suspect_that_takes_long_keeps_nobody(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vna_core.jobs.work.STEADY", 0.3)
    ended, go_on = list[str](), threading.Event()

    def note(job: Job, _: Running) -> None:
        if job.key != "behind":
            assert go_on.wait(20)
        ended.append(job.key)

    catalogue.jobs.add("note", "suspect")
    for _ in range(SUSPECT):
        (job,) = catalogue.jobs.take(("note",), 1, 60.0, "dies")
        catalogue.jobs.free(job.pk, "dies")
    catalogue.jobs.add("note", "scrub", priority=URGENT)
    stop = threading.Event()
    settings = QUICK.model_copy(update={"threads": 3})
    working = threading.Thread(target=engine(catalogue, settings, note=note).run, args=(stop,))
    working.start()
    wait_for(lambda: all(one.worker for one in catalogue.jobs.listed()))
    catalogue.jobs.add("note", "behind")
    wait_for(lambda: ended == ["behind"])
    go_on.set()
    wait_for(lambda: not catalogue.jobs.listed())
    stop.set()
    working.join(20)
    assert sorted(ended) == ["behind", "scrub", "suspect"]


def test_jobs_are_done_side_by_side_and_forgotten(catalogue: Catalogue) -> None:
    together = threading.Barrier(2, timeout=20)

    def meet(job: Job, running: Running) -> None:
        together.wait()

    for number in range(4):
        catalogue.jobs.add("meet", str(number))
    stop = threading.Event()
    working = threading.Thread(target=engine(catalogue, meet=meet).run, args=(stop,))
    working.start()
    wait_for(lambda: not catalogue.jobs.listed())
    stop.set()
    working.join(20)
    assert not working.is_alive()


def test_what_fails_is_tried_again_and_then_left_to_people(catalogue: Catalogue) -> None:
    seen: list[int] = []

    def fails(job: Job, running: Running) -> None:
        seen.append(job.attempts)
        raise VnaError("It does not fit.")

    catalogue.jobs.add("fails", "x")
    one = work(catalogue, fails=fails)
    wait_for(lambda: one.run_until_idle() >= 0 and bool(catalogue.jobs.listed(state="failed")))
    assert seen == [1, 2, 3]
    assert catalogue.jobs.listed()[0].error == "It does not fit. [internal-error]"


def test_what_does_not_answer_is_asked_without_end_and_a_crash_is_told(catalogue: Catalogue) -> None:
    seen: list[int] = []

    def silent(job: Job, running: Running) -> None:
        seen.append(job.attempts)
        if len(seen) < 6:
            raise PeerUnavailable("It does not answer.")

    def crashes(job: Job, running: Running) -> None:
        raise ZeroDivisionError

    catalogue.jobs.add("silent", "x")
    catalogue.jobs.add("crashes", "y")
    one = work(catalogue, silent=silent, crashes=crashes)
    wait_for(lambda: one.run_until_idle() >= 0 and not catalogue.jobs.listed(kind="silent"))
    assert seen == [1, 2, 3, 4, 5, 6]
    wait_for(lambda: one.run_until_idle() >= 0 and bool(catalogue.jobs.listed(state="failed")))
    assert "ZeroDivisionError" in catalogue.jobs.listed()[0].error


def test_work_in_pieces_goes_on_and_counts_no_attempts(catalogue: Catalogue) -> None:
    seen: list[int] = []

    def pieces(job: Job, running: Running) -> Again | None:
        seen.append(job.attempts)
        running.tell({"piece": len(seen)})
        return Again() if len(seen) < 5 else None

    catalogue.jobs.add("pieces", "x")
    assert work(catalogue, pieces=pieces).run_until_idle() == 5
    assert seen == [1] * 5
    assert catalogue.jobs.listed() == []


def test_a_stopping_engine_tells_its_handlers_and_what_they_leave_is_done_later(catalogue: Catalogue) -> None:
    begun = threading.Event()

    def patient(job: Job, running: Running) -> Again:
        begun.set()
        wait_for(lambda: running.stopping)
        return Again()

    catalogue.jobs.add("patient", "x")
    stop = threading.Event()
    working = threading.Thread(target=engine(catalogue, patient=patient).run, args=(stop,))
    working.start()
    assert begun.wait(20)
    stop.set()
    working.join(20)
    assert not working.is_alive()
    assert [job.key for job in catalogue.jobs.take(("patient",), 1, 60.0, "next")] == ["x"]


def test_a_job_left_as_it_is_at_the_stop_is_free_at_once_and_that_counts_as_no_attempt(catalogue: Catalogue) -> None:
    begun = threading.Event()

    def leaves(job: Job, running: Running) -> None:
        begun.set()
        wait_for(lambda: running.stopping)
        raise LeaseLost("The worker ends.")

    catalogue.jobs.add("leaves", "x")
    one = work(catalogue, QUICK.model_copy(update={"lease": 3600.0}), leaves=leaves)
    stop = threading.Event()
    working = threading.Thread(target=EmbeddedEngine(one).run, args=(stop,))
    working.start()
    assert begun.wait(20)
    assert catalogue.jobs.take(("leaves",), 1, 60.0, "next") == [], "it is leased for an hour"
    stop.set()
    working.join(20)
    assert not working.is_alive()
    assert [(job.key, job.attempts) for job in catalogue.jobs.take(("leaves",), 1, 60.0, "next")] == [("x", 1)]


def test_a_job_whose_handler_reaches_no_safe_point_is_given_back_and_the_handler_has_lost_it(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vna_core.jobs.work.GRACE", 0.01)
    monkeypatch.setattr("vna_core.jobs.work.LAST", 0.0)
    begun, go_on, heard = threading.Event(), threading.Event(), threading.Event()

    def deaf(job: Job, running: Running) -> None:
        begun.set()
        assert go_on.wait(60)
        try:
            running.tell({})
        except LeaseLost:
            heard.set()
            raise

    catalogue.jobs.add("deaf", "x")
    one = work(catalogue, QUICK.model_copy(update={"lease": 3600.0}), deaf=deaf)
    stop = threading.Event()
    working = threading.Thread(target=EmbeddedEngine(one).run, args=(stop,))
    working.start()
    assert begun.wait(20)
    stop.set()
    working.join(20)
    (again,) = catalogue.jobs.take(("deaf",), 1, 60.0, "next")
    assert (again.key, again.attempts) == ("x", 1)
    go_on.set()
    assert heard.wait(20)
    wait_for(lambda: one.room == QUICK.threads)
    assert catalogue.jobs.listed()[0].worker == "next", "what ends late changes nothing"


def test_an_end_that_the_ledger_could_not_take_is_written_down_with_the_next_look(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []

    def fails_once(job: Job, running: Running) -> None:
        seen.append(job.attempts)
        if len(seen) == 1:
            monkeypatch.setattr(catalogue.jobs, "later", full)
            raise PeerUnavailable("It does not answer.")

    def full(*_: object) -> None:
        monkeypatch.undo()
        raise OutOfResources("The catalogue's disk is full.", limit="disk", maximum=0)

    catalogue.jobs.add("fails_once", "x")
    one = work(catalogue, QUICK.model_copy(update={"lease": 3600.0}), fails_once=fails_once)
    wait_for(lambda: one.run_until_idle() >= 0 and not catalogue.jobs.listed())
    assert seen == [1, 2], "its lease of an hour need not end first"


def test_a_full_disk_of_the_ledger_ends_neither_the_work_nor_its_leases(
    catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    began, go_on, stop, full = (threading.Event() for _ in range(4))
    refused: set[str] = set()

    def wait(job: Job, running: Running) -> None:
        began.set()
        assert go_on.wait(60)

    def refusing(name: str) -> Callable[..., object]:
        method = getattr(catalogue.jobs, name)

        def called(*arguments: object, **named: object) -> object:
            if full.is_set():
                refused.add(name)
                raise OutOfResources("The catalogue's disk is full.", limit="disk", maximum=0)
            if name == "renew":
                renewed.set()
            return method(*arguments, **named)

        return called

    renewed = threading.Event()
    for name in ("take", "renew", "waits"):
        monkeypatch.setattr(catalogue.jobs, name, refusing(name))
    catalogue.jobs.add("wait", "1")
    settings = QUICK.model_copy(update={"lease": 3.0, "threads": 2})
    working = threading.Thread(target=engine(catalogue, settings, wait=wait).run, args=(stop,))
    working.start()
    try:
        assert began.wait(60)
        full.set()
        wait_for(lambda: "renew" in refused and refused & {"take", "waits"} != set())
        renewed.clear()
        full.clear()
        assert renewed.wait(60)
        assert working.is_alive()
    finally:
        go_on.set()
        wait_for(lambda: not catalogue.jobs.listed())
        stop.set()
        working.join(60)


def test_a_handler_whose_job_was_taken_over_hears_of_it(catalogue: Catalogue) -> None:
    heard: list[str] = []

    def slow(job: Job, running: Running) -> None:
        catalogue.jobs.reopen(job.pk)
        catalogue.jobs.take(("slow",), 1, 60.0, "other")
        try:
            running.tell({})
        except LeaseLost as error:
            heard.append(error.code)
            raise

    catalogue.jobs.add("slow", "x")
    work(catalogue, slow=slow).run_until_idle()
    assert heard == ["lease-lost"]
    assert catalogue.jobs.listed()[0].worker == "other"


def test_an_engine_that_is_told_to_look_ends_before_its_next_look_is_due(catalogue: Catalogue) -> None:
    ended = threading.Event()
    waiting = EmbeddedEngine(work(catalogue, QUICK.model_copy(update={"poll": 3600.0}), one=lambda job, running: None), ended.set)
    catalogue.jobs.add("one", "")
    stop = threading.Event()
    working = threading.Thread(target=waiting.run, args=(stop,))
    working.start()
    assert ended.wait(20)
    wait_for(lambda: not catalogue.jobs.listed())
    stop.set()
    waiting.look()
    working.join(20)
    assert not working.is_alive()
