"""Creating objects: exclusively, under racing writers, with the digest that was announced."""

from __future__ import annotations

import hashlib
import threading
from functools import partial

import pytest

from vna_core.domain.errors import DigestMismatch, ObjectExists, VnaError
from vna_core.ports.storage import NewObject, Store
from vna_core.testing.storage_conformance.at_once import at_once
from vna_core.testing.storage_conformance.kit import StoreKit


class Creating(StoreKit):
    """Small objects."""

    def test_what_was_created_is_read_back(self, store: Store) -> None:
        created = store.create("a/b/c", [b"one", bytearray(b"two"), memoryview(b"three")])
        assert (created.key, created.size) == ("a/b/c", 11)
        assert created.sha256 in (None, hashlib.sha256(b"onetwothree").hexdigest())
        assert store.read("a/b/c") == b"".join(store.chunks("a/b/c")) == b"onetwothree"
        assert store.stat("a/b/c").size == 11

    def test_a_key_can_be_made_from_the_digest(self, store: Store) -> None:
        digest = hashlib.sha256(b"content").hexdigest()
        created = store.create(lambda sha256: f"by-digest/{sha256}", [b"content"])
        assert created.key == f"by-digest/{digest}"
        assert store.read(created.key) == b"content"

    def test_an_object_without_octets_exists(self, store: Store) -> None:
        assert store.create("empty", []).size == 0
        assert store.read("empty") == b""
        assert b"".join(store.chunks("empty")) == b""

    def test_an_existing_object_is_never_overwritten(self, store: Store) -> None:
        store.create("a", [b"first"])
        with pytest.raises(ObjectExists) as raised:
            store.create("a", [b"second"])
        assert raised.value.fields["key"] == "a"
        assert store.read("a") == b"first"

    def test_of_racing_writers_exactly_one_wins_and_its_octets_stay(self, store: Store) -> None:
        for attempt in range(5):
            winners: list[int] = []
            start = threading.Barrier(self.concurrent_writers)
            key = f"race/{attempt}"
            at_once([partial(_race, store, key, number, start, winners) for number in range(self.concurrent_writers)])
            assert len(winners) == 1
            assert store.read(key) == bytes(winners) * 70_000

    def test_concurrent_writers_in_new_folders_all_succeed(self, store: Store) -> None:
        def write(number: int) -> None:
            for place in range(8):
                store.create(f"deep/{place}/{place}/{number}", [b"%d" % number])

        at_once([partial(write, number) for number in range(self.concurrent_writers)])
        assert len(list(store.list("deep/"))) == 8 * self.concurrent_writers

    def test_a_wrong_digest_is_refused_and_leaves_nothing(self, store: Store) -> None:
        with pytest.raises(DigestMismatch):
            store.create("a", [b"content"], hashlib.sha256(b"other").hexdigest())
        assert list(store.list()) == []
        store.create("a", [b"content"], hashlib.sha256(b"content").hexdigest())

    def test_of_several_objects_each_ends_for_itself(self, store: Store) -> None:
        store.create("taken", [b"first"])
        wanted = (
            NewObject("a", [b"one", b"more"]),
            NewObject("taken", [b"second"]),
            NewObject("wrong", [b"x"], "0" * 64),
            NewObject(lambda sha256: f"by-digest/{sha256}", [b"two"]),
            NewObject("a//b", [b"x"]),
        )
        results = store.create_all(wanted)
        ended = [one.code if isinstance(one, VnaError) else one.size for one in results]
        assert ended == [7, "object-exists", "digest-mismatch", 3, "invalid-request"]
        by_digest = f"by-digest/{hashlib.sha256(b'two').hexdigest()}"
        assert {one.key: store.read(one.key) for one in store.list()} == {"a": b"onemore", "taken": b"first", by_digest: b"two"}


def _race(store: Store, key: str, number: int, start: threading.Barrier, winners: list[int]) -> None:
    start.wait()
    try:
        store.create(key, [bytes([number]) * 70_000])
        winners.append(number)
    except ObjectExists:
        assert len(store.read(key)) == 70_000
