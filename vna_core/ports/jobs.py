"""The job engine port: who runs the jobs of the catalogue (decision D10).

The ledger of jobs is the catalogue's. An engine decides when and in which thread a job is done; which one it is, that nobody else does
it meanwhile, and how it ended is the `Work` it is given. So an engine can lose messages, or its broker, and no job.
Handlers are idempotent: a job is done at least once.
"""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol

from vna_core.domain.jobs import Again, Job


class Running(Protocol):
    """What a handler may ask while it works."""

    @property
    def stopping(self) -> bool:
        """Whether the process is about to end: return `Again()` at the next safe point, or raise LeaseLost where the work is left as it is.

        Either way another worker may take the job at once; one that does neither within seconds is given back while it runs.
        """

    def tell(self, progress: Mapping[str, Any]) -> None:
        """Note how far the job is (JSON), for people who look. Raises LeaseLost when another worker has taken the job over."""


Handler = Callable[[Job, Running], Again | None]
"""Does one job. Returns None when it is done, `Again` when it is to go on later.

Raises any VnaError when it fails: a transient one is tried again without end, others a limited number of times; then the job
waits as failed for somebody to look at it.
"""


class Work(Protocol):
    """The jobs that this process may do, as an engine sees them. Every method may be called from several threads at once."""

    @property
    def worker(self) -> str:
        """Name of this process in the ledger."""

    @property
    def threads(self) -> int:
        """How many jobs this process does at once."""

    @property
    def poll(self) -> float:
        """Seconds between looks for new jobs when there is nothing to do."""

    def opened(self) -> AbstractContextManager[None]:
        """Leases are kept while the block runs; at its end, handlers that run are told, and get some seconds to reach a safe point."""

    def waits(self) -> bool:
        """Whether a job is free now. A catalogue that does not answer has none."""

    def do_next(self) -> bool:
        """Take the most urgent free job and do it in this thread; whether there was one. Nothing a handler raises comes out."""


class JobEngine(ABC):
    """Runs jobs until it is told to stop."""

    @abstractmethod
    def run(self, stop: threading.Event) -> None:
        """Do jobs until `stop` is set; returns when no handler runs any more or the grace time is over.

        Raises VnaError when it cannot begin. What happens later (a broker that is gone, say) ends nothing.
        """
