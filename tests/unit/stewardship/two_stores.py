"""An archive with two stores that both hold everything, and faults put into them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.unit.stewardship.held_archive import Place, fill, offer
from vna_core.bootstrap import Archive, open_archive
from vna_core.bootstrap_jobs import job_handlers
from vna_core.configuration import Settings, StoreSettings
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.instance import Location
from vna_core.domain.octets import Source
from vna_core.jobs import LedgerWork
from vna_core.stewardship.deletion import Deleting
from vna_core.stewardship.rebuild import rebuild
from vna_core.stewardship.repair import Repairing
from vna_core.stewardship.scrub import Scrub, ScrubReport

JOBS = JobsSettings(poll=0.01, pause=0.001, max_attempts=100)
SCANNER = Source("file", "disc", "/a/b")


class Killed(BaseException):
    """The process ends here."""


@dataclass
class Keeper:
    """What the tests of stewardship need."""

    archive: Archive
    place: Place

    @property
    def second(self) -> Any:
        return self.archive.stores["second"]

    def path(self, store: str, key: str) -> Path:
        path = self.place[1] / store / key
        if path.exists():
            path.chmod(0o600)
        return path

    def copy(self) -> None:
        """Give the second store a copy of every version."""
        for held in self.archive.catalogue.instances(all_versions=True):
            self.copy_one(held.pk)

    def copy_one(self, pk: int) -> None:
        where = self.archive.catalogue.held(pk).locations[0]
        self.second.create(where.key, self.archive.landing.chunks(where.key))
        self.archive.catalogue.add_copy(pk, Location("second", where.key, 0, where.length))

    def objects(self, store: str = "landing") -> list[str]:
        return [one.key for one in self.archive.stores[store].list("studies/")]

    def scrub(self, **options: Any) -> ScrubReport:
        return Scrub(self.archive.stores, self.archive.catalogue).run(**options)

    def findings(self) -> dict[tuple[str, str], str]:
        return {(one.store, one.key): one.outcome for one in self.archive.catalogue.checks.findings()}

    def repair(self, **options: Any) -> dict[tuple[str, str], str]:
        report = Repairing(self.archive.stores, self.archive.catalogue, **options).run()
        return {(one.store, one.key): one.outcome for one in report.repairs}

    def deleting(self, **options: Any) -> Deleting:
        return Deleting(self.archive.stores, self.archive.landing, self.archive.catalogue, **options)

    def work(self, *kinds: str) -> None:
        """Do the jobs of these kinds, those that were done before once more."""
        catalogue = self.archive.catalogue
        handlers = {kind: handler for kind, handler in job_handlers(self.archive).items() if kind in kinds}
        for job in catalogue.jobs.listed(limit=1000):
            if job.kind in kinds:
                catalogue.jobs.reopen(job.pk)
        LedgerWork(catalogue.jobs, handlers, JOBS, "test").run_until_idle()

    def rebuilt(self, place: Place, *stores: str) -> dict[str, Any]:
        """The fingerprint of a catalogue made anew from these stores (all of them without any)."""
        wanted = {name: store for name, store in self.archive.stores.items() if not stores or name in stores}
        settings = self.archive.settings.model_copy(update={"data": place[1], "catalogue": place[0]})
        with open_archive(settings) as other:
            assert rebuild(wanted, other.catalogue).damaged == []
            return other.catalogue.fingerprint()


@contextmanager
def keeper(place: Place, *, filled: bool = True, **settings: Any) -> Iterator[Keeper]:
    stores = {name: StoreSettings(type="filesystem", options={"path": str(place[1] / name)}) for name in ("landing", "second")}
    with open_archive(Settings(data=place[1], catalogue=place[0], stores=stores, **settings)) as archive:
        made = Keeper(archive, place)
        if filled:
            fill(archive)
            offer(archive, b"no DICOM at all" * 10, SCANNER)
            made.copy()
        yield made


def flip(path: Path) -> None:
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-7])
