"""The embedded engine: threads of one process take jobs from the catalogue, and no service beside it is needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Final

from vna_core.domain.jobs import Job
from vna_core.jobs.work import LedgerWork
from vna_core.ports.jobs import JobEngine

NAME: Final = "embedded"
"""What the setting ``jobs.engine`` calls it."""


class EmbeddedEngine(JobEngine):
    """Runs jobs in threads of this process.

    Parameters
    ----------
    ended
        Called whenever a job came to its end here.
    """

    def __init__(self, work: LedgerWork, ended: Callable[[], object] = lambda: None) -> None:
        self._work, self._ended = work, ended
        self._changed = threading.Event()

    def look(self) -> None:
        """Look for jobs, and whether to stop, now and not when the next look is due."""
        self._changed.set()

    def run(self, stop: threading.Event) -> None:
        """See `JobEngine.run`."""
        with self._work.opened():
            while not stop.is_set():
                if not self._start_what_is_free():
                    self._changed.wait(self._work.poll)
                self._changed.clear()

    def _start_what_is_free(self) -> bool:
        """Start jobs in the threads that are free; whether any was found."""
        room = self._work.room
        jobs = self._work.take(room) if room > 0 else []
        for job in jobs:
            threading.Thread(target=self._do, args=(job,), name=f"job-{job.kind}", daemon=True).start()
        return bool(jobs)

    def _do(self, job: Job) -> None:
        self._work.do(job)
        self._changed.set()
        self._ended()
