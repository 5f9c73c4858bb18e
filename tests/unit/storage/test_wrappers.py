"""What each wrapper does besides what every store does."""

from __future__ import annotations

import hashlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from vna_core.archival_storage.key_file import add_key, key_id_of
from vna_core.archival_storage.key_providers import EnvironmentKeys, FileKeys
from vna_core.archival_storage.wrappers.block_cache import BlockCache
from vna_core.archival_storage.wrappers.caching import BLOCK, CachingStore
from vna_core.archival_storage.wrappers.encrypting import EncryptingStore
from vna_core.archival_storage.wrappers.encryption_format import FOOTER, PLAIN, SEALED, content_size, stored_size
from vna_core.archival_storage.wrappers.retrying import Patience, RetryingStore
from vna_core.archival_storage.wrappers.throttling import Rates, ThrottlingStore, TokenBucket
from vna_core.archival_storage.wrappers.verifying import VerifyingStore
from vna_core.domain.errors import ConfigurationError, DigestMismatch, ObjectExists, ObjectMissing, StoreUnavailable
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.ports.storage import Content, Key, Store, StoredObject
from vna_core.testing.faulty_store import FaultyStore
from vna_storage_filesystem.store import FilesystemStore

SIZES = st.one_of(
    st.integers(0, 300),
    st.integers(-2, 2).flatmap(
        lambda near: st.sampled_from([PLAIN, 2 * PLAIN, CHUNK, CHUNK + PLAIN]).map(lambda size: size + near)
    ),
    st.integers(0, 3 * CHUNK),
)


@pytest.fixture
def files(tmp_path: Path) -> FilesystemStore:
    return FilesystemStore("files", tmp_path / "store")


def keys() -> EnvironmentKeys:
    return EnvironmentKeys("KEY", {"KEY": "5a" * 32})


def octets(size: int) -> bytes:
    """Octets in which no part is like another."""
    return hashlib.shake_128(b"content").digest(size)


# -- ranges ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("around", ["encrypting", "caching", "both"])
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(size=SIZES, offset=st.floats(0, 1.2), length=st.floats(0, 1.2), shift=st.integers(-1, 1))
@example(size=0, offset=0, length=1, shift=0)
@example(size=CHUNK, offset=0.5, length=1.1, shift=1)
def test_any_range_of_any_object_is_that_slice_of_its_content(
    tmp_path: Path, around: str, size: int, offset: float, length: float, shift: int
) -> None:
    store: Store = FilesystemStore("files", tmp_path / "store")
    if around != "encrypting":
        store = CachingStore(store, BlockCache(tmp_path / "cache", 8 * CHUNK))
    if around != "caching":
        store = EncryptingStore(store, keys())
    content, key = octets(size), f"object/{size}"
    try:
        store.create(key, [content])
    except ObjectExists:
        pass
    wanted = ByteRange(max(0, int(offset * size) + shift), max(0, int(length * size) + shift))
    expected = content[wanted.offset : wanted.end]
    for _ in range(2):  # the second time from what is remembered
        assert store.read(key, wanted) == expected
        pieces = list(store.chunks(key, wanted))
        assert b"".join(pieces) == expected
        assert all(len(piece) <= CHUNK for piece in pieces)
    assert store.read(key) == content


@given(size=st.integers(0, 1 << 50))
def test_the_size_of_the_content_follows_from_that_of_the_object(size: int) -> None:
    assert content_size(stored_size(size)) == size


# -- encrypting -----------------------------------------------------------------------------------------------------------


def test_sizes_and_digests_are_those_of_the_content(files: Store) -> None:
    store, content = EncryptingStore(files, keys()), octets(200_000)
    digest = hashlib.sha256(content).hexdigest()
    assert store.create(lambda sha256: f"a/{sha256}", [content]) == StoredObject(f"a/{digest}", 200_000, digest)
    assert (store.stat(f"a/{digest}").size, store.stat(f"a/{digest}").sha256) == (200_000, digest)
    assert [(one.key, one.size) for one in store.list()] == [(f"a/{digest}", 200_000)]
    assert files.stat(f"a/{digest}").size == 200_000 + 4 * 16 + 156


def test_nothing_of_the_content_is_in_the_files(files: Store, tmp_path: Path) -> None:
    content = b"HOSPITAL^PATIENT" * 10_000
    EncryptingStore(files, keys()).create("a", [content])
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert len(written) > len(content)
    assert b"PATIENT" not in written
    assert hashlib.sha256(content).digest() not in written


