"""kill -9 between any two durable steps of placement, scrub, repair and purge loses nothing; whoever comes next ends the work."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.unit.packs.archives import keeper
from tests.unit.stewardship.held_archive import OFFERED, fill, originals
from tests.unit.stewardship.two_stores import cut, flip
from vna_core.bootstrap import Archive, open_archive
from vna_core.bootstrap_jobs import job_handlers
from vna_core.configuration import Settings
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.placement import PLACE
from vna_core.domain.stewardship import PURGED, Extent
from vna_core.jobs import LedgerWork
from vna_core.stewardship.deletion import PURGE, Deleting
from vna_core.stewardship.pack_jobs import COMPACT
from vna_core.stewardship.rebuild import rebuild
from vna_core.stewardship.repair import Repairing
from vna_core.stewardship.scrub import Scrub

ALL = {octets for octets, _ in OFFERED}
STORES = ("landing", "second")
NTH = (1, 2, 3, 5, 8, 13)


def settings(folder: Path) -> Settings:
    return Settings.model_validate(
        {
            "data": str(folder / "data"),
            "stores": {name: {"type": "filesystem", "options": {"path": str(folder / name)}} for name in STORES},
            "placement": {"settle": 0, "rules": [{"name": "both", "copies": [{"store": name} for name in STORES]}]},
            "packs": {"quiet": 0, "removal_delay": 0},
        }
    )


@contextmanager
def opened(folder: Path) -> Iterator[Archive]:
    with open_archive(settings(folder)) as archive:
        yield archive


def killed(folder: Path, work: Callable[[Archive], object], nth: int) -> bool:
    """Do something in a process of its own that dies after so many durable steps; whether it did."""
    child = os.fork()
    if child:
        return os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
    try:
        with opened(folder) as archive:
            _die_after(archive, nth)
            work(archive)
    finally:
        os._exit(0)


def _die_after(archive: Archive, nth: int) -> None:
    """A step is a commit of the catalogue, or an object that was created in a store or removed from one."""
    steps = count(1)

    def done() -> None:
        if next(steps) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    database: Any = archive.catalogue._database
    transaction = database.transaction

    @contextmanager
    def counted() -> Iterator[Any]:
        with transaction() as session:
            yield session
        done()

    database.transaction = counted
    for store in archive.stores.values():
        for name in ("create", "delete"):
            setattr(store, name, _then(getattr(store, name), done))


def _then(call: Callable[..., Any], done: Callable[[], None]) -> Callable[..., Any]:
    def calling(*arguments: Any) -> Any:
        result = call(*arguments)
        done()
        return result

    return calling


def jobs(archive: Archive, *kinds: str) -> None:
    handlers = {kind: handler for kind, handler in job_handlers(archive).items() if kind in kinds}
    for job in archive.catalogue.jobs.listed(limit=1000):
        if job.kind in kinds:
            archive.catalogue.jobs.reopen(job.pk)  # what waiting for the end of a dead worker's lease would bring
    LedgerWork(archive.catalogue.jobs, handlers, JobsSettings(poll=0.01, pause=0.001), "test").run_until_idle()


def place(archive: Archive) -> None:
    jobs(archive, PLACE)


def scrub(archive: Archive) -> None:
    assert Scrub(archive.stores, archive.catalogue).run().complete


def repair(archive: Archive) -> None:
    assert Repairing(archive.stores, archive.catalogue).run().complete


def seal(archive: Archive) -> None:
    work = keeper(archive, archive.settings.packs)
    for place in archive.catalogue.packs.series():
        work.seal(place)


def purge(archive: Archive) -> None:
    Deleting(archive.stores, archive.landing, archive.catalogue).purge("me", timedelta(0))
    for _ in range(2):
        jobs(archive, COMPACT, PLACE)
        keeper(archive, archive.settings.packs).remove_leftovers(at_once=True)
        jobs(archive, PURGE)


def prove(folder: Path, offered: set[bytes]) -> None:
    """Both stores hold everything and nothing damaged, and the stores alone tell the same."""
    with opened(folder) as archive:
        assert originals(archive) == offered
        for held in archive.catalogue.instances(all_versions=True):
            assert {where.store for where in held.locations} == set(STORES)
        scrub(archive)
        assert archive.catalogue.checks.findings() == []
        with open_archive(archive.settings.model_copy(update={"data": folder / "rebuilt"})) as other:
            assert rebuild(archive.stores, other.catalogue).damaged == []
            assert originals(other) == offered


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
@pytest.mark.parametrize("nth", NTH)
def test_killed_while_placing(tmp_path: Path, nth: int, packed: bool) -> None:
    with opened(tmp_path) as archive:
        fill(archive)
        if packed:
            place(archive)
            seal(archive)
    assert killed(tmp_path, place, nth)
    with opened(tmp_path) as archive:
        place(archive)
        keeper(archive, archive.settings.packs).remove_leftovers()
    prove(tmp_path, ALL)


@pytest.mark.parametrize("nth", (1, 2, 3))
def test_killed_while_scrubbing(tmp_path: Path, nth: int) -> None:
    with opened(tmp_path) as archive:
        fill(archive)
        place(archive)
        _damage(tmp_path, archive)
    assert killed(tmp_path, scrub, nth)
    with opened(tmp_path) as archive:
        scrub(archive)
        assert sorted(one.outcome for one in archive.catalogue.checks.findings()) == ["bit-rot", "missing", "truncated"]
        repair(archive)
    prove(tmp_path, ALL)


@pytest.mark.parametrize("nth", (1, 2, 3, 5, 8))
def test_killed_while_repairing(tmp_path: Path, nth: int) -> None:
    with opened(tmp_path) as archive:
        fill(archive)
        place(archive)
        _damage(tmp_path, archive)
        scrub(archive)
    assert killed(tmp_path, repair, nth)
    with opened(tmp_path) as archive:
        repair(archive)
    prove(tmp_path, ALL)


def _damage(folder: Path, archive: Archive) -> None:
    """One copy rots and one is cut in the second store, one is gone from the first."""
    keys = [one.key for one in archive.landing.list("studies/")]
    for store, key, harm in (("second", keys[0], flip), ("second", keys[1], cut), ("landing", keys[2], Path.unlink)):
        path = folder / store / key
        path.chmod(0o600)
        harm(path)


@pytest.mark.parametrize("packed", [False, True], ids=["loose", "packed"])
@pytest.mark.parametrize("nth", NTH)
def test_killed_while_purging(tmp_path: Path, nth: int, packed: bool) -> None:
    with opened(tmp_path) as archive:
        fill(archive)
        place(archive)
        if packed:
            seal(archive)
            place(archive)
        gone = {b"".join(archive.retriever.original(one)) for one in archive.catalogue.instances(sop="1.2.3.2.3")}
        Deleting(archive.stores, archive.landing, archive.catalogue).delete(Extent.INSTANCE, "1.2.3.2.3", "x", "me")
    assert killed(tmp_path, purge, nth)
    with opened(tmp_path) as archive:
        purge(archive)
        assert [one.state for one in archive.catalogue.deletions.listed()] == [PURGED]
    prove(tmp_path, ALL - gone)
    for path in (path for name in STORES for path in (tmp_path / name).rglob("*.dcm")):
        assert "/1.2.3.2.3." not in str(path)
    for path in (path for name in STORES for path in (tmp_path / name / "packs").rglob("c*") if path.is_file()):
        assert b"1.2.3.2.3." not in path.read_bytes()
