"""The embedded engine: threads of one process take jobs from the catalogue, and no service beside it is needed."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from typing import Any, Final

import structlog

from vna_core.catalogue.jobs import Jobs
from vna_core.configuration_jobs import JobsSettings
from vna_core.domain.errors import CatalogueError, LeaseLost, VnaError
from vna_core.domain.jobs import Again, Job
from vna_core.ports.jobs import Handler, JobEngine

GRACE: Final = 6.0
"""Seconds that running handlers get to reach a safe point when the engine stops; a job left then is free when its lease ends."""

_LONGEST_PAUSE: Final = 600.0

_log = structlog.get_logger(__name__)


class EmbeddedEngine(JobEngine):
    """Runs jobs in threads.

    Parameters
    ----------
    handlers
        Kind of job to what does it; jobs of other kinds are left to other workers.
    worker
        Name of this process in the ledger.
    """

    def __init__(self, ledger: Jobs, handlers: Mapping[str, Handler], settings: JobsSettings, worker: str) -> None:
        self._ledger = ledger
        self._handlers = dict(handlers)
        self._settings = settings
        self._worker = worker
        self._running: dict[int, _Run] = {}
        self._lock = threading.Lock()
        self._changed = threading.Event()
        self._stop = threading.Event()

    def run(self, stop: threading.Event) -> None:
        """See `JobEngine.run`."""
        renewing = threading.Thread(target=self._renew, name="leases", daemon=True)
        renewing.start()
        while not stop.is_set():
            if not self._start_what_is_free():
                self._changed.wait(self._settings.poll)
            self._changed.clear()
        self._stop.set()
        deadline = time.monotonic() + GRACE
        for run in self._current():
            run.thread.join(max(0.0, deadline - time.monotonic()))

    def run_until_idle(self, most: int | None = None) -> int:
        """Do everything that is free now, one job after the other in this thread, and what it brings; how many were done.

        Parameters
        ----------
        most
            Stop after so many.
        """
        done = 0
        while (most is None or done < most) and (jobs := self._take(1)):
            run = _Run(jobs[0], self, threading.current_thread())
            with self._lock:
                self._running[run.job.pk] = run
            self._do(run)
            done += 1
        return done

    def _start_what_is_free(self) -> bool:
        """Start jobs in the threads that are free; whether any was found."""
        with self._lock:
            room = self._settings.threads - len(self._running)
        jobs = self._take(room) if room > 0 else []
        for job in jobs:
            run = _Run(job, self)
            run.thread = threading.Thread(target=self._do, args=(run,), name=f"job-{job.kind}", daemon=True)
            with self._lock:
                self._running[job.pk] = run
            run.thread.start()
        return bool(jobs)

    def _take(self, limit: int) -> list[Job]:
        try:
            return self._ledger.take(tuple(self._handlers), limit, self._settings.lease, self._worker)
        except CatalogueError as error:
            _log.warning("jobs-not-taken", code=error.code)
            return []

    def _do(self, run: _Run) -> None:
        job = run.job
        try:
            result = self._handlers[job.kind](job, run)
            if isinstance(result, Again):
                self._ledger.later(job, result.delay)
            else:
                self._ledger.done(job)
        except LeaseLost:
            _log.warning("job-lease-lost", kind=job.kind, key=job.key)
        except VnaError as error:
            self._failed(job, f"{error.message} [{error.code}]", error.transient)
        except Exception as error:  # noqa: BLE001 - a fault in one handler must not end the worker, nor be forgotten
            _log.exception("job-crashed", kind=job.kind, key=job.key)
            self._failed(job, f"Internal error ({type(error).__name__}); the log has more.", False)
        finally:
            with self._lock:
                self._running.pop(job.pk, None)
            self._changed.set()

    def _failed(self, job: Job, message: str, transient: bool) -> None:
        try:
            if transient or job.attempts < self._settings.max_attempts:
                pause = min(self._settings.pause * 2.0 ** min(job.attempts - 1, 20), _LONGEST_PAUSE)
                _log.warning("job-failed", kind=job.kind, key=job.key, attempts=job.attempts, again_in=pause)
                self._ledger.later(job, pause, message)
            else:
                _log.error("job-given-up", kind=job.kind, key=job.key, attempts=job.attempts)
                self._ledger.fail(job, message)
        except CatalogueError as error:  # the lease ends by itself, and the job is done again
            _log.warning("job-end-not-recorded", kind=job.kind, key=job.key, code=error.code)

    def _current(self) -> list[_Run]:
        with self._lock:
            return list(self._running.values())

    def _renew(self) -> None:
        while not self._stop.wait(self._settings.lease / 3):
            for run in self._current():
                try:
                    self._ledger.renew(run.job, self._settings.lease)
                except LeaseLost:
                    run.lost = True
                except CatalogueError as error:
                    _log.warning("lease-not-renewed", kind=run.job.kind, key=run.job.key, code=error.code)

    def tell(self, run: _Run, progress: Mapping[str, Any]) -> None:
        """Renew the lease of a running job and note how far it is. Raises LeaseLost."""
        if run.lost:
            raise LeaseLost("Another worker has taken this job over.", kind=run.job.kind, key=run.job.key)
        self._ledger.renew(run.job, self._settings.lease, progress)

    @property
    def stopping(self) -> bool:
        """Whether the engine is about to end."""
        return self._stop.is_set()


class _Run:
    """One job while it is done; what its handler sees as `Running`."""

    def __init__(self, job: Job, engine: EmbeddedEngine, thread: threading.Thread | None = None) -> None:
        self.job = job
        self.lost = False
        self._engine = engine
        self.thread = thread or threading.current_thread()

    @property
    def stopping(self) -> bool:
        """See `Running.stopping`."""
        return self._engine.stopping or self.lost

    def tell(self, progress: Mapping[str, Any]) -> None:
        """See `Running.tell`."""
        self._engine.tell(self, progress)
