"""kill -9 at any step of sealing, compacting and removing loses nothing and leaves nothing that cannot be reached."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.unit.packs.archives import compact_all, keeper, pack_keys, prove, prove_rebuilt, seal_all
from tests.unit.stewardship.held_archive import NORTH, OFFERED, Place, fill, instance, offer, opened, originals, worker
from vna_core.archival_storage.keys import is_pack
from vna_core.bootstrap import Archive, open_archive
from vna_core.catalogue import Scope
from vna_core.configuration import CatalogueSettings
from vna_core.stewardship.rebuild import rebuild

ALL = {octets for octets, _ in OFFERED}
LATE = {instance(number) for number in (7, 8)}
STEPS = ("begun", "written", "verified", "described", "switched")


def place_at(folder: Path) -> Place:
    return CatalogueSettings(), folder


def killed(folder: Path, work: Callable[[Archive, Callable[[str], None]], object], step: str, nth: int) -> bool:
    """Do something in a process of its own that dies when it leaves a step the nth time; whether it did."""
    child = os.fork()
    if child:
        return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    try:
        left = count(1)

        def die(name: str) -> None:
            if name == step and next(left) == nth:
                os.kill(os.getpid(), signal.SIGKILL)

        with opened(place_at(folder)) as archive:
            _die_within(archive, die)
            work(archive, die)
    finally:
        os._exit(0)


def _die_within(archive: Archive, die: Callable[[str], None]) -> None:
    """The step `begun` is left when half a pack has been handed to the store."""
    create = archive.landing.create

    def cut(pieces: Iterator[Any]) -> Iterator[Any]:
        for number, piece in enumerate(pieces):
            if number == 4:
                die("begun")
            yield piece

    def creating(key: Any, content: Any, sha256: str | None = None) -> Any:
        return create(key, cut(iter(content)), sha256)

    archive.landing.create = creating  # type: ignore[method-assign]


def seal(archive: Archive, die: Callable[[str], None]) -> None:
    work = keeper(archive, after_step=die)
    for place in work.settled(2e9):
        work.seal(place)


def compact(archive: Archive, die: Callable[[str], None]) -> None:
    work = keeper(archive, after_step=die)
    for place in archive.catalogue.packs.series():
        work.compact(place)


def clean(archive: Archive, die: Callable[[str], None]) -> None:
    keeper(archive, after_step=die).remove_leftovers()


def give_up_claims(archive: Archive) -> None:
    """What waiting for the end of the claim's lease would bring."""
    with archive.catalogue._database.transaction() as session:
        session.execute("UPDATE pack_claims SET until = 0")


def nothing_is_lost(folder: Path, offered: set[bytes], number: Iterator[int]) -> None:
    with opened(place_at(folder)) as archive:
        prove(archive, offered)
        settings = archive.settings.model_copy(update={"data": folder.with_name(f"rebuilt{next(number)}")})
        with open_archive(settings) as other:
            assert rebuild(archive.stores, other.catalogue).damaged == []
            assert {b"".join(archive.retriever.original(one)) for one in other.catalogue.instances(all_versions=True)} == offered


def everything_is_reachable(folder: Path, offered: set[bytes], number: Iterator[int]) -> None:
    """After the work was done again: each object of the store is one that the catalogue reads."""
    with opened(place_at(folder)) as archive:
        give_up_claims(archive)
        seal_all(archive)
        compact_all(archive)
        keeper(archive).remove_leftovers()
        prove(archive, offered)
        pointed = {where.key for held in archive.catalogue.instances(all_versions=True) for where in held.locations}
        for held in archive.catalogue.instances(all_versions=True):
            pointed |= {one.location.key for one in archive.catalogue.generations.of_version(held.pk)}
        assert {one.key for one in archive.landing.list() if not one.key.endswith(".json")} == pointed
        beside = {f"{key.rpartition('/')[0]}/zarr.json" for key in pointed if is_pack(key)}
        assert {one.key for one in archive.landing.list("packs/") if one.key.endswith(".json")} <= beside
        assert archive.catalogue.packs.number_of_leftovers() == 0
        prove_rebuilt(archive, place_at(folder.with_name(f"rebuilt{next(number)}")))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with opened(place_at(tmp_path / "archive")) as archive:
        fill(archive)
    return tmp_path / "archive"


@pytest.mark.parametrize("step", STEPS)
def test_killed_while_sealing(folder: Path, step: str) -> None:
    number = count()
    assert killed(folder, seal, step, 1)
    nothing_is_lost(folder, ALL, number)
    everything_is_reachable(folder, ALL, number)


@pytest.mark.parametrize("step", STEPS)
def test_killed_while_compacting_what_was_normalized_twice(folder: Path, step: str) -> None:
    number = count()
    with opened(place_at(folder)) as archive:
        seal_all(archive)
        for octets in LATE:
            offer(archive, octets, NORTH)
        worker(archive, {"id": "north", "when": {"source": {"name": "CT_NORTH"}}, "issuer": "NORTH"}).apply(Scope())
        seal_all(archive)
        keeper(archive).remove_leftovers()
    assert killed(folder, compact, step, 1)
    nothing_is_lost(folder, ALL | LATE, number)
    everything_is_reachable(folder, ALL | LATE, number)


@pytest.mark.parametrize("nth", [1, 3])
def test_killed_while_removing(folder: Path, nth: int) -> None:
    number = count()
    with opened(place_at(folder)) as archive:
        seal_all(archive)
    assert killed(folder, clean, "removed", nth)
    nothing_is_lost(folder, ALL, number)
    everything_is_reachable(folder, ALL, number)


def test_a_pack_that_a_dead_process_wrote_goes_when_the_series_grew_meanwhile(folder: Path) -> None:
    number = count()
    assert killed(folder, seal, "described", 1)
    with opened(place_at(folder)) as archive:
        assert len(pack_keys(archive)) == 1 and archive.catalogue.packs.listed() == []
        for octets in LATE:
            offer(archive, octets, NORTH)
    everything_is_reachable(folder, ALL | LATE, number)


def test_originals_are_what_was_offered(folder: Path) -> None:
    with opened(place_at(folder)) as archive:
        assert originals(archive) == ALL
