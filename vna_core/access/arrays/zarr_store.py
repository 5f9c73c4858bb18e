"""A read-only Zarr store over what the archive holds: chunks are ranges of stored objects, read when they are asked for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import product
from math import ceil
from typing import Final

from zarr.abc.store import ByteRequest, OffsetByteRequest, RangeByteRequest, Store, SuffixByteRequest
from zarr.core.buffer import Buffer, BufferPrototype

from vna_core.access.arrays.gathering import GatheredReads
from vna_core.access.arrays.series import SeriesArrays

_REFUSED: Final = "What the archive holds is not changed through its arrays."


class ArchiveZarrStore(Store):  # type: ignore[misc]
    """The arrays of a series or an instance as `zarr.open` takes them."""

    supports_writes = False
    supports_deletes = False
    supports_listing = True

    def __init__(self, arrays: SeriesArrays) -> None:
        super().__init__(read_only=True)
        self.arrays = arrays
        self._gathered = GatheredReads(arrays.runs, arrays.read_all)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ArchiveZarrStore) and other.arrays is self.arrays

    def __hash__(self) -> int:
        return id(self.arrays)

    async def get(self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None) -> Buffer | None:
        """Octets under a key, or a part of them; None when there are none."""
        octets: bytes | memoryview | None
        is_prompt = self.arrays.is_prompt(key)
        if byte_range is None and self.arrays.is_small(key):
            octets = self.arrays.read_all((key,))[0] if is_prompt else await self._gathered.read(key)
        elif is_prompt:
            octets = self.arrays.read(key, *_asked(byte_range))
        else:  # several wait for the network at once
            octets = await asyncio.to_thread(self.arrays.read, key, *_asked(byte_range))
        return None if octets is None else prototype.buffer.from_bytes(octets)

    async def get_partial_values(
        self, prototype: BufferPrototype, key_ranges: Iterable[tuple[str, ByteRequest | None]]
    ) -> list[Buffer | None]:
        """Several at once, in order."""
        return list(await asyncio.gather(*(self.get(key, prototype, wanted) for key, wanted in key_ranges)))

    async def exists(self, key: str) -> bool:
        """Whether something is under a key."""
        return self.arrays.size(key) is not None

    async def getsize(self, key: str) -> int:
        """How many octets are under a key. Raises FileNotFoundError."""
        size = self.arrays.size(key)
        if size is None:
            raise FileNotFoundError(key)
        return size

    async def set(self, key: str, value: Buffer) -> None:
        """Not possible."""
        raise PermissionError(_REFUSED)

    async def delete(self, key: str) -> None:
        """Not possible."""
        raise PermissionError(_REFUSED)

    async def list(self) -> AsyncIterator[str]:
        """Every key."""
        for key in self._keys():
            yield key

    async def list_prefix(self, prefix: str) -> AsyncIterator[str]:
        """Every key that begins with `prefix`."""
        for key in self._keys():
            if key.startswith(prefix):
                yield key

    async def list_dir(self, prefix: str) -> AsyncIterator[str]:
        """Names right below a group or array."""
        below = f"{prefix.rstrip('/')}/" if prefix.strip("/") else ""
        seen: set[str] = set()
        for key in self._keys():
            name = key.removeprefix(below).split("/", 1)[0]
            if key.startswith(below) and name not in seen:
                seen.add(name)
                yield name

    def _keys(self) -> Iterator[str]:
        """Metadata, and chunks that have octets."""
        yield from self.arrays.documents()
        for number, picture in enumerate(self.arrays.pictures):
            for level, layout in enumerate(picture.levels):
                lengths = [range(ceil(length / chunk)) for length, chunk in zip(layout.shape, layout.chunk, strict=True)]
                for index in product(*lengths):
                    if index in layout.frames:
                        yield f"{number}/{level}/c/{'/'.join(map(str, index))}"


def _asked(byte_range: ByteRequest | None) -> tuple[int, int | None]:
    """Offset and length of a request; a negative offset counts from the end."""
    if isinstance(byte_range, RangeByteRequest):
        return byte_range.start, byte_range.end - byte_range.start
    if isinstance(byte_range, OffsetByteRequest):
        return byte_range.offset, None
    if isinstance(byte_range, SuffixByteRequest):
        return (-byte_range.suffix, None) if byte_range.suffix else (0, 0)
    return 0, None
