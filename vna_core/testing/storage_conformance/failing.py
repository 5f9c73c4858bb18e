"""Failures: each of the class that says whether another try is worth it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vna_core.domain.errors import StoreUnavailable, VnaError
from vna_core.domain.octets import CHUNK
from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance.kit import StoreKit


class Failing(StoreKit):
    """What is told, and how."""

    def test_only_what_passes_by_itself_is_worth_another_try(self, store: Store) -> None:
        store.create("a", [b"x"])
        calls: tuple[Callable[[], object], ...] = (
            lambda: store.read("missing"),
            lambda: store.create("a", [b"y"]),
            lambda: store.create("b", [b"y"], "0" * 64),
            lambda: store.read("a//b"),
        )
        for call in calls:
            with pytest.raises(VnaError) as raised:
                call()
            assert not raised.value.transient

    def test_a_service_that_is_gone_is_told_as_unavailable_and_worth_another_try(self, tmp_path: Path) -> None:
        store = self.unavailable(tmp_path)
        calls: tuple[Callable[[], object], ...] = (
            lambda: store.create("a", [b"x"]),
            lambda: store.create("large", [bytes(CHUNK)] * 20),
            lambda: store.read("a"),
            lambda: list(store.chunks("a")),
            lambda: store.stat("a"),
            lambda: list(store.list()),
            lambda: store.probe(),
        )
        for call in calls:
            with pytest.raises(StoreUnavailable) as raised:
                call()
            assert raised.value.transient
        store.close()
