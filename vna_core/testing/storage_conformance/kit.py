"""What a backend author says about the backend, and the store that tests are given."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from pathlib import Path

import pytest

from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance.keys import STRANGE


class StoreKit:
    """Common ground of all topics."""

    concurrent_writers = 6
    landing = True
    """Fit for landing: creates exclusively and durably. False: the kit asks only for what such a store can keep."""
    many_keys = 10_000
    """Objects in the test of a long listing."""
    examples = 25
    """Random sequences of calls that are tried."""
    large_races_decided = True
    """Of several who finish a large object under one key at the same moment, one is told that it won. False: the service tells
    several, and keeps one of theirs whole."""
    strange_keys: tuple[str, ...] = STRANGE
    """Legal keys that are hard for some systems."""

    @abstractmethod
    def open_store(self, folder: Path) -> Store:
        """A store without objects, or one on what `folder` holds already when it is opened again."""

    def unavailable(self, folder: Path) -> Store:
        """An open store whose service does not answer any more (stopped, unplugged, unmounted)."""
        pytest.skip("this backend has no way to be made unavailable")

    def full(self, folder: Path) -> Store:
        """An open store that has no room for a megabyte."""
        pytest.skip("this backend has no way to be made full")

    def partial_uploads(self, store: Store) -> int:
        """How many uploads were begun and neither completed nor given up, where the backend has such a thing."""
        return 0

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """The store under test."""
        store = self.open_store(tmp_path)
        yield store
        store.close()
