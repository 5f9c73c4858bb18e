"""A store that did not answer when the archive was opened: everything else works, and it takes part as soon as it answers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Final

import structlog

from vna_core.domain.errors import ConfigurationError, StoreUnavailable
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Abilities, Content, Key, Store, StoredObject, Terms

_EVERY: Final = 15.0
"""Seconds between attempts to open the store; whoever asks in between is told at once that it does not answer."""
_NOTHING: Final = Abilities(conditional_create=False, local=False, durable_create=False)

_log = structlog.get_logger(__name__)


class AwaitedStore(Store):
    """Opens its store when somebody needs it. Until that succeeds every call raises StoreUnavailable.

    Parameters
    ----------
    opening
        Opens the store. What it raises but StoreUnavailable (the store answers, and is not what the configuration says) is
        logged and leaves the store unavailable until the archive is opened again.
    failure
        Why it is not open yet.
    """

    def __init__(
        self,
        name: str,
        opening: Callable[[], Store],
        clock: Callable[[], float] = time.monotonic,
        failure: StoreUnavailable | None = None,
    ) -> None:
        self.name = name
        self._opening = opening
        self._clock = clock
        self._lock = threading.Lock()
        self._store: Store | None = None
        self._next = clock() + _EVERY
        never = StoreUnavailable(f"Store {name!r} has not answered since the archive was opened.", store=name)
        self._failure = failure or never

    def _opened(self) -> Store:
        store = self._store
        if store is not None:
            return store
        if self._clock() >= self._next and self._lock.acquire(blocking=False):
            try:
                return self._open()
            finally:
                self._lock.release()
        raise type(self._failure)(self._failure.message, **self._failure.fields)

    def _open(self) -> Store:
        if self._store is None:
            try:
                self._store = self._opening()
            except ConfigurationError as error:
                _log.error("store-not-usable", store=self.name, code=error.code, message=error.message)
                self._failure, self._next = StoreUnavailable(error.message, store=self.name), float("inf")
                raise self._failure from error
            except StoreUnavailable as error:
                if error.message != self._failure.message:
                    _log.error("store-does-not-answer", store=self.name, code=error.code, message=error.message)
                self._failure, self._next = error, self._clock() + _EVERY
                raise
            _log.info("store-answers", store=self.name)
        return self._store

    def abilities(self) -> Abilities:
        """Those of the store; none before it was opened."""
        return self._store.abilities() if self._store is not None else _NOTHING

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        return self._opened().create(key, content, sha256)

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        return self._opened().read(key, byte_range)

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        yield from self._opened().chunks(key, byte_range)

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        return self._opened().stat(key)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._opened().delete(key)

    def adjust(self, key: str, terms: Terms) -> None:
        """See `Store.adjust`."""
        self._opened().adjust(key, terms)

    def recall(self, key: str, days: int) -> bool:
        """See `Store.recall`."""
        return self._opened().recall(key, days)

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`."""
        yield from self._opened().list(prefix, after)

    def probe(self) -> None:
        """See `Store.probe`."""
        self._opened().probe()

    def close(self) -> None:
        """See `Store.close`."""
        if self._store is not None:
            self._store.close()
