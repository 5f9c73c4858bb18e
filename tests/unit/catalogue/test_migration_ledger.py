"""The ledger of migrations: append-only, in order, with counts that agree with its rows, and shared limits of sources."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from tests.unit.catalogue.catalogue_entries import entry
from vna_core.catalogue import Campaign, Catalogue
from vna_core.catalogue.migration_rows import InstanceEnd, LedgerStudy, ListedStudy, Retried
from vna_core.domain.errors import VnaError
from vna_core.domain.jobs import URGENT, Job
from vna_core.domain.migration import InstanceState, StudyState, may_follow
from vna_core.migration.campaign import bump
from vna_core.migration.study_jobs import STUDY
from vna_core.ports.pacs import InventoriedInstance


def listed(catalogue: Catalogue, *studies: ListedStudy, campaign: str = "c") -> list[LedgerStudy]:
    inventory = catalogue.inventories.begin(campaign)
    catalogue.listing.list_studies(campaign, inventory.number, studies, "w")
    for study in catalogue.ledger_reader.to_be_asked(campaign, inventory.number):
        uid = study.study_instance_uid
        found = [InventoriedInstance(uid, f"{uid}.1", f"{uid}.1.{number}") for number in range(3)]
        catalogue.listing.record_instances(study, inventory.number, found, "w")
    return list(catalogue.ledger_reader.studies(campaign))


def test_studies_are_queued_newest_patient_first_with_all_of_the_patients_studies(catalogue: Catalogue) -> None:
    listed(
        catalogue,
        ListedStudy("1.1", "A", study_date="20100101"),
        ListedStudy("1.2", "B", study_date="20200101"),
        ListedStudy("1.3", "A", study_date="20230101"),
        ListedStudy("1.4", "", study_date=""),
        ListedStudy("1.5", "C", study_date="20050101"),
    )
    catalogue.ledger.order("c")
    catalogue.ledger.prioritize("c", 10, patients=["C"])
    order: list[str] = []
    while catalogue.ledger.queue(
        "c", 2, "w", lambda session, pk: order.append(catalogue.ledger_reader.study(pk).study_instance_uid)
    ):
        pass
    assert order == ["1.5", "1.3", "1.1", "1.2", "1.4"]


def test_a_study_that_is_being_retrieved_stays_so_when_somebody_asks_for_it(catalogue: Catalogue) -> None:
    listed(catalogue, ListedStudy("1.1", "P"), ListedStudy("1.2", "P"))
    catalogue.campaigns.save(Campaign("c", "x://y", "running"))
    first, second = catalogue.ledger_reader.studies("c")
    catalogue.ledger.move(first, StudyState.QUEUED, "w", "order")
    catalogue.ledger.move(first, StudyState.RETRIEVING, "w", "slot")
    assert bump(catalogue, "somebody", patient="P") == 2
    states = [one.state for one in catalogue.ledger_reader.studies("c")]
    assert states == [StudyState.RETRIEVING, StudyState.QUEUED]
    asked = {job.key: job.priority for job in catalogue.jobs.listed(kind=STUDY)}
    assert asked == {f"c {first.pk}": URGENT, f"c {second.pk}": URGENT}, "its worker may be dead"
    assert catalogue.ledger.move(first, StudyState.STORED, "w", "uid-set")


def test_the_history_cannot_be_changed(catalogue: Catalogue) -> None:
    (study,) = listed(catalogue, ListedStudy("1.1"))
    for statement in ("UPDATE migration_transitions SET worker = 'x'", "DELETE FROM migration_transitions"):
        with pytest.raises(VnaError), catalogue._database.transaction() as session:
            session.execute(statement)
    history = catalogue.ledger_reader.transitions(study.pk)
    assert [(one.old, one.new) for one in history if one.instance == 0][0] == ("", "listed")
    assert all(one.worker == "w" for one in history)


def test_a_study_that_was_moved_is_not_queued_again(catalogue: Catalogue) -> None:
    (study,) = listed(catalogue, ListedStudy("1.1"))
    for state in (StudyState.QUEUED, StudyState.RETRIEVING, StudyState.STORED):
        assert catalogue.ledger.move(study, state, "w", "test")
    assert not catalogue.ledger.move(study, StudyState.QUEUED, "w", "test")


def test_what_holds_a_campaign_up_is_its_rate_as_long_as_that_is_waited_for(catalogue: Catalogue) -> None:
    assert catalogue.throttle.load("c").bottleneck == ""
    assert catalogue.throttle.reserve("c", 1000, 1.0) == 0.0
    assert catalogue.throttle.reserve("c", 1, 1.0) > 0.0
    assert catalogue.throttle.load("c").bottleneck == "limit (rate)"
    assert catalogue.throttle.load("d").bottleneck == ""


def test_exceptions_are_counted_retried_accepted_and_solved(catalogue: Catalogue) -> None:
    (study,) = listed(catalogue, ListedStudy("1.1", study_date="20200101"))
    instances = catalogue.ledger_reader.instances(study.pk)
    ends = [InstanceEnd(one, InstanceState.FAILED, detail="x") for one in instances]
    catalogue.ledger.end_instances(study, ends, "w")
    for _ in range(2):
        with catalogue.ledger.writing("c", "w") as writing:
            writing.except_("not-delivered", study.pk, instances[0].pk, "x", "sample")
            writing.except_("retrieve-failed", study.pk, instances[1].pk, "x")
    first, second = catalogue.ledger_reader.exceptions("c")
    assert (first.times, first.sop_instance_uid, first.sample) == (2, "1.1.1.0", "sample")
    assert catalogue.ledger.retry("c", [first], "me") == Retried((first.pk,), (), 1)
    states = [one.state for one in catalogue.ledger_reader.instances(study.pk)]
    assert states == [InstanceState.INVENTORIED, InstanceState.FAILED, InstanceState.FAILED]
    catalogue.ledger.exclude(
        study, [one for one in catalogue.ledger_reader.instances(study.pk) if one.pk == second.instance], "me", "no file"
    )
    catalogue.ledger.close_exceptions("c", [second.pk], "accepted", "me", "no file")
    assert catalogue.ledger_reader.exceptions("c") == []
    assert catalogue.ledger_reader.exception_counts("c") == {("not-delivered", "retried"): 1, ("retrieve-failed", "accepted"): 1}
    with catalogue.ledger.writing("c", "w") as writing:
        writing.solve(study.pk, ("not-delivered",), "fetch")
    assert ("not-delivered", "solved") in catalogue.ledger_reader.exception_counts("c")


def test_a_retry_closes_only_what_is_asked_for_again(catalogue: Catalogue) -> None:
    (study,) = listed(catalogue, ListedStudy("1.1"))
    for state in (StudyState.QUEUED, StudyState.RETRIEVING, StudyState.STORED):
        catalogue.ledger.move(study, state, "w", "test")
    stored = [
        InstanceEnd(one, InstanceState.STORED, "held", "", f"{one.pk:064}", 100, one.sop_instance_uid)
        for one in catalogue.ledger_reader.instances(study.pk)
    ]
    catalogue.ledger.end_instances(study, stored, "w")
    with catalogue.ledger.writing("c", "w") as writing:
        for reason in ("stale-header", "shared-study-uid", "deleted-at-source"):
            writing.except_(reason, study.pk)
        writing.except_("inventory-capped")
    entries = catalogue.ledger_reader.exceptions("c")
    retried = catalogue.ledger.retry("c", entries, "me")
    assert retried == Retried((), tuple(one.pk for one in entries), 0)
    assert {one.state for one in catalogue.ledger_reader.exceptions("c", state=None)} == {"open"}
    assert catalogue.ledger_reader.study(study.pk).state is StudyState.STORED
    with catalogue.ledger.writing("c", "w") as writing:
        writing.except_("source-changed", study.pk, detail="the description changed")
    retried = catalogue.ledger.retry("c", catalogue.ledger_reader.exceptions("c"), "me")
    assert (len(retried.asked), len(retried.left), retried.studies) == (1, 4, 1)
    assert catalogue.ledger_reader.study(study.pk).state is StudyState.INVENTORIED
    waiting = catalogue.ledger_reader.instances(study.pk)
    assert {one.state for one in waiting} == {InstanceState.INVENTORIED}
    assert [one.received_sha256 for one in waiting] == [f"{one.pk:064}" for one in waiting], "what is held stays known"


def test_what_is_held_is_told_with_where_it_is_filed(catalogue: Catalogue) -> None:
    held = catalogue.record(entry()).held
    (found,) = catalogue.ledger_reader.held([held.sop_instance_uid, "9.9"])
    assert (found.study_instance_uid, found.original_sha256) == (held.study_instance_uid, held.original_sha256)


def test_a_rate_is_shared_and_places_are_bounded(catalogue: Catalogue) -> None:
    throttle = catalogue.throttle
    assert throttle.reserve("s", 1000, 10.0) == 0.0
    assert 90.0 < throttle.reserve("s", 1, 10.0) <= 100.0
    slots = [throttle.acquire("s", job, 2) for job in leased(catalogue, 3)]
    assert slots[2] is None and slots[0] is not None and slots[1] is not None
    throttle.forget(slots[0])
    (job,) = leased(catalogue, 1)
    assert throttle.acquire("s", job, 2) is not None
    assert throttle.load("s").running == 2


def test_a_place_is_free_when_the_job_that_holds_it_is(catalogue: Catalogue) -> None:
    throttle, jobs = catalogue.throttle, catalogue.jobs
    (dead,) = leased(catalogue, 1, 0.0)
    assert throttle.acquire("s", dead, 1) is not None
    (stuck, other) = leased(catalogue, 2)
    assert throttle.acquire("s", stuck, 1) is not None, "the lease of the job before is over"
    assert throttle.acquire("s", other, 1) is None
    jobs.reopen(stuck.pk)  # its worker is known to be dead
    assert throttle.acquire("s", other, 1) is not None
    jobs.done(other)
    assert throttle.load("s").running == 0


def leased(catalogue: Catalogue, count: int, lease: float = 60.0) -> list[Job]:
    """Jobs that a worker has now."""
    for _ in range(count):
        catalogue.jobs.add("study", uuid4().hex)
    return catalogue.jobs.take(["study"], count, lease, "w")


def test_a_source_that_does_not_answer_is_left_alone_unless_somebody_waits(catalogue: Catalogue) -> None:
    throttle = catalogue.throttle
    first, second = leased(catalogue, 2)
    slot = throttle.acquire("s", first, 4)
    assert slot is not None and throttle.load("s").silent_since is None
    assert [throttle.silent("s"), throttle.silent("s")] == [False, True]
    throttle.release(slot, 4, 0, {}, failed=True, answered=False)
    load = throttle.load("s")
    assert load.silent_since is not None and load.bottleneck == "source"
    with catalogue._database.transaction() as session:  # long silent, and just tried
        session.execute("UPDATE migration_sources SET silent_until = silent_until + 600000000")
    assert throttle.silence("s") > 0 and throttle.silence("t") == 0
    assert throttle.acquire("s", second, 4) is None
    slot = throttle.acquire("s", second, 4, asked=True)
    assert slot is not None
    throttle.release(slot, 4, 1, {})
    assert (throttle.load("s").silent_since, throttle.silence("s")) == (None, 0.0)


def test_a_source_that_fails_gets_half_as_much_at_once_and_more_again_when_it_is_well(catalogue: Catalogue) -> None:
    throttle = catalogue.throttle

    def one(failed: bool, seconds: float = 1.0) -> float:
        (job,) = leased(catalogue, 1)
        slot = throttle.acquire("s", job, 8)
        assert slot is not None
        throttle.release(slot, 8, 10, {"source": seconds, "store": 0.5}, failed)
        return throttle.load("s").bound

    assert one(False) == 8.0
    assert one(True) == 4.0
    assert one(True) == 4.0  # what ran at the same time shows the old load
    grown = [one(False) for _ in range(6)]
    assert grown == sorted(grown) and 5.0 < grown[-1] <= 8.0
    assert throttle.load("s").bottleneck == "source"


def test_a_source_that_is_much_slower_than_at_its_best_gets_less_unless_it_is_still_fast(catalogue: Catalogue) -> None:
    def bounds(source: str, *seconds: float) -> Iterator[float]:
        for one in seconds:
            (job,) = leased(catalogue, 1)
            slot = catalogue.throttle.acquire(source, job, 8)
            assert slot is not None
            catalogue.throttle.release(slot, 8, 10, {"source": one})
            yield catalogue.throttle.load(source).bound

    assert list(bounds("quick", 0.001, 0.05, 0.05, 0.05)) == [8.0] * 4
    assert list(bounds("suffering", 0.2, 2.0, 2.0, 2.0))[-1] == 4.0


class LedgerWalk(RuleBasedStateMachine):
    """Any sequence of moves leaves counts that agree with the rows, and a history that leads to the present state."""

    catalogue: Catalogue
    serial = 0

    def __init__(self) -> None:
        super().__init__()
        LedgerWalk.serial += 1
        self.campaign = f"walk{LedgerWalk.serial}"
        self.catalogue.campaigns.save(Campaign(self.campaign, "x://c"))
        studies = [ListedStudy(f"1.{number}.{LedgerWalk.serial}") for number in range(2)]
        self.keys = [study.pk for study in listed(self.catalogue, *studies, campaign=self.campaign)]

    @rule(number=st.integers(0, 1), state=st.sampled_from(list(StudyState)))
    def move(self, number: int, state: StudyState) -> None:
        study = self.catalogue.ledger_reader.study(self.keys[number])
        assert self.catalogue.ledger.move(study, state, "w", "walk") == may_follow(study.state, state)

    @rule(number=st.integers(0, 1), at=st.integers(0, 2), state=st.sampled_from(list(InstanceState)), size=st.integers(0, 9))
    def end(self, number: int, at: int, state: InstanceState, size: int) -> None:
        study = self.catalogue.ledger_reader.study(self.keys[number])
        one = self.catalogue.ledger_reader.instances(study.pk)[at]
        outcome = "held" if state is InstanceState.STORED else ""
        self.catalogue.ledger.end_instances(study, [InstanceEnd(one, state, outcome, received_size=size)], "w")

    @invariant()
    def counts_agree(self) -> None:
        reader = self.catalogue.ledger_reader
        rows: Counter[tuple[str, str, str]] = Counter()
        for study in reader.studies(self.campaign):
            rows["study", study.state.value, ""] += 1
            history = reader.transitions(study.pk)
            assert [one.new for one in history if one.instance == 0 and one.old][-1] == study.state.value
            for instance in reader.instances(study.pk):
                rows["instance", instance.state.value, instance.outcome] += 1
        assert rows == Counter({(one.level, one.state, one.outcome): one.number for one in reader.tallies(self.campaign)})


def test_counts_agree_with_rows_after_any_moves(catalogue: Catalogue) -> None:
    class Walk(LedgerWalk):
        pass

    Walk.catalogue = catalogue
    run_state_machine_as_test(Walk, settings=settings(max_examples=6, stateful_step_count=12, deadline=None))


def test_an_unknown_study_is_an_error(catalogue: Catalogue) -> None:
    with pytest.raises(VnaError):
        catalogue.ledger_reader.study(-1)


def test_what_was_accepted_stays_so_until_something_else_is_seen(catalogue: Catalogue) -> None:
    def seen(reason: str, detail: str, cause: str = "") -> str:
        with catalogue.ledger.writing("c", "w") as writing:
            writing.except_(reason, 7, detail=detail, cause=cause)
        (entry,) = catalogue.ledger_reader.exceptions("c", reason=reason, state=None)
        return entry.state

    def accept() -> None:
        entries = catalogue.ledger_reader.exceptions("c")
        assert catalogue.ledger.close_exceptions("c", [one.pk for one in entries], "accepted", "me", "as it is") == len(entries)

    for reason in ("content-differs", "source-unavailable"):
        assert seen(reason, "differs in 00100010", "DOE") == "open"
    accept()
    assert seen("content-differs", "differs in 00100010", "DOE") == "accepted"
    (entry,) = catalogue.ledger_reader.exceptions("c", reason="content-differs", state="accepted")
    assert (entry.times, entry.closed_by, entry.note) == (2, "me", "as it is")
    assert seen("source-unavailable", "differs in 00100010", "DOE") == "open", "it happened another time"
    assert seen("content-differs", "differs in 00100010", "ROE") == "open"
    accept()
    assert seen("content-differs", "differs in 00100020", "ROE") == "open"
    assert seen("content-differs", "differs in 00100010", "ROE") == "open", "what is open is closed by nobody else"
