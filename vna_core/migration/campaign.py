"""One migration from one source: inventory, order, pull, compare, report. Interrupted at any moment, it goes on where it was."""

from __future__ import annotations

import math
import os
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Final, Protocol

import structlog

from vna_core.catalogue import Campaign, Catalogue
from vna_core.catalogue.jobs import ListedJob
from vna_core.catalogue.migration_inventories import COMPLETE, OPEN
from vna_core.catalogue.migration_rows import InstanceEnd, LedgerInstance, LedgerStudy
from vna_core.catalogue.migration_throttle import Load
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.errors import InvalidRequest, PeerRefused, VnaError
from vna_core.domain.jobs import URGENT
from vna_core.domain.migration import InstanceState, StudyState
from vna_core.domain.outcome import IngestResult
from vna_core.jobs import EmbeddedEngine, LedgerWork
from vna_core.migration.given_up import tell_given_up
from vna_core.migration.handlers import CampaignOptions, MigrationWorker
from vna_core.migration.inventory import InventoryTaker
from vna_core.migration.listing import Listing
from vna_core.migration.priorities import Priorities
from vna_core.migration.report import CampaignReport, summary_of
from vna_core.migration.shut_door import check_never_let_in
from vna_core.migration.study_jobs import FEED, STUDY, ask_for_study
from vna_core.ports.pacs import PacsAbilities, PacsAdapter

LOOK: Final = 0.25
"""Seconds between looks for work, and for the end, while a campaign runs in this process."""

_SHOW: Final = 1.0
_TOGETHER: Final = 0.02
"""Seconds in which further studies may end before it is looked whether any are left: small ones end by the dozen."""

_PIECE: Final = 500
_AHEAD: Final = frozenset((StudyState.INVENTORIED.value, StudyState.QUEUED.value, StudyState.RETRIEVING.value))

_log = structlog.get_logger(__name__)


class Progress(Protocol):
    """Is told how a campaign gets on."""

    def inventoried(self, studies: int, instances: int) -> None:
        """So many studies, and so many more instances, of the source's inventory are known."""

    def planned(self, instances: int) -> None:
        """So many instances will be fetched."""

    def fetched(self, result: IngestResult) -> None:
        """One instance came in, here."""

    def stands(self, report: CampaignReport, load: Load, state: str) -> None:
        """How the campaign stands, whoever works on it; several times a second at most."""

    def held_up(self, error: VnaError | None) -> None:
        """What keeps the archive from taking anything here now, told as often as `stands`; None: nothing does."""


class Helpers(Protocol):
    """Further processes that take part in a run."""

    def begin(self, retrievals: int, processes: int, ended: Callable[[], object]) -> int:
        """Have them share in so many retrievals at once, `processes` at most with this one; how many are this process's own.

        `ended` is called, in any thread, whenever one of them is done with a study.
        """

    def lost(self) -> Sequence[str]:
        """Names in the ledger of those that ended before their time since this was asked last."""

    def end(self) -> None:
        """Nothing is left to do: return when every one of them has ended, and has told what it fetched."""


