"""What every storage backend must do, as tests a plugin's own test suite inherits.

Examples
--------
::

    class TestOurStore(StoreConformance):
        def open_store(self, folder: Path) -> Store:
            return OurStore("ours", folder)

``folder`` is empty for every test; a backend without one makes itself a fresh bucket or prefix instead, named by the folder.
What the backend cannot do is said by class attributes of `StoreConformance`, and `unavailable` lets the kit see it fail.
"""

from __future__ import annotations

import hashlib
import threading
from abc import abstractmethod
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import settings, stateful
from hypothesis import strategies as st

from vna_core.domain.errors import DigestMismatch, InvalidRequest, ObjectExists, ObjectMissing, StoreUnavailable, VnaError
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.ports.storage import Store
from vna_core.testing.storage_tiers import TierConformance

ESCAPES: Final = (
    "../outside",
    "a/../../outside",
    "/etc/outside",
    "a//b",
    "a/./b",
    "",
    "a/",
    "\0",
    "a\0b",
    "é",
    "..",
    ".",
    "x" * 1025,
)
STRANGE: Final = (
    "a b",
    "a%2Fb",
    "-rf",
    "a;b",
    "a'b\"c",
    "a\\b",
    "a\nb",
    "*?[x]",
    "~",
    "CON",
    "a.",
    "studies/0f/1.2.3/4.5/6.7.x.dcm",
    "x" * 200,
)


_READS: Final[dict[str, Callable[[Store, str], object]]] = {
    "read": lambda store, key: store.read(key),
    "chunks": lambda store, key: list(store.chunks(key)),
    "stat": lambda store, key: store.stat(key),
}


class StoreConformance(TierConformance):
    """Base class of a backend's tests."""

    concurrent_writers = 6
    landing = True
    """Fit for landing: creates exclusively and durably. False: the kit asks only for what such a store can keep."""
    many_keys = 10_000
    """Objects in the test of a long listing."""
    examples = 25
    """Random sequences of calls that are tried."""
    strange_keys: tuple[str, ...] = STRANGE
    """Legal keys that are hard for some systems."""

    @abstractmethod
    def open_store(self, folder: Path) -> Store:
        """A store without objects, or one on what `folder` holds already when it is opened again."""

    def unavailable(self, folder: Path) -> Store:
        """An open store whose service does not answer any more (stopped, unplugged, unmounted)."""
        pytest.skip("this backend has no way to be made unavailable")

    def partial_uploads(self, store: Store) -> int:
        """How many uploads were begun and neither completed nor given up, where the backend has such a thing."""
        return 0

    @pytest.fixture
    def store(self, tmp_path: Path) -> Iterator[Store]:
        """The store under test."""
        store = self.open_store(tmp_path)
        yield store
        store.close()

    # -- create -----------------------------------------------------------------------------------------------------------

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
            _run([partial(_race, store, key, number, start, winners) for number in range(self.concurrent_writers)])
            assert len(winners) == 1
            assert store.read(key) == bytes(winners) * 70_000

    def test_concurrent_writers_in_new_folders_all_succeed(self, store: Store) -> None:
        def write(number: int) -> None:
            for place in range(8):
                store.create(f"deep/{place}/{place}/{number}", [b"%d" % number])

        _run([partial(write, number) for number in range(self.concurrent_writers)])
        assert len(list(store.list("deep/"))) == 8 * self.concurrent_writers

    def test_a_wrong_digest_is_refused_and_leaves_nothing(self, store: Store) -> None:
        with pytest.raises(DigestMismatch):
            store.create("a", [b"content"], hashlib.sha256(b"other").hexdigest())
        assert list(store.list()) == []
        store.create("a", [b"content"], hashlib.sha256(b"content").hexdigest())

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

        _run([partial(write, number) for number in range(3)])
        assert len(winners) == 1
        assert store.read("race") == bytes(winners) * (9 * CHUNK)

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

    # -- read -------------------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [(0, 10, b"0123456789"), (3, 4, b"3456"), (9, 1, b"9"), (8, 100, b"89"), (10, 5, b""), (1000, 5, b""), (4, 0, b"")],
    )
    def test_a_range_gives_what_is_there(self, store: Store, offset: int, length: int, expected: bytes) -> None:
        store.create("digits", [b"0123456789"])
        assert store.read("digits", ByteRange(offset, length)) == expected
        assert b"".join(store.chunks("digits", ByteRange(offset, length))) == expected

    @pytest.mark.parametrize(
        ("offset", "length", "expected"),
        [(-1, 1, b"9"), (-4, 4, b"6789"), (-4, 2, b"67"), (-10, 10, b"0123456789"), (-1000, 1000, b"0123456789"), (-3, 0, b"")],
    )
    def test_a_range_can_count_from_the_end(self, store: Store, offset: int, length: int, expected: bytes) -> None:
        store.create("digits", [b"0123456789"])
        store.create("empty", [])
        assert store.read("digits", ByteRange(offset, length)) == expected
        assert b"".join(store.chunks("digits", ByteRange(offset, length))) == expected
        assert store.read("empty", ByteRange(offset, length)) == b""

    @pytest.mark.parametrize("read", _READS.values(), ids=_READS)
    def test_a_missing_object_is_told_as_missing(self, store: Store, read: Callable[[Store, str], object]) -> None:
        store.create("there/object", [b"x"])
        for key in ("missing", "there", "there/other", "there/object/below"):
            with pytest.raises(ObjectMissing):
                read(store, key)

    # -- list, delete, keys -----------------------------------------------------------------------------------------------

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
        _run([partial(_create_all, store, keys[worker::8]) for worker in range(8)])
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
            for call in _uses(store, key):
                with pytest.raises(InvalidRequest):
                    call()
        assert list(store.list()) == []

    # -- failures ---------------------------------------------------------------------------------------------------------

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

    # -- the whole --------------------------------------------------------------------------------------------------------

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


