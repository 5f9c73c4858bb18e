"""Loose copies that a pack of another store has taken over are known to a catalogue made anew, as they were to the one before."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest

from tests.unit.packs.archives import keeper as packer
from tests.unit.stewardship.held_archive import NORTH, Place, instance, offer, replace_data, worker
from tests.unit.stewardship.two_stores import Keeper, keeper
from vna_core.archival_storage.keys import is_pack
from vna_core.bootstrap import open_archive
from vna_core.catalogue import Scope
from vna_core.domain.placement import PLACE
from vna_core.domain.stewardship import Extent
from vna_core.stewardship.deletion import PURGE
from vna_core.stewardship.pack_jobs import COMPACT
from vna_core.stewardship.rebuild import rebuild

SERIES = "1.2.3.2"
MARK = b"these are the pixels of one patient"[:32]
BOTH = {
    "placement": {"settle": 0, "rules": [{"name": "all", "copies": [{"store": "landing"}, {"store": "second"}]}]},
    "packs": {"quiet": 0, "removal_delay": 0},
}


@pytest.fixture
def rebuilt(new_catalogue: Callable[[str], Place]) -> Iterator[Keeper]:
    """A series sealed in the landing store and loose in the second, normalized once more, under a catalogue made of the stores."""
    place = new_catalogue("archive")
    with keeper(place, filled=False, **BOTH) as kept:
        for number in (1, 2, 3):
            offer(kept.archive, instance(number, pixels=MARK), NORTH)
        kept.work(PLACE)
        assert len(kept.objects("second")) == 3
        for one in kept.archive.catalogue.packs.series():
            packer(kept.archive, kept.archive.settings.packs).seal(one)
        rule = {"id": "north", "when": {"source": {"name": "CT_NORTH"}}, "institution": "Hospital"}
        assert worker(kept.archive, rule).apply(Scope()).counts["changed"] == 3
        settings = replace_data(kept.archive.settings, new_catalogue("anew"))
    with open_archive(settings) as archive:
        assert rebuild(archive.stores, archive.catalogue).damaged == []
        yield Keeper(archive, place)


def test_they_go_when_their_store_has_the_pack(rebuilt: Keeper) -> None:
    assert len(rebuilt.objects("second")) == 3
    assert rebuilt.scrub().complete and rebuilt.findings() == {}
    for _ in range(2):
        rebuilt.work(PLACE, COMPACT)
        for one in rebuilt.archive.catalogue.packs.series():
            packer(rebuilt.archive, rebuilt.archive.settings.packs).compact(one)
        packer(rebuilt.archive, rebuilt.archive.settings.packs).remove_leftovers(at_once=True)
    assert [one.key for one in rebuilt.second.list("studies/")] == []
    assert len([one.key for one in rebuilt.second.list("packs/") if is_pack(one.key)]) == 1
    assert rebuilt.scrub().complete and rebuilt.findings() == {}


def test_a_purge_removes_their_octets_too(rebuilt: Keeper) -> None:
    deletion = rebuilt.deleting().delete(Extent.SERIES, SERIES, "by mistake", "me")
    rebuilt.deleting().purge("me", timedelta(0), deletion.id)
    for _ in range(3):
        rebuilt.work(PLACE, COMPACT)
        packer(rebuilt.archive, rebuilt.archive.settings.packs).remove_leftovers(at_once=True)
        rebuilt.work(PURGE)
    folders = [rebuilt.place[1] / name for name in ("landing", "second")]
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    assert files and [path for path in files if MARK in path.read_bytes()] == []


def test_a_pack_of_which_everything_is_deleted_is_known_and_goes_with_what_is_purged(
    new_catalogue: Callable[[str], Place],
) -> None:
    place = new_catalogue("archive")
    with keeper(place, filled=False, **BOTH) as kept:
        for number in (1, 2, 3):
            offer(kept.archive, instance(number, pixels=MARK), NORTH)
        for one in kept.archive.catalogue.packs.series():
            packer(kept.archive, kept.archive.settings.packs).seal(one)
        packer(kept.archive, kept.archive.settings.packs).remove_leftovers(at_once=True)
        deletion = kept.deleting().delete(Extent.SERIES, SERIES, "by mistake", "me")
        before = kept.archive.catalogue.fingerprint()
        settings = replace_data(kept.archive.settings, new_catalogue("anew"))
    with open_archive(settings) as archive:
        assert rebuild(archive.stores, archive.catalogue).damaged == []
        assert archive.catalogue.fingerprint() == before
        again = Keeper(archive, place)
        again.deleting().undelete(deletion.id, "me")
        assert len(archive.catalogue.instances(series=SERIES)) == 3
        deletion = again.deleting().delete(Extent.SERIES, SERIES, "for good", "me")
        again.deleting().purge("me", timedelta(0), deletion.id)
        for _ in range(3):
            again.work(PLACE, COMPACT)
            packer(archive, archive.settings.packs).remove_leftovers(at_once=True)
            again.work(PURGE)
    files = [path for name in ("landing", "second") for path in (place[1] / name).rglob("*") if path.is_file()]
    assert files and [path for path in files if MARK in path.read_bytes()] == []
