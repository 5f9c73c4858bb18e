"""The Celery job engine: workers on many hosts, woken by a message broker (RabbitMQ, Redis)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from vna_core.domain.errors import ConfigurationError
from vna_core.ports.hookspecs import JobEngineFactory, hookimpl
from vna_core.ports.jobs import JobEngine, Work
from vna_jobs_celery.options import CeleryOptions


@hookimpl
def register_job_engines() -> Mapping[str, JobEngineFactory]:
    """The ``celery`` engine. Options: see `CeleryOptions`."""
    return {"celery": open_engine}


def open_engine(work: Work, options: Mapping[str, Any]) -> JobEngine:
    """Make the engine; nothing is connected yet. Raises ConfigurationError."""
    checked = CeleryOptions.checked(options)
    try:
        from vna_jobs_celery.engine import CeleryEngine  # Celery takes a while to import: only who uses it waits
    except ImportError as error:
        raise ConfigurationError(
            f"The job engine celery needs {error.name or 'a library'}, which is not installed: pip install 'vna-core[celery]'.",
            setting="jobs.engine",
        ) from error
    return CeleryEngine(work, checked)