class CampaignRunner:
    """Runs a campaign in this process, with whatever other workers of the archive help.

    Parameters
    ----------
    worker
        Runs the jobs here; its observer must be `progress.fetched`.
    helpers
        Further processes that this run has for itself (None: none).

    Attributes
    ----------
    first
        How many studies that the last plan put first still have to be moved.
    """

    def __init__(
        self,
        campaign: Campaign,
        worker: MigrationWorker,
        open_source: Callable[[Campaign], PacsAdapter],
        catalogue: Catalogue,
        progress: Progress,
        jobs: JobsSettings,
        helpers: Helpers | None = None,
    ) -> None:
        self._campaign, self._worker, self._helpers = campaign, worker, helpers
        self._open_source, self._catalogue = open_source, catalogue
        self._progress, self._jobs = progress, jobs
        self.first = 0

    @property
    def name(self) -> str:
        """The campaign's name."""
        return self._campaign.name

    def plan(
        self,
        concurrency: int | None = None,
        *,
        fresh: bool = True,
        thorough: bool = True,
        listing: PacsAdapter | None = None,
        deletions_accepted_by: str = "",
        priorities: Priorities | None = None,
    ) -> PacsAbilities:
        """Take the inventory (a new one, or the open one; `fresh` False: only where there is none) and order what waits, `priorities`
        first.

        `listing` lists what the source holds in its place: an Inventory that the source's maker has written, say.
        `deletions_accepted_by` says that what is not listed any more was deleted on purpose, whatever its number.

        Raises PeerUnavailable, PeerError: the source cannot be asked. What was answered stays; call again to go on. InventoryShrank:
        the source lists so much less than before that nobody is to believe it unseen.
        """
        adapter = self._open_source(self._campaign)
        try:
            abilities = adapter.probe()
            newest = self._catalogue.inventories.newest(self.name)
            if fresh or newest is None or newest.state == OPEN:
                taker = InventoryTaker(
                    self.name,
                    adapter if listing is None else Listing(listing, adapter),
                    abilities if listing is None else listing.probe(),
                    self._catalogue,
                    self._worker.worker,
                    self._progress.inventoried,
                    thorough=thorough,
                    deletions_accepted_by=deletions_accepted_by,
                )
                taker.take(concurrency or abilities.concurrency)
        finally:
            adapter.close()
        self._ask_again()
        if priorities is not None:
            self.first = priorities.apply(self._catalogue, self.name)
        self._catalogue.ledger.order(self.name)
        return abilities

    def run(
        self,
        concurrency: int | None = None,
        *,
        fresh: bool = True,
        thorough: bool = True,
        listing: PacsAdapter | None = None,
        deletions_accepted_by: str = "",
        priorities: Priorities | None = None,
    ) -> CampaignReport:
        """Plan, then pull until nothing waits, compare, report. Ends early when the campaign is paused or cancelled elsewhere.

        Raises what `plan` raises, and PeerRefused where the source never let us retrieve anything; the campaign is incomplete then.
        """
        self._catalogue.campaigns.save(self._campaign)
        free_dead_workers(self._catalogue)
        try:
            abilities = self.plan(
                concurrency,
                fresh=fresh,
                thorough=thorough,
                listing=listing,
                deletions_accepted_by=deletions_accepted_by,
                priorities=priorities,
            )
        except VnaError:
            self._catalogue.campaigns.set_state(self.name, "incomplete")
            raise
        self._progress.planned(summary_of(self._catalogue, self.name).waiting)
        self._catalogue.throttle.count_anew(self.name)  # it has just answered
        self._worker.queue(self.name)  # so that everybody finds work at the first look
        self._catalogue.jobs.add(FEED, self.name, priority=URGENT)
        try:
            self._drive(concurrency or abilities.concurrency, abilities.concurrency)
        except PeerRefused:
            self._catalogue.campaigns.set_state(self.name, "incomplete")
            raise
        tell_given_up(self._catalogue, self.name, self._worker.worker)
        self._compare_with_catalogue()
        report = summary_of(self._catalogue, self.name)
        campaign = self._catalogue.campaigns.load(self.name) or self._campaign
        if campaign.state not in ("paused", "cancelled"):
            state = "complete" if report.complete else "incomplete"
            details = {**campaign.details, "summary": report.as_dict()}
            self._catalogue.campaigns.save(Campaign(self.name, campaign.source, state, details))
            self._catalogue.jobs.forget(FEED, self.name)
        return report

    def _drive(self, retrievals: int, bears: int) -> None:
        """Run jobs here, and in processes that help, until the campaign has no study left that waits.

        `bears` is how many retrievals at once the source is known to bear: no more processes call it.
        """
        if not self._waits():
            return
        news = threading.Event()
        share = retrievals if self._helpers is None else self._helpers.begin(retrievals, bears, news.set)
        threads = share + 1 if share == retrievals else share  # one more for the feed, where nobody else does it
        settings = self._jobs.model_copy(update={"threads": min(threads, 64), "poll": LOOK})
        work = LedgerWork(self._catalogue.jobs, self._worker.handlers(), settings, self._worker.worker)
        engine = EmbeddedEngine(work, news.set)
        stop = threading.Event()
        working = threading.Thread(target=engine.run, args=(stop,), name="migration")
        working.start()
        shown = -math.inf
        try:
            while working.is_alive() and self._waits():
                for name in () if self._helpers is None else self._helpers.lost():
                    free_worker(self._catalogue, name)
                if time.monotonic() - shown >= _SHOW:
                    shown = time.monotonic()
                    self._show(work)
                    self._check_feed()
                    check_never_let_in(self._catalogue, self.name)
                news.wait(LOOK)
                time.sleep(_TOGETHER)
                news.clear()
            self._show(work)
        finally:
            stop.set()
            engine.look()
            working.join()
            if self._helpers is not None:
                self._helpers.end()
            self._worker.close()

    def _waits(self) -> bool:
        """Whether there is something left to do: the feed, which looks less often, need not be waited for."""
        campaign = self._catalogue.campaigns.load(self.name)
        if campaign is None or campaign.state != "running":
            return False
        return any(one.level == "study" and one.state in _AHEAD for one in self._catalogue.ledger_reader.tallies(self.name))

    def _check_feed(self) -> None:
        """Raises VnaError: nobody queues studies any more."""
        feed = self._catalogue.jobs.of(FEED, self.name)
        if feed is not None and feed.state == "failed":
            raise VnaError(f"No further studies are queued: {feed.error} Run again to go on; job {feed.pk}, see the log.")

    def _show(self, work: LedgerWork) -> None:
        self._progress.held_up(work.not_taken or self._worker.held_up.why)
        campaign = self._catalogue.campaigns.load(self.name)
        state = "" if campaign is None else campaign.state
        self._progress.stands(summary_of(self._catalogue, self.name), self._catalogue.throttle.load(self.name), state)

    def _ask_again(self) -> None:
        """What could not be moved in an earlier run is asked for again."""
        ledger = self._catalogue.ledger
        for study in self._catalogue.ledger_reader.studies(self.name, (StudyState.PARTIAL,)):
            ledger.move(study, StudyState.INVENTORIED, self._worker.worker, "run again")
        for study in self._catalogue.ledger_reader.studies(self.name, (StudyState.QUEUED, StudyState.RETRIEVING)):
            resume_study(self._catalogue, study, self._worker.worker)

    def _compare_with_catalogue(self) -> None:
        """Compare the UIDs of everything moved with those held now; what is gone meanwhile is missing."""
        pending: list[tuple[LedgerStudy, LedgerInstance]] = []
        for study, found in self._catalogue.ledger_reader.by_uid(self.name):
            pending += [(study, one) for one, _, _ in found if one.state is InstanceState.STORED]
            if len(pending) >= _PIECE:
                self._compare(pending)
                pending = []
        self._compare(pending)

    def _compare(self, pending: Sequence[tuple[LedgerStudy, LedgerInstance]]) -> None:
        names = list({one.stored_sop_instance_uid for _, one in pending})
        held = {one.sop_instance_uid for one in self._catalogue.ledger_reader.held(names)}
        gone: dict[int, tuple[LedgerStudy, list[LedgerInstance]]] = defaultdict(lambda: (pending[0][0], []))
        for study, one in pending:
            if one.stored_sop_instance_uid not in held:
                gone.setdefault(study.pk, (study, []))[1].append(one)
        for study, instances in gone.values():
            with self._catalogue.ledger.writing(self.name, self._worker.worker) as writing:
                ends = [
                    InstanceEnd(one, InstanceState.MISSING, detail="not in the catalogue any more", rule="uid-set")
                    for one in instances
                ]
                writing.end_instances(study.pk, ends)
                writing.move_study(study.pk, StudyState.PARTIAL, "uid-set", f"{len(ends)} instances are gone")
                writing.except_("not-delivered", study.pk, instances[0].pk, "held before, and gone from the catalogue")


