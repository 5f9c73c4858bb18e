"""A source over HTTP that refuses retrievals and answers everything else: of all studies, or of one that it keeps to itself."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from structlog.testing import capture_logs

from tests.faults.hostile_campaign import Silent
from vna_core.bootstrap import Archive, open_archive
from vna_core.catalogue import Campaign
from vna_core.configuration import load_settings
from vna_core.domain.migration import StudyState
from vna_core.jobs import LedgerWork
from vna_core.migration.campaign import CampaignRunner
from vna_core.migration.handlers import CampaignOptions, MigrationWorker
from vna_core.migration.study_jobs import STUDY
from vna_core.ports.pacs import PacsAdapter
from vna_core.testing.hostile_pacs.faults import Face, FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog
from vna_core.testing.hostile_pacs.population import Population
from vna_core.testing.hostile_pacs.web_retrieving import Retrieved, WebRetrieving
from vna_core.testing.hostile_pacs.web_server import ROOT, HostileDicomweb

STUDIES = 5
REFUSED = "The source refuses us (HTTP 401): check token, user and password."


class Locked(WebRetrieving):
    """Answers 401 for the studies in `locked`."""

    locked: frozenset[str] = frozenset()

    def answer(self, study_uid: str, series: str, sop: str) -> Retrieved:
        return Retrieved(401) if study_uid in self.locked else super().answer(study_uid, series, sop)


@dataclass
class Opened:
    """A campaign over a source whose retrievals can be locked; planned and queued."""

    archive: Archive
    worker: MigrationWorker
    runner: CampaignRunner
    door: Locked
    name: str
    uids: list[str]

    @property
    def states(self) -> dict[str, StudyState]:
        return {one.study_instance_uid: one.state for one in self.archive.catalogue.ledger_reader.studies(self.name)}

    @property
    def reasons(self) -> dict[str, str]:
        """Reasons of what is open, with their details."""
        return {one.reason: one.detail for one in self.archive.catalogue.ledger_reader.exceptions(self.name)}


@contextmanager
def planned(tmp_path: Path) -> Iterator[Opened]:
    plan = FaultPlan.parse(3, "none", face=Face.WEB)
    population = Population(plan, STUDIES, 2)
    with (
        HostileDicomweb(population, plan, InjectionLog()) as web,
        open_archive(load_settings(None, {"data": str(tmp_path)})) as a,
    ):
        door = web.retrieving = Locked(population, plan, web.log)
        name = f"dicomweb+http://127.0.0.1:{web.start()}{ROOT}"

        def open_source(one: Campaign) -> PacsAdapter:
            return a.plugins.open_pacs(one.name, one.source, {})

        campaign = Campaign(name, name, "running", {"options": CampaignOptions(patience=5.0).as_dict()})
        a.catalogue.campaigns.save(campaign)
        worker = MigrationWorker(a.catalogue, a.pipeline, open_source, "test@nowhere:1")
        runner = CampaignRunner(campaign, worker, open_source, a.catalogue, Silent(), a.settings.jobs)
        runner.plan(2)
        worker.queue(name)
        try:
            yield Opened(a, worker, runner, door, name, [str(uid) for uid in population.studies])
        finally:
            worker.close()


def test_a_source_that_refuses_every_retrieval_is_told_once_and_its_studies_wait(tmp_path: Path) -> None:
    with planned(tmp_path) as opened:
        studies = {kind: handler for kind, handler in opened.worker.handlers().items() if kind == STUDY}
        work = LedgerWork(opened.archive.catalogue.jobs, studies, opened.archive.settings.jobs, "test@nowhere:1")
        assert work.do_next()
        opened.door.locked = frozenset(opened.uids)
        with capture_logs() as logged:
            assert sum(work.do_next() for _ in range(STUDIES - 1)) == STUDIES - 1
        assert [one["error"] for one in logged if one["event"] == "job-failed"] == [f"{REFUSED} [peer-refused]"]
        assert sorted(opened.states.values()) == sorted([StudyState.STORED, *[StudyState.QUEUED] * (STUDIES - 1)])
        assert opened.reasons == {"source-unavailable": REFUSED}
        assert opened.archive.catalogue.throttle.load(opened.name).silent_since is not None

        opened.door.locked = frozenset()
        report = opened.runner.run(2, fresh=False)
        assert (report.missing, report.failed, report.exceptions, report.complete) == (0, 0, 0, True)
        assert opened.archive.catalogue.throttle.load(opened.name).silent_since is None


def test_a_study_that_a_source_keeps_to_itself_holds_up_no_other_and_is_named(tmp_path: Path) -> None:
    with planned(tmp_path) as opened:
        kept = opened.uids[0]
        opened.door.locked = frozenset((kept,))
        report = opened.runner.run(1, fresh=False)
        states = opened.states
        assert states.pop(kept) is StudyState.PARTIAL
        assert set(states.values()) == {StudyState.STORED}
        assert report.failed > 0 and not report.complete
        assert opened.reasons == {"retrieve-failed": REFUSED}
