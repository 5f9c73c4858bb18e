"""The store as a whole: its probe, what it declares, what stays, and any order of calls."""

from __future__ import annotations

from pathlib import Path

from hypothesis import settings, stateful

from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance.kit import StoreKit
from vna_core.testing.storage_conformance.model import StoreModel


class Whole(StoreKit):
    """Everything together."""

    def test_the_probe_leaves_nothing_behind(self, store: Store) -> None:
        store.probe()
        store.probe()
        assert list(store.list()) == []

    def test_a_landing_store_creates_exclusively_and_durably_and_says_so(self, store: Store) -> None:
        abilities = store.abilities()
        assert store.abilities() == abilities
        assert (abilities.conditional_create and abilities.durable_create) == self.landing
        assert not abilities.recall or abilities.tiers

    def test_what_was_created_is_there_when_the_store_is_opened_again(self, store: Store, tmp_path: Path) -> None:
        store.create("a/b", [b"content"])
        store.close()
        again = self.open_store(tmp_path)
        assert again.read("a/b") == b"content"
        again.close()

    def test_any_order_of_calls_does_what_a_dictionary_would(self, tmp_path: Path) -> None:
        number = iter(range(1_000_000))

        def machine() -> stateful.RuleBasedStateMachine:
            folder = tmp_path / f"run{next(number)}"
            folder.mkdir()
            return StoreModel(self.open_store(folder))

        stateful.run_state_machine_as_test(
            machine,  # type: ignore[arg-type]
            settings=settings(max_examples=self.examples, stateful_step_count=25, deadline=None, database=None),
        )
