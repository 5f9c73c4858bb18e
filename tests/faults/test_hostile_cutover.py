"""Cut-over against a source that misbehaves in every way: an asker gets everything, or is told that something is missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.hostile_campaign import Silent
from vna_core.bootstrap import Archive, open_archive
from vna_core.catalogue import Campaign
from vna_core.configuration import load_settings
from vna_core.domain.access import EVERYTHING, Scope
from vna_core.domain.errors import FetchIncomplete, FetchPending, PeerUnavailable
from vna_core.domain.query import Level
from vna_core.jobs import LedgerWork
from vna_core.migration.campaign import CampaignRunner
from vna_core.migration.cutover import CutOver, Fetched, Wanted
from vna_core.migration.handlers import CampaignOptions, MigrationWorker
from vna_core.migration.report_tables import report_tables
from vna_core.ports.pacs import PacsAdapter
from vna_core.testing.hostile_pacs.faults import FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog
from vna_core.testing.hostile_pacs.population import Population
from vna_core.testing.hostile_pacs.server import HostilePacs


class Day:
    """The first day: an inventory was taken, nothing was moved."""

    def __init__(self, archive: Archive, source: str) -> None:
        campaign = Campaign(source, source, "planned", {"options": CampaignOptions(patience=3.0).as_dict()})

        def open_source(one: Campaign) -> PacsAdapter:
            return archive.plugins.open_pacs(one.name, one.source, {})

        self.worker = MigrationWorker(archive.catalogue, archive.pipeline, open_source, "test@nowhere:1")
        runner = CampaignRunner(campaign, self.worker, open_source, archive.catalogue, Silent(), archive.settings.jobs)
        archive.catalogue.campaigns.save(campaign)
        runner.plan(3)
        archive.catalogue.awaited.cutovers.look_every = 0.0
        self.archive, self.campaign = archive, campaign
        self.cutover = CutOver(archive.catalogue, archive.settings.cutover, "asker")
        self.work = LedgerWork(archive.catalogue.jobs, self.worker.handlers(), archive.settings.jobs, "test@nowhere:1")

    def close(self) -> None:
        self.worker.close()


@pytest.mark.slow
def test_no_asker_takes_a_part_for_the_whole(tmp_path: Path) -> None:
    plan = FaultPlan.parse(5, "all", cap=1000)
    population, log = Population(plan, 24, 4), InjectionLog()
    settings = load_settings(None, {"data": str(tmp_path)})
    with HostilePacs(population, plan, log, hang=20.0) as pacs, open_archive(settings) as archive:
        day = Day(archive, f"dimse://OLDPACS@127.0.0.1:{pacs.start()}")
        whole = told = 0
        for uid, study in population.studies.items():
            if study.fault == "W23":
                continue  # the source does not tell its UID, so that nobody can ask for it by that
            wanted = {one.sop_instance_uid for one in study.instances}
            fetches = day.cutover.begin(EVERYTHING, Wanted(uid))
            assert fetches or not wanted - held(archive, uid)
            day.work.run_until_idle()
            found = [day.cutover.look(one) for one in fetches]
            assert not any(one.waiting for one in found)
            if any(one.reason for one in found):
                told += 1
                with pytest.raises((FetchIncomplete, PeerUnavailable)):
                    for one in found:
                        one.check(1)
            else:
                whole += 1
                assert wanted <= held(archive, uid), study.fault
        day.close()
        assert whole > 10 and told >= 1 and len({one.fault for one in log}) > 8


def held(archive: Archive, study: str) -> set[str]:
    return {one.sop_instance_uid for one in archive.catalogue.instances(study=study)}


def test_what_a_source_cannot_deliver_is_not_asked_for_again_at_once(tmp_path: Path) -> None:
    plan = FaultPlan.parse(3, "W1=1")
    population, log = Population(plan, 1, 2), InjectionLog()
    settings = load_settings(None, {"data": str(tmp_path)})
    with HostilePacs(population, plan, log, hang=20.0) as pacs, open_archive(settings) as archive:
        day = Day(archive, f"dimse://OLDPACS@127.0.0.1:{pacs.start()}")
        (uid,) = population.studies
        (fetch,) = day.cutover.begin(EVERYTHING, Wanted(uid))
        with pytest.raises(FetchPending):
            day.cutover.look(fetch).check(7)
        day.work.run_until_idle()
        first = day.cutover.look(fetch)
        assert first.reason and {one.sop_instance_uid for one in first.missing} == {
            one.sop_instance_uid for one in population.studies[uid].instances
        }
        played = len(list(log))
        (again,) = day.cutover.begin(EVERYTHING, Wanted(uid))
        assert day.cutover.look(again).missing == first.missing and len(list(log)) == played
        day.close()


def test_who_may_not_see_a_study_has_nothing_fetched(tmp_path: Path) -> None:
    plan = FaultPlan.parse(3, "none")
    population = Population(plan, 2, 2)
    departments = {"radiology": {"holds": [{"kind": "migration", "name": "dimse:*"}]}, "cardiology": {}}
    settings = load_settings(None, {"data": str(tmp_path), "departments": departments})
    with HostilePacs(population, plan, InjectionLog()) as pacs, open_archive(settings) as archive:
        day = Day(archive, f"dimse://OLDPACS@127.0.0.1:{pacs.start()}")
        uid = next(iter(population.studies))
        radiology, cardiology = (Scope(frozenset((name,))) for name in departments)
        assert day.cutover.begin(cardiology, Wanted(uid)) == []
        assert day.cutover.named(cardiology, Level.STUDY, (), False) == []
        assert day.work.run_until_idle() == 0
        (fetch,) = day.cutover.begin(radiology, Wanted(uid))
        day.work.run_until_idle()
        assert day.cutover.look(fetch) == Fetched(False)
        assert archive.catalogue.instances(study=uid, scope=radiology) and not archive.catalogue.instances(
            study=uid, scope=cardiology
        )
        rows = dict(next(one.rows for one in report_tables(archive.catalogue, day.campaign) if one.name == "cut-over"))
        assert (rows["fetched while somebody waited"], rows["came whole"]) == (1, 1)
        day.close()


def test_a_patients_other_studies_move_up(tmp_path: Path) -> None:
    plan = FaultPlan.parse(3, "none")
    population = Population(plan, 6, 2)
    settings = load_settings(None, {"data": str(tmp_path)})
    with HostilePacs(population, plan, InjectionLog()) as pacs, open_archive(settings) as archive:
        day = Day(archive, f"dimse://OLDPACS@127.0.0.1:{pacs.start()}")
        studies = list(
            archive.catalogue.ledger_reader.studies(
                day.cutover.begin(EVERYTHING, Wanted(next(iter(population.studies))))[0].study.campaign
            )
        )
        asked = next(iter(population.studies.values()))
        others = {one.study_instance_uid for one in studies if one.patient_id == asked.patient_id}
        assert len(others) == 2
        assert {one.study_instance_uid for one in studies if one.priority < 50} == others
        day.close()
