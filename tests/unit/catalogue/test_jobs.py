"""The ledger of durable jobs: one per kind and key, leased to one worker, never forgotten, never finished by who lost it."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from vna_core.catalogue import Catalogue
from vna_core.domain.errors import LeaseLost, NotFound
from vna_core.domain.jobs import BACKGROUND, NORMAL, SUSPECT, URGENT


def keys(catalogue: Catalogue, limit: int = 10, lease: float = 60.0) -> list[str]:
    return [job.key for job in catalogue.jobs.take(("copy",), limit, lease, "w")]


def test_the_most_urgent_job_comes_first_and_each_goes_to_one_worker(catalogue: Catalogue) -> None:
    catalogue.jobs.add("copy", "later", priority=BACKGROUND)
    catalogue.jobs.add("copy", "now", {"n": 1}, priority=URGENT)
    catalogue.jobs.add("copy", "soon")
    catalogue.jobs.add("copy", "tomorrow", priority=URGENT, delay=86400)
    catalogue.jobs.add("other", "not ours", priority=URGENT)
    (first,) = catalogue.jobs.take(("copy",), 1, 60.0, "w")
    assert (first.key, first.payload, first.attempts) == ("now", {"n": 1}, 1)
    assert keys(catalogue) == ["soon", "later"]
    assert keys(catalogue) == []
    assert catalogue.jobs.counts() == {("copy", "open"): 4, ("other", "open"): 1}


def test_a_job_asked_for_twice_is_one_and_the_more_urgent(catalogue: Catalogue) -> None:
    catalogue.jobs.add("copy", "x", {"n": 1}, priority=NORMAL, delay=3600)
    catalogue.jobs.add("copy", "x", {"n": 2}, priority=URGENT)
    catalogue.jobs.add("copy", "x", {"n": 3}, priority=BACKGROUND, delay=7200)
    (job,) = catalogue.jobs.take(("copy",), 5, 60.0, "w")
    assert (job.payload, job.priority) == ({"n": 3}, URGENT)


def test_a_postponed_job_waits_until_nobody_asks_any_more(catalogue: Catalogue) -> None:
    catalogue.jobs.add("copy", "series", delay=0.0, postpone=True)
    catalogue.jobs.add("copy", "series", delay=3600.0, postpone=True)
    assert keys(catalogue) == []


def test_a_job_asked_for_while_it_runs_is_done_once_more(catalogue: Catalogue) -> None:
    catalogue.jobs.add("copy", "x")
    (job,) = catalogue.jobs.take(("copy",), 1, 60.0, "w")
    catalogue.jobs.add("copy", "x", {"again": True})
    assert keys(catalogue) == [], "it still runs"
    catalogue.jobs.done(job)
    (again,) = catalogue.jobs.take(("copy",), 1, 60.0, "w")
    assert (again.payload, again.attempts) == ({"again": True}, 1)
    catalogue.jobs.done(again)
    assert catalogue.jobs.listed() == []


def test_a_worker_that_lost_its_lease_changes_nothing(catalogue: Catalogue) -> None:
    catalogue.jobs.add("copy", "x")
    (lost,) = catalogue.jobs.take(("copy",), 1, 0.0, "slow")
    (job,) = catalogue.jobs.take(("copy",), 1, 60.0, "quick")
    assert job.attempts == 2
    with pytest.raises(LeaseLost):
        catalogue.jobs.renew(lost, 60.0)
    catalogue.jobs.done(lost)
    catalogue.jobs.fail(lost, "no")
    catalogue.jobs.later(lost, 0.0)
    (listed,) = catalogue.jobs.listed()
    assert (listed.state, listed.worker, listed.error) == ("open", "quick", "")
    catalogue.jobs.renew(job, 60.0, {"done": 3})
    assert catalogue.jobs.listed()[0].progress == {"done": 3}
    catalogue.jobs.done(job)
    assert catalogue.jobs.listed() == []


def test_a_job_given_back_is_free_and_whoever_gave_it_back_has_lost_it(catalogue: Catalogue) -> None:
    catalogue.jobs.add("copy", "x")
    (job,) = catalogue.jobs.take(("copy",), 1, 3600.0, "ends")
    assert catalogue.jobs.hand_back(job)
    with pytest.raises(LeaseLost):
        catalogue.jobs.renew(job, 60.0)
    assert not catalogue.jobs.hand_back(job)
    (again,) = catalogue.jobs.take(("copy",), 1, 3600.0, "next")
    assert (again.attempts, again.fence > job.fence) == (1, True)
    assert not catalogue.jobs.hand_back(job), "it is another one's now"
    assert catalogue.jobs.hand_back(again, 3600.0)
    assert keys(catalogue) == [], "not before its time"
    catalogue.jobs.add("copy", "x")
    (asked,) = catalogue.jobs.take(("copy",), 1, 60.0, "next")
    catalogue.jobs.add("copy", "x", {"again": True})
    assert catalogue.jobs.hand_back(asked)
    (last,) = catalogue.jobs.take(("copy",), 1, 60.0, "next")
    assert last.payload == {"again": True}
    catalogue.jobs.done(last)
    assert catalogue.jobs.listed() == [], "what was asked for meanwhile is done with it"


def test_a_failed_job_waits_for_people_and_can_be_asked_for_again(catalogue: Catalogue) -> None:
    catalogue.jobs.add("copy", "x\x00\udcff")
    (job,) = catalogue.jobs.take(("copy",), 1, 60.0, "w")
    catalogue.jobs.later(job, 0.0, "not yet")
    (job,) = catalogue.jobs.take(("copy",), 1, 60.0, "w")
    assert (job.key, job.attempts) == ("x\x00\udcff", 2)
    catalogue.jobs.fail(job, "never")
    assert keys(catalogue) == []
    (listed,) = catalogue.jobs.listed(state="failed")
    assert (listed.error, listed.key) == ("never", "x\x00\udcff")
    catalogue.jobs.reopen(listed.pk)
    (job,) = catalogue.jobs.take(("copy",), 1, 60.0, "w")
    assert job.attempts == 1
    catalogue.jobs.fail(job, "never")
    catalogue.jobs.add("copy", "x\x00\udcff")
    assert keys(catalogue) == ["x\x00\udcff"]
    catalogue.jobs.cancel(listed.pk)
    for change in (catalogue.jobs.reopen, catalogue.jobs.cancel):
        with pytest.raises(NotFound):
            change(listed.pk)


def test_periodic_work_is_asked_for_once(catalogue: Catalogue) -> None:
    catalogue.jobs.ensure("copy", "nightly")
    (job,) = catalogue.jobs.take(("copy",), 1, 60.0, "w")
    catalogue.jobs.later(job, 3600.0)
    catalogue.jobs.ensure("copy", "nightly")
    assert keys(catalogue) == []
    assert len(catalogue.jobs.listed(kind="copy")) == 1


def test_periodic_work_that_failed_for_good_is_tried_again_at_the_next_start(catalogue: Catalogue) -> None:
    catalogue.jobs.ensure("copy", "nightly")
    (job,) = catalogue.jobs.take(("copy",), 1, 60.0, "w")
    catalogue.jobs.fail(job, "never")
    catalogue.jobs.ensure("copy", "nightly")
    (again,) = catalogue.jobs.take(("copy",), 1, 60.0, "w")
    assert (again.attempts, again.fence > job.fence) == (1, True)


def test_workers_that_die_over_a_job_are_counted_until_one_is_heard_of(catalogue: Catalogue) -> None:
    catalogue.jobs.add("copy", "x")
    for deaths in range(3):
        (job,) = catalogue.jobs.take(("copy",), 1, 0.0, "dies")
        assert job.deaths == deaths
    (job,) = catalogue.jobs.take(("copy",), 1, 60.0, "ends in good order")
    assert (job.deaths, catalogue.jobs.hand_back(job)) == (3, True)
    (job,) = catalogue.jobs.take(("copy",), 1, 60.0, "next")
    assert job.deaths == 0


def test_jobs_over_which_workers_died_are_done_alone_so_that_only_the_deadly_one_dies_on(catalogue: Catalogue) -> None:
    """Three jobs are taken together, and the worker dies each time that one of them is done: the others are not given up with it."""
    for key in ("innocent", "deadly", "innocent too"):
        catalogue.jobs.add("copy", key)
    together = []
    for _ in range(SUSPECT):
        jobs = catalogue.jobs.take(("copy",), 10, 60.0, "dies")
        together.append(len(jobs))
        for job in jobs:
            catalogue.jobs.free(job.pk, "dies")
    assert together == [3, 3]
    catalogue.jobs.add("copy", "new")
    assert catalogue.jobs.take(("copy",), 10, 60.0, "busy", idle=False) == []
    deaths, done = 0, []
    while jobs := catalogue.jobs.take(("copy",), 10, 60.0, "w"):
        (job,) = jobs
        assert job.is_suspect or job.key == "new"
        if job.key == "deadly" and deaths < 3:
            deaths += 1
            catalogue.jobs.free(job.pk, "w")
        else:
            done.append((job.key, job.deaths))
            catalogue.jobs.done(job)
    assert done == [("innocent", 2), ("deadly", 5), ("innocent too", 2), ("new", 0)]


def test_what_is_more_urgent_than_a_suspect_is_not_held_up_by_it(catalogue: Catalogue) -> None:
    catalogue.jobs.add("copy", "suspect")
    for _ in range(SUSPECT):
        (job,) = catalogue.jobs.take(("copy",), 1, 60.0, "dies")
        catalogue.jobs.free(job.pk, "dies")
    catalogue.jobs.add("copy", "behind")
    catalogue.jobs.add("copy", "urgent", priority=URGENT)
    assert [job.key for job in catalogue.jobs.take(("copy",), 10, 60.0, "busy", idle=False)] == ["urgent"]
    assert [job.key for job in catalogue.jobs.take(("copy",), 10, 60.0, "idle")] == ["suspect"]
    assert [job.key for job in catalogue.jobs.take(("copy",), 10, 60.0, "busy", idle=False)] == ["behind"]


def test_many_workers_never_share_a_job(catalogue: Catalogue) -> None:
    for number in range(60):
        catalogue.jobs.add("copy", str(number))
    taken: list[str] = []
    lock = threading.Lock()

    def work(worker: int) -> None:
        while jobs := catalogue.jobs.take(("copy",), 3, 60.0, f"w{worker}"):
            with lock:
                taken.extend(job.key for job in jobs)
            for job in jobs:
                catalogue.jobs.done(job)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(work, range(6)))
    assert sorted(taken, key=int) == [str(number) for number in range(60)]
    assert catalogue.jobs.listed() == []