def resume_study(catalogue: Catalogue, study: LedgerStudy, worker: str) -> None:
    """Make sure that a queued study has its job, to be taken as soon as possible."""
    catalogue.ledger.queue_now(study, worker, lambda session, pk: ask_for_study(catalogue, study.campaign, session, pk))


def free_dead_workers(catalogue: Catalogue) -> None:
    """Have the jobs of processes of this machine that ended without a word taken at once, not when their leases end."""
    here = f"@{socket.gethostname()}:"
    for worker in {job.worker for job in _retrievals(catalogue)}:
        name, found, number = worker.rpartition(here)
        if found and name and number.isdigit() and not _lives(int(number)):
            free_worker(catalogue, worker)


def free_worker(catalogue: Catalogue, worker: str) -> None:
    """Have the jobs of a process that died taken at once; with its leases end its places at the source."""
    for job in _retrievals(catalogue):
        if job.worker == worker:
            _log.warning("worker-died", worker=worker, kind=job.kind)
            catalogue.jobs.free(job.pk, worker)


def _retrievals(catalogue: Catalogue) -> Iterator[ListedJob]:
    for kind in (FEED, STUDY):
        yield from catalogue.jobs.listed(kind=kind, state="open", limit=1000)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def bump(catalogue: Catalogue, worker: str, *, study: str = "", patient: str = "", campaign: str = "") -> int:
    """Move a study, or all studies of a patient, before everything else of their campaigns; how many still had to be moved.

    Safe to call again, and for studies that no campaign knows.
    """
    names = [campaign] if campaign else [one.name for one in catalogue.campaigns.listed()]
    moved = 0
    for name in names:
        studies, patients = ([study] if study else []), ([patient] if patient else [])
        for pk in catalogue.ledger.prioritize(name, URGENT, studies=studies, patients=patients):
            found = catalogue.ledger_reader.study(pk)
            moved += catalogue.ledger.queue_now(
                found,
                worker,
                lambda session, pk, name=name: ask_for_study(catalogue, name, session, pk, URGENT),  # type: ignore[misc]
            )
    return moved


def loaded(catalogue: Catalogue, name: str) -> Campaign:
    """A campaign by its name. Raises InvalidRequest with the names there are."""
    campaign = catalogue.campaigns.load(name)
    if campaign is None:
        known = ", ".join(one.name for one in catalogue.campaigns.listed()) or "none"
        raise InvalidRequest(f"There is no campaign {name!r}. Known: {known}.")
    return campaign


def looked_at(catalogue: Catalogue, name: str, worker: str) -> Campaign:
    """A campaign by its name for somebody who looks at it: what was given up meanwhile is on its worklist. Raises InvalidRequest."""
    campaign = loaded(catalogue, name)
    tell_given_up(catalogue, name, worker)
    return campaign


__all__ = [
    "COMPLETE",
    "CampaignOptions",
    "CampaignRunner",
    "Helpers",
    "Progress",
    "bump",
    "free_dead_workers",
    "loaded",
    "looked_at",
    "resume_study",
]
