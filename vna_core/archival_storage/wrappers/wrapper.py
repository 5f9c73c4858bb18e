"""What every wrapper has in common: a store inside, to which whatever it does not change is handed on."""

from __future__ import annotations

from collections.abc import Iterator

from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Abilities, Content, Key, Store, StoredObject, Terms


class Wrapper(Store):
    """A store around a store; a wrapper overrides what it does differently.

    Parameters
    ----------
    inner
        The store that is wrapped. It is closed with the wrapper.
    """

    def __init__(self, inner: Store) -> None:
        self.inner = inner
        self.name = inner.name

    def abilities(self) -> Abilities:
        """Those of the store inside."""
        return self.inner.abilities()

    @property
    def base_uri(self) -> str:
        """See `Store.base_uri`."""
        return self.inner.base_uri

    def create(self, key: Key, content: Content, sha256: str | None = None) -> StoredObject:
        """See `Store.create`."""
        return self.inner.create(key, content, sha256)

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        return self.inner.read(key, byte_range)

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        return self.inner.chunks(key, byte_range)

    def stat(self, key: str) -> StoredObject:
        """See `Store.stat`."""
        return self.inner.stat(key)

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self.inner.delete(key)

    def adjust(self, key: str, terms: Terms) -> None:
        """See `Store.adjust`."""
        self.inner.adjust(key, terms)

    def recall(self, key: str, days: int) -> bool:
        """See `Store.recall`."""
        return self.inner.recall(key, days)

    def list(self, prefix: str = "", after: str = "") -> Iterator[StoredObject]:
        """See `Store.list`."""
        return self.inner.list(prefix, after)

    def probe(self) -> None:
        """See `Store.probe`."""
        self.inner.probe()

    def close(self) -> None:
        """See `Store.close`."""
        self.inner.close()


def layers(store: Store) -> Iterator[Store]:
    """The store and every store inside it, outermost first."""
    yield store
    while isinstance(store, Wrapper):
        store = store.inner
        yield store
