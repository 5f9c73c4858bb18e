"""Listing, deleting, and keys of every kind."""

from __future__ import annotations

from functools import partial

import pytest

from vna_core.domain.errors import InvalidRequest
from vna_core.ports.storage import NewObject, Store, StoredObject
from vna_core.testing.storage_conformance.at_once import at_once
from vna_core.testing.storage_conformance.keys import ESCAPES, uses
from vna_core.testing.storage_conformance.kit import StoreKit


class Listing(StoreKit):
    """Keys and their order."""

    def test_listing_is_in_key_order_and_starts_after_a_key(self, store: Store) -> None:
        keys = ["a!", "a-b", "a.b/c", "a/b", "a/c/d", "a0", "b/1", "b/10", "b/2", "c"]
        for key in reversed(keys):
            store.create(key, [b"x"])
        present = sorted(keys)
        assert [one.key for one in store.list()] == present
        for after in [*present, "", "a.", "a/", "a/b/", "b/1/zzz", "zzz"]:
            assert [one.key for one in store.list(after=after)] == [key for key in present if key > after]
        for prefix in ("a", "a/", "a/c", "b/1", "nothing/"):
            assert [one.key for one in store.list(prefix)] == [key for key in present if key.startswith(prefix)]
        assert [one.key for one in store.list("b/", after="b/1")] == ["b/10", "b/2"]

    def test_a_long_listing_is_in_order_and_starts_after_any_key(self, store: Store) -> None:
        keys = sorted(f"studies/{number % 7:02x}/1.2.{number}/{number * 7919 % 100_003}.dcm" for number in range(self.many_keys))
        at_once([partial(_create_all, store, keys[worker::8]) for worker in range(8)])
        assert [one.key for one in store.list()] == keys
        assert [one.key for one in store.list("studies/03/")] == [key for key in keys if key.startswith("studies/03/")]
        for after in (keys[0], keys[len(keys) // 2], keys[-2], keys[-1], "studies/03/", "studies/04/1.2.5~"):
            assert [one.key for one in store.list(after=after)] == [key for key in keys if key > after]
        assert next(iter(store.list(after=keys[-2]))).key == keys[-1]

    def test_listing_tells_sizes(self, store: Store) -> None:
        store.create("k", [bytes(77)])
        [listed] = store.list()
        assert listed.size == 77

    def test_deleting_twice_is_no_error_and_frees_the_key(self, store: Store) -> None:
        store.create("a/b", [b"old"])
        store.delete("a/b")
        store.delete("a/b")
        store.delete("never/was")
        assert list(store.list()) == []
        store.create("a/b", [b"new"])
        assert store.read("a/b") == b"new"

    def test_a_strange_key_is_a_name_like_any_other(self, store: Store) -> None:
        for key in self.strange_keys:
            store.create(key, [b"x"])
            assert [one.key for one in store.list()] == [key]
            assert store.read(key) == b"x"
            assert store.stat(key).size == 1
            store.delete(key)
            assert list(store.list()) == []

    def test_strange_keys_are_listed_in_the_order_of_their_octets(self, store: Store) -> None:
        for key in self.strange_keys:
            store.create(key, [key.encode()])
        present = sorted(self.strange_keys)
        assert [one.key for one in store.list()] == present
        for at, after in enumerate(present):
            assert [one.key for one in store.list(after=after)] == present[at + 1 :]
        assert all(store.read(key) == key.encode() for key in present)

    def test_a_key_that_is_none_is_refused_everywhere(self, store: Store) -> None:
        for key in ESCAPES:
            for call in uses(store, key):
                with pytest.raises(InvalidRequest):
                    call()
        assert list(store.list()) == []


def _create_all(store: Store, keys: list[str]) -> None:
    for at in range(0, len(keys), 50):
        created = store.create_all([NewObject(key, [b"x"]) for key in keys[at : at + 50]])
        assert [one.key for one in created if isinstance(one, StoredObject)] == keys[at : at + 50]
