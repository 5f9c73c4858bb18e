"""Many small retrievals of one source at once, never more than it bears, and one report of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import TypeVar

from vna_core.ports.pacs import FetchReport

WantedT = TypeVar("WantedT")


class ParallelFetch:
    """Threads that an adapter's calls share; started when they are first needed.

    Parameters
    ----------
    concurrency
        Retrievals at once over all calls.
    """

    def __init__(self, concurrency: int, name: str) -> None:
        self._concurrency, self._name = concurrency, name
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    def run(self, wanted: Iterable[WantedT], fetch: Callable[[WantedT], FetchReport]) -> FetchReport:
        """Call `fetch` for everything wanted; the sum of the reports.

        The first error ends it: nothing more is begun, what runs is waited for, and the error is raised.
        """
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(self._concurrency, self._name)
            pool = self._pool
        running: set[Future[FetchReport]] = set()
        total = FetchReport(0, 0)
        try:
            for one in wanted:
                while len(running) >= 2 * self._concurrency:
                    done, running = wait(running, return_when=FIRST_COMPLETED)
                    for finished in done:
                        total = added(total, finished.result())
                running.add(pool.submit(fetch, one))
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for finished in done:
                    total = added(total, finished.result())
        finally:
            for future in running:
                future.cancel()
            wait(running)
        return total

    def close(self) -> None:
        """End the threads. May be called twice."""
        with self._lock:
            pool, self._pool = self._pool, None
        if pool is not None:
            pool.shutdown(wait=True, cancel_futures=True)


def added(a: FetchReport, b: FetchReport) -> FetchReport:
    """Two reports as one; the message of the later one counts where it has one."""
    return FetchReport(a.delivered + b.delivered, a.failed + b.failed, a.warnings + b.warnings, b.message or a.message)