def _uses(store: Store, key: str) -> tuple[Callable[[], object], ...]:
    return (
        lambda: store.create(key, [b"x"]),
        lambda: store.create(lambda _: key, [b"x"]),
        lambda: store.read(key),
        lambda: list(store.chunks(key)),
        lambda: store.stat(key),
        lambda: store.delete(key),
        lambda: store.recall(key, 1),
    )


def _create_all(store: Store, keys: list[str]) -> None:
    for key in keys:
        store.create(key, [b"x"])


def _race(store: Store, key: str, number: int, start: threading.Barrier, winners: list[int]) -> None:
    start.wait()
    try:
        store.create(key, [bytes([number]) * 70_000])
        winners.append(number)
    except ObjectExists:
        assert len(store.read(key)) == 70_000


_segments = st.sampled_from(("a", "b", "a.b", "a-", "0"))
_keys = st.lists(_segments, min_size=1, max_size=3).map("/".join)


class StoreModel(stateful.RuleBasedStateMachine):
    """The store beside a dictionary."""

    def __init__(self, store: Store) -> None:
        super().__init__()
        self.store = store
        self.model: dict[str, bytes] = {}
        self.folders: set[str] = set()

    @stateful.rule(key=_keys, content=st.lists(st.binary(max_size=20), max_size=3))
    def create(self, key: str, content: list[bytes]) -> None:
        """Create-if-absent. A key below an object, or one that was a folder of keys, is outside what the archive asks for."""
        if key in self.folders or any(key.startswith(other + "/") for other in self.model):
            return
        if key in self.model:
            with pytest.raises(ObjectExists):
                self.store.create(key, content)
            return
        self.store.create(key, content)
        self.folders.update(key[:at] for at, letter in enumerate(key) if letter == "/")
        self.model[key] = b"".join(content)

    @stateful.rule(key=_keys, offset=st.integers(0, 80), length=st.integers(0, 80))
    def read(self, key: str, offset: int, length: int) -> None:
        """A range."""
        if key in self.model:
            assert self.store.read(key, ByteRange(offset, length)) == self.model[key][offset : offset + length]
            assert self.store.stat(key).size == len(self.model[key])
        else:
            with pytest.raises(ObjectMissing):
                self.store.read(key, ByteRange(offset, length))

    @stateful.rule(key=_keys)
    def delete(self, key: str) -> None:
        """A key that may be there."""
        self.store.delete(key)
        self.model.pop(key, None)

    @stateful.rule(prefix=st.sampled_from(("", "a", "a/", "b/a")), after=st.one_of(st.just(""), _keys))
    def listing(self, prefix: str, after: str) -> None:
        """From a key on."""
        expected = sorted(key for key in self.model if key.startswith(prefix) and key > after)
        assert [one.key for one in self.store.list(prefix, after)] == expected

    def teardown(self) -> None:
        """Close the store."""
        self.store.close()


def _run(calls: list[Callable[[], Any]]) -> None:
    """Run calls at the same time; the first failure is raised."""
    failures: list[BaseException] = []

    def guarded(call: Callable[[], Any]) -> None:
        try:
            call()
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            failures.append(error)

    threads = [threading.Thread(target=guarded, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
