"""What was wrong with a job can be read on a terminal of 80 columns."""

from __future__ import annotations

import json
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
        catalogue.jobs.later(job, 60, ERROR, "cloud")
    assert run(["jobs", "list", "--data", str(tmp_path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    begin = next(at for at, line in enumerate(lines) if line.startswith(f"job {job.pk}: "))
    told = " ".join(" ".join(lines[begin:]).split())
    assert told == f"job {job.pk}: {ERROR}"
    assert len(lines) - begin <= 2


def test_jobs_are_listed_by_the_store_they_wait_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Catalogue.open(CatalogueSettings(), tmp_path) as catalogue:
        for key in ("waits", "works"):
            catalogue.jobs.add("place", key)
        [job] = catalogue.jobs.take(("place",), 1, 60, "worker-1")
        catalogue.jobs.later(job, 60, ERROR, "cloud")
    assert run(["jobs", "list", "--waits-for", "cloud", "--json", "--data", str(tmp_path)]) == 0
    [told] = map(json.loads, capsys.readouterr().out.splitlines())
    assert (told["key"], told["waits_for"]) == ("waits", "cloud")
    assert run(["jobs", "list", "--waits-for", "tape", "--json", "--data", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""
