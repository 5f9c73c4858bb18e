"""Puts configured wrappers around a store."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from vna_core.archival_storage.wrappers.block_cache import BlockCache
from vna_core.archival_storage.wrappers.caching import CachingStore
from vna_core.archival_storage.wrappers.key_ring import RING, KeyRing
from vna_core.archival_storage.wrappers.retrying import Patience, RetryingStore
from vna_core.archival_storage.wrappers.throttling import Rates, ThrottlingStore, TokenBucket
from vna_core.archival_storage.wrappers.verifying import VerifyingStore
from vna_core.archival_storage.wrappers.wrapper import layers
from vna_core.configuration import StoreSettings
from vna_core.configuration.wrappers import (
    CachingSettings,
    EncryptingSettings,
    RetryingSettings,
    ThrottlingSettings,
    VerifyingSettings,
    WrapperSettings,
)
from vna_core.domain.errors import ConfigurationError
from vna_core.ports.keys import KeyProvider, KeyProviderFactory
from vna_core.ports.storage import Store


def wrapped(store: Store, settings: StoreSettings, data: Path, providers: Mapping[str, KeyProviderFactory]) -> Store:
    """The store with all its wrappers; the first of them is the innermost.

    Parameters
    ----------
    data
        The data folder, for a cache without a folder of its own.
    providers
        Key providers of plugins, by scheme.

    Raises
    ------
    ConfigurationError
        A key is missing or not the right one, or the store is encrypted and no wrapper decrypts it.
    StoreUnavailable
        The store does not answer.
    """
    if not any(isinstance(one, EncryptingSettings) for one in settings.wrap):
        _refuse_encrypted(store)
    for one in settings.wrap:
        store = _wrapped(store, one, data, providers)
    return store


def _wrapped(store: Store, settings: WrapperSettings, data: Path, providers: Mapping[str, KeyProviderFactory]) -> Store:
    match settings:
        case RetryingSettings():
            return RetryingStore(store, Patience(settings.deadline, settings.first_delay, settings.longest_delay))
        case VerifyingSettings():
            return VerifyingStore(store)
        case ThrottlingSettings():
            return ThrottlingStore(
                store,
                Rates(
                    TokenBucket(settings.read_bytes),
                    TokenBucket(settings.write_bytes),
                    TokenBucket(settings.read_requests),
                    TokenBucket(settings.write_requests),
                ),
            )
        case CachingSettings():
            return CachingStore(store, BlockCache(settings.path or data / "cache" / store.name, settings.size))
        case EncryptingSettings():
            return _encrypted(store, settings.key, providers)


def _encrypted(store: Store, key: str, plugins: Mapping[str, KeyProviderFactory]) -> Store:
    try:  # cryptography comes with the extra only, and most archives do without
        from vna_core.archival_storage.key_providers import built_in
        from vna_core.archival_storage.wrappers.encrypting import EncryptingStore
    except ImportError as error:
        message = f"Store {store.name!r} is encrypted: pip install 'vna-core[encryption]'."
        raise ConfigurationError(message, store=store.name) from error
    return EncryptingStore(store, provider_of(store.name, key, {**plugins, **built_in()}))


def provider_of(store: str, key: str, providers: Mapping[str, KeyProviderFactory]) -> KeyProvider:
    """The provider that ``scheme:rest`` names. Raises ConfigurationError for an unknown scheme."""
    scheme, rest = key.split(":", 1)
    if scheme not in providers:
        known = ", ".join(f"{one}:" for one in sorted(providers))
        raise ConfigurationError(f"Store {store!r}: no keys are kept under {scheme!r}. Available: {known}.", store=store)
    return providers[scheme](rest)


def key_rings(stores: Mapping[str, Store]) -> dict[str, KeyRing]:
    """The rings of those stores that are encrypted, by the name of the store."""
    found = {}
    for name, store in stores.items():
        for one in layers(store):
            ring = getattr(one, "ring", None)
            if isinstance(ring, KeyRing):
                found[name] = ring
    return found


def _refuse_encrypted(store: Store) -> None:
    """An encrypted store that is taken for a plain one looks damaged all over, and what arrives again would replace it."""
    if next(store.list(RING), None) is not None:
        message = f"Store {store.name!r} is encrypted (it holds {RING}), but no wrapper of type encrypting is configured."
        raise ConfigurationError(message, store=store.name)
