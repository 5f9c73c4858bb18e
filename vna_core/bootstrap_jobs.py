"""The composition of durable work: which handler does which kind of job, and what is done periodically."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping

from vna_core.bootstrap import Archive
from vna_core.jobs import EmbeddedEngine
from vna_core.ports.jobs import Handler
from vna_core.stewardship.duties import Duties


def job_handlers(archive: Archive) -> Mapping[str, Handler]:
    """Kind of job to what does it, for this archive."""
    return {**_duties(archive).handlers()}


def ensure_periodic_jobs(archive: Archive) -> None:
    """Ask for the work that is done again and again, where it is not there yet. Called when a worker starts."""
    _duties(archive).ensure()


def _duties(archive: Archive) -> Duties:
    settings = archive.settings
    return Duties(archive.stores, archive.landing, archive.catalogue, settings.scrub, settings.retention)


def job_engine(archive: Archive, name: str) -> EmbeddedEngine:
    """The engine that runs the archive's jobs in this process."""
    worker = f"{name}@{socket.gethostname()}:{os.getpid()}"
    return EmbeddedEngine(archive.catalogue.jobs, job_handlers(archive), archive.settings.jobs, worker)
