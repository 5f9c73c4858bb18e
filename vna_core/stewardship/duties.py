"""Stewardship as durable jobs of the worker role: scrubs, rules of retention and purges, every day at their time."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from vna_core.catalogue import Catalogue
from vna_core.catalogue.checks import ScrubRun
from vna_core.configuration.stewardship import RetentionSettings, ScrubSettings
from vna_core.domain.audit import Auditor, NoAudit
from vna_core.domain.jobs import BACKGROUND, Again, Job
from vna_core.ports.jobs import Handler, Running
from vna_core.ports.storage import Store
from vna_core.stewardship.calendar import is_within, length_of, seconds_until
from vna_core.stewardship.deletion import PURGE, Deleting
from vna_core.stewardship.repair import Repairing
from vna_core.stewardship.retention import BY, apply_rules, due_studies
from vna_core.stewardship.scrub import Scrub

SCRUB: Final = "scrub"
RETENTION: Final = "retention"
_DAILY: Final = "daily"
_AFTER_FAILURE: Final = 900.0
"""Seconds until a scrub or a purge goes on for which a store was silent, if that does not answer earlier; and at least until a purge goes on that left something."""
_LONGEST: Final = 86_400.0
"""Seconds until a purge goes on that has left something for longer than a day: what is locked stays so for years."""
_TELL_EVERY: Final = 5.0

_log = structlog.get_logger(__name__)


class Duties:
    """What is done every day.

    Parameters
    ----------
    now
        The present moment, in local time.
    auditor
        Takes a record of what retention deletes.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        landing: Store,
        catalogue: Catalogue,
        scrub: ScrubSettings,
        retention: RetentionSettings,
        now: Callable[[], datetime] = lambda: datetime.now().astimezone(),
        auditor: Auditor | None = None,
    ) -> None:
        self._stores = stores
        self._catalogue = catalogue
        self._deleting = Deleting(stores, landing, catalogue, auditor=auditor or NoAudit())
        self._scrub = scrub
        self._retention = retention
        self._now = now

    def handlers(self) -> dict[str, Handler]:
        """Kind of job to what does it."""
        return {SCRUB: self.scrub, RETENTION: self.retain, PURGE: self.purge}

    def ensure(self) -> None:
        """Ask for the jobs that the settings want, where they are not there yet."""
        for kind, at in ((SCRUB, self._scrub.at), (RETENTION, self._retention.at)):
            if at:
                self._catalogue.jobs.ensure(kind, _DAILY, priority=BACKGROUND)

    def scrub(self, job: Job, running: Running) -> Again | None:
        """A share each day; what does not fit into its hours goes on the next day, where it was."""
        del job
        settings = self._scrub
        if not settings.at:
            return None
        if not self._is_time(settings):
            return Again(seconds_until(settings.at, self._now()))
        scrub = Scrub(self._stores, self._catalogue, rate=settings.rate)
        telling = _Telling(running)
        report = scrub.run(settings.fraction, telling, lambda: running.stopping or not self._is_time(settings))
        if running.stopping:
            return Again()
        if report.unavailable:
            return Again(_AFTER_FAILURE, report.unavailable[0])
        if report.complete:
            _log.info("scrubbed", **report.run.counts)
            if settings.repair:
                _log.info("repaired", **Repairing(self._stores, self._catalogue).run().counts())
        return Again(seconds_until(settings.at, self._now()))

    def retain(self, job: Job, running: Running) -> Again | None:
        """Rules are applied, and what was deleted long enough ago is purged."""
        del job
        settings = self._retention
        if not settings.at:
            return None
        today = self._now()
        due = due_studies(self._catalogue, settings.rules, today.date())
        report = apply_rules(due, self._deleting, stopping=lambda: running.stopping)
        purged = self._deleting.purge(BY, length_of(settings.grace, today), stopping=lambda: running.stopping)
        if running.stopping:
            return Again()
        _log.info(
            "retention-applied",
            deleted=len(report.deleted),
            held=report.held + len(purged.held),
            purged=len(purged.purged),
            left=len(purged.left),
        )
        return Again(seconds_until(settings.at, self._now()))

    def purge(self, job: Job, running: Running) -> Again | None:
        """A purge that left something is gone on with.

        Where a store was silent, as soon as it answers; where a hold is on it, when that is released. What lies in a pack that is compacted, or is
        locked, tells nobody when it can go: it is tried again after as long as the purge has lasted, a quarter of an hour at least and a day at most.
        """
        report = self._deleting.purge(str(job.payload["by"]), timedelta(0), job.key)
        if not report.left and not report.held:
            return None
        running.tell({"left": len(report.left), "held": len(report.held)})
        if silent := next((one.silent for one in report.left if one.silent), ""):
            return Again(_AFTER_FAILURE, silent)
        begun = self._catalogue.deletions.deletion(job.key).ended_at
        lasted = (self._now() - begun).total_seconds() if begun is not None else 0.0
        return Again(min(max(lasted, _AFTER_FAILURE), _LONGEST))

    def _is_time(self, settings: ScrubSettings) -> bool:
        return is_within(settings.at, settings.until, self._now())


class _Telling:
    """Progress for people who look, not more often than they can."""

    def __init__(self, running: Running) -> None:
        self._running = running
        self._told = -math.inf

    def __call__(self, run: ScrubRun) -> None:
        if time.monotonic() - self._told >= _TELL_EVERY:
            self._running.tell({"store": run.position.get("store", ""), **run.counts})
            self._told = time.monotonic()
