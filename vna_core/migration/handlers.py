"""What the workers do for migrations: feed the queue of a campaign in its order, and move one study."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import Any, Final

import structlog

from vna_core.catalogue import Campaign, Catalogue
from vna_core.catalogue.migration_rows import LedgerStudy
from vna_core.catalogue.migration_throttle import Slot
from vna_core.domain.errors import LeaseLost, PeerError, PeerRefused, PeerUnavailable, VnaError
from vna_core.domain.jobs import Again, Job
from vna_core.domain.migration import StudyState
from vna_core.domain.outcome import IngestResult
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.migration.given_up import tell_given_up, tell_without_job
from vna_core.migration.held_up import HeldUp
from vna_core.migration.report import summary_of
from vna_core.migration.study_fetch import StudyFetch, StudyResult
from vna_core.migration.study_jobs import FEED, STUDY, ask_for_study
from vna_core.migration.windows import Windows
from vna_core.ports.jobs import Handler, Running
from vna_core.ports.pacs import PacsAdapter

DEPTH: Final = 64
"""Studies that wait in the queue of jobs; the others wait in the ledger, where their order may still change."""

_LONGEST_WAIT: Final = 300.0
_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class CampaignOptions:
    """How a campaign treats its source, as kept with it.

    Attributes
    ----------
    rate
        Most instances a second over all workers; 0: no limit.
    concurrency
        Most retrievals at once over all workers; 0: what the source is known to bear.
    patience
        Seconds without an answer after which a retrieval is given up.
    copies
        In how many stores a committed instance must be readable.
    """

    windows: Windows = field(default_factory=Windows)
    rate: float = 0.0
    concurrency: int = 0
    patience: float = 300.0
    copies: int = 1

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        spans = [list(span) for span in self.windows.spans]
        return {
            "windows": spans,
            "rate": self.rate,
            "concurrency": self.concurrency,
            "patience": self.patience,
            "copies": self.copies,
        }

    @classmethod
    def of(cls, campaign: Campaign) -> CampaignOptions:
        """Those of a campaign."""
        kept = campaign.details.get("options", {})
        windows = Windows(tuple((int(begin), int(end)) for begin, end in kept.get("windows", ())))
        return cls(
            windows,
            float(kept.get("rate", 0.0)),
            int(kept.get("concurrency", 0)),
            float(kept.get("patience", 300.0)),
            int(kept.get("copies", 1)),
        )


class MigrationWorker:
    """Handlers of the jobs of migrations in one process.

    Parameters
    ----------
    open_source
        Opens the adapter of a campaign's source. Adapters stay open until `close`.
    worker
        Name of this process in the ledger.
    observer
        Told about every instance that was taken here.

    Attributes
    ----------
    held_up
        Whether the archive can take nothing here now, and why.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        pipeline: IngestPipeline,
        open_source: Callable[[Campaign], PacsAdapter],
        worker: str,
        observer: Callable[[IngestResult], object] = lambda result: None,
    ) -> None:
        self._catalogue, self._pipeline = catalogue, pipeline
        self._open_source, self.worker, self._observer = open_source, worker, observer
        self._adapters: dict[str, tuple[PacsAdapter, int]] = {}
        self.held_up = HeldUp()
        self._lock = threading.Lock()

    def handlers(self) -> Mapping[str, Handler]:
        """Kind of job to what does it."""
        return {FEED: self.feed, STUDY: self.study}

    def close(self) -> None:
        """Close the adapters."""
        with self._lock:
            for adapter, _ in self._adapters.values():
                adapter.close()
            self._adapters.clear()

    # -- feeding ----------------------------------------------------------------------------------------------------------

    def feed(self, job: Job, running: Running) -> Again | None:
        """Keep so many studies queued that no worker waits; says how the campaign ended when nothing is left."""
        campaign = self._catalogue.campaigns.load(job.key)
        if campaign is None or campaign.state not in ("running", "paused"):
            return None
        tell_given_up(self._catalogue, campaign.name, self.worker)
        if campaign.state == "paused":
            return Again(5.0)
        waiting, begun = self.queue(campaign.name)
        if begun and not waiting:
            begun -= tell_without_job(self._catalogue, campaign.name, self.worker)
        if waiting or begun:
            return Again(0.5 if waiting else 2.0)
        summary = summary_of(self._catalogue, campaign.name)
        state = "complete" if summary.complete else "incomplete"
        self._catalogue.campaigns.save(
            Campaign(campaign.name, campaign.source, state, {**campaign.details, "summary": summary.as_dict()})
        )
        return None

    def queue(self, campaign: str) -> tuple[int, int]:
        """Queue studies of a campaign where few are left in the queue; how many waited for that before, and how many are queued or
        being moved. Safe to call at any time."""
        counts = {one.state: one.number for one in self._catalogue.ledger_reader.tallies(campaign) if one.level == "study"}
        queued, waiting = counts.get("queued", 0), counts.get("inventoried", 0)
        if queued < DEPTH // 2 and waiting:
            ask = partial(ask_for_study, self._catalogue, campaign)
            queued += self._catalogue.ledger.queue(campaign, DEPTH - queued, self.worker, ask)
        return waiting, queued + counts.get("retrieving", 0)

    # -- one study --------------------------------------------------------------------------------------------------------

    def study(self, job: Job, running: Running) -> Again | None:
        """Move one study, when its campaign, the window and the source allow it."""
        campaign = self._catalogue.campaigns.load(str(job.payload["campaign"]))
        if campaign is None or campaign.state == "cancelled":
            return None
        study = self._catalogue.ledger_reader.study(int(job.payload["study"]))
        if study.state not in (StudyState.QUEUED, StudyState.RETRIEVING):
            return None
        options, asked = CampaignOptions.of(campaign), bool(job.payload.get("asked"))
        wait = 5.0 if campaign.state == "paused" else options.windows.seconds_until_open(datetime.now(UTC))
        if wait and not asked:
            return Again(min(wait, _LONGEST_WAIT))
        throttle = self._catalogue.throttle
        if self.held_up.seconds and not asked:
            return Again(self.held_up.seconds)
        if campaign.name not in self._adapters and not asked and (wait := throttle.silence(campaign.name)):
            return Again(max(0.5, wait))
        try:
            adapter, bears, answered = self._adapter(campaign)
        except PeerError as error:
            return self._held(study, error, asked)
        most = options.concurrency or bears
        slot = throttle.acquire(campaign.name, job, most, asked=asked)
        if slot is None:
            return Again(max(0.5, throttle.silence(campaign.name)))
        wait = throttle.reserve(campaign.name, max(1, study.instances), options.rate) if options.rate else 0.0
        if wait and not asked:
            throttle.forget(slot)
            return Again(min(wait, _LONGEST_WAIT))
        return self._move(study, adapter, options, slot, most, running, answered, asked)

    def _move(
        self,
        study: LedgerStudy,
        adapter: PacsAdapter,
        options: CampaignOptions,
        slot: Slot,
        most: int,
        running: Running,
        answered: bool,
        asked: bool,
    ) -> Again | None:
        ledger, throttle = self._catalogue.ledger, self._catalogue.throttle
        fetch: StudyFetch | None = None
        result: StudyResult | None = None
        failure: VnaError | None = None
        try:
            if not self._knows_instances(study):
                known = self._list_instances(study, adapter)
                answered = True
                if not known:
                    return None
            ledger.move(study, StudyState.RETRIEVING, self.worker, "slot")
            fetch = StudyFetch(
                study,
                adapter,
                self._pipeline,
                self._catalogue,
                self.worker,
                self._observer,
                partial(_go_on, running),
                options.patience,
            )
            result = fetch.run()
            self.held_up.over()
            self._recovered(study, answered or fetch.answered)
        except LeaseLost:
            raise
        except VnaError as error:
            failure = error
            return self._held(study, error, asked)
        finally:
            fetched = result.fetched if result else 0
            seconds = result.seconds if result else {}
            failed = isinstance(failure, PeerError) or bool(result and result.failed_calls)
            answered = answered or (fetch is not None and fetch.answered)
            throttle.release(slot, most, fetched, seconds, failed, answered and not isinstance(failure, PeerError))
        return None

    def _held(self, study: LedgerStudy, error: VnaError, asked: bool) -> Again:
        """The study waits in the queue, and the worklist says why: one entry for the campaign. What is no fault of all studies is left
        to the job, which is tried some times more and then given up.

        Raises the error, so that it is told, but where what it tells has been told already: a source that is silent or an archive that
        can take nothing fails every study alike. A source that answers with a refusal when it is only greeted (a wrong password, a
        service that is down behind its proxy) fails them so, too. Whoever waits for a study that was `asked` for hears it by the job.
        """
        told, wait = False, 0.0
        try:
            if isinstance(error, PeerError):
                told = self._catalogue.throttle.silent(study.campaign, refused=isinstance(error, PeerRefused))
                wait = self._catalogue.throttle.silence(study.campaign)
            else:
                told = self.held_up.note(error)
                wait = self.held_up.seconds
            passes = isinstance(error, PeerError) or error.transient
            reason = "source-unavailable" if isinstance(error, PeerError) else "archive-unavailable"
            with self._catalogue.ledger.writing(study.campaign, self.worker) as writing:
                writing.move_study(study.pk, StudyState.QUEUED, reason if passes else error.code, error.message)
                if passes:
                    writing.except_(reason, detail=error.message)
        except VnaError as second:
            error.add_note(f"The ledger could not be told either ({second.code}).")
            raise error from second
        if not told or (asked and error.transient):
            raise error
        if asked:
            raise PeerUnavailable(error.message) from error  # the job is tried again, however often
        return Again(max(0.5, wait))

    def _knows_instances(self, study: LedgerStudy) -> bool:
        """Whether an inventory has named the instances of a study already, or none was ever taken."""
        if study.instances or self._catalogue.ledger_reader.instances(study.pk):
            return True
        return self._catalogue.inventories.newest(study.campaign) is None

    def _list_instances(self, study: LedgerStudy, adapter: PacsAdapter) -> bool:
        """Ask for the instances of a study that is wanted before the inventory has come to it, or has been told them; whether
        they are known then. Raises PeerError: the source does not answer at all."""
        newest = self._catalogue.inventories.newest(study.campaign)
        assert newest is not None
        try:
            found = list(adapter.inventory(study.study_instance_uid))
        except PeerError as error:
            adapter.probe()
            self._catalogue.listing.record_failure(study, error.message, self.worker)
            for state in (StudyState.RETRIEVING, StudyState.PARTIAL):
                self._catalogue.ledger.move(study, state, self.worker, "inventory-failed", error.message)
            return False
        self._catalogue.listing.record_instances(study, newest.number, found, self.worker)
        self._catalogue.ledger.move(study, StudyState.QUEUED, self.worker, "asked for")
        return True

    def _recovered(self, study: LedgerStudy, answered: bool) -> None:
        reasons = ("source-unavailable", "archive-unavailable") if answered else ("archive-unavailable",)
        if any(self._catalogue.ledger_reader.exceptions(study.campaign, reason=reason, limit=1) for reason in reasons):
            with self._catalogue.ledger.writing(study.campaign, self.worker) as writing:
                writing.solve(0, reasons, "fetch")

    def _adapter(self, campaign: Campaign) -> tuple[PacsAdapter, int, bool]:
        """The campaign's adapter, how many retrievals at once the source bears, and whether it was asked that just now. Raises
        PeerUnavailable, PeerError."""
        with self._lock:
            new = campaign.name not in self._adapters
            if new:
                adapter = self._open_source(campaign)
                try:
                    bears = adapter.probe().concurrency
                except PeerError:
                    adapter.close()
                    raise
                self._adapters[campaign.name] = (adapter, bears)
            return (*self._adapters[campaign.name], new)


def _go_on(running: Running) -> None:
    """End a retrieval when the work is not ours any more or the process is about to end."""
    if running.stopping:
        raise LeaseLost("The worker ends; the study is gone on with by another one.")
