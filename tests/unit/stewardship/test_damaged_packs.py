"""A damaged pack costs no instance that is whole anywhere: in another copy, in part of one, or in what it was sealed from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.packs.archives import keeper as packer
from tests.unit.stewardship.held_archive import NORTH, Place, instance, offer, originals, replace_data
from tests.unit.stewardship.two_stores import Keeper, keeper
from vna_core.archival_storage.keys import is_pack
from vna_core.bootstrap import open_archive
from vna_core.configuration.packs import PackSettings
from vna_core.stewardship.pack_jobs import COMPACT
from vna_core.stewardship.rebuild import rebuild

OCTETS = [instance(number) for number in (1, 2, 3)]
LATER = PackSettings(quiet=0, removal_delay=3600)
AT_ONCE = PackSettings(quiet=0, removal_delay=0)


@pytest.fixture
def kept(new_catalogue: Callable[[str], Place]) -> Iterator[Keeper]:
    """A series of three instances."""
    with keeper(new_catalogue("archive"), filled=False) as made:
        for octets in OCTETS:
            offer(made.archive, octets, NORTH)
        yield made


def seal(kept: Keeper, settings: PackSettings) -> str:
    """Seal the series; the key of its newest pack."""
    [place] = kept.archive.catalogue.packs.series()
    work = packer(kept.archive, settings)
    made = work.seal(place).packs
    return made[0] if made else work.compact(place).packs[0]


def copied(kept: Keeper, key: str) -> None:
    """Give the second store a proven copy."""
    for one in kept.archive.landing.list(key.rpartition("/")[0] + "/"):
        kept.second.create(one.key, kept.archive.landing.chunks(one.key))
    kept.archive.catalogue.packs.record_copy(key, "second")


def flip_at(path: Path, at: int) -> None:
    octets = bytearray(path.read_bytes())
    octets[at] ^= 1
    path.write_bytes(octets)


def member(kept: Keeper, key: str, number: int) -> int:
    """An offset inside a member of a pack."""
    [listed] = kept.archive.catalogue.packs.listed(key=key)
    found = kept.archive.catalogue.packs.members(listed.pk)[number]
    return found.offset + found.length // 2


def is_right(kept: Keeper) -> None:
    assert kept.scrub().complete and kept.findings() == {}
    assert originals(kept.archive) == set(OCTETS)


@pytest.mark.parametrize("damage", ["gone", "cut", "flipped"])
def test_what_it_was_sealed_from_stays_and_serves_until_it_is_whole(damage: str, kept: Keeper) -> None:
    key = seal(kept, LATER)
    path = kept.path("landing", key)
    if damage == "gone":
        path.unlink()
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:600])
    else:
        for number in range(3):
            flip_at(path, member(kept, key, number))
    kept.scrub()
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    assert len(kept.objects()) == 3
    assert kept.repair() == {("landing", key): "repaired"}
    is_right(kept)
    seal(kept, AT_ONCE)
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    assert kept.objects() == []
    is_right(kept)


def test_copies_that_are_damaged_in_different_places_make_a_whole_one(kept: Keeper) -> None:
    key = seal(kept, AT_ONCE)
    copied(kept, key)
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    flip_at(kept.path("landing", key), member(kept, key, 0))
    flip_at(kept.path("second", key), member(kept, key, 2))
    kept.scrub()
    assert originals(kept.archive) == set(OCTETS)
    assert kept.repair() == {("landing", key): "listed", ("second", key): "listed"}
    asked = [job for job in kept.archive.catalogue.jobs.listed() if job.kind == COMPACT]
    kept.work(COMPACT)
    [new] = [one.key for one in kept.archive.catalogue.packs.listed() if one.stores == ("landing",)]
    copied(kept, new)
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    assert asked
    for store in kept.archive.stores.values():
        assert [one.key for one in store.list("packs/") if is_pack(one.key)] == [new]
    is_right(kept)


def test_a_store_that_was_emptied_has_everything_again_after_one_repair(kept: Keeper) -> None:
    key = seal(kept, AT_ONCE)
    copied(kept, key)
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    before = {one.key for one in kept.archive.landing.list("packs/")}
    for one in before:
        kept.path("landing", one).unlink()
    kept.scrub()
    assert kept.repair() == {("landing", key): "repaired"}
    assert {one.key for one in kept.archive.landing.list("packs/")} == before
    is_right(kept)


def test_both_copies_gone_is_no_loss_while_loose_objects_wait(kept: Keeper) -> None:
    key = seal(kept, LATER)
    copied(kept, key)
    kept.path("landing", key).unlink()
    second = kept.path("second", key)
    second.write_bytes(second.read_bytes()[:700])
    kept.scrub()
    assert kept.repair() == {("landing", key): "repaired", ("second", key): "repaired"}
    assert not second.exists()
    is_right(kept)


def test_the_pack_before_stays_while_the_one_that_took_it_over_is_damaged(kept: Keeper) -> None:
    before = seal(kept, AT_ONCE)
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    offer(kept.archive, instance(4), NORTH)
    seal(kept, LATER)
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    [place] = kept.archive.catalogue.packs.series()
    [after] = packer(kept.archive, LATER).compact(place).packs
    path = kept.path("landing", after)
    octets = path.read_bytes()
    path.write_bytes(octets[:600])
    kept.scrub()
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    assert before in {one.key for one in kept.archive.landing.list("packs/")}
    path.write_bytes(octets)
    kept.scrub()
    kept.repair()
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    assert [one.key for one in kept.archive.landing.list("packs/") if is_pack(one.key)] == [after]
    assert kept.findings() == {} and len(originals(kept.archive)) == 4


def test_what_is_whole_nowhere_is_lost_and_counted(kept: Keeper) -> None:
    key = seal(kept, AT_ONCE)
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    flip_at(kept.path("landing", key), member(kept, key, 1))
    kept.scrub()
    assert kept.repair() == {("landing", key): "lost"}
    assert kept.findings() == {("landing", key): "bit-rot"}
    offer(kept.archive, OCTETS[1], NORTH)  # its source has it still
    seal(kept, AT_ONCE)
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    assert originals(kept.archive) == set(OCTETS)


@pytest.mark.parametrize("whole", [0, 2, 3])
def test_a_rebuild_takes_what_is_whole_out_of_a_pack_that_was_cut(
    whole: int, kept: Keeper, new_catalogue: Callable[[str], Place]
) -> None:
    key = seal(kept, AT_ONCE)
    packer(kept.archive, AT_ONCE).remove_leftovers(at_once=True)
    [listed] = kept.archive.catalogue.packs.listed(key=key)
    members = kept.archive.catalogue.packs.members(listed.pk)
    path = kept.path("landing", key)
    cut = members[whole].offset + 100 if whole < 3 else members[-1].offset + members[-1].length + 10
    path.write_bytes(path.read_bytes()[:cut])
    saved = {kept.archive.catalogue.held(one.instance).original_sha256 for one in members[:whole]}
    with open_archive(replace_data(kept.archive.settings, new_catalogue("anew"))) as archive:
        report = rebuild(archive.stores, archive.catalogue)
        assert (report.recorded, report.damaged) == (whole, [f"landing:{key}"])
        assert {hashlib.sha256(one).hexdigest() for one in originals(archive)} == saved
        again = Keeper(archive, kept.place)
        again.scrub()
        assert again.repair() in ({}, {("landing", key): "lost"})
        packer(archive, AT_ONCE).remove_leftovers(at_once=True)
        assert {hashlib.sha256(one).hexdigest() for one in originals(archive)} == saved
    assert path.exists()
