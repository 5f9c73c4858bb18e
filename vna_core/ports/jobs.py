"""The job engine port: who runs the jobs of the catalogue (decision D10).

The ledger of jobs is the catalogue's; an engine takes jobs from it, calls the handler of their kind, and says how they ended.
Handlers are idempotent: a job is done at least once.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from vna_core.domain.jobs import Again, Job


class Running(Protocol):
    """What a handler may ask while it works."""

    @property
    def stopping(self) -> bool:
        """Whether the process is about to end: return `Again()` at the next safe point."""

    def tell(self, progress: Mapping[str, Any]) -> None:
        """Note how far the job is (JSON), for people who look. Raises LeaseLost when another worker has taken the job over."""


Handler = Callable[[Job, Running], Again | None]
"""Does one job. Returns None when it is done, `Again` when it is to go on later.

Raises any VnaError when it fails: a transient one is tried again without end, others a limited number of times; then the job
waits as failed for somebody to look at it.
"""


class JobEngine(ABC):
    """Runs jobs until it is told to stop."""

    @abstractmethod
    def run(self, stop: threading.Event) -> None:
        """Take and do jobs until `stop` is set; returns when no handler runs any more or the grace time is over."""
