"""Copies are made, verified, kept and dropped as the policy says, whatever fails in between."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.placement.placed_archive import JOBS, PlacedArchive, placed_archive
from vna_core.archival_storage.wrappers.wrapper import Wrapper
from vna_core.domain.errors import ConfigurationError, ObjectMissing, StorageError
from vna_core.domain.placement import PLACE
from vna_core.ports.storage import Content, Key, Store, StoredObject
from vna_core.stewardship.placement_rounds import SWEEP, ask_for_scan
from vna_core.stewardship.placing import Placer
from vna_core.testing.faulty_store import FaultyStore

DAY = 86_400.0
MOVING = {"rules": [{"name": "all", "copies": [{"store": "landing", "until": "90d"}, {"store": "cloud"}, {"store": "second"}]}]}


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[PlacedArchive]:
    with placed_archive(tmp_path, MOVING) as archive:
        yield archive


def faulty(archive: PlacedArchive, name: str) -> FaultyStore:
    store = archive.stores[name]
    assert isinstance(store, FaultyStore)
    return store


def flipped(path: Path) -> None:
    path.chmod(0o600)
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


def test_two_copies_are_made_and_after_90_days_the_landing_copy_goes(archive: PlacedArchive) -> None:
    held = [archive.offer(number) for number in range(1, 4)]
    assert archive.catalogue.jobs.counts() == {(PLACE, "open"): 1}
    archive.work()
    assert all(archive.stores_of(one) == {"landing", "cloud", "second"} for one in held)
    assert archive.objects("cloud") == archive.objects("second") == archive.objects("landing")
    assert archive.catalogue.placements.counts(archive.policy.digest)["met"] == 1
    assert not archive.catalogue.jobs.listed()
    archive.ahead = 91 * DAY
    for pk in archive.catalogue.placements.series():
        archive.catalogue.jobs.add(PLACE, str(pk))
    archive.work()
    assert archive.objects("landing") == set()
    assert all(archive.stores_of(one) == {"cloud", "second"} for one in held)
    for one in held:
        assert b"".join(archive.retriever.part10(archive.again(one)))


def test_without_a_policy_nothing_is_asked_for(tmp_path: Path) -> None:
    with placed_archive(tmp_path, {}) as archive:
        archive.offer(1)
        assert archive.catalogue.jobs.counts() == {}


def test_what_arrives_while_a_series_is_copied_is_copied_too(archive: PlacedArchive) -> None:
    class Late(Wrapper):
        offered = False

        def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
            if not self.offered:
                self.offered = True
                late.append(archive.offer(2))
            return super().create(key, content, sha256)

    late: list[object] = []
    archive.stores["cloud"] = Late(archive.stores["cloud"])
    first = archive.offer(1)
    archive.work()
    assert archive.stores_of(first) == archive.stores_of(late[0]) == {"landing", "cloud", "second"}  # type: ignore[arg-type]


@pytest.mark.parametrize("fault", ["down", "full"])
def test_a_store_that_is_down_or_full_is_waited_for_and_the_other_copies_are_made(archive: PlacedArchive, fault: str) -> None:
    setattr(faulty(archive, "cloud"), fault, True)
    held = archive.offer(1)
    archive.ahead = 91 * DAY
    archive.work(8)
    [job] = archive.catalogue.jobs.listed(kind=PLACE)
    assert job.state == "open" and job.attempts > JOBS.max_attempts, "a passing fault is tried again without end"
    assert archive.stores_of(held) == {"landing", "second"}
    assert archive.objects("landing"), "the landing copy stays until every copy is there"
    setattr(faulty(archive, "cloud"), fault, False)
    archive.catalogue.jobs.reopen(job.pk)
    archive.work()
    assert archive.stores_of(held) == {"cloud", "second"}
    assert archive.objects("landing") == set()


def test_an_unreliable_store_gets_everything_in_the_end(tmp_path: Path) -> None:
    with placed_archive(tmp_path, MOVING) as archive:
        held = [archive.offer(number) for number in range(1, 9)]
        shaky = FaultyStore(faulty(archive, "cloud").inner, every=3)
        archive.stores["cloud"] = shaky
        for _ in range(60):
            archive.work()
            jobs = archive.catalogue.jobs.listed(kind=PLACE)
            if not jobs:
                break
            archive.catalogue.jobs.reopen(jobs[0].pk)
        assert all(archive.stores_of(one) == {"landing", "cloud", "second"} for one in held)
        assert archive.objects("cloud") == archive.objects("landing")


def test_credentials_revoked_in_the_middle_are_waited_for(archive: PlacedArchive) -> None:
    class Revoked(Wrapper):
        left = 2

        def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
            if not self.left:
                next(iter(content))
                raise ConfigurationError("Store 'cloud' refuses: check credentials.", store="cloud")
            self.left -= 1
            return super().create(key, content, sha256)

    revoked = archive.stores["cloud"] = Revoked(archive.stores["cloud"])
    held = [archive.offer(number) for number in range(1, 5)]
    archive.work(6)
    [job] = archive.catalogue.jobs.listed(kind=PLACE)
    assert job.state == "open" and "check credentials" in job.error
    assert sum("cloud" in archive.stores_of(one) for one in held) == 2
    revoked.left = 100
    archive.catalogue.jobs.reopen(job.pk)
    archive.work()
    assert all(archive.stores_of(one) == {"landing", "cloud", "second"} for one in held)


def test_a_copy_that_does_not_read_back_right_is_not_believed(archive: PlacedArchive) -> None:
    class Flipping(Wrapper):
        broken = True

        def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
            if not self.broken:
                return super().create(key, content, sha256)
            whole = bytearray(b"".join(content))
            whole[100] ^= 1
            return super().create(key, [bytes(whole)])

    flipping = archive.stores["cloud"] = Flipping(archive.stores["cloud"])
    held = archive.offer(1)
    archive.ahead = 91 * DAY
    archive.work(5)
    assert archive.stores_of(held) == {"landing", "second"}
    assert list(flipping.list()) == [], "what was written wrong is deleted"
    [job] = archive.catalogue.jobs.listed(kind=PLACE)
    assert job.state == "failed" and "does not read back right" in job.error
    flipping.broken = False
    archive.catalogue.jobs.reopen(job.pk)
    archive.work()
    assert archive.stores_of(held) == {"cloud", "second"}


def test_a_damaged_source_is_marked_and_another_one_is_taken(tmp_path: Path) -> None:
    with placed_archive(tmp_path, MOVING) as archive:
        faulty(archive, "second").down = True
        held = archive.offer(1)
        archive.work()
        flipped(tmp_path / "landing" / held.locations[0].key)
        faulty(archive, "second").down = False
        [job] = archive.catalogue.jobs.listed(kind=PLACE)
        archive.catalogue.jobs.reopen(job.pk)
        archive.work(4)
        assert archive.states_of(held) == {"landing": "ok", "cloud": "ok", "second": "ok"}
        for name in archive.stores:
            key = held.locations[0].key
            assert archive.stores[name].read(key) == archive.stores["cloud"].read(key)


def test_a_copy_recorded_but_gone_is_made_again_before_the_landing_copy_is_dropped(tmp_path: Path) -> None:
    with placed_archive(tmp_path, MOVING) as archive:
        held = archive.offer(1)
        archive.work()
        faulty(archive, "cloud").inner.delete(held.locations[0].key)
        archive.ahead = 91 * DAY
        for pk in archive.catalogue.placements.series():
            archive.catalogue.jobs.add(PLACE, str(pk))
        archive.work(4)
        assert archive.stores_of(held) == {"cloud", "second"}
        assert archive.objects("cloud") == archive.objects("second")


class Killed(BaseException):
    """Ends the process, as far as the handler can tell."""


class Killer(Wrapper):
    """Ends the process at a call: before it, or when it was done."""

    def __init__(self, inner: Store, call: str, after: bool) -> None:
        super().__init__(inner)
        self.call, self.after, self.armed = call, after, True

    def _die(self, call: str, after: bool) -> None:
        if self.armed and (call, after) == (self.call, self.after):
            self.armed = False
            raise Killed

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        self._die("create", False)
        created = super().create(key, content, sha256)
        self._die("create", True)
        return created

    def delete(self, key: str) -> None:
        self._die("delete", False)
        super().delete(key)
        self._die("delete", True)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize(("store", "call"), [("cloud", "create"), ("second", "create"), ("landing", "delete")])
def test_a_process_that_dies_anywhere_loses_nothing_and_the_next_one_finishes(
    archive: PlacedArchive, store: str, call: str, after: bool
) -> None:
    held = [archive.offer(number) for number in range(1, 4)]
    archive.ahead = 91 * DAY
    killer = archive.stores[store] = Killer(archive.stores[store], call, after)
    placer = Placer(archive.stores, archive.catalogue, archive.policy, archive.clock)
    [job] = archive.catalogue.jobs.take((PLACE,), 1, 0.0, "doomed")

    class Alone:
        stopping = False

        def tell(self, progress: object) -> None:
            """Nobody looks."""

    with pytest.raises(Killed):
        placer(job, Alone())
    for one in held:
        assert b"".join(archive.retriever.part10(archive.again(one))), "everything can be read at any moment"
    assert not killer.armed
    archive.work(3)
    assert all(archive.stores_of(one) == {"cloud", "second"} for one in held)
    assert archive.objects("landing") == set()
    assert len(archive.objects("cloud")) == len(archive.objects("second")) == 3


def test_a_new_policy_catches_up_with_everything_and_goes_on_where_it_was(tmp_path: Path) -> None:
    with placed_archive(tmp_path, {}) as archive:
        held = [archive.offer(number, SeriesInstanceUID=f"1.2.{number}") for number in range(1, 8)]
    with placed_archive(tmp_path, MOVING) as archive:
        ask_for_scan(archive.catalogue, archive.policy)
        ask_for_scan(archive.catalogue, archive.policy)
        archive.work()
        scan = archive.catalogue.placements.scan(archive.policy.digest)
        assert scan is not None and scan.series == 7 and scan.finished_at
        assert all(archive.stores_of(one) == {"landing", "cloud", "second"} for one in held)
        counts = archive.catalogue.placements.counts(archive.policy.digest)
        assert counts == {"series": 7, "met": 7, "unmet": 0, "unasked": 0}
        ask_for_scan(archive.catalogue, archive.policy)
        assert not archive.catalogue.jobs.listed(), "a policy that was applied is not applied again by itself"


def test_what_reaches_an_age_is_found_by_the_sweep(archive: PlacedArchive) -> None:
    held = archive.offer(1)
    archive.work()
    placements = archive.catalogue.placements
    assert placements.due() == []
    placements.evaluated(next(placements.series()), archive.policy.digest, True, 1)
    archive.ahead = 91 * DAY
    archive.catalogue.jobs.add(SWEEP, "")
    archive.work()
    assert archive.stores_of(held) == {"cloud", "second"}


def test_an_instance_without_any_good_copy_is_told_and_is_not_forgotten(tmp_path: Path) -> None:
    with placed_archive(tmp_path, MOVING) as archive:
        held = archive.offer(1)
        flipped(tmp_path / "landing" / held.locations[0].key)
        archive.work(6)
        [job] = archive.catalogue.jobs.listed(kind=PLACE)
        assert job.state == "failed"
        assert archive.states_of(held) == {"landing": "bad"}
        archive.offer(1)
        archive.work(2)
        assert archive.stores_of(held) == {"landing", "cloud", "second"}, "sending it again heals it and its copies"


def test_a_duplicate_of_what_is_in_no_local_store_any_more_is_no_new_version(archive: PlacedArchive) -> None:
    held = archive.offer(1)
    archive.ahead = 91 * DAY
    archive.work()
    again = archive.offer(1)
    assert again.pk == held.pk and archive.stores_of(held) == {"cloud", "second"}


def test_stopping_engine_leaves_the_rest_for_later(archive: PlacedArchive) -> None:
    held = [archive.offer(number) for number in range(1, 4)]

    class Stopping(Wrapper):
        def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
            work._stop.set()
            return super().create(key, content, sha256)

    archive.stores["cloud"] = Stopping(archive.stores["cloud"])
    work = archive.ledger_work()
    [job] = archive.catalogue.jobs.listed(kind=PLACE)
    assert work.do_next()
    assert 1 <= sum(len(archive.stores_of(one)) > 1 for one in held) < 3
    archive.stores["cloud"] = archive.stores["cloud"].inner  # type: ignore[attr-defined]
    archive.work(2)
    assert all(archive.stores_of(one) == {"landing", "cloud", "second"} for one in held)
    assert json.loads(json.dumps(job.payload)) == {}


def test_a_store_refusing_to_delete_keeps_the_job_and_the_image(archive: PlacedArchive) -> None:
    class Locked(Wrapper):
        def delete(self, key: str) -> None:
            raise StorageError("The object is locked.", store=self.name)

    archive.stores["landing"] = Locked(archive.stores["landing"])
    held = archive.offer(1)
    archive.ahead = 91 * DAY
    archive.work(5)
    [job] = archive.catalogue.jobs.listed(kind=PLACE)
    assert "locked" in job.error
    assert archive.stores_of(held) == {"cloud", "second"}, "the copy that is leaving is not read any more"
    assert b"".join(archive.retriever.part10(archive.again(held)))
    with pytest.raises(ObjectMissing):
        archive.stores["cloud"].stat("nothing")
