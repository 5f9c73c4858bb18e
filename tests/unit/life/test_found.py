"""Short lives: those that broke a promise once, and those that chance takes long to come upon."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.life.promises import always, at_rest, everywhere
from tests.unit.life.world import GONE, World
from vna_core.domain.stewardship import PURGED, Extent
from vna_core.stewardship.pack_jobs import COMPACT, ask_for_compaction, ask_for_fewer_packs


@pytest.fixture
def deep(tmp_path: Path) -> Iterator[World]:
    """A series of which the only copies lie in an archive tier."""
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world", lambda: None, policy="deep")
    world.series(0, 0, 2)
    yield world
    world.close()


def test_what_was_purged_leaves_a_pack_that_lies_in_an_archive_tier(deep: World) -> None:
    deep.seal()
    deep.clean()
    deep.work()
    assert list(deep.shelf("deep").tiers.values()) == ["COLD"]
    deep.delete(Extent.INSTANCE, 0)
    deep.purge(0)
    deep.work(8)
    deep.clean()
    assert [one.state for one in deep.archive.catalogue.deletions.listed()] == [PURGED]
    everywhere(deep)
    at_rest(deep)


def test_packs_in_an_archive_tier_are_recalled_for_what_must_leave_them_and_not_to_be_fewer(deep: World) -> None:
    deep.seal()
    deep.clean()
    deep.work()
    shelf, catalogue = deep.shelf("deep"), deep.archive.catalogue
    assert list(shelf.tiers.values()) == ["COLD"]
    (place,) = catalogue.packs.series()
    ask_for_fewer_packs(catalogue, place)
    deep.work(4)
    assert not shelf.asked | shelf.recalled
    assert catalogue.jobs.of(COMPACT, str(place.pk)) is None
    ask_for_compaction(catalogue, place)
    ask_for_fewer_packs(catalogue, place)  # takes nothing back
    deep.work(4)
    assert shelf.recalled
    at_rest(deep)


@pytest.mark.parametrize("sealed", [False, True])
def test_what_lies_in_an_archive_tier_is_recalled_to_be_taken_back(deep: World, sealed: bool) -> None:
    if sealed:
        deep.seal()
        deep.clean()
    deep.work()
    deep.delete(Extent.STUDY, 0)
    deep.undelete(0)
    assert len(deep.hidden()) == 1 and not deep.unsure, "it is as it was, and asked for"
    deep.undelete(0)
    assert not deep.hidden()
    always(deep)
    at_rest(deep)


@pytest.fixture
def kept(tmp_path: Path) -> Iterator[World]:
    """An archive with two copies of everything."""
    (tmp_path / "world").mkdir()
    world = World(tmp_path / "world", lambda: None, policy="kept")
    yield world
    world.close()


def test_what_was_rejected_before_it_came_is_hidden(kept: World) -> None:
    kept.note(1, 0, 0, {(2, 1)})
    kept.awaited_comes(0)
    always(kept)


def test_a_damaged_pack_is_repaired_from_the_other_store(kept: World) -> None:
    kept.series(0, 0, 2)
    kept.seal()
    kept.clean()
    kept.damage("second", "flip", 0)
    assert kept.damaged
    kept.repair()
    everywhere(kept)


def test_what_was_purged_leaves_its_pack_by_the_work_of_jobs_alone(kept: World) -> None:
    kept.series(0, 0, 2)
    kept.seal()
    kept.clean()
    kept.delete(Extent.INSTANCE, 0)
    kept.purge(0)
    kept.work(4)
    kept.clean()
    kept.work()
    (gone,) = (one.mark for one in kept.items.values() if one.state == GONE)
    assert not [key for _, key, content in kept.every_store_object() if gone in content]


def test_a_version_that_is_set_aside_lives_on_in_its_pack_and_comes_back(kept: World) -> None:
    for kind in ("plain", "header", "pixels"):
        kept.image(kind, 0, 0, 2, 1)
    kept.seal()
    kept.keep(1)
    assert len(kept.live()) == 1 and kept.set_aside
    kept.purge(0)
    kept.compact()
    kept.clean()
    kept.lose_catalogue()
    everywhere(kept)
    kept.note(1, 0, 0, {(2, 1)})
    kept.undelete(1)
    kept.undelete(0)
    always(kept)
    at_rest(kept)


@pytest.mark.parametrize("left", range(1, 6))
def test_what_was_purged_leaves_the_pack_too_whose_process_died_before_it_was_on_record(kept: World, left: int) -> None:
    kept.series(0, 0, 2)
    kept.work()
    kept.shelves.left = left
    kept.seal()
    assert [key for key in kept.stored("landing") if key.startswith("packs/")]
    kept.delete(Extent.INSTANCE, 0)
    kept.purge(0)
    kept.delete(Extent.STUDY, 0)
    kept.purge(0)
    at_rest(kept)
