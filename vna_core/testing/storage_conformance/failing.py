"""Failures: each of the class that says whether another try is worth it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from vna_core.domain.errors import OutOfResources, StoreUnavailable, VnaError
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
            assert raised.value.fields.get("store") == store.name, "without its name no job is woken when it answers again"
        store.close()

    def test_a_store_without_room_says_so_and_is_worth_another_try(self, tmp_path: Path) -> None:
        store = self.full(tmp_path)
        for content in ([bytes(CHUNK)], [bytes(CHUNK)] * 20):
            with pytest.raises(OutOfResources) as raised:
                store.create("large", content)
            assert raised.value.transient
            assert raised.value.fields.get("store") == store.name, "without its name no job is woken when it has room again"
        assert "large" not in [one.key for one in store.list()]
        store.close()
