"""Storing what must be there afterwards, whether or not something lies under its key already."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence

import structlog

from vna_core.domain.errors import DigestMismatch, ObjectExists, ObjectMissing, VnaError
from vna_core.ports.storage import Content, Key, NewObject, Store, StoredObject

_log = structlog.get_logger(__name__)


def keep(store: Store, key: Key, content: Callable[[], Content], sha256: str | None = None) -> StoredObject:
    """Create an object; what lies under its key already is read, and replaced when it is not `content`.

    Only for keys that tell their content (by its digest, or that of the pack that says it), where other octets can be nothing but damage.

    Raises
    ------
    OutOfResources, StoreUnavailable
        As `Store.create`.
    """
    try:
        return store.create(key, content(), sha256)
    except ObjectExists as error:
        return _instead_of_held(store, str(error.fields["key"]), key, content, sha256)


def keep_all(store: Store, objects: Sequence[tuple[Key, Callable[[], Content]]]) -> list[StoredObject | VnaError]:
    """The same for several objects at once; results in order, failures in place of them."""
    results = store.create_all([NewObject(key, content()) for key, content in objects])
    for position, (result, (key, content)) in enumerate(zip(results, objects, strict=True)):
        if isinstance(result, ObjectExists):
            try:
                results[position] = _instead_of_held(store, str(result.fields["key"]), key, content, None)
            except VnaError as error:
                results[position] = error
    return results


def _instead_of_held(store: Store, name: str, key: Key, content: Callable[[], Content], sha256: str | None) -> StoredObject:
    """What lies under the name when it is `content`; what takes its place when it is not."""
    wanted, size = _digest(content())
    try:
        held, _ = _digest(store.chunks(name))
    except (ObjectMissing, DigestMismatch):  # a store that checks what it reads tells of damage itself
        held = ""
    if held == wanted:
        return StoredObject(name, size, wanted)
    _log.error("stored-copy-damaged", store=store.name, key=name, how="other octets than its key says", size=size)
    store.delete(name)
    return store.create(key, content(), sha256)


def is_there(store: Store, key: str) -> bool:
    """Whether an object lies under a key."""
    try:
        store.stat(key)
    except ObjectMissing:
        return False
    return True


def verified(chunks: Iterator[bytes], sha256: str) -> Iterator[bytes]:
    """The same pieces; the last one comes only when the digest of all is right. Raises DigestMismatch."""
    digest, withheld = hashlib.sha256(), b""
    for piece in chunks:
        digest.update(piece)
        if withheld:
            yield withheld
        withheld = piece
    if digest.hexdigest() != sha256:
        raise DigestMismatch("Stored octets are damaged; they were not served whole.")
    yield withheld


def _digest(content: Content) -> tuple[str, int]:
    digest, size = hashlib.sha256(), 0
    for piece in content:
        digest.update(piece)
        size += len(piece)
    return digest.hexdigest(), size
