"""Objects of many pieces: streamed, torn by their source, cancelled, raced for."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from functools import partial

import pytest

from vna_core.domain.errors import DigestMismatch, ObjectExists, ObjectMissing, VnaError
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.ports.storage import Store
from vna_core.testing.storage_conformance.at_once import at_once
from vna_core.testing.storage_conformance.kit import StoreKit


class CreatingLarge(StoreKit):
    """Objects of many pieces."""

    @pytest.mark.parametrize("digest_known", [False, True], ids=["digest-unknown", "digest-known"])
    @pytest.mark.parametrize("size", [1, 3 * CHUNK, 20 * CHUNK], ids=["small", "pieces", "parts"])
    def test_a_write_torn_by_its_source_leaves_nothing(self, store: Store, size: int, digest_known: bool) -> None:
        def torn() -> Iterator[bytes]:
            for at in range(0, size, CHUNK):
                yield bytes(min(CHUNK, size - at))
            raise ConnectionResetError

        with pytest.raises((ConnectionResetError, VnaError)):
            store.create("torn", torn(), "0" * 64 if digest_known else None)
        assert list(store.list()) == []
        assert self.partial_uploads(store) == 0
        with pytest.raises(ObjectMissing):
            store.read("torn")
        store.create("torn", [b"whole"])
        assert store.read("torn") == b"whole"

    def test_a_write_cancelled_half_way_leaves_nothing(self, store: Store) -> None:
        def cancelled() -> Iterator[bytes]:
            yield from (bytes(CHUNK) for _ in range(20))
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            store.create("cancelled", cancelled(), "0" * 64)
        assert list(store.list()) == []
        assert self.partial_uploads(store) == 0

    def test_a_wrong_digest_of_a_large_object_is_refused_and_leaves_nothing(self, store: Store) -> None:
        with pytest.raises(DigestMismatch):
            store.create("large", (bytes(CHUNK) for _ in range(20)), "0" * 64)
        assert list(store.list()) == []
        assert self.partial_uploads(store) == 0

    def test_an_existing_object_is_not_overwritten_by_a_large_one(self, store: Store) -> None:
        store.create("taken", [b"first"])
        content = [bytes(CHUNK)] * 20
        with pytest.raises(ObjectExists):
            store.create("taken", content, hashlib.sha256(b"".join(content)).hexdigest())
        assert store.read("taken") == b"first"
        assert self.partial_uploads(store) == 0

    def test_of_racing_large_writers_exactly_one_wins(self, store: Store) -> None:
        winners: list[int] = []
        start = threading.Barrier(3)

        def write(number: int) -> None:
            start.wait()
            try:
                store.create("race", (bytes([number]) * CHUNK for _ in range(9)))
                winners.append(number)
            except ObjectExists:
                return

        at_once([partial(write, number) for number in range(3)])
        held = store.read("race")
        assert held[0] in winners and held == held[:1] * (9 * CHUNK)
        if self.large_races_decided:
            assert len(winners) == 1, f"{len(winners)} of 3 that finished at once were told that they wrote the object"

    @pytest.mark.parametrize("digest_known", [False, True], ids=["digest-unknown", "digest-known"])
    def test_a_large_object_gets_the_digest_of_the_whole(self, store: Store, digest_known: bool) -> None:
        pieces = [hashlib.sha256(b"%d" % number).digest() * (CHUNK // 32) for number in range(20)] + [b"end"]
        digest = hashlib.sha256(b"".join(pieces)).hexdigest()
        created = store.create("large", iter(pieces), digest if digest_known else None)
        assert (created.size, created.sha256) == (20 * CHUNK + 3, digest)
        assert store.stat("large").sha256 in (None, digest)
        by_digest = store.create(lambda sha256: f"by-digest/{sha256}", iter(pieces))
        assert by_digest.key == f"by-digest/{digest}"
        assert hashlib.sha256(b"".join(store.chunks(by_digest.key))).hexdigest() == digest
        assert b"".join(store.chunks("large", ByteRange(CHUNK - 5, 9 * CHUNK))) == b"".join(pieces)[CHUNK - 5 : 10 * CHUNK - 5]
        assert store.read("large", ByteRange(-5, 5)) == pieces[19][-2:] + b"end"

    def test_an_object_larger_than_a_piece_is_streamed(self, store: Store) -> None:
        content = bytes(range(256)) * (3 * CHUNK // 256) + b"end"
        store.create("large", (content[at : at + 100_000] for at in range(0, len(content), 100_000)))
        pieces = list(store.chunks("large"))
        assert max(map(len, pieces)) <= CHUNK
        assert b"".join(pieces) == content

    def test_nobody_sees_an_object_before_it_is_whole(self, store: Store) -> None:
        half, go_on, seen = threading.Event(), threading.Event(), list[int]()

        def content() -> Iterator[bytes]:
            yield from (bytes(CHUNK) for _ in range(9))
            half.set()
            go_on.wait(5)  # a store may let readers wait for the writer
            yield from (bytes(CHUNK) for _ in range(9))

        def look() -> None:
            assert half.wait(60)
            try:
                seen.append(len(store.read("growing")))
            except ObjectMissing:
                seen.append(0)
            seen.extend(one.size for one in store.list())
            go_on.set()

        at_once([partial(store.create, "growing", content(), hashlib.sha256(bytes(18 * CHUNK)).hexdigest()), look])
        assert set(seen) <= {0, 18 * CHUNK}
        assert store.stat("growing").size == 18 * CHUNK
