"""Jobs that find series for placement: those that have reached an age, and all of them when the policy has changed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from itertools import islice
from typing import Final

import structlog

from vna_core.archival_storage.copying import with_answer
from vna_core.archival_storage.placement import PlacementPolicy
from vna_core.catalogue import Catalogue
from vna_core.catalogue.placements import Scan
from vna_core.domain.errors import VnaError
from vna_core.domain.jobs import BACKGROUND, Again, Job
from vna_core.domain.placement import COLD, OK, PLACE
from vna_core.ports.jobs import Running
from vna_core.ports.storage import Store, Terms

SWEEP: Final = "place-sweep"
SCAN: Final = "place-scan"
_PAGE: Final = 500
_QUEUE: Final = 2000
"""Jobs that may wait before a scan pauses, so that the ledger of jobs stays small."""
_PAUSE: Final = 1.0
_ASKED_FOR: Final = 3600.0
"""Seconds until a series whose job was asked for is looked at again, should that job be forgotten."""

_log = structlog.get_logger(__name__)


class PlacementSweep:
    """Handler of the job `place-sweep`, which is done again and again."""

    def __init__(self, stores: Mapping[str, Store], catalogue: Catalogue, every: float) -> None:
        self._stores, self._catalogue, self._every = stores, catalogue, every

    def __call__(self, job: Job, running: Running) -> Again:
        """Ask for the jobs of series that are due, and put away what was recalled and is no longer needed."""
        placements, jobs = self._catalogue.placements, self._catalogue.jobs
        while (due := placements.due(_PAGE)) and not running.stopping:
            for pk in due:
                jobs.add(PLACE, str(pk), priority=BACKGROUND)
            placements.put_off(due, _ASKED_FOR)
        over = placements.no_longer_readable()
        for series_pk, store, key in over:
            if running.stopping:
                return Again()
            self._put_away(series_pk, store, key)
        return Again(self._every)

    def _put_away(self, series_pk: int, name: str, key: str) -> None:
        """A recalled object returns to its tier; a copy in a cache is left to the policy, which drops it."""
        store = self._stores.get(name)
        if store is None:
            return
        tier, state = self._catalogue.placements.tier_of(name, key), OK
        try:
            if tier:
                with_answer(store, lambda: store.adjust(key, Terms(tier=tier)))
                state = COLD if tier in store.abilities().archive_tiers else OK
        except VnaError as error:
            _log.warning("object-not-put-away", store=name, key=key, code=error.code)
            return
        self._catalogue.placements.set_terms(series_pk, name, key, state, readable_until=0)
        self._catalogue.jobs.add(PLACE, str(series_pk), priority=BACKGROUND)


class PlacementScan:
    """Handler of jobs `place-scan`; their key is the digest of a policy."""

    def __init__(self, catalogue: Catalogue, policy: PlacementPolicy) -> None:
        self._catalogue, self._policy = catalogue, policy

    def __call__(self, job: Job, running: Running) -> Again | None:
        """Ask for the job of every series, page by page; it goes on where it was when the process ended."""
        placements, jobs = self._catalogue.placements, self._catalogue.jobs
        if job.key != self._policy.digest:
            return None  # the policy was changed again
        scan = placements.scan(job.key) or Scan(job.key, 0, 0, time.time_ns() // 1000)
        while not running.stopping:
            waiting = sum(number for (kind, _), number in jobs.counts().items() if kind == PLACE)
            if waiting > _QUEUE:
                return Again(_PAUSE)
            page = list(islice(placements.series(scan.position), _PAGE))
            for pk in page:
                jobs.add(PLACE, str(pk), priority=BACKGROUND)
            scan = replace(scan, position=page[-1] if page else scan.position, series=scan.series + len(page))
            if len(page) < _PAGE:
                placements.save_scan(replace(scan, finished_at=time.time_ns() // 1000))
                return None
            placements.save_scan(scan)
            running.tell({"series": scan.series})
        return Again()


def ask_for_scan(catalogue: Catalogue, policy: PlacementPolicy, *, again: bool = False) -> None:
    """Have every series asked for by a policy: once when it is new, or from the beginning."""
    scan = catalogue.placements.scan(policy.digest)
    if again or scan is None:
        catalogue.placements.save_scan(Scan(policy.digest, 0, 0, time.time_ns() // 1000))
    elif scan.finished_at:
        return
    catalogue.jobs.add(SCAN, policy.digest, priority=BACKGROUND)
