"""A source that refuses everything for a while: no study is given up for it, and what does not ask the source does not end its silence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread
from sqlalchemy import update
from structlog.testing import capture_logs

from tests.faults.hostile_campaign import Silent
from vna_core.bootstrap import Archive, open_archive
from vna_core.catalogue import Campaign, Catalogue, migration_throttle
from vna_core.catalogue.migration_rows import LedgerStudy
from vna_core.catalogue.schema_migration import migration_sources
from vna_core.configuration import load_settings
from vna_core.domain.errors import PeerError, PeerRefused, PeerUnavailable
from vna_core.domain.jobs import Again, Job
from vna_core.domain.migration import StudyState
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.domain.outcome import Outcome
from vna_core.jobs import LedgerWork
from vna_core.migration.campaign import CampaignRunner
from vna_core.migration.handlers import CampaignOptions, MigrationWorker
from vna_core.migration.shut_door import REFUSALS, check_never_let_in
from vna_core.migration.study_jobs import STUDY, job_key
from vna_core.ports.pacs import PacsAbilities, PacsAdapter
from vna_core.testing import phantoms


class Door:
    """Stands before a source; `locked`: it refuses to be greeted, and to deliver."""

    locked = False

    def __init__(self, source: PacsAdapter) -> None:
        self._source = source

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def probe(self, thorough: bool = False) -> PacsAbilities:
        if Door.locked:
            raise PeerError("The source answered HTTP 401.")
        return self._source.probe(thorough)


class Running:
    """A job that nobody stops."""

    stopping = False

    def tell(self, progress: Any) -> None:
        """See `Running`."""


@contextmanager
def planned(tmp_path: Path, studies: int, door: type[Door] = Door) -> Iterator[tuple[Archive, MigrationWorker, CampaignRunner]]:
    """A campaign over a folder, planned and queued, the door of its source locked afterwards."""
    folder = tmp_path / "export"
    folder.mkdir()
    for number in range(1, studies + 1):
        (folder / f"{number}.dcm").write_bytes(phantoms.ct(number * 1000, 16, 16))
    with open_archive(load_settings(None, {"data": str(tmp_path / "data")})) as archive:

        def open_source(one: Campaign) -> PacsAdapter:
            return door(archive.plugins.open_pacs(one.name, one.source, {}))  # type: ignore[return-value]

        campaign = Campaign("c", str(folder), "running", {"options": CampaignOptions().as_dict()})
        archive.catalogue.campaigns.save(campaign)
        worker = MigrationWorker(archive.catalogue, archive.pipeline, open_source, "test@nowhere:1")
        runner = CampaignRunner(campaign, worker, open_source, archive.catalogue, Silent(), archive.settings.jobs)
        runner.plan(2)
        worker.queue("c")
        try:
            yield archive, worker, runner
        finally:
            Door.locked = False
            worker.close()


def test_a_source_that_refuses_to_be_greeted_is_told_once_and_gone_on_with_when_it_does_not(tmp_path: Path) -> None:
    with planned(tmp_path, 4) as (archive, worker, runner):
        catalogue, Door.locked = archive.catalogue, True
        settings = archive.settings.jobs.model_copy(update={"max_attempts": 3})
        work = LedgerWork(catalogue.jobs, worker.handlers(), settings, "test@nowhere:1")
        with capture_logs() as logged:
            assert sum(work.do_next() for _ in range(4)) == 4
        assert [one["error"] for one in logged if one["event"] == "job-failed"] == ["The source answered HTTP 401. [peer]"]
        assert catalogue.throttle.load("c").silent_since is not None
        (entry,) = catalogue.ledger_reader.exceptions("c")
        assert (entry.reason, entry.detail) == ("source-unavailable", "The source answered HTTP 401.")
        (study, *_) = catalogue.ledger_reader.studies("c")
        with pytest.raises(PeerUnavailable, match="HTTP 401"):
            do(worker, study)  # whoever waits for it hears why, and the job is tried again

        Door.locked = False
        report = runner.run(2, fresh=False)
        assert (report.held, report.exceptions, report.complete) == (4, 0, True)
        assert catalogue.throttle.load("c").silent_since is None


def test_a_study_for_which_the_source_is_not_asked_does_not_end_its_silence(tmp_path: Path) -> None:
    with planned(tmp_path, 3) as (archive, worker, _):
        catalogue = archive.catalogue
        first, second, third = catalogue.ledger_reader.studies("c")
        do(worker, first)
        (sop,) = (one.sop_instance_uid for one in catalogue.ledger_reader.instances(second.pk))
        octets = next(one for one in (tmp_path / "export").iterdir() if dcmread(one).SOPInstanceUID == sop).read_bytes()
        held = ReceivedInstance(Octets(len(octets), "", memory=octets), Source("file", "test"), datetime.now(UTC))
        assert archive.pipeline.offer(held).outcome is Outcome.HELD
        assert not catalogue.throttle.silent("c")
        with catalogue.ledger.writing("c", "w") as writing:
            writing.except_("source-unavailable", detail="gone")
        since = catalogue.throttle.load("c").silent_since
        do(worker, second)
        assert catalogue.ledger_reader.study(second.pk).state is StudyState.STORED
        assert since is not None and catalogue.throttle.load("c").silent_since == since
        assert [one.reason for one in catalogue.ledger_reader.exceptions("c")] == ["source-unavailable"]
        do(worker, third)
        assert catalogue.throttle.load("c").silent_since is None
        assert catalogue.ledger_reader.exceptions("c") == []


def do(worker: MigrationWorker, study: LedgerStudy) -> Again | None:
    """Move a study as if somebody waited for it."""
    payload = {"campaign": study.campaign, "study": study.pk, "asked": True}
    return worker.study(Job(study.pk, STUDY, job_key(study.campaign, study.pk), payload, 50, 99, 1, 0), Running())


class Closed(Door):
    """Lets us in and lists everything; while the door is locked it delivers nothing."""

    def probe(self, thorough: bool = False) -> PacsAbilities:
        return self._source.probe(thorough)

    def fetch(self, *asked: Any, **more: Any) -> Any:
        if Door.locked:
            raise PeerRefused("The source refuses us (HTTP 403): check token, user and password.")
        return self._source.fetch(*asked, **more)


def test_a_source_that_never_let_us_retrieve_ends_the_run_and_the_next_one_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(migration_throttle, "SHORTEST_SILENCE", 0.01)
    with planned(tmp_path, 3, Closed) as (archive, _, runner):
        catalogue, Door.locked = archive.catalogue, True
        with pytest.raises(PeerRefused, match=r"never let us retrieve any of it: tried 6 times. .*HTTP 403.* then run again"):
            runner.run(2, fresh=False)
        assert catalogue.campaigns.load("c").state == "incomplete"  # type: ignore[union-attr]
        assert {study.state for study in catalogue.ledger_reader.studies("c")} == {StudyState.QUEUED}
        Door.locked = False
        report = runner.run(2, fresh=False)
        assert (report.held, report.exceptions, report.complete) == (3, 0, True)


def test_one_that_delivered_before_is_waited_for_however_often_it_refuses(tmp_path: Path) -> None:
    with planned(tmp_path, 2, Closed) as (archive, worker, _):
        catalogue = archive.catalogue
        first, second = catalogue.ledger_reader.studies("c")
        Door.locked = True
        for _ in range(REFUSALS):
            catalogue.throttle.silent("c", refused=True)
            assert catalogue.throttle.load("c").refusals == 1  # side by side they are one
        with pytest.raises(PeerRefused):
            for _ in range(REFUSALS):
                rest_is_over(catalogue)
                catalogue.throttle.silent("c", refused=True)
                check_never_let_in(catalogue, "c")
        Door.locked = False
        do(worker, first)
        assert catalogue.throttle.load("c").refusals == 0
        Door.locked = True
        for _ in range(2 * REFUSALS):
            rest_is_over(catalogue)
            with pytest.raises(PeerError):
                do(worker, second)
            check_never_let_in(catalogue, "c")
        assert catalogue.throttle.load("c").refusals == 2 * REFUSALS


def rest_is_over(catalogue: Catalogue) -> None:
    """The source may be tried again: the time of its rest has passed."""
    with catalogue.throttle._database.transaction() as session:
        session.run(update(migration_sources).values(silent_until=0))
