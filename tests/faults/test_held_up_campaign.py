"""A campaign that can do nothing now: the source does not answer, or a disk is full. It says so once, waits, and goes on by itself."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from structlog.testing import capture_logs

from tests.faults.hostile_campaign import Silent
from tests.peers.archive import VNA
from vna_core.bootstrap import open_archive
from vna_core.catalogue import Campaign
from vna_core.catalogue.migration_throttle import LONGEST_SILENCE
from vna_core.cli.migrate_progress import status_lines
from vna_core.configuration import load_settings
from vna_core.domain.errors import OutOfResources, VnaError
from vna_core.jobs import LedgerWork
from vna_core.migration.campaign import CampaignRunner
from vna_core.migration.handlers import CampaignOptions, MigrationWorker
from vna_core.migration.report import summary_of
from vna_core.ports.pacs import PacsAdapter
from vna_core.testing import phantoms
from vna_core.testing.hostile_pacs.faults import FaultPlan
from vna_core.testing.hostile_pacs.injection_log import InjectionLog
from vna_core.testing.hostile_pacs.population import Population
from vna_core.testing.hostile_pacs.server import HostilePacs


def test_a_source_that_is_gone_is_told_once_and_left_alone_for_a_while(tmp_path: Path) -> None:
    plan = FaultPlan.parse(3, "none")
    population = Population(plan, 6, 2)
    with open_archive(load_settings(None, {"data": str(tmp_path)})) as archive:
        catalogue = archive.catalogue

        def open_source(one: Campaign) -> PacsAdapter:
            return archive.plugins.open_pacs(one.name, one.source, {})

        worker = MigrationWorker(catalogue, archive.pipeline, open_source, "test@nowhere:1")
        with HostilePacs(population, plan, InjectionLog()) as pacs:
            port = pacs.start()
            source = f"dimse://OLDPACS@127.0.0.1:{port}"
            details = {"options": CampaignOptions(patience=3.0).as_dict()}
            campaign = Campaign(source, source, "running", details)
            catalogue.campaigns.save(campaign)
            CampaignRunner(campaign, worker, open_source, catalogue, Silent(), archive.settings.jobs).plan(2)
        worker.queue(source)
        work = LedgerWork(catalogue.jobs, worker.handlers(), archive.settings.jobs, "test@nowhere:1")
        with capture_logs() as logged:
            assert sum(work.do_next() for _ in range(6)) == 6
        (failed,) = [one for one in logged if one["event"] == "job-failed"]
        assert "[peer-unavailable]" in failed["error"]
        load = catalogue.throttle.load(source)
        assert load.silent_since is not None and load.bottleneck == "source"
        assert catalogue.throttle.silence(source) <= LONGEST_SILENCE
        told = status_lines(campaign, summary_of(catalogue, source), load, {})
        assert (
            f"the source does not answer, or refuses us, since {load.silent_since.astimezone():%H:%M}" in told
            and "slowest: source" in told
        )

        with HostilePacs(population, plan, InjectionLog()) as pacs:
            pacs.start(port)
            runner = CampaignRunner(campaign, worker, open_source, catalogue, Silent(), archive.settings.jobs)
            report = runner.run(2, fresh=False)
        assert (report.missing, report.exceptions, report.held) == (0, 0, sum(1 for _ in population.truth()))
        assert catalogue.throttle.load(source).silent_since is None


class Told(Silent):
    """What a run says keeps the archive from taking anything."""

    def __init__(self) -> None:
        self.held_up_by: list[str] = []

    def held_up(self, error: VnaError | None) -> None:
        """Add the code, or nothing's."""
        self.held_up_by.append("" if error is None else error.code)


def test_that_the_archive_takes_instances_again_is_told_though_the_run_ends_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("vna_core.migration.campaign._SHOW", 1000.0)  # no look between the first and the last
    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "1.dcm").write_bytes(phantoms.ct(1))
    with open_archive(load_settings(None, {"data": str(tmp_path / "data")})) as archive:

        def open_source(one: Campaign) -> PacsAdapter:
            return archive.plugins.open_pacs(one.name, one.source, {})

        worker = MigrationWorker(archive.catalogue, archive.pipeline, open_source, "test@nowhere:1")
        worker.held_up.note(OutOfResources("No room."))
        campaign = Campaign(str(folder), str(folder), "running", {"options": CampaignOptions().as_dict()})
        told = Told()
        report = CampaignRunner(campaign, worker, open_source, archive.catalogue, told, archive.settings.jobs).run()
    assert (report.held, told.held_up_by) == (1, ["out-of-resources", ""])


def test_a_disk_that_is_full_in_the_middle_is_named_once_and_the_run_goes_on_when_there_is_room(
    small_disk: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "export"
    folder.mkdir()
    for number in range(1, 61):
        (folder / f"{number}.dcm").write_bytes(phantoms.ct(number // 20 * 1000 + number, 512, 512))
    command = [*VNA, "migrate", "run", str(folder), "--data", str(small_disk / "data"), "--processes", "1", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None and run.stderr is not None
        try:
            said = []
            for line in run.stderr:
                said.append(line)
                if "The run waits" in "".join(said).replace("\n", " "):
                    break
            assert f"The file system of {small_disk}" in "".join(said).replace("\n", " ")
            subprocess.run(["mount", "-o", "remount,size=200m", str(small_disk)], check=True)
            said += run.stderr
            lines = [json.loads(line) for line in run.stdout]
        finally:
            run.kill()
    assert (run.returncode, lines[-1]["summary"]["held"], lines[-1]["summary"]["missing"]) == (0, 60, 0)
    text = "".join(said).replace("\n", " ")
    assert text.count("The run waits") == 1 and text.count("The archive takes instances again") == 1
    assert text.count("jobs-not-taken") <= 2
