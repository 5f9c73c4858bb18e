"""Whatever comes after what: nothing that was not purged is ever out of reach or altered, and nothing purged ever comes back."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from tests.unit.packs.archives import keeper
from tests.unit.stewardship.held_archive import NORTH, instance, offer, worker
from vna_core.bootstrap import Archive, open_archive
from vna_core.bootstrap_jobs import job_handlers
from vna_core.catalogue import Scope
from vna_core.configuration import Settings
from vna_core.configuration.jobs import JobsSettings
from vna_core.domain.errors import UnderHold
from vna_core.domain.outcome import Outcome
from vna_core.domain.placement import PLACE
from vna_core.domain.stewardship import HIDDEN, PURGED, PURGING, Extent
from vna_core.jobs import LedgerWork
from vna_core.stewardship.deletion import PURGE, Deleting
from vna_core.stewardship.pack_jobs import COMPACT
from vna_core.stewardship.rebuild import rebuild
from vna_core.stewardship.repair import Repairing
from vna_core.stewardship.scrub import Scrub

STUDY = "1.2.3.1"
SERIES = ("1.2.3.2", "1.2.3.3")
STORES = ("landing", "second", "third")
JOBS = JobsSettings(poll=0.01, pause=0.001, max_attempts=100)
RULE: dict[str, Any] = {"id": "north", "when": {"source": {"name": "CT_NORTH"}}, "institution": "Hospital"}
KEPT = ("landing", "second")
MOVED = ("second", "third")


def marker(series: str, number: int, version: int) -> bytes:
    """Pixels that no other instance has."""
    return f"{series}/{number}/{version}".encode().ljust(32, b"#")


class Life(RuleBasedStateMachine):
    """An archive on three folders, against a model that knows what was offered, deleted and purged."""

    copies = KEPT

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.live: dict[bytes, bytes] = {}
        """Octets as received to the marker in them."""
        self.hidden: dict[str, dict[bytes, bytes]] = {}
        self.purged: dict[bytes, bytes] = {}
        self.holds: dict[str, str] = {}
        self.runs: list[str] = []
        self.catalogues = 0

    @initialize()
    def opens(self) -> None:
        document = {
            "stores": {name: {"type": "filesystem", "options": {"path": str(self.folder / name)}} for name in STORES},
            "placement": {"settle": 0, "rules": [{"name": "all", "copies": [{"store": name} for name in self.copies]}]},
            "packs": {"quiet": 0, "removal_delay": 0},
        }
        self.settings = Settings.model_validate({**document, "data": str(self.folder / "data0")})
        self.archive: Archive = open_archive(self.settings)

    def deleting(self) -> Deleting:
        return Deleting(self.archive.stores, self.archive.landing, self.archive.catalogue)

    def work(self, *kinds: str) -> None:
        catalogue = self.archive.catalogue
        handlers = {kind: handler for kind, handler in job_handlers(self.archive).items() if kind in kinds}
        for job in catalogue.jobs.listed(limit=1000):
            if job.kind in kinds:
                catalogue.jobs.reopen(job.pk)
        LedgerWork(catalogue.jobs, handlers, JOBS, "test").run_until_idle()

    # -- what comes -------------------------------------------------------------------------------------------------------

    @rule(series=st.sampled_from(SERIES), number=st.integers(1, 4), version=st.integers(0, 1))
    def arrives(self, series: str, number: int, version: int) -> None:
        mark = marker(series, number, version)
        octets = instance(number, series=series, pixels=mark)
        outcome = offer(self.archive, octets, NORTH).outcome
        if octets in self.purged or any(octets in one for one in self.hidden.values()):
            assert outcome is Outcome.REFUSED
        else:
            assert outcome.acknowledged
            self.live[octets] = mark

    @rule(series=st.sampled_from(SERIES))
    def a_series_arrives(self, series: str) -> None:
        for number in (1, 2, 3):
            self.arrives(series, number, 0)

    # -- what workers do --------------------------------------------------------------------------------------------------

    @rule(largest=st.sampled_from([1 << 20, 1 << 30]))
    def is_sealed(self, largest: int) -> None:
        del largest
        work = keeper(self.archive, self.settings.packs)
        for place in self.archive.catalogue.packs.series():
            work.seal(place)

    @rule()
    def is_placed(self) -> None:
        self.work(PLACE)
        kept = {copy.store for pk in self.archive.catalogue.placements.series() for copy in self._copies(pk)}
        assert kept <= set(STORES)

    def _copies(self, series_pk: int) -> Iterator[Any]:
        for one in self.archive.catalogue.placements.of_series(series_pk):
            assert set(self.copies) <= {copy.store for copy in one.copies if copy.state == "ok"}
            yield from one.copies

    @rule()
    def is_compacted(self) -> None:
        work = keeper(self.archive, self.settings.packs)
        for place in self.archive.catalogue.packs.series():
            work.compact(place)

    @rule()
    def is_cleaned(self) -> None:
        keeper(self.archive, self.settings.packs).remove_leftovers(at_once=True)

    @rule()
    def is_normalized_again(self) -> None:
        self.runs.append(worker(self.archive, RULE).apply(Scope()).id)

    @precondition(lambda self: self.runs)
    @rule()
    def is_normalized_back(self) -> None:
        worker(self.archive, RULE).undo(self.runs.pop())

    # -- what people do ---------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.live)
    @rule(data=st.data(), whole=st.booleans())
    def is_deleted(self, data: st.DataObject, whole: bool) -> None:
        octets = data.draw(st.sampled_from(sorted(self.live)))
        series, number, _ = self.live[octets].decode().rstrip("#").split("/")
        level, uid = (Extent.SERIES, series) if whole else (Extent.INSTANCE, f"{series}.{number}")
        if series in self.holds:
            with pytest.raises(UnderHold):
                self.deleting().delete(level, uid, "x", "me")
            return
        deletion = self.deleting().delete(level, uid, "x", "me")
        begin = f"{series}/" if whole else f"{series}/{number}/"
        gone = {one: mark for one, mark in self.live.items() if mark.decode().startswith(begin)}
        self.hidden[deletion.id] = gone
        self.live = {one: mark for one, mark in self.live.items() if one not in gone}

    @precondition(lambda self: self.hidden)
    @rule(data=st.data())
    def is_taken_back(self, data: st.DataObject) -> None:
        deletion = data.draw(st.sampled_from(sorted(self.hidden)))
        self.deleting().undelete(deletion, "me")
        self.live |= self.hidden.pop(deletion)

    @precondition(lambda self: self.hidden)
    @rule(data=st.data())
    def is_purged(self, data: st.DataObject) -> None:
        deletion = data.draw(st.sampled_from(sorted(self.hidden)))
        report = self.deleting().purge("me", timedelta(0), deletion)
        series = next(iter(self.hidden[deletion].values())).decode().split("/")[0]
        if series in self.holds:
            assert report.held == {deletion: self.holds[series]}
            return
        assert self.archive.catalogue.deletions.deletion(deletion).state in (PURGING, PURGED)
        self.purged |= self.hidden.pop(deletion)

    @rule(series=st.sampled_from(SERIES))
    def is_held_or_released(self, series: str) -> None:
        if series in self.holds:
            self.deleting().release_hold(self.holds.pop(series), "judge")
        else:
            self.holds[series] = self.deleting().set_hold(Extent.SERIES, series, "case", "lawyer").id

    # -- what goes wrong --------------------------------------------------------------------------------------------------

    @rule(name=st.sampled_from(STORES))
    def a_store_is_lost_and_repaired(self, name: str) -> None:
        if not self._can_be_lost(name):
            return
        for child in (self.folder / name).iterdir():
            shutil.rmtree(child) if child.is_dir() else child.unlink()
        assert Scrub(self.archive.stores, self.archive.catalogue).run().complete
        report = Repairing(self.archive.stores, self.archive.catalogue).run()
        assert not [one for one in report.repairs if one.outcome in ("lost", "failed")], report.repairs

    def _can_be_lost(self, name: str) -> bool:
        """Whether everything that the catalogue knows there lies under the same key in another store."""
        catalogue = self.archive.catalogue
        wanted = {one.key for one in catalogue.checks.expected(name)}
        there = {one.key for other in STORES if other != name for one in self.archive.stores[other].list()}
        return wanted <= there

    @rule()
    def the_catalogue_is_lost_and_rebuilt(self) -> None:
        self.archive.close()
        self.catalogues += 1
        data = self.folder / f"data{self.catalogues}"
        self.settings = self.settings.model_copy(update={"data": data})
        self.archive = open_archive(self.settings)
        assert rebuild(self.archive.stores, self.archive.catalogue).damaged == []
        self.runs.clear()

    # -- what is always so ------------------------------------------------------------------------------------------------

    @invariant()
    def gives_what_is_held_and_nothing_else(self) -> None:
        if not hasattr(self, "archive"):
            return
        held = self.archive.catalogue.instances(all_versions=True)
        assert {b"".join(self.archive.retriever.original(one)) for one in held} == set(self.live)

    def teardown(self) -> None:
        try:
            if hasattr(self, "archive"):
                self._everything_comes_to_rest()
        finally:
            self.archive.close()
            shutil.rmtree(self.folder)

    def _everything_comes_to_rest(self) -> None:
        """What can be taken back is as it was, and of what was purged no octet is left in any store."""
        for hold in self.holds.values():
            self.deleting().release_hold(hold, "judge")
        for deletion in list(self.hidden):
            assert self.archive.catalogue.deletions.deletion(deletion).state == HIDDEN
            self.deleting().undelete(deletion, "me")
            self.live |= self.hidden.pop(deletion)
        self.gives_what_is_held_and_nothing_else()
        self.deleting().purge("me", timedelta(0))
        for _ in range(3):
            self.work(PLACE, COMPACT)
            keeper(self.archive, self.settings.packs).remove_leftovers(at_once=True)
            self.work(PURGE)
        assert self.archive.catalogue.deletions.listed(PURGING) == []
        self.gives_what_is_held_and_nothing_else()
        left = set(self.purged.values()) - set(self.live.values())
        for path in (path for name in STORES for path in (self.folder / name).rglob("*") if path.is_file()):
            content = path.read_bytes()
            assert not [mark for mark in left if mark in content], path
        assert Scrub(self.archive.stores, self.archive.catalogue).run().complete
        assert self.archive.catalogue.checks.findings() == []


class MovedLife(Life):
    """The same where nothing stays in the landing store."""

    copies = MOVED


LITTLE = settings(
    max_examples=6,
    stateful_step_count=14,
    deadline=None,
    phases=(Phase.generate,),  # what fails is short enough to be read, and shrinking it takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)
TestLife = Life.TestCase
TestLife.settings = LITTLE
TestMovedLife = MovedLife.TestCase
TestMovedLife.settings = LITTLE