def test_an_object_is_what_its_description_says(files: Store) -> None:
    """Opened here by the description in `encryption_format`, from the octets of the file alone."""
    store, content = EncryptingStore(files, keys()), octets(150_000)
    store.create("some/name", [content])
    stored = files.read("some/name")
    foot = stored[-156:]
    [store_key] = store.ring.all()
    assert foot[16:32] == store_key.id
    wrapping = HKDF(SHA256(), 32, foot[40:72], b"vna encrypted object 1\0some/name").derive(store_key.key)
    secret = AESGCM(wrapping).decrypt(bytes(12), foot[72:152], foot[:40])
    assert secret[32:] == hashlib.sha256(content).digest()
    sealed = [stored[at : at + 65552] for at in range(0, len(stored) - 156, 65552)]
    sealed[-1] = sealed[-1][:-156]
    cipher = AESGCM(secret[:32])
    assert (
        b"".join(
            cipher.decrypt(bytes(7) + number.to_bytes(4, "big") + bytes([number == 2]), one, None)
            for number, one in enumerate(sealed)
        )
        == content
    )


def test_a_range_of_a_large_object_costs_few_octets(files: Store) -> None:
    counting = Counting(files)
    store = EncryptingStore(counting, keys())
    store.create("a", [octets(8 << 20)])
    counting.octets = 0
    assert len(store.read("a", ByteRange(5 << 20, 1000))) == 1000
    assert counting.octets <= FOOTER + 2 * SEALED


