"""Job `await-store`: jobs that failed for want of a store are woken when it answers again, though their pause is long.

It is asked for in the transaction that lets a job wait, and ends when none does, so that nobody looks at stores that are well. Each look
is one probe of the store, whichever worker makes it and however many jobs wait. A probe that succeeds proves little (a store that is full
may take a small object), so one job is woken first; all are woken when one that had waited is done. A store that is ill in a way that no
probe shows costs one attempt at one job in each look.
"""

from __future__ import annotations

from collections.abc import Mapping

import structlog

from vna_core.catalogue import Catalogue
from vna_core.catalogue.jobs import LOOK_EVERY
from vna_core.domain.errors import VnaError
from vna_core.domain.jobs import WELL, Again, Job
from vna_core.ports.jobs import Running
from vna_core.ports.storage import Store

_log = structlog.get_logger(__name__)


class AwaitingStores:
    """Handler of the job; its key is the name of a store."""

    def __init__(self, stores: Mapping[str, Store], catalogue: Catalogue) -> None:
        self._stores, self._waiting = stores, catalogue.waiting_jobs

    def __call__(self, job: Job, running: Running) -> Again | None:
        """Look once. Done when nothing waits for the store any more, or all that does was woken."""
        del running
        store = self._stores.get(job.key)
        if store is None or job.payload.get(WELL):  # of a store that is not configured any more the jobs find out themselves
            if woken := self._waiting.wake(job.key):
                _log.info("jobs-woken", store=job.key, jobs=woken)
            return None
        if not self._waiting.any(job.key):
            return None
        try:
            store.probe()
        except (VnaError, OSError):
            return Again(LOOK_EVERY)
        self._waiting.wake_one(job.key)
        return Again(LOOK_EVERY)
