"""Keeps a store to so many octets and requests a second, reads and writes apart."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from vna_core.archival_storage.wrappers.wrapper import Wrapper
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Content, Key, Store, StoredObject, Terms


class TokenBucket:
    """A rate that all threads of a process share; it may be exceeded for a moment by what one second allows.

    Parameters
    ----------
    rate
        Units a second; 0 for no limit.
    """

    def __init__(
        self, rate: float, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._rate, self._clock, self._sleep = rate, clock, sleep
        self._lock = threading.Lock()
        self._tokens, self._filled = rate, clock()

    def take(self, units: float) -> None:
        """Take units, more than one second allows as well, and wait until what is owed has been paid off."""
        if not self._rate:
            return
        with self._lock:
            now = self._clock()
            self._tokens = min(self._rate, self._tokens + (now - self._filled) * self._rate) - units
            self._filled = now
            owed = -self._tokens / self._rate
        if owed > 0:
            self._sleep(owed)


def _unlimited() -> TokenBucket:
    return TokenBucket(0)


@dataclass(frozen=True, slots=True)
class Rates:
    """The four limits of a store in this process."""

    read_bytes: TokenBucket = field(default_factory=_unlimited)
    write_bytes: TokenBucket = field(default_factory=_unlimited)
    read_requests: TokenBucket = field(default_factory=_unlimited)
    write_requests: TokenBucket = field(default_factory=_unlimited)


class ThrottlingStore(Wrapper):
    """Waits before requests and between pieces. What a read will bring is not known before: it is paid for afterwards."""

    def __init__(self, inner: Store, rates: Rates) -> None:
        super().__init__(inner)
        self._rates = rates

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        self._rates.write_requests.take(1)
        return self.inner.create(key, self._paced(content), sha256)

    def _paced(self, content: Content) -> Content:
        for piece in content:
            self._rates.write_bytes.take(len(piece))
            yield piece

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        self._rates.read_requests.take(1)
        content = self.inner.read(key, byte_range)
        self._rates.read_bytes.take(len(content))
        return content

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        self._rates.read_requests.take(1)
        for piece in self.inner.chunks(key, byte_range):
            self._rates.read_bytes.take(len(piece))
            yield piece

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        self._rates.read_requests.take(1)
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._rates.write_requests.take(1)
        self.inner.delete(key)

    def adjust(self, key: str, terms: Terms) -> None:
        """See `Store.adjust`."""
        self._rates.write_requests.take(1)
        self.inner.adjust(key, terms)

    def recall(self, key: str, days: int) -> bool:
        """See `Store.recall`."""
        self._rates.write_requests.take(1)
        return self.inner.recall(key, days)

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`. Counts as one request, however many a backend makes of it."""
        self._rates.read_requests.take(1)
        yield from self.inner.list(prefix, after)