def test_objects_stay_readable_and_are_not_written_again_when_keys_are_rotated(files: Store, tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    first = add_key(path)
    store = EncryptingStore(files, FileKeys(path))
    store.create("old", [b"content"])
    before = files.read("old")
    second = add_key(path)
    rotated = store.ring.rotate()
    assert [one.master_key_id for one in rotated] == [second, second]
    store.create("new", [b"content"])
    path.write_text(path.read_text().splitlines()[0])  # the first key is gone for good
    again = EncryptingStore(files, FileKeys(path))
    assert again.read("old") == again.read("new") == b"content"
    assert files.read("old") == before
    assert first != second
    assert len(list(files.list("vna-keys/"))) == 2


def test_a_rotation_that_was_cut_short_is_finished_by_the_next(files: Store, tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    add_key(path)
    EncryptingStore(files, FileKeys(path)).create("a", [b"content"])
    second = add_key(path)
    for after in range(6):
        breaking = Breaking(files, after)
        try:
            EncryptingStore(breaking, FileKeys(path)).ring.rotate()
        except StoreUnavailable:
            assert EncryptingStore(files, FileKeys(path)).read("a") == b"content"
    path.write_text(path.read_text().splitlines()[0])
    store = EncryptingStore(files, FileKeys(path))
    assert {one.master_key_id for one in store.ring.all()} == {second}
    assert store.read("a") == b"content"


def test_a_process_that_runs_reads_what_another_wrote_after_a_rotation(files: Store, tmp_path: Path) -> None:
    path = tmp_path / "master.key"
    add_key(path)
    running = EncryptingStore(files, FileKeys(path))
    add_key(path)
    other = EncryptingStore(files, FileKeys(path))
    other.ring.rotate()
    other.create("a", [b"content"])
    assert running.read("a") == b"content"


def test_a_wrong_key_is_told_at_once(files: Store) -> None:
    EncryptingStore(files, keys()).create("a", [b"content"])
    with pytest.raises(ConfigurationError, match=f"does not hold the key {key_id_of(bytes.fromhex('5a' * 32))}"):
        EncryptingStore(files, EnvironmentKeys("KEY", {"KEY": "00" * 32}))


def test_a_store_with_plain_objects_is_not_taken_for_an_encrypted_one(files: Store) -> None:
    files.create("a", [b"plain"])
    with pytest.raises(ConfigurationError, match="not encrypted"):
        EncryptingStore(files, keys())


@pytest.mark.parametrize("text", ["", "# no key\n", "5a5a\n", "5a" * 33, "gg" * 32])
def test_a_key_file_without_keys_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "key").write_text(text)
    with pytest.raises(ConfigurationError, match="key"):
        FileKeys(tmp_path / "key")


def test_a_key_file_is_for_its_owner_only(tmp_path: Path) -> None:
    add_key(tmp_path / "key")
    add_key(tmp_path / "key")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    assert len((tmp_path / "key").read_text().split()) == 2
    assert os.listdir(tmp_path) == ["key"]


# -- retrying -------------------------------------------------------------------------------------------------------------


class Clock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now, self.waits = 0.0, list[float]()

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waits.append(seconds)

    def patience(self, deadline: float = 60) -> Patience:
        return Patience(deadline, 0.1, 5, lambda: self.now, self.sleep)


def test_delays_double_up_to_the_longest_and_end_at_the_deadline(files: Store) -> None:
    faulty, clock = FaultyStore(files), Clock()
    faulty.down = True
    with pytest.raises(StoreUnavailable):
        RetryingStore(faulty, clock.patience(600)).read("a")
    assert clock.now <= 600
    assert all(wait <= min(5, 0.1 * 2**number) for number, wait in enumerate(clock.waits))
    assert 2 < max(clock.waits) <= 5
    assert len(set(clock.waits)) == len(clock.waits)


def test_only_what_passes_is_tried_again(files: Store) -> None:
    faulty, clock = FaultyStore(files), Clock()
    store = RetryingStore(faulty, clock.patience())
    with pytest.raises(ObjectMissing):
        store.read("missing")
    assert (faulty.requests, clock.waits) == (1, [])


class StoresAndFails(FaultyStore):
    """The first creation stores the object and then says that it does not know."""

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        created = self.inner.create(key, content, sha256)
        self.requests += 1
        if self.requests == 1:
            raise StoreUnavailable("The answer was lost.")
        return created


@pytest.mark.parametrize("once", [True, False])
def test_an_object_whose_creation_went_unanswered_counts_as_created(files: Store, once: bool) -> None:
    pieces = [octets(3_000_000), octets(4_000_000)]
    store = RetryingStore(StoresAndFails(files), Clock().patience())
    digest = hashlib.sha256(b"".join(pieces)).hexdigest()
    created = store.create(lambda sha256: f"a/{sha256}", iter(pieces) if once else pieces)
    assert created == StoredObject(f"a/{digest}", 7_000_000, digest)
    assert files.read(f"a/{digest}") == b"".join(pieces)


def test_what_somebody_else_created_meanwhile_is_told_as_existing(files: Store) -> None:
    class Overtaken(FaultyStore):
        def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
            self.requests += 1
            if self.requests == 1:
                self.inner.create(key, [b"theirs"])
                raise StoreUnavailable("The connection was lost.")
            return self.inner.create(key, content, sha256)

    with pytest.raises(ObjectExists):
        RetryingStore(Overtaken(files), Clock().patience()).create("a", [b"ours"])
    with pytest.raises(ObjectExists):  # the same octets, but nothing had failed
        RetryingStore(files, Clock().patience()).create("a", [b"theirs"])
    assert files.read("a") == b"theirs"


# -- verifying ------------------------------------------------------------------------------------------------------------


def test_an_altered_object_is_not_given_whole(files: Store, tmp_path: Path) -> None:
    content = octets(3 * CHUNK)
    key = f"a.{hashlib.sha256(content).hexdigest()}.dcm"
    files.create(key, [content])
    store = VerifyingStore(files)
    assert store.read(key) == store.read(key, ByteRange(0, len(content))) == content
    with (tmp_path / "store" / key).open("r+b") as file:
        file.seek(len(content) - 1)
        file.write(bytes([content[-1] ^ 1]))
    for whole in (None, ByteRange(0, len(content)), ByteRange(0, 10 * len(content))):
        with pytest.raises(DigestMismatch):
            store.read(key, whole)
        got = bytearray()
        with pytest.raises(DigestMismatch):
            for piece in store.chunks(key, whole):
                got += piece
        assert len(got) < len(content)
    assert store.read(key, ByteRange(0, 100)) == content[:100]


# -- throttling -----------------------------------------------------------------------------------------------------------


def test_reads_and_writes_are_held_to_their_own_rates(files: Store) -> None:
    clock = Clock()

    def bucket(rate: float) -> TokenBucket:
        return TokenBucket(rate, lambda: clock.now, clock.sleep)

    store = ThrottlingStore(files, Rates(bucket(1000), bucket(500), bucket(10), bucket(0)))
    store.create("a", [bytes(1000), bytes(1000)])
    assert clock.now == pytest.approx(3)  # the first second's octets were at hand
    store.read("a")
    assert clock.now == pytest.approx(4)
    for _ in range(21):
        store.stat("a")
    assert clock.now == pytest.approx(5.1, abs=0.2)


def test_threads_share_a_rate() -> None:
    slept, lock = [0.0], threading.Lock()

    def sleep(seconds: float) -> None:
        with lock:
            slept[0] = max(slept[0], seconds)

    bucket = TokenBucket(100, lambda: 0.0, sleep)
    threads = [threading.Thread(target=lambda: [bucket.take(10) for _ in range(10)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert slept[0] == pytest.approx(3)


# -- caching --------------------------------------------------------------------------------------------------------------


class Counting(FaultyStore):
    """Counts the octets read."""

    octets = 0

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        content = super().read(key, byte_range)
        self.octets += len(content)
        return content

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        for piece in super().chunks(key, byte_range):
            self.octets += len(piece)
            yield piece


def test_what_was_read_once_is_read_from_the_disk_by_another_process_too(files: Store, tmp_path: Path) -> None:
    files.create("a", [octets(3 * BLOCK + 5)])
    faulty = FaultyStore(files)
    assert CachingStore(faulty, BlockCache(tmp_path / "cache", 64 << 20)).read("a") == octets(3 * BLOCK + 5)
    faulty.down = True
    other = CachingStore(faulty, BlockCache(tmp_path / "cache", 64 << 20))
    assert other.read("a", ByteRange(BLOCK - 1, BLOCK + 2)) == octets(3 * BLOCK + 5)[BLOCK - 1 : 2 * BLOCK + 1]
    assert other.read("a") == octets(3 * BLOCK + 5)


@pytest.mark.parametrize("damage", ["flipped", "cut", "emptied", "swapped"])
def test_a_damaged_block_is_never_served(files: Store, tmp_path: Path, damage: str) -> None:
    content = octets(2 * BLOCK)
    files.create("a", [content])
    store = CachingStore(files, BlockCache(tmp_path / "cache", 64 << 20))
    assert store.read("a") == content
    blocks = sorted(path for path in (tmp_path / "cache").rglob("[0-9]") if path.is_file())
    first, second = blocks[0].read_bytes(), blocks[1].read_bytes()
    changed = {"flipped": first[:-1] + bytes([first[-1] ^ 1]), "cut": first[:-1], "emptied": b"", "swapped": second}
    blocks[0].write_bytes(changed[damage])
    assert store.read("a") == content
    assert blocks[0].read_bytes() == first


def test_the_cache_stays_within_its_size_and_keeps_what_was_used_last(files: Store, tmp_path: Path) -> None:
    faulty, size = FaultyStore(files), 16 << 20
    store = CachingStore(faulty, BlockCache(tmp_path / "cache", size))
    for number in range(30):
        files.create(f"{number}", [octets(BLOCK - 1)])
        store.read(f"{number}")
        for path in (tmp_path / "cache").rglob("0"):
            os.utime(path, ns=(0, path.stat().st_mtime_ns - 10**9 * 61))  # a minute passes
        store.read("0")
        used = sum(path.stat().st_size for path in (tmp_path / "cache").rglob("*") if path.is_file())
        assert used <= size + size // 16 + BLOCK
    faulty.requests = 0
    assert store.read("0") == store.read("29") == octets(BLOCK - 1)
    assert faulty.requests == 0
    store.read("1")
    assert faulty.requests == 1


def test_what_was_fetched_before_a_deletion_is_not_kept_after_it(files: Store, tmp_path: Path) -> None:
    class DeletesMeanwhile(FaultyStore):
        def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
            content = super().read(key, byte_range)
            if not self.full:
                self.full = True
                other.delete(key)
            return content

    other = CachingStore(files, BlockCache(tmp_path / "cache", 64 << 20))
    files.create("a", [b"old"])
    store = CachingStore(DeletesMeanwhile(files), BlockCache(tmp_path / "cache", 64 << 20))
    assert store.read("a") == b"old"
    files.create("a", [b"new"])
    assert store.read("a") == other.read("a") == b"new"


class Breaking(FaultyStore):
    """Stops answering after so many changes."""

    def __init__(self, inner: Store, after: int) -> None:
        super().__init__(inner)
        self._left = after

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        self._change()
        return super().create(key, content, sha256)

    def delete(self, key: str) -> None:
        self._change()
        super().delete(key)

    def _change(self) -> None:
        if not self._left:
            raise StoreUnavailable("The store does not answer.")
        self._left -= 1
