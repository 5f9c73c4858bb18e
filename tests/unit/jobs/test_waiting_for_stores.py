"""Jobs that failed for want of a store are woken when it answers again, however long their pause, and nobody asks it more often for that."""

from __future__ import annotations

import pytest

from vna_core.catalogue import Catalogue
from vna_core.catalogue.jobs import ListedJob
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.jobs import AWAIT_STORE, WELL, Again, Job
from vna_core.gateways.admin.metrics import exposition
from vna_core.jobs import LedgerWork
from vna_core.metering import Meter
from vna_core.ports.jobs import Running
from vna_core.ports.storage import Store
from vna_core.stewardship.awaiting_stores import AwaitingStores
from vna_core.testing.faulty_store import FaultyStore
from vna_core.testing.memory_store import MemoryStore

PATIENT = JobsSettings(poll=0.02, pause=600, max_attempts=3)
COUNT = 7


class Probed(FaultyStore):
    """Counts how often it is looked at; one that is full has room for what a probe writes."""

    probes = 0

    def probe(self) -> None:
        self.probes += 1
        super().probe()


class Copying:
    """Jobs that write to a store, a worker that does them, and how often they were tried."""

    def __init__(self, catalogue: Catalogue, store: Store | None = None) -> None:
        self.catalogue = catalogue
        self.store = Probed(store or MemoryStore("cloud"))
        self.tried = list[str]()
        self.awaiting = AwaitingStores({"cloud": self.store}, catalogue)
        for number in range(COUNT):
            catalogue.jobs.add("copy", f"{number}")

    def copy(self, job: Job, running: Running) -> None:
        self.tried.append(job.key)
        self.store.create(f"studies/{job.key}", [b"octets" * 5000])

    def work(self) -> None:
        """Do what is free, by a worker that knows nothing but the ledger."""
        LedgerWork(self.catalogue.jobs, {"copy": self.copy, AWAIT_STORE: self.awaiting}, PATIENT, "test").run_until_idle()

    def look(self) -> None:
        """What is done when the next look is due."""
        [job] = self.catalogue.jobs.listed(kind=AWAIT_STORE)
        assert job.payload == {}
        self.catalogue.jobs.reopen(job.pk)
        self.work()

    def waiting(self) -> list[ListedJob]:
        return self.catalogue.jobs.listed(kind="copy", waits_for="cloud")


@pytest.fixture
def copying(catalogue: Catalogue) -> Copying:
    return Copying(catalogue)


def test_the_ledger_says_which_job_waits_for_which_store(copying: Copying) -> None:
    copying.store.down = True
    copying.work()
    assert [job.key for job in copying.waiting()] == [f"{number}" for number in range(COUNT)]
    [looking] = copying.catalogue.jobs.listed(kind=AWAIT_STORE)
    assert (looking.key, looking.waits_for, looking.worker) == ("cloud", "", "")
    assert copying.catalogue.jobs.listed(waits_for="tape") == []
    assert copying.catalogue.waiting_jobs.counts() == {"cloud": COUNT}
    lines = exposition(Meter.alone().run, copying.catalogue).decode().splitlines()
    assert f'vna_store_jobs_waiting{{store="cloud"}} {COUNT}.0' in lines


def test_a_store_that_stays_away_is_asked_once_a_look_and_no_job_is_tried(copying: Copying) -> None:
    copying.store.down = True
    copying.work()
    tried = list(copying.tried)
    for looks in (1, 2, 3):
        copying.look()
        assert copying.store.probes == looks
    assert copying.tried == tried
    assert {job.attempts for job in copying.waiting()} == {1}


def test_when_it_is_back_one_job_is_tried_and_then_all(copying: Copying) -> None:
    copying.store.down = True
    copying.work()
    copying.store.down = False
    copying.work()
    assert len(copying.tried) == COUNT, "their pauses are long"
    copying.look()
    assert sorted(copying.tried[COUNT:]) == [f"{number}" for number in range(COUNT)]
    assert copying.catalogue.jobs.listed() == [], "nobody looks at a store that nothing waits for"


