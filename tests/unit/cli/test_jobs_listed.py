"""What was wrong with a job can be read on a terminal of 80 columns."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vna_core.catalogue import Catalogue
from vna_core.cli import jobs
from vna_core.cli.application import run
from vna_core.cli.console import Console
from vna_core.configuration import CatalogueSettings

ERROR = (
    "Store 'cloud': bucket 'images' refuses (AccessDenied): check credentials, region and the bucket's policy. [store-refused]"
)


class Narrow(Console):
    """As on a terminal of 80 columns."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.width = 80


def test_errors_stand_in_whole_words(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "Console", Narrow)
    with Catalogue.open(CatalogueSettings(), tmp_path) as catalogue:
        catalogue.jobs.add("place", "1.2.840.113619.2.55.3.604688119.971.1258015000.431.1")
        [job] = catalogue.jobs.take(("place",), 1, 60, "worker-1")
        catalogue.jobs.later(job, 60, ERROR)
    assert run(["jobs", "list", "--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    begin = next(at for at, line in enumerate(lines) if line.startswith(f"job {job.pk}: "))
    told = " ".join(" ".join(lines[begin:]).split())
    assert told == f"job {job.pk}: {ERROR}"
    assert len(lines) - begin <= 2
