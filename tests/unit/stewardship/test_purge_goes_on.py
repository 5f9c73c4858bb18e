"""A purge that left something goes on when its cause is over, and asks a store that refuses it less and less often."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import pytest

from tests.unit.stewardship.held_archive import Place
from tests.unit.stewardship.test_retention import Worker, duties
from tests.unit.stewardship.two_stores import Keeper, keeper
from vna_core.bootstrap_jobs import job_work
from vna_core.domain.errors import StorageError, StoreUnavailable, VnaError
from vna_core.domain.jobs import AWAIT_STORE, Again, Job
from vna_core.domain.stewardship import PURGED, PURGING, Extent
from vna_core.stewardship.awaiting_stores import AwaitingStores
from vna_core.stewardship.deletion import PURGE


@pytest.fixture
def kept(new_catalogue: Callable[[str], Place]) -> Iterator[Keeper]:
    with keeper(new_catalogue("archive")) as made:
        yield made


def refusing(error: type[VnaError]) -> Callable[[str], None]:
    def refuse(key: str) -> None:
        raise error("It cannot be deleted now.", store="second", key=key)

    return refuse


def left_by_purge(kept: Keeper, monkeypatch: pytest.MonkeyPatch, error: type[VnaError]) -> str:
    """A deletion whose purge left what is in the second store."""
    deletion = kept.deleting().delete(Extent.SERIES, "1.2.3.3", "x", "me")
    monkeypatch.setattr(kept.second, "delete", refusing(error))
    report = kept.deleting().purge("me", timedelta(0))
    assert report.left and {one.silent for one in report.left} == ({"second"} if error is StoreUnavailable else {""})
    return deletion.id


def test_it_goes_on_as_soon_as_the_store_answers(kept: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = kept.archive.catalogue
    with monkeypatch.context() as down:
        deletion = left_by_purge(kept, down, StoreUnavailable)
        job_work(kept.archive, "test").run_until_idle()
        [waiting] = catalogue.jobs.listed(kind=PURGE)
        assert waiting.waits_for == "second" and waiting.free_at > datetime.now(UTC) + timedelta(minutes=10)
        assert [one.key for one in catalogue.jobs.listed(kind=AWAIT_STORE)] == ["second"]
        assert catalogue.deletions.deletion(deletion).state == PURGING
    AwaitingStores(kept.archive.stores, catalogue)(Job(1, AWAIT_STORE, "second"), Worker())
    job_work(kept.archive, "test").run_until_idle()
    assert catalogue.deletions.deletion(deletion).state == PURGED
    assert catalogue.jobs.listed(kind=PURGE) == []


def test_a_store_that_refuses_is_asked_less_and_less_often(kept: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    deletion = left_by_purge(kept, monkeypatch, StorageError)
    begun = kept.archive.catalogue.deletions.deletion(deletion).ended_at
    assert begun is not None
    job, quarter, day = Job(1, PURGE, deletion, {"by": "me"}), timedelta(minutes=15), timedelta(days=1)
    for since, pause in ((timedelta(0), quarter), (timedelta(hours=3), timedelta(hours=3)), (timedelta(days=400), day)):
        worker = Worker()
        assert duties(kept, begun + since).purge(job, worker) == Again(pause.total_seconds())
        assert worker.told[-1]["left"] > 0


def test_it_goes_on_as_soon_as_the_hold_is_released(kept: Keeper, monkeypatch: pytest.MonkeyPatch) -> None:
    catalogue = kept.archive.catalogue
    with monkeypatch.context() as locked:
        deletion = left_by_purge(kept, locked, StorageError)
    hold = kept.deleting().set_hold(Extent.SERIES, "1.2.3.3", "7 C 12/26", "me")
    job_work(kept.archive, "test").run_until_idle()
    [waiting] = catalogue.jobs.listed(kind=PURGE)
    assert catalogue.deletions.deletion(deletion).state == PURGING and waiting.free_at > datetime.now(UTC)
    kept.deleting().release_hold(hold.id, "me")
    job_work(kept.archive, "test").run_until_idle()
    assert catalogue.deletions.deletion(deletion).state == PURGED
