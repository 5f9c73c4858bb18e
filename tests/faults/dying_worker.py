"""A worker of a migration that is killed in the middle of one study, each time it is moved, as by a kernel that is out of memory.

python -m tests.faults.dying_worker CONFIG STUDY
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any

from vna_core.bootstrap import Archive, open_archive
from vna_core.catalogue import Campaign
from vna_core.configuration import load_settings
from vna_core.jobs import LedgerWork
from vna_core.migration.handlers import MigrationWorker
from vna_core.ports.pacs import FetchReport, PacsAdapter


class Deadly:
    """A source that kills the process that fetches one study."""

    def __init__(self, source: PacsAdapter, study: str) -> None:
        self._source, self._study = source, study

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)

    def fetch(self, study_instance_uid: str, *arguments: Any, **options: Any) -> FetchReport:
        if study_instance_uid == self._study:
            os.kill(os.getpid(), signal.SIGKILL)
        return self._source.fetch(study_instance_uid, *arguments, **options)


def work(archive: Archive, study: str) -> None:
    """Do every job that is free."""

    def open_source(one: Campaign) -> PacsAdapter:
        return Deadly(archive.plugins.open_pacs(one.name, one.source, {}), study)  # type: ignore[return-value]

    name = f"dying:{os.getpid()}"
    worker = MigrationWorker(archive.catalogue, archive.pipeline, open_source, name)
    studies = {kind: handler for kind, handler in worker.handlers().items() if kind == "migration-study"}
    try:
        LedgerWork(archive.catalogue.jobs, studies, archive.settings.jobs, name).run_until_idle()
    finally:
        worker.close()


if __name__ == "__main__":
    with open_archive(load_settings(Path(sys.argv[1]), {})) as opened:
        work(opened, sys.argv[2])
