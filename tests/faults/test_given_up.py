"""A study that fails for a reason of the archive's own: it ends on the worklist, and the campaign does not end as if all was done."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydicom import dcmread

from tests.faults.hostile_campaign import Silent
from tests.peers.archive import vna
from vna_core.archival_storage.keys import series_folder
from vna_core.bootstrap import Archive, open_archive
from vna_core.catalogue import Campaign
from vna_core.catalogue.migration_rows import ExceptionEntry
from vna_core.configuration import load_settings
from vna_core.domain.jobs import Job
from vna_core.domain.migration import GIVEN_UP, REASONS, ErrorClass, StudyState
from vna_core.migration.campaign import CampaignRunner, free_worker
from vna_core.migration.given_up import CANCELLED
from vna_core.migration.handlers import CampaignOptions, MigrationWorker
from vna_core.migration.report import summary_of
from vna_core.migration.study_jobs import FEED, STUDY
from vna_core.ports.pacs import PacsAdapter
from vna_core.testing import phantoms

ATTEMPTS = 2


class Running:
    """A job that nobody stops."""

    stopping = False

    def tell(self, progress: Any) -> None:
        """See `Running`."""


@dataclass
class Opened:
    """A campaign over a folder of three studies, planned."""

    archive: Archive
    worker: MigrationWorker
    runner: CampaignRunner
    config: Path
    name: str

    @property
    def worklist(self) -> list[ExceptionEntry]:
        return self.archive.catalogue.ledger_reader.exceptions(self.name)

    def feed(self) -> None:
        """What the job that queues studies does at one look."""
        self.worker.feed(Job(1, FEED, self.name), Running())


@contextmanager
def planned(tmp_path: Path) -> Iterator[Opened]:
    folder, config = tmp_path / "export", tmp_path / "vna.yaml"
    folder.mkdir()
    for number in range(1, 4):
        (folder / f"{number}.dcm").write_bytes(phantoms.ct(number * 1000, 16, 16))
    config.write_text(f"data: {tmp_path / 'data'}\njobs: {{max_attempts: {ATTEMPTS}, pause: 0.05}}\n")
    name = str(folder)
    with open_archive(load_settings(config, {})) as archive:

        def open_source(one: Campaign) -> PacsAdapter:
            return archive.plugins.open_pacs(one.name, one.source, {})

        campaign = Campaign(name, name, "running", {"options": CampaignOptions().as_dict()})
        archive.catalogue.campaigns.save(campaign)
        worker = MigrationWorker(archive.catalogue, archive.pipeline, open_source, "test@nowhere:1")
        runner = CampaignRunner(campaign, worker, open_source, archive.catalogue, Silent(), archive.settings.jobs)
        runner.plan(2)
        try:
            yield Opened(archive, worker, runner, config, name)
        finally:
            worker.close()


def test_a_study_that_a_store_cannot_take_is_named_and_moved_by_a_retry_once_that_is_mended(tmp_path: Path) -> None:
    one = dcmread(instance(tmp_path, 1))
    with planned(tmp_path) as opened:
        blocked = tmp_path / "data" / "store" / Path(series_folder(one.StudyInstanceUID, one.SeriesInstanceUID)).parent
        blocked.parent.mkdir(parents=True)
        blocked.write_text("somebody's file where the study belongs")
        report = opened.runner.run(2, fresh=False)
        assert (report.held, report.missing, report.complete, report.unlisted) == (2, 1, False, 1)
        campaign = opened.archive.catalogue.campaigns.load(opened.name)
        assert campaign is not None and campaign.state == "incomplete"
        (entry,) = opened.worklist
        assert (entry.reason, entry.sample) == (GIVEN_UP, one.StudyInstanceUID)
        assert "below an object" in entry.detail
        assert REASONS[GIVEN_UP].error_class is ErrorClass.REFETCH
        assert opened.archive.catalogue.jobs.listed(state="failed") == []

        blocked.unlink()
        code, (retried,), error = vna("migrate", "retry", opened.name, "--reason", GIVEN_UP, "--config", str(opened.config))
        assert (code, retried["retried"], retried["studies"]) == (0, [entry.pk], 1), error
        report = opened.runner.run(2, fresh=False)
        assert (report.held, report.missing, report.exceptions, report.complete) == (3, 0, 0, True)
        (state,) = {one.state for one in opened.archive.catalogue.ledger_reader.exceptions(opened.name, state=None)}
        assert state == "solved"


def test_what_was_given_up_can_be_accepted_and_leaves_the_sums(tmp_path: Path) -> None:
    with planned(tmp_path) as opened:
        catalogue = opened.archive.catalogue
        opened.worker.queue(opened.name)
        (study, *_) = catalogue.ledger_reader.studies(opened.name)
        jobs = {int(job.payload["study"]): job for job in catalogue.jobs.listed(kind=STUDY)}
        catalogue.jobs.cancel(jobs[study.pk].pk)
        opened.feed()
        (entry,) = opened.worklist
        assert (entry.study, entry.reason, entry.detail) == (study.pk, GIVEN_UP, CANCELLED)
        assert catalogue.ledger_reader.study(study.pk).state is StudyState.PARTIAL
        opened.feed()
        assert [one.times for one in opened.worklist] == [1], "those that have a job wait for it"
        number, config = str(entry.pk), str(opened.config)
        accepting = ("migrate", "resolve", opened.name, number, "--note", "not wanted", "--config", config)
        code, (accepted,), error = vna(*accepting)
        assert (code, accepted["accepted"]) == (0, [entry.pk]), error
        assert vna(*accepting)[0] == 2, "it is not open any more"
        report = summary_of(catalogue, opened.name)
        assert (report.inventoried, report.excluded, report.exceptions) == (2, 1, 0)
        assert catalogue.ledger_reader.study(study.pk).state is StudyState.STORED


def test_a_study_over_which_processes_die_costs_some_of_them_and_no_other_study(tmp_path: Path) -> None:
    deadly = str(dcmread(instance(tmp_path, 2)).StudyInstanceUID)
    with planned(tmp_path) as opened:
        catalogue = opened.archive.catalogue
        opened.worker.queue(opened.name)
        command = [sys.executable, "-m", "tests.faults.dying_worker", str(opened.config), deadly]
        for _ in range(ATTEMPTS):
            with subprocess.Popen(command) as dying:
                assert dying.wait(120) == -signal.SIGKILL
            free_worker(catalogue, f"dying:{dying.pid}")  # what waiting for the end of its leases would bring
        assert subprocess.run(command, timeout=120, check=False).returncode == 0
        states = {one.study_instance_uid: one.state for one in catalogue.ledger_reader.studies(opened.name)}
        assert states.pop(deadly) is StudyState.RETRIEVING
        assert set(states.values()) == {StudyState.STORED}

        opened.feed()
        (entry,) = opened.worklist
        assert (entry.reason, entry.study_instance_uid) == (GIVEN_UP, deadly)
        assert f"{ATTEMPTS} times in a row the process that did it died" in entry.detail
        assert catalogue.ledger.retry(opened.name, [entry], "me").studies == 1
        report = opened.runner.run(2, fresh=False)
        assert (report.held, report.exceptions, report.complete) == (3, 0, True)


def instance(tmp_path: Path, number: int) -> Path:
    """An instance as the source has it, before there is one."""
    path = tmp_path / f"phantom-{number}.dcm"
    path.write_bytes(phantoms.ct(number * 1000, 16, 16))
    return path
