"""A process of an archive that has nothing to do but to help, and dies where it is told.

    python -m tests.unit.sharing.helping_process DATA URL LAYING TAKING [ROOM NTH]

`ROOM` is one of the rooms, `given` (before the first) or `answer` (before results are told). It says `waits` on standard output when it begins to.
"""

from __future__ import annotations

import itertools
import os
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from vna_core.bootstrap import open_archive
from vna_core.configuration import CatalogueSettings, Settings
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ingest.sharing import Bench, Colleagues, Helper
from vna_core.metering import Meter


class DyingHelper(Helper):
    """Ends its process at a named place."""

    where, nth = "", 1

    def _given(self, line: Any) -> Any:
        given = super()._given(line)
        if given and self.where == "given":
            os.kill(os.getpid(), signal.SIGKILL)
        return given

    def _answer(self, line: Any, results: Any) -> None:
        if self.where == "answer":
            os.kill(os.getpid(), signal.SIGKILL)
        super()._answer(line, results)


def main() -> None:
    """The program."""
    data, url, laying, taking, *dies = sys.argv[1:]
    where, nth = (dies[0], int(dies[1])) if dies else ("", 1)
    left = itertools.count(1)

    def leaves(room: str) -> None:
        if room == where and next(left) == nth:
            os.kill(os.getpid(), signal.SIGKILL)

    settings = Settings(data=Path(data), catalogue=CatalogueSettings(url=url))
    with open_archive(settings) as archive:
        pipeline = IngestPipeline(archive.landing, archive.catalogue, settings.ingest, settings.data, after_room=leaves)
        bench = Bench.inherited((int(laying), int(taking)))
        stop = threading.Event()
        helper = DyingHelper(bench, pipeline, Colleagues(pipeline, Meter.alone(), bench), stop)
        helper.where = where
        helper.begin()
        sys.stdout.write("waits\n")
        sys.stdout.flush()
        sys.stdin.read()
        helper.end(10)


if __name__ == "__main__":
    main()
