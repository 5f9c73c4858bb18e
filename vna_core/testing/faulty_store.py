"""A store that fails on purpose, around one that does not."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TypeVar

from vna_core.archival_storage.wrappers.wrapper import Wrapper
from vna_core.domain.errors import OutOfResources, StoreUnavailable
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Content, Key, Store, StoredObject, Terms

T = TypeVar("T")


class FaultyStore(Wrapper):
    """Fails as it is told.

    Parameters
    ----------
    every
        Every so many requests fail with StoreUnavailable; 0: none. Of the creations that fail, every other one has stored
        the object before; streams and listings break in their middle.
    creating
        Creations are among those that fail.

    Attributes
    ----------
    down
        Every request fails with StoreUnavailable.
    full
        Every creation fails with OutOfResources.
    requests
        How many there were.
    """

    def __init__(self, inner: Store, every: int = 0, creating: bool = True) -> None:
        super().__init__(inner)
        self._creating = creating
        self._every, self._lock = every, threading.Lock()
        self.down = self.full = False
        self.requests = 0

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        failing = (self._creating or self.down) and self._is_failing()
        stored_before = bool(self.requests & 1) and not self.down
        if self.full:
            raise OutOfResources("The store is full.", limit="stores", maximum="disk space", store=self.name)
        if failing and not stored_before:
            next(iter(content), None)
            raise self._failure()
        created = self.inner.create(key, content, sha256)
        if failing:
            raise self._failure()
        return created

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        if self._is_failing():
            raise self._failure()
        return self.inner.read(key, byte_range)

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        yield from self._broken(self.inner.chunks(key, byte_range))

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        if self._is_failing():
            raise self._failure()
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        if self._is_failing():
            raise self._failure()
        self.inner.delete(key)

    def adjust(self, key: str, terms: Terms) -> None:
        """See `Store.adjust`."""
        if self._is_failing():
            raise self._failure()
        self.inner.adjust(key, terms)

    def recall(self, key: str, days: int) -> bool:
        """See `Store.recall`."""
        if self._is_failing():
            raise self._failure()
        return self.inner.recall(key, days)

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`."""
        yield from self._broken(self.inner.list(prefix, after))

    def probe(self) -> None:
        """See `Store.probe`."""
        if self.down:
            raise self._failure()
        self.inner.probe()

    def _broken(self, items: Iterator[T]) -> Iterator[T]:
        failing = self._is_failing()
        if self.down:
            raise self._failure()
        for number, item in enumerate(items):
            if failing and number:
                raise self._failure()
            yield item
        if failing:
            raise self._failure()

    def _is_failing(self) -> bool:
        with self._lock:
            self.requests += 1
            return self.down or bool(self._every) and self.requests % self._every == 0

    def _failure(self) -> StoreUnavailable:
        return StoreUnavailable("The store does not answer.", store=self.name)
