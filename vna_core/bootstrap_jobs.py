"""The composition of durable work: which handler does which kind of job, and what is done periodically."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from typing import Any

from vna_core.bootstrap import Archive, pack_keeper
from vna_core.bootstrap_federation import correction_sender
from vna_core.bootstrap_migration import migration_worker
from vna_core.domain.corrections import AWAITED_REJECTIONS, REJECTION_NOTE, SEND
from vna_core.domain.errors import ConfigurationError
from vna_core.domain.jobs import AWAIT_STORE, BACKGROUND
from vna_core.domain.placement import PLACE, RECALL
from vna_core.jobs import EmbeddedEngine, LedgerWork
from vna_core.jobs.embedded import NAME as EMBEDDED
from vna_core.ports.hookspecs import JobEngineFactory
from vna_core.ports.jobs import Handler, JobEngine, Work
from vna_core.stewardship.awaiting_stores import AwaitingStores
from vna_core.stewardship.counting_stores import STORE_COUNT, StoreCounting
from vna_core.stewardship.duties import Duties
from vna_core.stewardship.holding import HOLD_COPIES, HoldingCopies
from vna_core.stewardship.pack_jobs import ensure_pack_jobs, pack_handlers
from vna_core.stewardship.placement_rounds import SCAN, SWEEP, PlacementScan, PlacementSweep, ask_for_scan
from vna_core.stewardship.placing import Placer
from vna_core.stewardship.placing_quarantine import PLACE_QUARANTINE, QuarantinePlacer
from vna_core.stewardship.recalling import Recaller


def job_handlers(archive: Archive, worker: str = "worker") -> Mapping[str, Handler]:
    """Kind of job to what does it, for this archive; `worker` is this process in the ledgers."""
    settings, stores, catalogue, policy = archive.settings, archive.stores, archive.catalogue, archive.availability.policy
    return {
        **pack_handlers(pack_keeper(archive), catalogue, settings.packs),
        PLACE: Placer(stores, catalogue, policy, removal_delay=settings.packs.removal_delay),
        SCAN: PlacementScan(catalogue, policy),
        SWEEP: PlacementSweep(stores, catalogue, settings.placement.sweep),
        AWAIT_STORE: AwaitingStores(stores, catalogue),
        STORE_COUNT: StoreCounting(catalogue, bool(policy.digest)),
        **_duties(archive).handlers(),
        HOLD_COPIES: HoldingCopies(stores, catalogue),
        PLACE_QUARANTINE: QuarantinePlacer(stores, catalogue, settings.placement.quarantine),
        RECALL: Recaller(stores, catalogue, settings.placement.recall),
        **migration_worker(archive, worker).handlers(),
        SEND: correction_sender(archive),
        REJECTION_NOTE: archive.rejecting.note,
        AWAITED_REJECTIONS: archive.rejecting.round,
    }


def ensure_periodic_jobs(archive: Archive) -> None:
    """Ask for the work that is done again and again, where it is not there yet. Called when a worker starts."""
    if archive.availability.policy.digest:
        ask_for_scan(archive.catalogue, archive.availability.policy)
        archive.catalogue.jobs.ensure(SWEEP, "", priority=BACKGROUND)
    if archive.settings.corrections.rejection_notes:
        archive.catalogue.jobs.ensure(AWAITED_REJECTIONS, "", priority=BACKGROUND)
    if archive.settings.placement.quarantine:
        archive.catalogue.jobs.ensure(PLACE_QUARANTINE, "", priority=BACKGROUND)
    archive.catalogue.jobs.ensure(STORE_COUNT, "", priority=BACKGROUND)
    ensure_pack_jobs(archive.catalogue, archive.settings.packs)
    _duties(archive).ensure()


def _duties(archive: Archive) -> Duties:
    settings = archive.settings
    return Duties(archive.stores, archive.landing, archive.catalogue, settings.scrub, settings.retention, auditor=archive.audit)


def job_work(archive: Archive, name: str) -> LedgerWork:
    """The archive's jobs, as this process may do them."""
    worker = f"{name}@{socket.gethostname()}:{os.getpid()}"
    return LedgerWork(archive.catalogue.jobs, job_handlers(archive, worker), archive.settings.jobs, worker, archive.meter)


def job_engine(archive: Archive, name: str) -> JobEngine:
    """The configured engine, which runs the archive's jobs in this process. Raises ConfigurationError."""
    settings = archive.settings.jobs
    engines: dict[str, JobEngineFactory] = {EMBEDDED: _embedded, **archive.plugins.job_engines()}
    factory = engines.get(settings.engine)
    if factory is None:
        known = ", ".join(sorted(engines))
        raise ConfigurationError(
            f"No plugin provides the job engine {settings.engine!r}. Available: {known}.", setting="jobs.engine"
        )
    return factory(job_work(archive, name), settings.options)


def _embedded(work: Work, options: Mapping[str, Any]) -> JobEngine:
    if options:
        raise ConfigurationError(f"The engine {EMBEDDED} has no options: {', '.join(sorted(options))}.", setting="jobs.options")
    assert isinstance(work, LedgerWork)
    return EmbeddedEngine(work)
