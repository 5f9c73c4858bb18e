"""Calls a store again while it does not answer: exponential delays with jitter, and a deadline for the whole call."""

from __future__ import annotations

import hashlib
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import IO, Final, TypeVar

import structlog

from vna_core.archival_storage.wrappers.wrapper import Wrapper
from vna_core.domain.errors import DigestMismatch, ObjectExists, ObjectMissing, StoreRefused, StoreUnavailable, StoreUnrecognized
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.ports.storage import Content, Key, Store, StoredObject, Terms

_IN_MEMORY: Final = 4 << 20
"""Content that can be iterated only once is kept for another try: in memory up to this size, then in a file without a name."""

_log = structlog.get_logger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Patience:
    """How long and how often.

    Attributes
    ----------
    deadline
        Seconds from the first failure after which the last one is raised.
    first_delay, longest_delay
        Seconds before the first try after a failure, doubled each time up to the longest. What is waited is drawn evenly
        between nothing and that, so that many clients do not return at once.
    """

    deadline: float = 60.0
    first_delay: float = 0.1
    longest_delay: float = 5.0
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], object] = time.sleep


class _Tries:
    """The failures of one call."""

    def __init__(self, store: str, patience: Patience) -> None:
        self._store, self._patience = store, patience
        self._failures, self._give_up = 0, 0.0

    def after(self, error: StoreUnavailable) -> None:
        """Wait for the next try, or raise the error where the deadline would pass before it, or somebody must act first."""
        if isinstance(error, StoreRefused | StoreUnrecognized):
            raise error
        patience, now = self._patience, self._patience.clock()
        if not self._failures:
            self._give_up = now + patience.deadline
        delay = random.uniform(0, min(patience.longest_delay, patience.first_delay * 2.0 ** min(self._failures, 60)))
        if now + delay > self._give_up:
            raise error
        self._failures += 1
        _log.warning("store-call-repeated", store=self._store, failures=self._failures, delay=round(delay, 3))
        patience.sleep(delay)


class RetryingStore(Wrapper):
    """Repeats what failed with StoreUnavailable. A full store and every lasting error are raised at once."""

    def __init__(self, inner: Store, patience: Patience | None = None) -> None:
        super().__init__(inner)
        self._patience = patience or Patience()

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`.

        Whether a try that failed has stored the object is unknown. Where a later one finds the key taken, the object there
        is read: with the octets of this call it is what was to be created, with others the key belonged to somebody else.
        """
        tries, unknown = _Tries(self.name, self._patience), False
        with tempfile.SpooledTemporaryFile(_IN_MEMORY) as kept:
            repeatable = _Repeatable(content, kept)
            while True:
                try:
                    return self.inner.create(key, repeatable.pieces(), sha256)
                except StoreUnavailable as error:
                    if repeatable.broken:
                        raise
                    tries.after(error)
                    unknown = True
                except ObjectExists as error:
                    found = self._same(str(error.fields["key"]), repeatable, sha256) if unknown else None
                    if found is None:
                        raise
                    return found

    def _same(self, key: str, content: _Repeatable, sha256: str | None) -> StoredObject | None:
        """The object under `key`, when it has the octets of `content`."""
        wanted, size = _digest(content.pieces())
        if sha256 not in (None, wanted):
            raise DigestMismatch("The content is not what its digest says; nothing was stored.", store=self.name)
        try:
            return StoredObject(key, size, wanted) if _digest(self.chunks(key)) == (wanted, size) else None
        except (ObjectMissing, DigestMismatch):
            return None

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        return self._repeated(lambda: self.inner.read(key, byte_range))

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`. A stream that breaks goes on behind the last piece: objects never change."""
        if byte_range is not None and byte_range.offset < 0:
            byte_range = byte_range.within(self.stat(key).size)
        tries, position, end = _Tries(self.name, self._patience), 0, byte_range.end if byte_range is not None else -1
        wanted = byte_range
        while True:
            try:
                for piece in self.inner.chunks(key, wanted):
                    position += len(piece)
                    tries = _Tries(self.name, self._patience)
                    yield piece
                return
            except StoreUnavailable as error:
                tries.after(error)
            if position:
                offset = position + (byte_range.offset if byte_range is not None else 0)
                end = end if end >= 0 else self.stat(key).size
                wanted = ByteRange(offset, max(0, end - offset))

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        return self._repeated(lambda: self.inner.stat(key))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self._repeated(lambda: self.inner.delete(key))

    def adjust(self, key: str, terms: Terms) -> None:
        """See `Store.adjust`."""
        self._repeated(lambda: self.inner.adjust(key, terms))

    def recall(self, key: str, days: int) -> bool:
        """See `Store.recall`."""
        return self._repeated(lambda: self.inner.recall(key, days))

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`. A listing that breaks goes on after the last key."""
        tries = _Tries(self.name, self._patience)
        while True:
            try:
                for found in self.inner.list(prefix, after):
                    after, tries = found.key, _Tries(self.name, self._patience)
                    yield found
                return
            except StoreUnavailable as error:
                tries.after(error)

    def _repeated(self, call: Callable[[], T]) -> T:
        tries = _Tries(self.name, self._patience)
        while True:
            try:
                return call()
            except StoreUnavailable as error:
                tries.after(error)


class _Repeatable:
    """Content that can be given to several tries; an iterator is kept in `kept` as it is used up.

    Attributes
    ----------
    broken
        The content itself failed: another try would not get it either.
    """

    def __init__(self, content: Content, kept: IO[bytes]) -> None:
        self._content, self._kept = content, kept
        self._once = iter(content) if isinstance(content, Iterator) else None
        self.broken = False

    def pieces(self) -> Content:
        """All of it, from the beginning."""
        if self._once is not None:
            self._kept.seek(0)
            while piece := self._kept.read(CHUNK):
                yield piece
        try:
            for fresh in self._content if self._once is None else self._once:
                if self._once is not None:
                    self._kept.write(fresh)
                yield fresh
        except Exception:
            self.broken = True
            raise


def _digest(content: Content) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for piece in content:
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size
