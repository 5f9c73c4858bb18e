"""The composition of durable work: which handler does which kind of job, and what is done periodically."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from vna_core.bootstrap import Archive, pack_keeper
from vna_core.jobs import EmbeddedEngine
from vna_core.ports.jobs import Handler
from vna_core.stewardship.pack_jobs import ensure_pack_jobs, pack_handlers


def job_handlers(archive: Archive) -> Mapping[str, Handler]:
    """Kind of job to what does it, for this archive."""
    settings = archive.settings
    return {**pack_handlers(pack_keeper(archive), archive.catalogue, settings.packs)}


def ensure_periodic_jobs(archive: Archive) -> None:
    """Ask for the work that is done again and again, where it is not there yet. Called when a worker starts."""
    ensure_pack_jobs(archive.catalogue, archive.settings.packs)


def job_engine(archive: Archive, name: str) -> EmbeddedEngine:
    """The engine that runs the archive's jobs in this process."""
    worker = f"{name}@{socket.gethostname()}:{os.getpid()}"
    return EmbeddedEngine(archive.catalogue.jobs, job_handlers(archive), archive.settings.jobs, worker)
