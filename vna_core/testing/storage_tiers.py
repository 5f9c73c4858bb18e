"""What a storage backend that declares tiers, recall or locks must do, as tests a plugin's own test suite inherits.

`vna_core.testing.storage_conformance.StoreConformance` contains these; a backend without the ability skips them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from vna_core.domain.errors import ObjectArchived, ObjectMissing, StorageError, VnaError
from vna_core.ports.storage import Store, Terms

_TRIES = 200
"""Looks, a tenth of a second apart, at an object that is being recalled."""


class TierConformance:
    """Tests of tiers, recall and locks."""

    def open_store(self, folder: Path) -> Store:
        """A store without objects."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """The store under test."""
        store = self.open_store(tmp_path)
        yield store
        store.close()

    def test_a_store_recalls_from_tiers_it_has(self, store: Store) -> None:
        abilities = store.abilities()
        assert set(abilities.archive_tiers) <= set(abilities.tiers)
        assert abilities.recall == bool(abilities.archive_tiers)

    def test_an_object_moves_from_tier_to_tier_and_keeps_its_octets(self, store: Store) -> None:
        abilities = store.abilities()
        tiers = [one for one in abilities.tiers if one not in abilities.archive_tiers]
        if not tiers:
            pytest.skip("this backend has no tiers")
        store.create("moving", [b"content"])
        for tier in [*tiers, *reversed(tiers)]:
            for _ in range(2):
                store.adjust("moving", Terms(tier=tier))
                assert store.stat("moving").tier == tier
                assert store.read("moving") == b"content"
        assert [one.key for one in store.list()] == ["moving"]

    def test_an_archived_object_is_read_after_its_recall_and_can_be_put_back(self, store: Store) -> None:
        if not store.abilities().recall:
            pytest.skip("this backend has no tier that objects are recalled from")
        store.create("a", [b"content"])
        assert store.recall("a", 1)
        for tier in store.abilities().archive_tiers:
            store.adjust("a", Terms(tier=tier))
            found = store.stat("a")
            assert (found.size, found.tier) == (7, tier)
            with pytest.raises(ObjectArchived):
                store.read("a")
            with pytest.raises(ObjectArchived):
                list(store.chunks("a"))
            for _ in range(_TRIES):
                if store.recall("a", 1):
                    break
                time.sleep(0.1)
            assert store.read("a") == b"content"
            store.adjust("a", Terms(tier=tier))
            assert store.recall("a", 1) in (True, False)

    def test_a_tier_that_is_none_is_refused(self, store: Store) -> None:
        store.create("a", [b"content"])
        with pytest.raises(VnaError) as raised:
            store.adjust("a", Terms(tier="NO_SUCH_TIER"))
        assert not raised.value.transient
        assert store.read("a") == b"content"

    def test_a_missing_object_is_told_as_missing_when_it_is_moved_or_recalled(self, store: Store) -> None:
        with pytest.raises(ObjectMissing):
            store.recall("missing", 1)
        for tier in store.abilities().tiers[:1]:
            with pytest.raises(ObjectMissing):
                store.adjust("missing", Terms(tier=tier))

    def test_a_locked_or_held_object_cannot_be_deleted(self, store: Store) -> None:
        store.create("kept", [b"content"])
        until = datetime.now(UTC) + timedelta(days=1)
        if not store.abilities().object_lock:
            for terms in (Terms(locked_until=until), Terms(legal_hold=True)):
                with pytest.raises(StorageError) as raised:
                    store.adjust("kept", terms)
                assert not raised.value.transient
            store.delete("kept")
            return
        store.create("held", [b"content"])
        store.adjust("held", Terms(legal_hold=True))
        for _ in range(2):
            store.adjust("kept", Terms(locked_until=until))
        for key in ("held", "kept"):
            with pytest.raises(StorageError) as raised:
                store.delete(key)
            assert not raised.value.transient
            assert store.read(key) == b"content"
        store.adjust("held", Terms(legal_hold=False))
        store.delete("held")
        with pytest.raises(ObjectMissing):
            store.read("held")
