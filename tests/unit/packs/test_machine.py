"""Whatever order arrivals, sealing, compacting, cleaning, normalizing again and undoing come in: the archive gives what it was given."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from tests.unit.packs.archives import AT_ONCE, keeper, pack_keys
from tests.unit.stewardship.held_archive import NORTH, instance, offer, opened, rebuilt_fingerprint, worker
from vna_core.catalogue import Scope
from vna_core.configuration import CatalogueSettings

RULE: dict[str, Any] = {"id": "north", "when": {"source": {"name": "CT_NORTH"}}, "issuer": "NORTH"}


class PackedArchive(RuleBasedStateMachine):
    """Against a model that knows which octets were offered."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.context = opened((CatalogueSettings(), self.folder / "archive"))
        self.archive = self.context.__enter__()
        self.offered: set[bytes] = set()
        self.runs: list[str] = []
        self.old = []  # versions as somebody read them at some moment
        self.rebuilds = 0

    @rule(series=st.sampled_from(["1.2.3.2", "1.2.3.3"]), number=st.integers(1, 5), version=st.integers(0, 1))
    def arrives(self, series: str, number: int, version: int) -> None:
        octets = instance(number, series=series, pixels=bytes([version]) * 32)
        assert offer(self.archive, octets, NORTH).outcome.acknowledged
        self.offered.add(octets)

    @rule(largest=st.sampled_from([3000, 1 << 30]))
    def is_sealed(self, largest: int) -> None:
        work = keeper(self.archive, AT_ONCE.model_copy(update={"maximum_size": largest}))
        for place in self.archive.catalogue.packs.series():
            work.seal(place)
            assert not [one for one in self.archive.catalogue.packs.loose(place, "landing") if one.size <= largest]

    @rule()
    def is_compacted(self) -> None:
        work = keeper(self.archive)
        for place in self.archive.catalogue.packs.series():
            work.compact(place)

    @rule()
    def is_cleaned(self) -> None:
        keeper(self.archive).remove_leftovers()
        assert set(pack_keys(self.archive)) == {one.key for one in self.archive.catalogue.packs.listed(limit=1000)}

    @precondition(lambda self: self.offered)
    @rule()
    def is_normalized_again(self) -> None:
        self.runs.append(worker(self.archive, RULE).apply(Scope()).id)

    @precondition(lambda self: self.runs)
    @rule()
    def is_undone(self) -> None:
        worker(self.archive, RULE).undo(self.runs.pop())

    @rule()
    def somebody_looks(self) -> None:
        self.old = self.archive.catalogue.instances(all_versions=True)

    @precondition(lambda self: self.old)
    @rule()
    def and_reads_later(self) -> None:
        for held in self.old:
            assert b"".join(self.archive.retriever.original(held)) in self.offered
            assert len(b"".join(self.archive.retriever.part10(held))) == held.trailer_offset

    @invariant()
    def gives_what_it_was_given(self) -> None:
        held = self.archive.catalogue.instances(all_versions=True)
        assert {b"".join(self.archive.retriever.original(one)) for one in held} == self.offered
        for one in held:
            assert one.locations, "a copy was taken for damaged"

    @rule()
    def is_rebuilt(self) -> None:
        self.rebuilds += 1
        place = (CatalogueSettings(), self.folder / f"rebuilt{self.rebuilds}")
        found, wanted = rebuilt_fingerprint(self.archive, place), self.archive.catalogue.fingerprint()
        for table in wanted:
            assert found[table] == wanted[table], table

    def teardown(self) -> None:
        self.context.__exit__(None, None, None)
        shutil.rmtree(self.folder)


TestPackedArchive = PackedArchive.TestCase
TestPackedArchive.settings = settings(
    max_examples=10, stateful_step_count=14, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
