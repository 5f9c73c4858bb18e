"""The conformance kit for a store that is in use; `storage_doctor` runs it, with the store in a plugin of pytest."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import pytest

from vna_core.domain.identifiers import key_segment
from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance import STRANGE, StoreConformance
from vna_core.testing.storage_doctor import Examination

_BRIEF: Final = {"many_keys": 300, "examples": 3, "concurrent_writers": 4}


class TestStore(StoreConformance):
    """The store, under keys as the archive makes them."""

    strange_keys = tuple(key_segment(key) for key in STRANGE if "/" not in key)

    @pytest.fixture(autouse=True)
    def _examination(self, request: pytest.FixtureRequest) -> None:
        plugins = request.config.pluginmanager.get_plugins()
        self._of = next(plugin for plugin in plugins if isinstance(plugin, Examination))
        abilities = self._of.store.abilities()
        self.landing = abilities.conditional_create and abilities.durable_create
        if not self._of.complete:
            for name, value in _BRIEF.items():
                setattr(self, name, value)

    def open_store(self, folder: Path) -> Store:
        """A part of the store that no other test uses."""
        return self._of.scratch(folder)

    def test_an_archived_object_is_read_after_its_recall_and_can_be_put_back(self, store: Store) -> None:
        """Not here."""
        pytest.skip("a recall costs money, and takes hours on a real service")

    def test_a_locked_or_held_object_cannot_be_deleted(self, store: Store) -> None:
        """Only where there is no lock."""
        if store.abilities().object_lock:
            pytest.skip("a locked object would stay")
        super().test_a_locked_or_held_object_cannot_be_deleted(store)
