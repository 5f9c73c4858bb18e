"""The reference backend: objects in memory, for tests, and for the kit to compare other backends with."""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections.abc import Iterator

from vna_core.domain.errors import DigestMismatch, ObjectExists, ObjectMissing, StorageError
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.domain.storage_keys import checked_key
from vna_core.ports.storage import Abilities, Content, Key, Store, StoredObject


class MemoryStore(Store):
    """Objects of one process; they end with it, so it is not fit for landing."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._objects: dict[str, bytes] = {}
        self._lock = threading.Lock()

    def abilities(self) -> Abilities:
        """Exclusive and near, and nothing outlives the process."""
        return Abilities(conditional_create=True, local=True, durable_create=False)

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        octets = b"".join(bytes(piece) for piece in content)
        digest = hashlib.sha256(octets).hexdigest()
        name = checked_key(key if isinstance(key, str) else key(digest), self.name)
        if sha256 not in (None, digest):
            raise DigestMismatch("The content is not what its digest says; nothing was stored.", store=self.name)
        with self._lock:
            if name in self._objects:
                raise ObjectExists("The key exists already; nothing was written.", store=self.name, key=name)
            self._objects[name] = octets
        return StoredObject(name, len(octets), digest)

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        octets = self._objects.get(checked_key(key, self.name))
        if octets is None:
            raise ObjectMissing("The object is not in the store.", store=self.name, key=key)
        if byte_range is None:
            return octets
        wanted = byte_range.within(len(octets))
        return octets[wanted.offset : wanted.end]

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        octets = self.read(key, byte_range)
        for at in range(0, len(octets), CHUNK):
            yield octets[at : at + CHUNK]

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        return StoredObject(key, len(self.read(key)))

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        with self._lock:
            self._objects.pop(checked_key(key, self.name), None)

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`."""
        with self._lock:
            found = sorted((key, len(octets)) for key, octets in self._objects.items() if key.startswith(prefix) and key > after)
        yield from (StoredObject(key, size) for key, size in found)

    def probe(self) -> None:
        """See `Store.probe`."""
        key, content = f"probe/{secrets.token_hex(8)}", secrets.token_bytes(64)
        self.create(key, [content])
        if self.read(key) != content:
            raise StorageError(f"Store {self.name!r} gives back other octets than were written.", store=self.name)
        self.delete(key)
