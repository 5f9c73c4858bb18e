"""A source whose lists are wrong: one bad row holds nothing else up, and an empty answer erases nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.hostile_campaign import Silent
from vna_core.bootstrap import Archive, open_archive
from vna_core.catalogue import Campaign
from vna_core.configuration import load_settings
from vna_core.domain.errors import InventoryShrank
from vna_core.migration.assessment import assess
from vna_core.migration.campaign import CampaignRunner
from vna_core.migration.handlers import CampaignOptions, MigrationWorker
from vna_core.migration.report import CampaignReport
from vna_core.ports.pacs import PacsAdapter
from vna_core.testing.hostile_pacs.faults import FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog
from vna_core.testing.hostile_pacs.population import Population
from vna_core.testing.hostile_pacs.server import HostilePacs


def runner(archive: Archive, source: str) -> CampaignRunner:
    campaign = Campaign(source, source, details={"options": CampaignOptions(patience=3.0).as_dict()})

    def open_source(one: Campaign) -> PacsAdapter:
        return archive.plugins.open_pacs(one.name, one.source, {})

    archive.catalogue.campaigns.save(campaign)
    worker = MigrationWorker(archive.catalogue, archive.pipeline, open_source, "test@nowhere:1")
    return CampaignRunner(campaign, worker, open_source, archive.catalogue, Silent(), archive.settings.jobs)


def run(archive: Archive, source: str) -> CampaignReport:
    return runner(archive, source).run(2)


def state(archive: Archive, source: str) -> str:
    campaign = archive.catalogue.campaigns.load(source)
    return "" if campaign is None else campaign.state


def worklist(archive: Archive, source: str) -> set[tuple[str, str]]:
    return {(one.reason, one.study_instance_uid) for one in archive.catalogue.ledger_reader.exceptions(source)}


def test_one_empty_answer_erases_no_unmoved_inventory(tmp_path: Path) -> None:
    plan = FaultPlan.parse(3, "none")
    population = Population(plan, 4, 3)
    with open_archive(load_settings(None, {"data": str(tmp_path)})) as archive:
        with HostilePacs(population, plan, InjectionLog()) as pacs:
            port = pacs.start()
            source = f"dimse://OLDPACS@127.0.0.1:{port}"
            runner(archive, source).plan(2)
        with HostilePacs(population, FaultPlan.parse(3, "W25"), InjectionLog()) as pacs:
            pacs.start(port)
            with pytest.raises(InventoryShrank, match="4 of the 4 studies"):
                run(archive, source)
        assert state(archive, source) == "incomplete"
        assert worklist(archive, source) == {("inventory-shrank", "")}
        assert archive.catalogue.awaited.cutovers.states()[0].answering(True)
        with HostilePacs(population, plan, InjectionLog()) as pacs:
            pacs.start(port)
            report = run(archive, source)
        assert (report.complete, report.held) == (True, len(list(population.truth())))
        assert (state(archive, source), worklist(archive, source)) == ("complete", set())


def test_bad_rows_are_named_and_everything_else_is_moved(tmp_path: Path) -> None:
    plan = FaultPlan.parse(3, "W21,W22,W23")
    population = Population(plan, 6, 3)
    hit = {study.fault: study for study in population.studies.values()}
    with (
        HostilePacs(population, plan, InjectionLog()) as pacs,
        open_archive(load_settings(None, {"data": str(tmp_path)})) as archive,
    ):
        source = f"dimse://OLDPACS@127.0.0.1:{pacs.start()}"
        for _ in range(2):
            report = run(archive, source)
            assert worklist(archive, source) == {
                ("shared-study-uid", hit["W21"].study_instance_uid),
                ("inventory-failed", hit["W22"].study_instance_uid),
                ("answer-without-uid", ""),
            }
            assert (report.complete, report.failed, report.missing) == (False, 0, 0)
            lost = len(hit["W22"].instances) + len(hit["W23"].instances)
            assert report.held == len(list(population.truth())) - lost
            assert state(archive, source) == "incomplete"
        entry = next(one for one in archive.catalogue.ledger_reader.exceptions(source) if one.reason == "inventory-failed")
        archive.catalogue.ledger.retry(source, [entry], "J. Doe")
        report = runner(archive, source).run(2, fresh=False)
        assert ("inventory-failed", hit["W22"].study_instance_uid) in worklist(archive, source)
        assert not report.complete


def test_a_source_that_refuses_broad_questions_is_assessed_and_migrated_by_narrower_ones(tmp_path: Path) -> None:
    plan = FaultPlan.parse(3, "W24,W9,W11")
    population, log = Population(plan, 12, 3), InjectionLog()
    with HostilePacs(population, plan, log) as pacs, open_archive(load_settings(None, {"data": str(tmp_path)})) as archive:
        source = f"dimse://OLDPACS@127.0.0.1:{pacs.start()}"
        adapter = archive.plugins.open_pacs(source, source, {})
        try:
            found = assess(adapter)
        finally:
            adapter.close()
        dated = [
            one for one in population.studies.values() if one.fault != "W11" and one.date.isdigit() and one.date > "00010101"
        ]
        assert found.studies == len(dated)
        assert any("refuses to list all" in remark for remark in found.remarks)
        report = run(archive, source)
        assert (report.complete, report.held) == (True, len(list(population.truth())))
        assert worklist(archive, source) == set()
        assert log.of("W24")
