"""One object copied from store to store, and believed only when the store proved every octet of it, or gave them back right."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from typing import TypeVar

import structlog

from vna_core.archival_storage.wrappers.caching import CachingStore
from vna_core.domain.errors import ConfigurationError, DigestMismatch, ObjectExists, ObjectMissing, StoreUnavailable
from vna_core.ports.storage import Store

T = TypeVar("T")

_log = structlog.get_logger(__name__)


def copy_object(source: Store, target: Store, key: str, sha256: str = "") -> int:
    """Copy one object under the same key and prove it there by its digest; its octets.

    A store that itself refuses octets damaged on their way (`Abilities.checksums`) has proved what it took; from any other the
    object is read back. May be called again after any failure: an object that is there already is read, and replaced where it is
    damaged.

    Parameters
    ----------
    sha256
        What the object must have; empty: what is read from the source.

    Raises
    ------
    ObjectMissing, ObjectArchived
        The source cannot give it.
    DigestMismatch
        The source is damaged, or what was written does not read back right: ``fields["store"]`` says where. Nothing was left at
        the target.
    OutOfResources
        The target is full.
    StoreUnavailable
        One of both does not answer, or does not accept our credentials any more.
    StorageError
        The target refuses.
    """
    measured = _Measured(source, key)
    uncached = _beneath_caches(target)
    try:
        _create(target, measured, sha256)
    except ObjectExists:
        wanted = sha256 or measured.digest_of_source()
        there, size = with_answer(target, lambda: _digest(uncached, key))
        if there == wanted:
            return size
        _log.error("stored-copy-damaged", store=target.name, key=key, how="other octets than its key says")
        with_answer(target, lambda: target.delete(key))
        _create(target, measured, sha256)
    if target.abilities().checksums:
        return measured.size
    found, size = with_answer(target, lambda: _digest(uncached, key))
    if found != measured.sha256 or size != measured.size:
        with_answer(target, lambda: target.delete(key))
        raise DigestMismatch("What was copied does not read back right; it was deleted.", store=target.name, key=key)
    return size


def _create(target: Store, measured: _Measured, sha256: str) -> None:
    """Write the object. The store digests what it takes: whose fault it is that this is wrong is asked only then."""
    try:
        with_answer(target, lambda: target.create(measured.key, measured.pieces(sha256), sha256 or None))
    except DigestMismatch as error:
        if sha256 and measured.digest_of_source() != sha256:
            raise DigestMismatch("A stored copy is damaged.", store=measured.store.name, key=measured.key) from error
        raise


def with_answer(store: Store, call: Callable[[], T]) -> T:
    """The result of a call on a store. Credentials that are refused at this moment are a passing fault: somebody mends them."""
    try:
        return call()
    except ConfigurationError as error:
        raise StoreUnavailable(f"Store {store.name!r} refuses: {error.message}", store=store.name) from error


class _Measured:
    """The octets of a source as they go by."""

    def __init__(self, store: Store, key: str) -> None:
        self.store, self.key = store, key
        self.sha256, self.size = "", 0

    def pieces(self, expected: str) -> Iterator[bytes]:
        """The object. Without a digest that its taker compares, the object is digested here."""
        digest, size = hashlib.sha256(), 0
        try:
            for piece in self.store.chunks(self.key):
                if not expected:
                    digest.update(piece)
                size += len(piece)
                yield piece
        except (DigestMismatch, ObjectMissing) as error:
            raise type(error)(error.message, store=self.store.name, key=self.key) from error
        self.sha256, self.size = expected or digest.hexdigest(), size

    def digest_of_source(self) -> str:
        """SHA-256 of the whole object."""
        for _ in self.pieces(""):
            continue
        return self.sha256


def _digest(store: Store, key: str) -> tuple[str, int]:
    """Digest and size of what is there; an object that a store calls damaged, or has lost, has neither."""
    digest, size = hashlib.sha256(), 0
    try:
        for piece in store.chunks(key):
            digest.update(piece)
            size += len(piece)
    except (DigestMismatch, ObjectMissing):
        return "", -1
    return digest.hexdigest(), size


def _beneath_caches(store: Store) -> Store:
    """The store without caches around it: what is read to be verified must come from where it is."""
    while isinstance(store, CachingStore):
        store = store.inner
    return store
