"""Jobs taken from the catalogue and done here: leased, renewed while they run, and their end written down."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import structlog

from vna_core.catalogue.jobs import Jobs
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.errors import CatalogueError, LeaseLost, OutOfResources, VnaError
from vna_core.domain.jobs import Again, Job
from vna_core.metering import Meter
from vna_core.metering.metrics import JOB_SECONDS, JOBS_ENDED, JOBS_RUNNING
from vna_core.ports.jobs import Handler

_NOT_NOW: Final = (CatalogueError, OutOfResources)
"""The ledger cannot be written now: its database does not answer, or its disk is full."""
GRACE: Final = 6.0
"""Seconds that running handlers get to reach a safe point when the process ends."""

LAST: Final = 5.0
"""Seconds after which a job is free whose handler reached none: by then the process has ended with it."""

STEADY: Final = 300.0
"""Seconds after which a job that is done here keeps no suspect waiting, nor a suspect others: a scrub of a whole night holds up nothing."""

_LONGEST_PAUSE: Final = 600.0

_log = structlog.get_logger(__name__)


class LedgerWork:
    """The `Work` of one process.

    Parameters
    ----------
    handlers
        Kind of job to what does it; jobs of other kinds are left to other workers.
    worker
        Name of this process in the ledger.

    Attributes
    ----------
    not_taken
        Why the last look for jobs could take none, though there may be some; None: it could.
    """

    def __init__(
        self,
        ledger: Jobs,
        handlers: Mapping[str, Handler],
        settings: JobsSettings,
        worker: str,
        meter: Meter | None = None,
    ) -> None:
        self._ledger = ledger
        self._handlers = dict(handlers)
        self._settings = settings
        self._worker = worker
        self._meter = meter or Meter.alone()
        self._meter.set(JOBS_RUNNING, 0)
        self.not_taken: VnaError | None = None
        self._running: dict[int, _Run] = {}
        self._owed: dict[int, tuple[Job, str, str]] = {}
        self._lock = threading.Condition()
        self._taking = threading.Lock()
        self._stop = threading.Event()

    @property
    def worker(self) -> str:
        """See `Work.worker`."""
        return self._worker

    @property
    def threads(self) -> int:
        """See `Work.threads`."""
        return self._settings.threads

    @property
    def poll(self) -> float:
        """See `Work.poll`."""
        return self._settings.poll

    @property
    def stopping(self) -> bool:
        """Whether the process is about to end."""
        return self._stop.is_set()

    @contextlib.contextmanager
    def opened(self) -> Iterator[None]:
        """See `Work.opened`. May be opened again afterwards."""
        self._stop.clear()
        renewing = threading.Thread(target=self._renew, name="leases", daemon=True)
        renewing.start()
        try:
            yield
        finally:
            self._stop.set()
            here, deadline = threading.current_thread(), time.monotonic() + GRACE
            with self._lock:
                while any(run.thread is not here for run in self._running.values()) and (left := deadline - time.monotonic()) > 0:
                    self._lock.wait(left)
                late = [run for run in self._running.values() if run.thread is not here]
            for run in late:
                self._hand_back(run.job, LAST)

    def waits(self) -> bool:
        """See `Work.waits`."""
        try:
            return self._ledger.waits(tuple(self._handlers))
        except _NOT_NOW as error:
            _log.warning("jobs-not-seen", code=error.code)
            return False

    def do_next(self) -> bool:
        """See `Work.do_next`."""
        jobs = self.take(1)
        for job in jobs:
            self.do(job)
        return bool(jobs)

    def run_until_idle(self, most: int | None = None) -> int:
        """Do everything that is free now, one job after the other in this thread, and what it brings; how many were done.

        Parameters
        ----------
        most
            Stop after so many.
        """
        done = 0
        with self.opened():
            while (most is None or done < most) and self.do_next():
                done += 1
        return done

    @property
    def room(self) -> int:
        """How many more jobs this process may do now: none beside one over which processes die, before that is steady."""
        with self._lock:
            running = len(self._running)
        return 0 if self._does_a_suspect else self._settings.threads - running

    @property
    def _does_a_suspect(self) -> bool:
        with self._lock:
            return any(run.job.is_suspect and not run.is_steady for run in self._running.values())

    def take(self, limit: int) -> list[Job]:
        """Lease the most urgent free jobs, which then count as running; each must be given to `do`."""
        with self._taking:
            return [] if self._does_a_suspect else self._taken(limit)

    def _taken(self, limit: int) -> list[Job]:
        try:
            self._record_owed()
            with self._lock:
                idle = all(run.is_steady for run in self._running.values())
            jobs = self._ledger.take(tuple(self._handlers), limit, self._settings.lease, self._worker, idle=idle)
        except _NOT_NOW as error:
            before, self.not_taken = self.not_taken, error
            if before is None or before.code != error.code:  # once, however often it is looked
                _log.warning("jobs-not-taken", code=error.code, error=error.message)
            return []
        if self.not_taken is not None:
            self.not_taken = None
            _log.info("jobs-taken-again")
        with self._lock:
            self._running.update((job.pk, _Run(job, self)) for job in jobs)
            self._meter.set(JOBS_RUNNING, len(self._running))
        return jobs

    def do(self, job: Job) -> None:
        """Do a job that was taken, and write down how it ended."""
        run = self._running[job.pk]
        run.thread = threading.current_thread()
        begun = time.monotonic()
        try:
            outcome = self._done(job, run)
        finally:
            with self._lock:
                self._running.pop(job.pk, None)
                self._meter.set(JOBS_RUNNING, len(self._running))
                self._lock.notify_all()
        self._meter.count(JOBS_ENDED, job.kind, outcome)
        self._meter.observe(JOB_SECONDS, time.monotonic() - begun, job.kind)

    def _done(self, job: Job, run: _Run) -> str:
        """Run the handler and record its end, whichever it is; what it is called among the metrics."""
        try:
            if job.deaths >= self._settings.max_attempts:
                return self._given_up(job, f"{job.deaths} times in a row the process that did it died, or lost its lease.")
            result = self._handlers[job.kind](job, run)
            if isinstance(result, Again):
                self._ledger.later(job, result.delay, waits_for=result.waits_for)
                return "again"
            self._ledger.done(job)
            return "done"
        except LeaseLost:
            if self.stopping and self._hand_back(job):
                return "stopped"
            _log.warning("job-lease-lost", kind=job.kind, key=job.key)
            return "lease-lost"
        except VnaError as error:
            store = error.fields.get("store", "") if error.transient else ""
            return self._failed(job, f"{error.message} [{error.code}]", error.transient, str(store))
        except Exception as error:  # noqa: BLE001 - a fault in one handler must not end the worker, nor be forgotten
            _log.exception("job-crashed", kind=job.kind, key=job.key)
            return self._failed(job, f"Internal error ({type(error).__name__}); the log has more.", False)

    def _hand_back(self, job: Job, delay: float = 0.0) -> bool:
        """Let others have a job whose work ends here before it is done; whether it was still ours."""
        try:
            ours = self._ledger.hand_back(job, delay)
        except _NOT_NOW as error:  # the lease ends by itself
            _log.warning("job-not-handed-back", kind=job.kind, key=job.key, code=error.code)
            return False
        if ours:
            _log.info("job-handed-back", kind=job.kind, key=job.key, free_in=delay)
        return ours

    def _failed(self, job: Job, message: str, transient: bool, store: str = "") -> str:
        try:
            if transient or job.attempts < self._settings.max_attempts:
                pause = min(self._settings.pause * 2.0 ** min(job.attempts - 1, 20), _LONGEST_PAUSE)
                _log.warning("job-failed", kind=job.kind, key=job.key, attempts=job.attempts, again_in=pause, error=message)
                self._ledger.later(job, pause, message, store)
                return "failed"
            return self._given_up(job, message)
        except _NOT_NOW as error:  # written down with the next look; should the process end before, the lease ends by itself
            self._owed[job.pk] = (job, message, store)
            _log.warning("job-end-not-recorded", kind=job.kind, key=job.key, code=error.code)
            return "not-recorded"

    def _record_owed(self) -> None:
        """Write down the ends that the ledger could not take. Raises one of `_NOT_NOW`: it still cannot."""
        for pk, (job, message, store) in list(self._owed.items()):
            self._ledger.later(job, self._settings.pause, message, store)
            self._owed.pop(pk, None)

    def _given_up(self, job: Job, message: str) -> str:
        _log.error("job-given-up", kind=job.kind, key=job.key, attempts=job.attempts, error=message)
        self._ledger.fail(job, message)
        return "given-up"

    def _renew(self) -> None:
        while not self._stop.wait(self._settings.lease / 3):
            with self._lock:
                runs = list(self._running.values())
            for run in runs:
                try:
                    self._ledger.renew(run.job, self._settings.lease)
                except LeaseLost:
                    run.lost = True
                except _NOT_NOW as error:
                    _log.warning("lease-not-renewed", kind=run.job.kind, key=run.job.key, code=error.code)

    def tell(self, job: Job, progress: Mapping[str, Any]) -> None:
        """Renew the lease of a running job and note how far it is. Raises LeaseLost."""
        self._ledger.renew(job, self._settings.lease, progress)


class _Run:
    """One job while it is done; what its handler sees as `Running`."""

    def __init__(self, job: Job, work: LedgerWork) -> None:
        self.job = job
        self.lost = False
        self.thread: threading.Thread | None = None
        self._work = work
        self._begun = time.monotonic()

    @property
    def is_steady(self) -> bool:
        """Whether it has been done for so long that a process which dies now hardly dies of what it began."""
        return time.monotonic() - self._begun >= STEADY

    @property
    def stopping(self) -> bool:
        """See `Running.stopping`."""
        return self._work.stopping or self.lost

    def tell(self, progress: Mapping[str, Any]) -> None:
        """See `Running.tell`."""
        if self.lost:
            raise LeaseLost("Another worker has taken this job over.", kind=self.job.kind, key=self.job.key)
        self._work.tell(self.job, progress)
