"""Workers seal what has settled, take up late arrivals, compact, and clean up, without being asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.unit.packs.archives import pack_keys, prove
from tests.unit.stewardship.held_archive import NORTH, OFFERED, fill, instance, offer, worker
from vna_core.bootstrap import Archive, open_archive
from vna_core.bootstrap_jobs import ensure_periodic_jobs, job_work
from vna_core.catalogue import Scope
from vna_core.configuration import Settings
from vna_core.configuration.packs import PackSettings
from vna_core.stewardship.pack_jobs import CLEAN, SEAL, WATCH

ALL = {octets for octets, _ in OFFERED}


def settings(**changes: Any) -> PackSettings:
    return PackSettings(**{"seal": True, "quiet": 0, "removal_delay": 0, "compact_after": 2, **changes})


def opened(folder: Path, packs: PackSettings) -> Archive:
    return open_archive(Settings(data=folder, packs=packs))


def work(archive: Archive) -> None:
    """Everything that is due, the periodic work included."""
    ensure_periodic_jobs(archive)
    for kind in (WATCH, CLEAN):
        for job in archive.catalogue.jobs.listed(kind=kind):
            archive.catalogue.jobs.reopen(job.pk)
    job_work(archive, "test").run_until_idle()


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with opened(tmp_path, settings()) as archive:
        fill(archive)
        yield archive


def test_series_are_sealed_compacted_and_cleaned_up(archive: Archive) -> None:
    work(archive)
    assert len(pack_keys(archive)) == 2
    for number in (7, 8):
        offer(archive, instance(number), NORTH)
    work(archive)  # a second pack of the series, and then one of both
    work(archive)
    assert [one.members for one in archive.catalogue.packs.listed(series="1.2.3.2")] == [6]
    assert archive.catalogue.packs.number_of_leftovers() == 0
    prove(archive, ALL | {instance(7), instance(8)})
    worker(archive, {"id": "north", "when": {"source": {"name": "CT_NORTH"}}, "issuer": "NORTH"}).apply(Scope())
    work(archive)
    prove(archive, ALL | {instance(7), instance(8)})
    assert not any(
        one.location.key.startswith("studies/")
        for place in archive.catalogue.packs.series(series="1.2.3.2")
        for one in archive.catalogue.packs.loose(place, "landing")
    )
    assert not [job for job in archive.catalogue.jobs.listed() if job.state == "failed"]


def test_a_series_that_goes_on_growing_waits(tmp_path: Path) -> None:
    with opened(tmp_path, settings(quiet=3600)) as archive:
        fill(archive)
        work(archive)
        assert pack_keys(archive) == []
        waiting = archive.catalogue.jobs.listed(kind=SEAL)
        assert len(waiting) == 4
        offer(archive, instance(9), NORTH)
        work(archive)
        [before] = [job for job in waiting if job.payload["series"] == "1.2.3.2"]
        [after] = [job for job in archive.catalogue.jobs.listed(kind=SEAL) if job.pk == before.pk]
        assert after.free_at > before.free_at


def test_nothing_is_sealed_where_nobody_said_so(tmp_path: Path) -> None:
    with opened(tmp_path, settings(seal=False)) as archive:
        fill(archive)
        work(archive)
        assert pack_keys(archive) == [] and archive.catalogue.jobs.listed(kind=WATCH) == []
