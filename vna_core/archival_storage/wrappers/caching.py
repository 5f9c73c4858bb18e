"""Keeps aligned blocks of what is read on a local disk."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Final

from vna_core.archival_storage.wrappers.block_cache import BlockCache
from vna_core.archival_storage.wrappers.wrapper import Wrapper
from vna_core.domain.octets import CHUNK, ByteRange
from vna_core.ports.storage import Store

BLOCK: Final = CHUNK
_AT_ONCE: Final = 8
"""Blocks that one request fetches."""


class CachingStore(Wrapper):
    """Asks the store inside only for blocks that are not on the disk.

    Size, listing and creation are the store's own. An object that another machine deleted may still be read here for a while.
    """

    def __init__(self, inner: Store, cache: BlockCache) -> None:
        super().__init__(inner)
        self._cache = cache

    def read(self, key: str, byte_range: ByteRange | None = None) -> bytes:
        """See `Store.read`."""
        return b"".join(self.chunks(key, byte_range))

    def chunks(self, key: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """See `Store.chunks`."""
        if byte_range is not None and byte_range.offset < 0:
            byte_range = byte_range.within(self.inner.stat(key).size)
        if byte_range is not None and not byte_range.length:
            yield self.inner.read(key, byte_range)
            return
        offset = byte_range.offset if byte_range is not None else 0
        end = byte_range.end if byte_range is not None else None
        position = offset // BLOCK * BLOCK
        for block in self._blocks(key, offset // BLOCK, None if end is None else -(-end // BLOCK)):
            part = block[max(0, offset - position) : None if end is None else end - position]
            position += len(block)
            if part:
                yield part

    def delete(self, key: str) -> None:
        """See `Store.delete`."""
        self.inner.delete(key)
        self._cache.drop(key)

    def _blocks(self, key: str, first: int, behind: int | None) -> Iterator[bytes]:
        """Blocks from number `first` to before `behind`, as far as the object goes; its last is short, perhaps empty."""
        fetched: Iterator[bytes] = iter(())
        for number in count(first) if behind is None else range(first, behind):
            block = next(fetched, None)
            if block is None:
                block = self._cache.get(key, number)
            if block is None:
                fetched = iter(self._fetched(key, number, behind))
                block = next(fetched)
            yield block
            if len(block) < BLOCK:
                return

    def _fetched(self, key: str, first: int, behind: int | None) -> list[bytes]:
        """At least one block, by one request, now in the cache."""
        wanted = _AT_ONCE if behind is None else min(_AT_ONCE, behind - first)
        with self._cache.place(key) as folder:
            content = self.inner.read(key, ByteRange(first * BLOCK, wanted * BLOCK))
            blocks = [content[at : at + BLOCK] for at in range(0, len(content), BLOCK)]
            if len(content) < wanted * BLOCK and not len(content) % BLOCK:
                blocks.append(b"")  # the object ends at the end of a block
            for number, block in enumerate(blocks, start=first):
                self._cache.put(folder, key, number, block)
        return blocks
