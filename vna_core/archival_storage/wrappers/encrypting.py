"""Encryption at rest: what the store inside holds is `encryption_format`; sizes and digests seen from outside are the content's."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import Final

from vna_core.archival_storage.wrappers.encryption_format import (
    FOOTER,
    PLAIN,
    SEALED,
    Counted,
    Opened,
    content_size,
    footer,
    open_footer,
    seal,
    store_key_of,
    stored_size,
    unseal,
)
from vna_core.archival_storage.wrappers.key_ring import KeyRing, is_plain, refuse_ring
from vna_core.archival_storage.wrappers.wrapper import Wrapper
from vna_core.domain.errors import DigestMismatch, ObjectArchived
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.ports.keys import KeyProvider
from vna_core.ports.storage import Content, Key, Store, StoredObject, Terms

_REMEMBERED: Final = 4096
"""Footers kept in memory, so that further ranges of an object cost one request each."""


class EncryptingStore(Wrapper):
    """A store whose objects nobody reads without the master key.

    Raises
    ------
    ConfigurationError
        The key given opens not the ring of this store, or the store holds objects that are not encrypted.
    """

    def __init__(self, inner: Store, provider: KeyProvider) -> None:
        super().__init__(inner)
        self.ring = KeyRing.open(inner, provider)
        self._lock = threading.Lock()
        self._footers: OrderedDict[str, Opened] = OrderedDict()

    @property
    def base_uri(self) -> str:
        """None: what lies in the store inside can be read with the key only."""
        return ""

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        if isinstance(key, str):
            refuse_ring(key, self.name)
        counted, name = Counted(content), ""

        def sealed() -> Iterator[bytes]:
            nonlocal name
            data_key, store_key = secrets.token_bytes(32), self.ring.current
            yield from seal(data_key, counted)
            if sha256 not in (None, counted.sha256):
                raise DigestMismatch("The content is not what its digest says; nothing was stored.", store=self.name)
            name = key if isinstance(key, str) else key(counted.sha256)
            refuse_ring(name, self.name)
            yield footer(store_key.id, store_key.key, name, Opened(data_key, counted.size, counted.sha256))

        self.inner.create(key if isinstance(key, str) else lambda _: name, sealed())
        return StoredObject(name, counted.size, counted.sha256)

    # -- reading ----------------------------------------------------------------------------------------------------------

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`. Raises DigestMismatch and KeyUnavailable too."""
        if byte_range is None or (not byte_range.offset and byte_range.length and self._remembered(key) is None):
            whole = self._whole(key, byte_range)
            if whole is not None:
                return whole
        return b"".join(self._parts(key, byte_range))

    def _whole(self, key: str, byte_range: ByteRange | None) -> bytes | None:
        """The object by one request, where the range is all of it; None where it is not."""
        refuse_ring(key, self.name)
        wanted = ByteRange(0, stored_size(byte_range.length)) if byte_range is not None else None
        stored = self.inner.read(key, wanted)
        try:
            opened = self._opened(key, stored[-FOOTER:], len(stored))
        except DigestMismatch:
            if byte_range is None:
                raise
            return None
        return b"".join(unseal(opened, 0, (memoryview(stored)[:-FOOTER],)))

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`. Raises DigestMismatch and KeyUnavailable too."""
        parts = self._parts(key, byte_range)
        while joined := b"".join(islice(parts, CHUNK // PLAIN)):
            yield joined

    def _parts(self, key: str, byte_range: ByteRange | None) -> Iterator[bytes | memoryview]:
        """The same in pieces of at most one chunk, none of them empty."""
        refuse_ring(key, self.name)
        remembered = self._remembered(key)
        if remembered is not None:
            pieces = self._content(key, remembered, byte_range)
            try:
                first = next(pieces, b"")
            except DigestMismatch:  # perhaps another object lies there now
                self._forget(key)
            else:
                if first:
                    yield first
                yield from pieces
                return
        yield from self._content(key, self._footer(key), byte_range)

    def _content(self, key: str, opened: Opened, byte_range: ByteRange | None) -> Iterator[bytes | memoryview]:
        byte_range = byte_range.within(opened.size) if byte_range is not None else None
        offset = byte_range.offset if byte_range is not None else 0
        end = min(opened.size, byte_range.end) if byte_range is not None else opened.size
        if offset >= end:
            if not opened.size:  # its only chunk says that it is empty
                b"".join(unseal(opened, 0, self.inner.chunks(key, ByteRange(0, SEALED - PLAIN))))
            return
        first, behind = offset // PLAIN, -(-end // PLAIN)
        from_, to = first * SEALED, min(behind * SEALED, stored_size(opened.size) - FOOTER)
        position = first * PLAIN
        for plain in unseal(opened, first, self.inner.chunks(key, ByteRange(from_, to - from_))):
            skipped, taken = max(0, offset - position), min(len(plain), end - position)
            position += len(plain)
            yield plain if taken - skipped == len(plain) else memoryview(plain)[skipped:taken]
        if position < end:
            raise DigestMismatch("An encrypted object is truncated.", store=self.name, key=key)

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`; size and digest are the content's, as its footer says. Raises DigestMismatch and KeyUnavailable too."""
        refuse_ring(key, self.name)
        found = self.inner.stat(key)
        try:
            opened = self._footer(key, found.size)
        except ObjectArchived:  # it cannot be opened before it is recalled, but it is there
            return StoredObject(key, content_size(found.size), None, found.modified, found.tier)
        return StoredObject(key, opened.size, opened.sha256, found.modified, found.tier)

    def adjust(self, key: str, terms: Terms) -> None:
        """See `Store.adjust`."""
        refuse_ring(key, self.name)
        self.inner.adjust(key, terms)

    def recall(self, key: str, days: int) -> bool:
        """See `Store.recall`."""
        refuse_ring(key, self.name)
        return self.inner.recall(key, days)

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`; sizes are the content's, computed from those of the objects, which are not opened."""
        for found in self.inner.list(prefix, after):
            if not is_plain(found.key):
                yield StoredObject(found.key, content_size(found.size), None, found.modified)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        refuse_ring(key, self.name)
        self.inner.delete(key)
        self._forget(key)

    # -- footers ----------------------------------------------------------------------------------------------------------

    def _footer(self, key: str, stored: int | None = None) -> Opened:
        stored = self.inner.stat(key).size if stored is None else stored
        return self._opened(key, self.inner.read(key, ByteRange(max(0, stored - FOOTER), FOOTER)), stored)

    def _opened(self, key: str, octets: bytes, stored: int) -> Opened:
        opened = open_footer(octets, self.ring.key(store_key_of(octets)).key, key, stored)
        with self._lock:
            self._footers[key] = opened
            self._footers.move_to_end(key)
            if len(self._footers) > _REMEMBERED:
                self._footers.popitem(last=False)
        return opened

    def _remembered(self, key: str) -> Opened | None:
        with self._lock:
            return self._footers.get(key)

    def _forget(self, key: str) -> None:
        with self._lock:
            self._footers.pop(key, None)
