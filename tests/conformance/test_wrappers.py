"""Every wrapper around the filesystem store, and all of them together, do what every store must."""

from __future__ import annotations

from pathlib import Path

from vna_core.archival_storage.key_providers import EnvironmentKeys
from vna_core.archival_storage.wrappers.block_cache import BlockCache
from vna_core.archival_storage.wrappers.caching import CachingStore
from vna_core.archival_storage.wrappers.encrypting import EncryptingStore
from vna_core.archival_storage.wrappers.retrying import Patience, RetryingStore
from vna_core.archival_storage.wrappers.throttling import Rates, ThrottlingStore, TokenBucket
from vna_core.archival_storage.wrappers.verifying import VerifyingStore
from vna_core.ports.keys import KeyProvider
from vna_core.ports.storage import Store
from vna_core.testing.faulty_store import FaultyStore
from vna_core.testing.storage_conformance import StoreConformance
from vna_storage_filesystem.store import FilesystemStore


def files(folder: Path) -> Store:
    return FilesystemStore("files", folder / "store")


def provider() -> KeyProvider:
    return EnvironmentKeys("KEY", {"KEY": "5a" * 32})


class WrapperConformance(StoreConformance):
    """The store below lists its 10,000 keys in its own tests; a wrapper has nothing that more of them would show."""

    many_keys = 1_500


class TestRetryingStore(WrapperConformance):
    def open_store(self, folder: Path) -> Store:
        return RetryingStore(files(folder))


class FaultsBelow(WrapperConformance):
    """Every few requests fail, of the creations half after the object was stored.

    Whether a creation that failed has stored the object cannot be told from its having been there with the same octets, so
    that the second must count as success. The dictionary knows better; beside it, creations do not fail.
    """

    creating = True

    def test_any_order_of_calls_does_what_a_dictionary_would(self, tmp_path: Path) -> None:
        self.creating = False
        super().test_any_order_of_calls_does_what_a_dictionary_would(tmp_path)


class TestRetryingStoreAroundOneThatFailsEveryThirdTime(FaultsBelow):
    def open_store(self, folder: Path) -> Store:
        return RetryingStore(FaultyStore(files(folder), 3, self.creating), Patience(sleep=lambda seconds: None))


class TestVerifyingStore(WrapperConformance):
    def open_store(self, folder: Path) -> Store:
        return VerifyingStore(files(folder))


class TestThrottlingStore(WrapperConformance):
    def open_store(self, folder: Path) -> Store:
        bucket = TokenBucket
        return ThrottlingStore(files(folder), Rates(bucket(1 << 30), bucket(1 << 30), bucket(100_000), bucket(100_000)))


class TestCachingStore(WrapperConformance):
    def open_store(self, folder: Path) -> Store:
        return CachingStore(files(folder), BlockCache(folder / "cache", 64 << 20))


class TestCachingStoreThatHoldsAlmostNothing(WrapperConformance):
    def open_store(self, folder: Path) -> Store:
        return CachingStore(files(folder), BlockCache(folder / "cache", 8192))


class TestEncryptingStore(WrapperConformance):
    def open_store(self, folder: Path) -> Store:
        return EncryptingStore(files(folder), provider())


class TestEncryptingStoreAroundACache(WrapperConformance):
    def open_store(self, folder: Path) -> Store:
        return EncryptingStore(CachingStore(files(folder), BlockCache(folder / "cache", 64 << 20)), provider())


class TestAllOfThem(FaultsBelow):
    def open_store(self, folder: Path) -> Store:
        retrying = RetryingStore(FaultyStore(files(folder), 5, self.creating), Patience(sleep=lambda seconds: None))
        cached = CachingStore(ThrottlingStore(retrying, Rates()), BlockCache(folder / "cache", 1 << 20))
        return VerifyingStore(EncryptingStore(cached, provider()))
