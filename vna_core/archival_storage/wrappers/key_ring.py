"""The key ring of an encrypted store: store keys, each wrapped by a master key, in small objects beside the data.

Objects lie under ``vna-keys/<generation>.<revision>.json``. A generation is one store key; a revision is one wrapping of it.
Rotation writes the next revision before it removes the one before, so that the ring is whole at every moment.
"""

from __future__ import annotations

import json
import secrets
import threading
from dataclasses import dataclass, field
from itertools import islice
from typing import Final, Self

from vna_core.archival_storage.store_identity import IDENTITY
from vna_core.domain.errors import (
    ConfigurationError,
    InvalidRequest,
    KeyUnavailable,
    ObjectExists,
    ObjectMissing,
    StorageError,
)
from vna_core.domain.numbers import whole_number
from vna_core.ports.keys import KeyProvider, WrappedSecret
from vna_core.ports.storage import Store

RING: Final = "vna-keys/"
_VERSION: Final = 1
_ATTEMPTS: Final = 8
"""How often a ring is read again that changes while it is read."""


@dataclass(frozen=True, slots=True)
class StoreKey:
    """A key that wraps the data keys of objects.

    Attributes
    ----------
    generation, revision
        1-based; the highest generation is the current one, of its revisions the highest counts.
    """

    id: bytes
    key: bytes = field(repr=False)
    generation: int
    revision: int
    master_key_id: str

    @property
    def name(self) -> str:
        """Key of the object in the ring."""
        return _name(self.generation, self.revision)


class KeyRing:
    """The store keys of one store.

    Raises
    ------
    ConfigurationError
        No key at hand opens the ring, or the store holds objects and no ring.
    """

    def __init__(self, store: Store, provider: KeyProvider) -> None:
        self._store, self._provider = store, provider
        self._lock = threading.Lock()
        self._keys: dict[bytes, StoreKey] = {}
        self._current: StoreKey | None = None

    @classmethod
    def open(cls, store: Store, provider: KeyProvider) -> Self:
        """The ring of a store; a store without any object gets its first key."""
        ring = cls(store, provider)
        try:
            ring._read()
            if ring._current is None and any(one.key != IDENTITY for one in islice(store.list(), 2)):
                ring._read()  # another process may have made it since
                if ring._current is None:
                    message = (
                        f"Store {store.name!r} holds objects but no key ring ({RING}): it is not encrypted, or the ring was lost."
                    )
                    raise ConfigurationError(message, store=store.name)
            if ring._current is None:
                ring._add(1)
        except KeyUnavailable as error:
            raise ConfigurationError(f"Store {store.name!r} cannot be opened. {error.message}", store=store.name) from error
        return ring

    @property
    def current(self) -> StoreKey:
        """The key for new objects."""
        if self._current is None:
            raise KeyUnavailable("The key ring is empty.", store=self._store.name)
        return self._current

    def key(self, store_key_id: bytes) -> StoreKey:
        """A key by its identifier. The ring is read again where another process may have added it. Raises KeyUnavailable."""
        with self._lock:
            if store_key_id not in self._keys:
                self._read()
            if store_key_id not in self._keys:
                message = f"The key ring of store {self._store.name!r} lacks the key {store_key_id.hex()} of an object."
                raise KeyUnavailable(message, store=self._store.name)
            return self._keys[store_key_id]

    def all(self) -> list[StoreKey]:
        """Every key, oldest first."""
        with self._lock:
            self._read()
            return sorted(self._keys.values(), key=lambda one: one.generation)

    def rotate(self) -> list[StoreKey]:
        """Wrap every key with the provider's current master key, and add a fresh one for new objects; every key then.

        No object is written again. May be called again when it was interrupted.

        Raises
        ------
        KeyUnavailable
            A key of the ring cannot be opened; nothing was removed.
        """
        wanted = self._provider.current_key_id()
        keys = self.all()
        for one in keys:
            if one.master_key_id != wanted:
                self._write(StoreKey(one.id, one.key, one.generation, one.revision + 1, wanted))
        self._add(keys[-1].generation + 1 if keys else 1)
        fresh = {one.generation: one.revision for one in self.all()}
        for generation, revision in self._listed():
            if revision < fresh.get(generation, 0):
                self._store.delete(_name(generation, revision))
        return self.all()

    def _add(self, generation: int) -> None:
        """Write a new key; where another process was faster, its key is as good."""
        new = StoreKey(secrets.token_bytes(16), secrets.token_bytes(32), generation, 1, "")
        self._write(new)
        self._read()

    def _write(self, one: StoreKey) -> None:
        wrapped = self._provider.wrap(one.key, _context(one.id))
        document = {
            "version": _VERSION,
            "id": one.id.hex(),
            "master_key": wrapped.key_id,
            "wrapped": wrapped.octets.hex(),
        }
        try:
            self._store.create(one.name, [json.dumps(document).encode()])
        except ObjectExists:
            return  # written by another process; it is read and opened like any other before anything depends on it

    def _read(self) -> None:
        for _ in range(_ATTEMPTS):
            newest: dict[int, int] = {}
            for generation, revision in self._listed():
                newest[generation] = max(revision, newest.get(generation, 0))
            try:
                found = [self._opened(generation, revision) for generation, revision in newest.items()]
            except ObjectMissing:
                continue  # rotated since it was listed
            self._keys = {one.id: one for one in found}
            self._current = max(found, key=lambda one: one.generation, default=None)
            return
        raise StorageError(
            f"The key ring of store {self._store.name!r} lists objects that are not there.", store=self._store.name
        )

    def _listed(self) -> list[tuple[int, int]]:
        listed = []
        for found in self._store.list(RING):
            parts = found.key.removeprefix(RING).split(".")
            if len(parts) != 3 or parts[2] != "json":
                continue
            generation, revision = map(whole_number, parts[:2])
            if generation is not None and revision is not None:
                listed.append((generation, revision))
        return listed

    def _opened(self, generation: int, revision: int) -> StoreKey:
        name = _name(generation, revision)
        known = next((one for one in self._keys.values() if (one.generation, one.revision) == (generation, revision)), None)
        if known is not None:
            return known
        try:
            said = json.loads(self._store.read(name))
            if said["version"] != _VERSION:
                raise KeyUnavailable(f"{name} in the key ring is of a version that is not known here.", key=name)
            identity, wrapped = bytes.fromhex(said["id"]), WrappedSecret(said["master_key"], bytes.fromhex(said["wrapped"]))
        except (ValueError, KeyError, TypeError) as error:
            raise KeyUnavailable(f"{name} in the key ring of store {self._store.name!r} is damaged.", key=name) from error
        try:
            key = self._provider.unwrap(wrapped, _context(identity))
        except ConfigurationError as error:
            raise KeyUnavailable(error.message, key=name) from error
        return StoreKey(identity, key, generation, revision, wrapped.key_id)


def is_plain(key: str) -> bool:
    """Whether what lies under a key of an encrypted store is not encrypted: the ring, and the identity of the store."""
    return key.startswith(RING) or key == IDENTITY


def refuse_ring(key: str, store: str) -> None:
    """Raise InvalidRequest for a key of what is not encrypted."""
    if key == IDENTITY:
        raise InvalidRequest(f"{IDENTITY} lies below the encryption.", store=store)
    if key.startswith(RING):
        raise InvalidRequest(f"Keys under {RING} belong to the key ring.", store=store)


def _name(generation: int, revision: int) -> str:
    return f"{RING}{generation:08d}.{revision:08d}.json"


def _context(store_key_id: bytes) -> bytes:
    return b"vna store key 1\0" + store_key_id
