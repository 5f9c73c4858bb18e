"""One scrub finds every fault, and a repair puts right what can be; both go on where they were killed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from fractions import Fraction

import pytest

from tests.unit.stewardship.held_archive import NORTH, Place, instance, offer, originals, worker
from tests.unit.stewardship.two_stores import Keeper, Killed, cut, flip, keeper
from vna_core.archival_storage.keys import digest_of_key
from vna_core.catalogue import Scope
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.domain.stewardship import Extent
from vna_core.ports.storage import Abilities
from vna_core.stewardship.repair import Repairing
from vna_core.stewardship.scrub import Scrub
from vna_core.stewardship.side_by_side import side_by_side
from vna_core.stewardship.throttle import Throttle
from vna_core.testing.faulty_store import FaultyStore
from vna_core.testing.memory_store import MemoryStore


@pytest.fixture
def kept(new_catalogue: Callable[[str], Place]) -> Iterator[Keeper]:
    with keeper(new_catalogue("archive")) as made:
        yield made


def injected(kept: Keeper) -> dict[tuple[str, str], str]:
    """Faults of every kind in both stores, each object good in one of them; and orphans."""
    keys = kept.objects()
    assert len(keys) == 8 == len(kept.objects("second"))
    for number, key in enumerate(keys[:6]):
        store = ("landing", "second")[number % 2]
        path = kept.path(store, key)
        (flip, cut, lambda path: path.unlink())[number // 2](path)
    kinds = ("bit-rot", "truncated", "missing")
    return {(("landing", "second")[number % 2], key): kinds[number // 2] for number, key in enumerate(keys[:6])}


def test_what_is_whole_has_no_findings(kept: Keeper) -> None:
    report = kept.scrub()
    assert report.complete and kept.findings() == {}
    assert report.run.counts["read"] == sum(1 for store in kept.archive.stores.values() for _ in store.list())


def test_every_fault_is_found_in_one_scrub_and_repaired(kept: Keeper) -> None:
    before = originals(kept.archive)
    expected = injected(kept)
    good = {key: hashlib.sha256(kept.second.read(key)).hexdigest() for key in kept.objects()[6:]}
    assert kept.scrub().complete
    assert kept.findings() == expected
    bad = {
        (held.sop_instance_uid, where.store)
        for held in kept.archive.catalogue.instances(all_versions=True)
        for where in held.locations
    }
    assert len(bad) == 2 * 8 - 6  # damaged copies are not read any more
    assert kept.repair() == dict.fromkeys(expected, "repaired")
    assert kept.scrub().complete and kept.findings() == {} == kept.repair()
    for store in kept.archive.stores.values():
        for key in kept.objects():
            assert hashlib.sha256(store.read(key)).hexdigest() == digest_of_key(key)
    assert originals(kept.archive) == before and good
    assert {len(held.locations) for held in kept.archive.catalogue.instances(all_versions=True)} == {2}


def test_a_share_a_night_reads_everything_once_and_sees_what_is_gone_at_once(kept: Keeper) -> None:
    objects = sum(1 for store in kept.archive.stores.values() for _ in store.list())
    kept.path("second", kept.objects()[3]).unlink()
    flip(kept.path("landing", kept.objects()[5]))
    read = []
    for night in range(4):
        report = kept.scrub(share=Fraction(1, 4))
        read.append(report.run.counts["read"])
        if not night:
            assert ("second", kept.objects()[3]) in kept.findings()
    assert sum(read) >= objects - 1 and max(read) <= objects // 4 + 2
    assert kept.findings()["landing", kept.objects()[5]] == "bit-rot"
    checked = [one.checked_at for store in kept.archive.stores for one in kept.archive.catalogue.checks.registered(store)]
    assert all(checked)


@pytest.mark.parametrize("step", ["compare", "read"])
def test_a_scrub_that_was_killed_goes_on(step: str, kept: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vna_core.stewardship.scrub._BATCH", 1)
    expected = injected(kept)
    left = iter(range(2))

    def die(name: str) -> None:
        if name == step and next(left, None) is None:
            raise Killed

    with pytest.raises(Killed):
        Scrub(kept.archive.stores, kept.archive.catalogue, after_step=die).run()
    [begun] = kept.archive.catalogue.checks.runs()
    report = kept.scrub()
    assert report.complete and report.run.id == begun.id
    assert kept.findings() == expected
    objects = sum(1 for store in kept.archive.stores.values() for _ in store.list())
    assert report.run.counts["read"] <= objects


def test_a_scrub_stops_when_it_is_told_and_goes_on(kept: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vna_core.stewardship.scrub._BATCH", 1)
    flip(kept.path("second", kept.objects()[-1]))
    assert not kept.scrub(stopping=lambda: True).complete
    assert any(kept.scrub(stopping=lambda: True).complete for _ in range(100))
    assert kept.findings() == {("second", kept.objects()[-1]): "bit-rot"}


@pytest.mark.parametrize("step", ["source", "written", "repaired"])
def test_a_repair_that_was_killed_goes_on(step: str, kept: Keeper) -> None:
    before, expected = originals(kept.archive), injected(kept)
    kept.scrub()

    def die(name: str) -> None:
        if name == step:
            raise Killed

    with pytest.raises(Killed):
        kept.repair(after_step=die)
    assert originals(kept.archive) == before
    assert set(kept.repair().values()) == {"repaired"}
    kept.scrub()
    assert kept.findings() == {} and expected
    assert originals(kept.archive) == before


def test_nothing_is_deleted_where_no_good_copy_is_left(kept: Keeper) -> None:
    key = kept.objects()[0]
    flip(kept.path("landing", key))
    cut(kept.path("second", key))
    damaged = {store: kept.path(store, key).read_bytes() for store in ("landing", "second")}
    kept.scrub()
    assert kept.repair() == {("landing", key): "lost", ("second", key): "lost"}
    assert {store: kept.path(store, key).read_bytes() for store in damaged} == damaged


def test_a_copy_that_came_back_by_itself_is_good_again(kept: Keeper) -> None:
    path = kept.path("second", kept.objects()[2])
    octets = path.read_bytes()
    path.unlink()
    kept.scrub()
    assert set(kept.findings().values()) == {"missing"}
    path.write_bytes(octets)
    kept.scrub()
    assert kept.findings() == {}
    assert {len(held.locations) for held in kept.archive.catalogue.instances(all_versions=True)} == {2}


def test_good_orphans_are_adopted_and_damaged_ones_listed(kept: Keeper, new_catalogue: Callable[[str], Place]) -> None:
    with keeper(new_catalogue("other"), filled=False) as other:
        for number in (7, 8):
            offer(other.archive, instance(number), NORTH)
        for key in other.objects():
            kept.archive.landing.create(key, other.archive.landing.chunks(key))
        good, bad = other.objects()
    flip(kept.path("landing", bad))
    assert kept.scrub().complete
    assert kept.findings() == {("landing", good): "orphaned", ("landing", bad): "orphaned"}
    assert kept.repair(adopt=False) == {("landing", good): "listed", ("landing", bad): "listed"}
    assert kept.repair() == {("landing", good): "adopted", ("landing", bad): "listed"}
    assert originals(kept.archive) >= {instance(int(good.rsplit("/", 1)[1].split(".")[4]))}
    assert kept.archive.landing.stat(bad)
    kept.scrub()
    assert kept.findings() == {("landing", bad): "orphaned"}
    assert kept.archive.catalogue.fingerprint()["totals"][0] is not None


def test_a_copy_nobody_listed_is_adopted_as_a_copy(kept: Keeper) -> None:
    pk = kept.archive.catalogue.instances()[0].pk
    before = kept.archive.catalogue.fingerprint()
    offer(kept.archive, instance(9), NORTH)
    [new] = [held for held in kept.archive.catalogue.instances() if held.sop_instance_uid.endswith(".9")]
    key = new.locations[0].key
    kept.second.create(key, kept.archive.landing.chunks(key))
    kept.scrub()
    assert kept.findings() == {("second", key): "orphaned"}
    assert kept.repair() == {("second", key): "adopted"}
    assert {where.store for where in kept.archive.catalogue.held(new.pk).locations} == {"landing", "second"}
    assert pk and before != kept.archive.catalogue.fingerprint()


def test_rows_in_a_store_that_is_not_configured_are_named(kept: Keeper) -> None:
    only = {"landing": kept.archive.landing}
    Scrub(only, kept.archive.catalogue).run()
    [found] = kept.archive.catalogue.checks.findings()
    assert (found.store, found.outcome, found.detail) == ("second", "store-not-configured", "8 copies")
    kept.scrub()
    assert kept.findings() == {}


def test_a_store_that_does_not_answer_does_not_keep_the_others_from_being_scrubbed(kept: Keeper) -> None:
    down = FaultyStore(kept.archive.landing)
    down.down = True
    flip(kept.path("second", kept.objects()[0]))
    stores = {"landing": down, "second": kept.second}
    report = Scrub(stores, kept.archive.catalogue).run()
    assert (report.complete, report.unavailable) == (False, ("landing",))
    assert kept.findings() == {("second", kept.objects()[0]): "bit-rot"}
    down.down = False
    assert Scrub(stores, kept.archive.catalogue).run().complete


def test_a_copy_that_is_near_is_read_before_one_that_is_paid_for(kept: Keeper) -> None:
    key, read = kept.objects()[0], list[str]()

    class Remote(MemoryStore):
        def abilities(self) -> Abilities:
            return replace(super().abilities(), local=False)

        def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
            read.append(key)
            return super().chunks(key, byte_range)

    remote = Remote("cloud")
    remote.create(key, [kept.second.read(key)])
    flip(kept.path("second", key))
    kept.scrub()
    [repair] = Repairing({"cloud": remote, **kept.archive.stores}, kept.archive.catalogue).run().repairs
    assert (repair.outcome, repair.detail, read) == ("repaired", "from landing", [])


def test_earlier_objects_and_what_is_hidden_are_neither_orphans_nor_unread(kept: Keeper) -> None:
    worker(kept.archive, {"id": "all", "institution": "Hospital"}).apply(Scope())
    kept.deleting().delete(Extent.STUDY, "1.2.4.2", "wrong patient", "me")
    report = kept.scrub()
    assert kept.findings() == {}, [json.dumps(one) for one in kept.findings()]
    assert report.run.counts["read"] == sum(1 for store in kept.archive.stores.values() for _ in store.list())
    hidden = kept.archive.catalogue.deletions.listed()[0]
    where = kept.archive.catalogue.deletions.objects(hidden.id)[0]
    flip(kept.path(where.store, where.key))
    kept.scrub()
    assert kept.findings()[where.store, where.key] == "bit-rot"


def test_a_quarantined_item_that_rots_is_found(kept: Keeper) -> None:
    [item] = kept.archive.catalogue.quarantined()
    flip(kept.path("landing", item.key))
    kept.scrub()
    assert kept.findings() == {("landing", item.key): "bit-rot"}


def test_streams_are_walked_side_by_side() -> None:
    class One:
        def __init__(self, key: str) -> None:
            self.key = key

    streams = [iter(One(letter) for letter in letters) for letters in ("abd", "bc", "d")]
    found = [(key, tuple(one is not None for one in ones)) for key, ones in side_by_side(*streams)]
    yes, no = True, False
    assert found == [("a", (yes, no, no)), ("b", (yes, yes, no)), ("c", (no, yes, no)), ("d", (yes, no, yes))]


def test_the_throttle_lets_octets_pass_at_its_rate() -> None:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    throttle = Throttle(CHUNK, lambda: now[0], sleep)
    for _ in range(10):
        throttle.passed(CHUNK)
    assert 9 <= now[0] - 100 <= 10
    Throttle(0, sleep=lambda _: pytest.fail("no limit")).passed(1 << 40)
