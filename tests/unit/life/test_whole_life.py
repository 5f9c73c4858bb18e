"""Whatever happens to an archive, in whatever order: it keeps its promises."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.unit.life.offers import KINDS, NUMBERS, SERIES, garbage, image
from tests.unit.life.promises import always, at_rest, everywhere
from tests.unit.life.world import POLICIES, STORES, World
from vna_core.domain.stewardship import Extent

PICK = st.integers(0, 30)
TWO = st.integers(0, 1)
PLACE = st.tuples(st.sampled_from(SERIES), st.sampled_from(NUMBERS))
OTHERS = st.sampled_from(STORES[1:])


class WholeLife(RuleBasedStateMachine):
    """Drives a `World`; every rule is one thing that happens."""

    def new_catalogue(self) -> str | None:
        return None

    def __init__(self) -> None:
        super().__init__()
        self.world: World | None = None

    @property
    def one(self) -> World:
        assert self.world is not None
        return self.world

    @initialize(policy=st.sampled_from(sorted(POLICIES)))
    def begins(self, policy: str) -> None:
        self.world = World(Path(tempfile.mkdtemp(prefix="vna-life-")), self.new_catalogue, policy=policy)

    # -- what comes -------------------------------------------------------------------------------------------------------

    @rule(kind=st.sampled_from(KINDS), sender=TWO, study=TWO, place=PLACE)
    def an_image_comes(self, kind: str, sender: int, study: int, place: tuple[int, int]) -> None:
        self.one.image(kind, sender, study, *place)

    @rule(sender=TWO, study=TWO, series=st.sampled_from(SERIES))
    def a_series_comes(self, sender: int, study: int, series: int) -> None:
        self.one.series(sender, study, series)

    @rule(number=st.integers(0, 400))
    def something_odd_comes(self, number: int) -> None:
        self.one.odd(number)

    @rule(number=st.integers(0, 2))
    def garbage_comes(self, number: int) -> None:
        self.one.garbage(number)

    @rule(how=st.sampled_from(["down", "read_only"]), place=PLACE, of_garbage=st.booleans())
    def something_comes_in_vain(self, how: str, place: tuple[int, int], of_garbage: bool) -> None:
        self.one.offer_in_vain(garbage(3) if of_garbage else image("plain", 0, 0, *place), how)

    @rule()
    def quarantine_is_retried(self) -> None:
        self.one.retry_quarantine()

    @rule(number=st.integers(0, 5), sender=TWO, study=TWO, named=st.sets(PLACE, min_size=1, max_size=3))
    def a_rejection_note_comes(self, number: int, sender: int, study: int, named: set[tuple[int, int]]) -> None:
        self.one.note(number, sender, study, named)

    @rule(pick=PICK)
    def an_awaited_image_comes(self, pick: int) -> None:
        self.one.awaited_comes(pick)

    # -- what workers do --------------------------------------------------------------------------------------------------

    @rule()
    def jobs_are_done(self) -> None:
        self.one.work()

    @rule()
    def is_sealed(self) -> None:
        self.one.seal()

    @rule()
    def is_compacted(self) -> None:
        self.one.compact()

    @rule()
    def is_cleaned(self) -> None:
        self.one.clean()

    @rule()
    def is_normalized_again(self) -> None:
        self.one.normalize_again()

    @rule()
    def is_normalized_back(self) -> None:
        self.one.normalize_back()

    @rule(policy=st.sampled_from(sorted(POLICIES)))
    def is_placed_otherwise(self, policy: str) -> None:
        self.one.place_otherwise(policy)
        self.one.work()

    # -- what people do ---------------------------------------------------------------------------------------------------

    @rule(level=st.sampled_from([Extent.STUDY, Extent.SERIES, Extent.INSTANCE]), pick=PICK)
    def is_deleted(self, level: Extent, pick: int) -> None:
        self.one.delete(level, pick)

    @rule(pick=PICK)
    def one_version_is_right(self, pick: int) -> None:
        self.one.keep(pick)

    @rule(pick=PICK)
    def is_taken_back(self, pick: int) -> None:
        self.one.undelete(pick)

    @rule(pick=PICK)
    def is_purged(self, pick: int) -> None:
        self.one.purge(pick)

    @rule(level=st.sampled_from([Extent.PATIENT, Extent.STUDY, Extent.SERIES]), pick=PICK)
    def is_held(self, level: Extent, pick: int) -> None:
        self.one.hold(level, pick)

    @rule(pick=PICK)
    def what_is_held_is_deleted(self, pick: int) -> None:
        self.one.delete_held(pick)

    @rule(pick=PICK)
    def what_is_held_is_purged(self, pick: int) -> None:
        self.one.purge_held(pick)

    @rule(pick=PICK)
    def is_released(self, pick: int) -> None:
        self.one.release(pick)

    @rule(first=PICK, second=PICK)
    def patients_are_merged(self, first: int, second: int) -> None:
        self.one.merge(first, second)

    @rule(pick=PICK, second=PICK)
    def a_study_is_moved(self, pick: int, second: int) -> None:
        self.one.move(pick, second)

    @rule(pick=PICK)
    def a_decision_is_undone(self, pick: int) -> None:
        self.one.undo_link(pick)

    @rule()
    def keys_are_rotated(self) -> None:
        self.one.rotate_keys()

    @rule()
    def somebody_looks(self) -> None:
        everywhere(self.one)

    # -- what goes wrong --------------------------------------------------------------------------------------------------

    @rule(name=OTHERS)
    def a_store_goes_down(self, name: str) -> None:
        self.one.goes_down(name)

    @rule()
    def stores_come_back(self) -> None:
        self.one.comes_back()

    @rule()
    def the_process_is_started_again(self) -> None:
        self.one.restart()

    @rule(left=st.integers(0, 12))
    def the_process_will_be_killed(self, left: int) -> None:
        self.one.shelves.left = left

    @rule(name=st.sampled_from(STORES), how=st.sampled_from(["flip", "cut", "gone"]), pick=PICK)
    def an_object_is_damaged(self, name: str, how: str, pick: int) -> None:
        self.one.damage(name, how, pick)

    @rule()
    def is_repaired(self) -> None:
        self.one.repair()

    @rule()
    def the_catalogue_is_lost_and_rebuilt(self) -> None:
        self.one.lose_catalogue()

    # -- what is always so ------------------------------------------------------------------------------------------------

    @invariant()
    def keeps_its_promises(self) -> None:
        if self.world is not None:
            always(self.world)

    def teardown(self) -> None:
        if self.world is None:
            return
        try:
            at_rest(self.world)
        finally:
            self.world.close()


TestWholeLife = WholeLife.TestCase
TestWholeLife.settings = settings(
    derandomize=True,  # what is new is looked for at length: `python -m tests.unit.life.at_length`
    max_examples=8,
    stateful_step_count=16,
    deadline=None,
    phases=(Phase.generate,),  # what fails is short enough to be read, and shrinking it takes minutes
    suppress_health_check=list(HealthCheck),
)
