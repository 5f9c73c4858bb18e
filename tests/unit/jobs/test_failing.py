"""Jobs that are tried again without end are heard of by their age, whichever state they are in."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from vna_core.catalogue import Catalogue
from vna_core.configuration import CatalogueSettings
from vna_core.domain.jobs import Job
from vna_core.gateways.admin.metrics import exposition
from vna_core.metering import Meter


@pytest.fixture
def catalogue(tmp_path: Path) -> Iterator[Catalogue]:
    with Catalogue.open(CatalogueSettings(), tmp_path) as opened:
        yield opened


def told(catalogue: Catalogue) -> dict[str, float]:
    lines = exposition(Meter.alone().run, catalogue).decode().splitlines()
    head = "vna_jobs_failing_seconds{"
    return {line.split('"')[1]: float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(head)}


def taken(catalogue: Catalogue) -> Job:
    [job] = catalogue.jobs.take(("place",), 1, 60, "test")
    return job


def test_a_job_that_fails_and_stays_open_is_heard_of_until_it_is_done(catalogue: Catalogue) -> None:
    assert told(catalogue) == {}
    catalogue.jobs.add("place", "1.2.3")
    assert told(catalogue) == {"place": 0.0}
    catalogue.jobs.later(taken(catalogue), 0.0, "Store 's' refuses (AccessDenied).")
    first = told(catalogue)["place"]
    assert first > 0
    job = taken(catalogue)  # it is tried: that it failed before is not forgotten by that
    assert told(catalogue)["place"] > first
    catalogue.jobs.later(job, 0.0)
    assert told(catalogue) == {"place": 0.0}
    catalogue.jobs.later(taken(catalogue), 0.0, "Store 's' refuses (AccessDenied).")
    catalogue.jobs.done(taken(catalogue))
    assert told(catalogue) == {}


def test_what_is_left_to_people_is_not_counted_twice(catalogue: Catalogue) -> None:
    catalogue.jobs.add("place", "1.2.3")
    catalogue.jobs.fail(taken(catalogue), "Internal error.")
    assert told(catalogue) == {"place": 0.0}
    assert catalogue.jobs.counts() == {("place", "failed"): 1}
