"""A full disk: senders hear that it is full, reads and queries go on, and everything works again when there is room."""

from __future__ import annotations

import hashlib
import importlib
import os
from pathlib import Path

import pytest

from tests.unit.ingest.ct_samples import ct
from tests.unit.ingest.small_archive import SmallArchive, small_archive
from tests.unit.jobs.test_waiting_for_stores import COUNT, Copying
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.domain.errors import OutOfResources, VnaError
from vna_core.domain.outcome import Outcome
from vna_core.testing.fault_injection import Acknowledged, lost

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "site_storage_plugin"


def fill(disk: Path, leave: int) -> Path:
    """A file that takes all room but `leave` octets."""
    ballast = disk / "ballast"
    status = os.statvfs(disk)
    with ballast.open("wb") as stream:
        os.posix_fallocate(stream.fileno(), 0, status.f_bavail * status.f_frsize - leave)
    return ballast


def offer_until_full(archive: SmallArchive, rows: int) -> tuple[dict[int, bytes], VnaError]:
    """Offer until the archive refuses; what it acknowledged, and the refusal."""
    acknowledged: dict[int, bytes] = {}
    for number in range(1, 200):
        try:
            assert archive.offer(ct(number, rows=rows)).outcome is Outcome.HELD
        except VnaError as error:
            return acknowledged, error
        acknowledged[number] = ct(number, rows=rows)
    raise AssertionError("the disk never became full")


@pytest.mark.parametrize(("leave", "rows"), [(1 << 20, 1024), (1 << 20, 64), (200_000, 64), (6 << 20, 20_000)])
def test_a_full_disk_costs_nothing_that_was_acknowledged(small_disk: Path, leave: int, rows: int) -> None:
    data = small_disk / "data"
    data.mkdir()
    with small_archive(data) as archive:
        assert archive.offer(ct(1000)).outcome is Outcome.HELD
        ballast = fill(small_disk, leave)
        acknowledged, error = offer_until_full(archive, rows)
        assert isinstance(error, OutOfResources)
        assert error.transient
        with pytest.raises(OutOfResources):
            archive.offer(ct(500, rows=rows))
        for number, octets in acknowledged.items():
            [held] = archive.catalogue.versions(f"1.2.826.0.1.3680043.10.1.{number}")
            assert archive.original(held) == octets
        assert archive.catalogue.statistics().versions == len(acknowledged) + 1
        assert len(archive.catalogue.instances()) == len(acknowledged) + 1
        ballast.unlink()
        assert archive.offer(ct(500, rows=rows)).outcome is Outcome.HELD
    assert (
        lost(
            data, [Acknowledged(_sha256(octets), f"1.2.826.0.1.3680043.10.1.{number}") for number, octets in acknowledged.items()]
        )
        == []
    )


def test_a_spool_that_fills_the_disk_is_given_back(small_disk: Path) -> None:
    data = small_disk / "data"
    data.mkdir()
    with small_archive(data) as archive:
        fill(small_disk, 8 << 20)
        with pytest.raises(OutOfResources):
            archive.receive(ct(1, rows=60_000))
        assert archive.offer(ct(2)).outcome is Outcome.HELD
        free = os.statvfs(small_disk)
        assert free.f_bavail * free.f_frsize > 6 << 20


def test_jobs_wait_for_a_plugins_store_that_is_full_and_go_on_when_it_has_room(
    small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(EXAMPLE))
    plugin = importlib.import_module("vna_storage_site_database.store")
    (small_disk / "site").mkdir()
    store = plugin.SiteDatabaseStore.open("cloud", {"path": str(small_disk / "site" / "objects.sqlite")})
    with Catalogue.open(CatalogueSettings(), tmp_path / "data") as catalogue:
        copying = Copying(catalogue, store)
        ballast = fill(small_disk, 8_192)
        copying.work()
        assert len(copying.waiting()) == COUNT, "each waits for the store, not for its pause alone"
        copying.look()
        assert len(copying.waiting()) == COUNT
        ballast.unlink()
        copying.look()
        assert catalogue.jobs.listed() == []
    assert len(list(store.list("studies/"))) == COUNT
    store.close()


def _sha256(octets: bytes) -> str:
    return hashlib.sha256(octets).hexdigest()
