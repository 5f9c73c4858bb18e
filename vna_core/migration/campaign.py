"""One migration from one source: inventory, pull, compare, report. Run again, it fetches only what is missing."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final, Protocol

import structlog

from vna_core.catalogue import Catalogue
from vna_core.catalogue.campaigns import Campaign, Uids
from vna_core.domain.errors import PeerError
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.migration.inventory import studies_of
from vna_core.migration.report import CampaignReport
from vna_core.ports.pacs import PacsAdapter

FAILED: Final = "failed"
TRIES: Final = 3
"""How often a study is asked for in one run before its missing instances are left."""

_STUDIES_REMEMBERED: Final = 64
_ENDS: Final = frozenset(one.value for one in Outcome)

_log = structlog.get_logger(__name__)


class Progress(Protocol):
    """Is told how a campaign gets on."""

    def inventoried(self, studies: int, instances: int) -> None:
        """More of the source's inventory is known."""

    def planned(self, instances: int) -> None:
        """So many instances will be fetched."""

    def fetched(self, result: IngestResult) -> None:
        """One instance came in."""


@dataclass(slots=True)
class _Fetch:
    """What is to be fetched of one study: all of it, or some instances of some series."""

    study: str
    whole: bool
    missing: dict[str, list[str]]


class CampaignRunner:
    """Runs a campaign.

    The ledger decides what is left to do, never the final state of a retrieval: after every fetch the sets of UIDs are compared.
    """

    def __init__(
        self, name: str, adapter: PacsAdapter, pipeline: IngestPipeline, catalogue: Catalogue, progress: Progress
    ) -> None:
        self._name = name
        self._adapter = adapter
        self._pipeline = pipeline
        self._catalogue = catalogue
        self._campaigns = catalogue.campaigns
        self._progress = progress
        self._lock = threading.Lock()
        self._inventories: dict[str, dict[str, Uids]] = {}
        self._ended: set[tuple[str, str, str]] = set()
        self._unexpected = 0
        self._fetched = 0

    def run(self, concurrency: int | None = None) -> CampaignReport:
        """Inventory, pull what is missing, compare, report.

        Raises
        ------
        PeerUnavailable, PeerError
            The source cannot be asked at all. What was fetched stays; run again to go on.
        """
        abilities = self._adapter.probe()
        self._campaigns.save(Campaign(self._name, self._name, "running"))
        workers = concurrency or abilities.concurrency
        self._take_inventory(workers)
        plan = self._plan()
        self._progress.planned(sum(len(sops) for one in plan for sops in one.missing.values()))
        with ThreadPoolExecutor(workers, "migrate") as pool:
            for _ in pool.map(self._fetch, plan):
                pass
        report = self.report()
        self._campaigns.save(Campaign(self._name, self._name, "complete" if report.complete else "incomplete", report.as_dict()))
        return report

    # -- inventory --------------------------------------------------------------------------------------------------------

    def _take_inventory(self, workers: int) -> None:
        before = {uids[:3] for uids, _ in self._campaigns.inventoried(self._name)}
        with ThreadPoolExecutor(workers, "inventory") as pool:
            for number, found in enumerate(pool.map(self._study_inventory, list(studies_of(self._adapter))), 1):
                fresh = [uids for uids in found if uids[:3] not in before]
                if fresh:
                    self._campaigns.record_inventory(self._name, fresh)
                    self._campaigns.record_fetched(self._name, self._already_held(fresh))
                self._progress.inventoried(number, len(found))

    def _study_inventory(self, study: str) -> list[Uids]:
        return [
            (one.study_instance_uid, one.series_instance_uid, one.sop_instance_uid, one.sop_class_uid)
            for one in self._adapter.inventory(study)
            if one.sop_instance_uid
        ]

    def _already_held(self, found: Iterable[Uids]) -> list[tuple[str, str, str, str, str]]:
        """What the archive held before the campaign asked for it."""
        held = []
        for study, series, sop, _ in found:
            if any(one.study_instance_uid == study for one in self._catalogue.instances(sop=sop)):
                held.append((study, series, sop, Outcome.DUPLICATE.value, "held before"))
        return held

    # -- pull -------------------------------------------------------------------------------------------------------------

    def _open_instances(self) -> dict[str, dict[str, list[str]]]:
        """Inventoried instances without an end, by study and series."""
        quarantined = {
            uids[:3] for uids, outcome in self._campaigns.inventoried(self._name) if outcome == Outcome.QUARANTINED.value
        }
        by_study: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
        for uids in self._campaigns.missing(self._name):
            if uids[:3] not in quarantined:
                by_study[uids[0]][uids[1]].append(uids[2])
        return by_study

    def _plan(self) -> list[_Fetch]:
        sizes: dict[str, int] = defaultdict(int)
        for uids, _ in self._campaigns.inventoried(self._name):
            sizes[uids[0]] += 1
        return [
            _Fetch(study, sizes[study] == sum(map(len, series.values())), dict(series))
            for study, series in self._open_instances().items()
        ]

    def _fetch(self, one: _Fetch) -> None:
        """Fetch until nothing of the study is missing, or the tries are used up."""
        reason = "the source did not deliver it"
        for attempt in range(TRIES):
            try:
                if one.whole and attempt == 0:
                    report = self._adapter.fetch(one.study, lambda received: self._deliver(one.study, received))
                    reason = report.message or reason
                else:
                    for series, sops in one.missing.items():
                        report = self._adapter.fetch(
                            one.study, lambda received: self._deliver(one.study, received), series, tuple(sops)
                        )
                        reason = report.message or reason
            except PeerError as error:
                _log.warning("fetch-failed", study_instance_uid=one.study, attempt=attempt + 1, code=error.code)
                reason = error.message
            one.missing = self._still_missing(one)
            if not one.missing:
                return
        failed = [(one.study, series, sop, FAILED, reason[:200]) for series, sops in one.missing.items() for sop in sops]
        self._campaigns.record_fetched(self._name, failed)

    def _still_missing(self, one: _Fetch) -> dict[str, list[str]]:
        ended = {uids[2] for uids, outcome in self._campaigns.inventoried(self._name, one.study) if outcome in _ENDS}
        left = {series: [sop for sop in sops if sop not in ended] for series, sops in one.missing.items()}
        return {series: sops for series, sops in left.items() if sops}

    def _deliver(self, study: str, received: ReceivedInstance) -> None:
        """Take one instance over. Raises what the archive cannot take now, so that the source hears failure."""
        said = received.sop_instance_uid
        result = self._pipeline.offer(received)
        sop = result.sop_instance_uid or said
        detail = result.error.message[:200] if result.error is not None else ""
        uids = self._named(study, (sop, said))
        with self._lock:
            self._fetched += 1
            first_time = uids is not None and uids[:3] not in self._ended
            if uids is None:
                self._unexpected += 1
            else:
                self._ended.add(uids[:3])
        if uids is not None and first_time:  # an instance that a source delivers twice keeps its first end
            self._campaigns.record_fetched(self._name, [(uids[0], uids[1], uids[2], result.outcome.value, detail)])
        self._progress.fetched(result)

    def _named(self, study: str, sops: tuple[str, ...]) -> Uids | None:
        """The inventory's entry for a delivered instance, by the UID stored or the UID said."""
        with self._lock:
            known = self._inventories.get(study)
        if known is None:
            known = {uids[2]: uids for uids, _ in self._campaigns.inventoried(self._name, study)}
            with self._lock:
                self._inventories = {**dict(list(self._inventories.items())[-_STUDIES_REMEMBERED:]), study: known}
        return next((known[sop] for sop in sops if sop in known), None)

    # -- report -----------------------------------------------------------------------------------------------------------

    def report(self) -> CampaignReport:
        """Compare the inventory with what is held now; every inventoried instance ends in exactly one count."""
        missing = {uids[:3] for uids in self._campaigns.missing(self._name)}
        counts: dict[str, int] = defaultdict(int)
        studies: set[str] = set()
        for uids, outcome in self._campaigns.inventoried(self._name):
            studies.add(uids[0])
            counts["inventoried"] += 1
            if uids[:3] not in missing:
                counts[outcome if outcome in ("held", "duplicate", "conflict", "quarantined") else "duplicate"] += 1
            elif outcome == Outcome.QUARANTINED.value:
                counts["quarantined"] += 1
            elif outcome in (FAILED, Outcome.REFUSED.value):
                counts["failed"] += 1
            else:
                counts["missing"] += 1
        return CampaignReport(
            counts["inventoried"],
            counts["held"],
            counts["duplicate"],
            counts["conflict"],
            counts["quarantined"],
            counts["failed"],
            counts["missing"],
            self._unexpected,
            len(studies),
            self._fetched,
        )
