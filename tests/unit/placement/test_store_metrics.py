"""Metrics tell by store what is held, what is missing and what is damaged, and cost no look at every copy."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.unit.conftest import NewCatalogue
from tests.unit.placement.placed_archive import PlacedArchive, placed_archive
from vna_core.domain.jobs import Again, Job
from vna_core.domain.placement import PLACE
from vna_core.gateways.admin.metrics import exposition
from vna_core.metering import Meter
from vna_core.metering.metrics import METRICS
from vna_core.stewardship.counting_stores import STORE_COUNT, StoreCounting
from vna_core.stewardship.scrub import FINDINGS, Scrub
from vna_core.testing.faulty_store import FaultyStore

TWO = {"rules": [{"name": "all", "copies": [{"store": "landing"}, {"store": "cloud"}, {"store": "second"}]}]}
STORES = ("landing", "cloud", "second")


class Running:
    """A process that goes on, or ends."""

    def __init__(self, stopping: bool = False) -> None:
        self.stopping = stopping

    def tell(self, progress: object) -> None:
        raise AssertionError(progress)


@pytest.fixture
def archive(tmp_path: Path, new_catalogue: NewCatalogue) -> Iterator[PlacedArchive]:
    database, folder = new_catalogue()
    with placed_archive(folder, TWO, database=database) as archive:
        archive.catalogue.placements.know_stores(STORES)
        yield archive


def told(archive: PlacedArchive) -> dict[str, dict[tuple[str, ...], float]]:
    """Values of the metrics about stores by the values of their labels."""
    text = exposition(Meter.alone().run, archive.catalogue).decode()
    families = [one for one in text_string_to_metric_families(text) if one.name.startswith("vna_store_")]
    return {
        one.name: {tuple(sample.labels[name] for name in METRICS[one.name].labels): sample.value for sample in one.samples}
        for one in families
    }


def count(archive: PlacedArchive) -> Again:
    return StoreCounting(archive.catalogue, has_policy=True)(Job(1, STORE_COUNT, ""), Running())


def down(archive: PlacedArchive, name: str, is_down: bool) -> None:
    store = archive.stores[name]
    assert isinstance(store, FaultyStore)
    store.down = is_down


def test_an_archive_that_holds_nothing_tells_zeros_of_each_store(archive: PlacedArchive) -> None:
    metrics = told(archive)
    assert metrics["vna_store_copies"] == {(name, "ok"): 0 for name in STORES}
    assert metrics["vna_store_missing_copies"] == {(name,): 0 for name in STORES}
    assert metrics["vna_store_findings"] == {(name, outcome): 0 for name in STORES for outcome in FINDINGS}
    assert metrics["vna_store_counted_seconds"] == {(): -1}


def test_copies_and_octets_are_those_of_every_location(archive: PlacedArchive) -> None:
    held = [archive.offer(number) for number in range(1, 4)]
    archive.work()
    assert told(archive)["vna_store_copies"][("cloud", "ok")] == 0, "not counted yet"
    assert count(archive).delay >= 60
    metrics = told(archive)
    assert metrics["vna_store_copies"] == {(name, "ok"): 3 for name in STORES}
    assert metrics["vna_store_copied_bytes"] == {(name, "ok"): sum(one.size for one in held) for name in STORES}
    assert 0 <= metrics["vna_store_counted_seconds"][()] < 600
    usage = {(one.store, one.state): (one.copies, one.octets) for one in archive.catalogue.placements.usage()}
    assert dict(archive.catalogue.store_sums.counted().copies) == usage


def test_copies_are_counted_in_pieces_and_each_once(archive: PlacedArchive, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(1, 5):
        archive.offer(number)
    archive.work()
    monkeypatch.setattr("vna_core.catalogue.store_sums._SPAN", 2)
    assert archive.catalogue.store_sums.count() is not None
    assert told(archive)["vna_store_copies"] == {(name, "ok"): 4 for name in STORES}


def test_a_count_that_is_stopped_leaves_what_was_counted_before(archive: PlacedArchive) -> None:
    archive.offer(1)
    count(archive)
    archive.offer(2)
    assert StoreCounting(archive.catalogue, True)(Job(1, STORE_COUNT, ""), Running(stopping=True)) == Again()
    assert told(archive)["vna_store_copies"][("landing", "ok")] == 1


def test_a_count_that_takes_long_is_made_seldom(archive: PlacedArchive) -> None:
    moments = iter((0.0, 12.0))
    again = StoreCounting(archive.catalogue, True, lambda: next(moments))(Job(1, STORE_COUNT, ""), Running())
    assert again.delay == 600.0


def test_what_a_store_that_is_down_lacks_is_told_until_it_is_there(archive: PlacedArchive) -> None:
    down(archive, "cloud", True)
    held = [archive.offer(number) for number in (1, 2)]
    archive.work()
    metrics = told(archive)
    assert metrics["vna_store_missing_copies"] == {("landing",): 0, ("cloud",): 2, ("second",): 0}
    assert metrics["vna_store_missing_bytes"][("cloud",)] == sum(one.size for one in held)
    first = metrics["vna_store_missing_seconds"][("cloud",)]
    assert first > 0
    assert metrics["vna_store_missing_seconds"][("second",)] == 0
    archive.work(3)
    assert told(archive)["vna_store_missing_seconds"][("cloud",)] > first, "another attempt does not make it younger"
    down(archive, "cloud", False)
    for pk in archive.catalogue.placements.series():
        archive.catalogue.jobs.add(PLACE, str(pk))
    archive.work()
    assert told(archive)["vna_store_missing_copies"] == {(name,): 0 for name in STORES}


def test_without_a_policy_nothing_is_missing(archive: PlacedArchive) -> None:
    down(archive, "cloud", True)
    archive.offer(1)
    archive.work()
    count(archive)
    assert told(archive)["vna_store_missing_copies"][("cloud",)] == 1
    StoreCounting(archive.catalogue, has_policy=False)(Job(1, STORE_COUNT, ""), Running())
    assert told(archive)["vna_store_missing_copies"][("cloud",)] == 0


def test_a_damaged_copy_is_told_by_scrub_and_by_its_state(archive: PlacedArchive) -> None:
    archive.offer(1)
    archive.work()
    path = archive.data / "second" / next(iter(archive.objects("second")))
    path.chmod(0o600)
    path.write_bytes(path.read_bytes()[:-1])
    assert Scrub(archive.stores, archive.catalogue).run().complete
    count(archive)
    metrics = told(archive)
    assert {labels for labels, number in metrics["vna_store_findings"].items() if number} == {("second", "truncated")}
    assert metrics["vna_store_copies"][("second", "bad")] == 1
    assert metrics["vna_store_copies"][("second", "ok")] == 0