def test_a_store_that_answers_and_takes_nothing_costs_one_attempt_a_look(copying: Copying) -> None:
    copying.store.full = True
    copying.work()
    assert len(copying.waiting()) == COUNT
    for looks in range(1, COUNT + 3):
        copying.look()
        assert len(copying.tried) == COUNT + looks
    assert set(copying.tried[COUNT : 2 * COUNT]) == {f"{number}" for number in range(COUNT)}, "each in its turn"
    copying.store.full = False
    copying.look()
    assert copying.catalogue.jobs.listed() == []


def test_many_are_woken_in_pieces(copying: Copying, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vna_core.catalogue.waiting_jobs._PIECE", 2)
    copying.store.down = True
    copying.work()
    assert copying.catalogue.waiting_jobs.wake("cloud") == COUNT
    assert copying.catalogue.waiting_jobs.wake("cloud") == 0, "they are free already"


def test_a_failure_after_a_success_is_not_woken_by_it(copying: Copying) -> None:
    """The store was there for one job and is gone again before the others are woken: the next look begins with a probe."""
    copying.store.down = True
    copying.work()
    copying.store.down = False
    copying.catalogue.waiting_jobs.wake_one("cloud")
    [done] = copying.catalogue.jobs.take(["copy"], 1, 60, "test")
    copying.catalogue.jobs.done(done)
    [looking] = copying.catalogue.jobs.listed(kind=AWAIT_STORE)
    assert looking.payload == {WELL: True}
    copying.store.down = True
    copying.work()
    assert len(copying.waiting()) == COUNT - 1
    assert copying.catalogue.jobs.listed(kind=AWAIT_STORE)[0].payload == {}


def test_only_one_is_tried_at_a_time(copying: Copying) -> None:
    copying.store.down = True
    copying.work()
    assert copying.catalogue.waiting_jobs.wake_one("cloud")
    assert len(copying.catalogue.jobs.take(["copy"], 10, 60, "slow")) == 1
    assert copying.catalogue.waiting_jobs.wake_one("cloud")
    assert copying.catalogue.jobs.take(["copy"], 10, 60, "other") == []
    assert not copying.catalogue.waiting_jobs.wake_one("tape")


def test_jobs_of_a_store_that_is_not_configured_any_more_are_all_tried(copying: Copying) -> None:
    copying.store.down = True
    copying.work()
    copying.awaiting = AwaitingStores({}, copying.catalogue)
    copying.look()
    assert len(copying.tried) == 2 * COUNT


def test_who_asks_for_a_job_again_or_retries_it_does_not_wait(copying: Copying) -> None:
    copying.store.down = True
    copying.work()
    copying.catalogue.jobs.add("copy", "0")
    copying.catalogue.jobs.reopen(copying.waiting()[0].pk)
    assert [job.key for job in copying.waiting()] == [f"{number}" for number in range(2, COUNT)]


def test_a_duty_that_found_a_store_silent_goes_on_when_it_answers(copying: Copying) -> None:
    """A handler that keeps what it did and says what it waits for is woken like one that failed."""
    rounds = list[str]()

    def duty(job: Job, running: Running) -> Again | None:
        rounds.append(job.waited_for)
        return Again(900, "cloud") if len(rounds) == 1 else None

    copying.catalogue.jobs.add("duty", "")
    work = LedgerWork(copying.catalogue.jobs, {"duty": duty, AWAIT_STORE: copying.awaiting}, PATIENT, "test")
    work.run_until_idle()
    [job] = copying.catalogue.jobs.listed(kind=AWAIT_STORE)
    copying.catalogue.jobs.reopen(job.pk)
    work.run_until_idle()
    assert rounds == ["", "cloud"]
