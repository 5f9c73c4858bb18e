"""An archive on several folders, some of which can fail, with the worker's handlers."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.unit.ingest.ct_samples import ct
from vna_core.access.retrieve import Retriever
from vna_core.archival_storage.placement import PlacementPolicy
from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings, IngestSettings, Settings
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.instance import HeldInstance
from vna_core.domain.jobs import AWAIT_STORE
from vna_core.domain.octets import Source
from vna_core.domain.placement import PLACE, RECALL
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.jobs import LedgerWork
from vna_core.ports.storage import Store
from vna_core.stewardship.awaiting_stores import AwaitingStores
from vna_core.stewardship.placement_rounds import SCAN, SWEEP, PlacementScan, PlacementSweep
from vna_core.stewardship.placing import Placer
from vna_core.stewardship.recalling import Recaller
from vna_core.testing.faulty_store import FaultyStore
from vna_storage_filesystem.store import FilesystemStore

JOBS = JobsSettings(poll=0.01, pause=0.001, max_attempts=3)


@dataclass
class PlacedArchive:
    """The parts; `ahead` moves the clock of placement by seconds."""

    data: Path
    stores: dict[str, Store]
    catalogue: Catalogue
    pipeline: IngestPipeline
    retriever: Retriever
    policy: PlacementPolicy
    settings: Settings
    ahead: float = field(default=0.0)

    def clock(self) -> float:
        return time.time() + self.ahead

    def ledger_work(self) -> LedgerWork:
        recall = self.settings.placement.recall
        handlers = {
            PLACE: Placer(self.stores, self.catalogue, self.policy, self.clock),
            SCAN: PlacementScan(self.catalogue, self.policy),
            SWEEP: PlacementSweep(self.stores, self.catalogue, 3600.0),
            AWAIT_STORE: AwaitingStores(self.stores, self.catalogue),
            RECALL: Recaller(self.stores, self.catalogue, recall, self.clock),
        }
        return LedgerWork(self.catalogue.jobs, handlers, JOBS, "test")

    def work(self, rounds: int = 1) -> None:
        """Do what is free; of what failed, some more rounds."""
        work = self.ledger_work()
        for _ in range(rounds):
            work.run_until_idle()
            time.sleep(0.005)

    def offer(self, number: int, **attributes: Any) -> HeldInstance:
        octets = ct(number, **attributes)
        source = Source("file", "test", "/somewhere")
        with self.pipeline.reception(source) as reception:
            reception.write(octets)
            received = reception.finish()
        result = self.pipeline.offer(received)
        return self.catalogue.versions(result.sop_instance_uid)[-1]

    def again(self, held: HeldInstance) -> HeldInstance:
        return self.catalogue.held(held.pk)

    def stores_of(self, held: HeldInstance) -> set[str]:
        return {location.store for location in self.again(held).locations}

    def states_of(self, held: HeldInstance) -> dict[str, str]:
        [placed] = self.catalogue.placements.of_instances([held.pk])
        return {copy.store: copy.state for copy in placed.copies}

    def objects(self, store: str) -> set[str]:
        inner = self.stores[store]
        return {one.key for one in (inner.inner if isinstance(inner, FaultyStore) else inner).list()}


@contextmanager
def placed_archive(
    data: Path,
    placement: Mapping[str, Any],
    others: Mapping[str, Store] | None = None,
    names: tuple[str, ...] = ("cloud", "second"),
    database: CatalogueSettings | None = None,
) -> Iterator[PlacedArchive]:
    """An archive with `landing`, folders `names` that can be made to fail, and other stores."""
    landing = FilesystemStore("landing", data / "landing")
    stores: dict[str, Store] = {"landing": landing}
    stores |= {name: FaultyStore(FilesystemStore(name, data / name)) for name in names}
    stores |= dict(others or {})
    document = {"data": str(data), "stores": {name: {} for name in stores}, "placement": {"settle": 0, **placement}}
    settings = Settings.model_validate(document)
    policy = PlacementPolicy.of(settings)
    with Catalogue.open(database or settings.catalogue, data) as catalogue:
        if policy.digest:
            catalogue.follow_ups.follow(PLACE, delay=settings.placement.settle)
        pipeline = IngestPipeline(landing, catalogue, IngestSettings(), data, stores=stores)
        retriever = Retriever(stores, catalogue)
        yield PlacedArchive(data, stores, catalogue, pipeline, retriever, policy, settings)
