"""Arrays that read many frames at once: from the stored objects into the result by one copy, without Zarr's steps for each chunk.

Zarr hands every chunk through several tasks of its event loop, which costs more than a verified frame of half a megabyte. What is opened
through `FrameGroup` reads native frames of small objects together; everything else, and every other way to open the same
store, is read as Zarr reads any array.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import zarr
from zarr.abc.codec import CodecPipeline
from zarr.codecs import BytesCodec
from zarr.core.buffer import NDBuffer
from zarr.core.codec_pipeline import BatchedCodecPipeline
from zarr.core.config import config
from zarr.storage import StorePath

from vna_core.access.arrays.zarr_store import ArchiveZarrStore

_SHARES: Final = 2
"""Threads that read what costs no network: a second one reads while the first one copies."""

_Chunk = tuple[Any, Any, Any, Any, bool]
"""What Zarr says of a chunk: where it is, its description, what of it is wanted, where that goes, whether it is all of it."""


@dataclass(frozen=True)
class FramePipeline(BatchedCodecPipeline):  # type: ignore[misc]
    """Reads chunks of an `ArchiveZarrStore` that are the samples themselves, in as few threads and requests as there can be."""

    async def read(self, batch_info: Iterable[_Chunk], out: NDBuffer, drop_axes: tuple[int, ...] = ()) -> None:
        """Fill `out`. Raises DigestMismatch, ObjectMissing, StoreUnavailable."""
        chunks = list(batch_info)
        store = _store_of(chunks)
        if store is None or not self._is_plain:
            await self._read_each(chunks, out, drop_axes)
            return
        together = {chunk[0].path: chunk for chunk in chunks if store.arrays.is_small(chunk[0].path)}
        rest = [chunk for chunk in chunks if chunk[0].path not in together]
        await self._read_each(rest, out, drop_axes)

        def fill(runs: Sequence[Sequence[str]]) -> None:
            for keys in runs:
                for key, octets in zip(keys, store.arrays.read_all(keys), strict=True):
                    _put(together[key], octets, out, drop_axes)

        if len(together) == 1 and store.arrays.is_prompt(next(iter(together))):
            fill([list(together)])  # a slice is there sooner than a thread
        else:
            await asyncio.gather(*(asyncio.to_thread(fill, runs) for runs in _shares(store, list(together))))

    async def _read_each(self, chunks: Sequence[_Chunk], out: NDBuffer, drop_axes: tuple[int, ...]) -> None:
        """As Zarr reads them, except that nothing goes on behind the back of a reader who got an error."""
        read_as_zarr, waiting = super().read, iter(chunks)

        async def read_waiting() -> None:
            for chunk in waiting:
                await read_as_zarr([chunk], out, drop_axes)

        tasks = [asyncio.create_task(read_waiting()) for _ in range(min(len(chunks), config.get("async.concurrency")))]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def _is_plain(self) -> bool:
        return isinstance(self.array_bytes_codec, BytesCodec) and not (self.array_array_codecs or self.bytes_bytes_codecs)


def _store_of(chunks: Sequence[_Chunk]) -> ArchiveZarrStore | None:
    """The archive's store, when all chunks are in it."""
    path = chunks[0][0] if chunks else None
    return path.store if isinstance(path, StorePath) and isinstance(path.store, ArchiveZarrStore) else None


def _shares(store: ArchiveZarrStore, keys: Sequence[str]) -> list[list[list[str]]]:
    """Runs of keys for each thread: every run has its own where it waits for the network."""
    prompt = [key for key in keys if store.arrays.is_prompt(key)]
    far = store.arrays.runs([key for key in keys if not store.arrays.is_prompt(key)])
    size = -(-len(prompt) // _SHARES) or 1
    near = [[[key] for key in prompt[at : at + size]] for at in range(0, len(prompt), size)]
    return [*near, *([run] for run in far)]


def _put(chunk: _Chunk, octets: memoryview, out: NDBuffer, drop_axes: tuple[int, ...]) -> None:
    """One frame into its place: samples are little-endian (PS3.5 section 7.3)."""
    _, description, wanted, where, _ = chunk
    samples = np.frombuffer(octets, description.dtype.to_native_dtype().newbyteorder("<")).reshape(description.shape)[wanted]
    out[where] = description.prototype.nd_buffer.from_ndarray_like(samples.squeeze(axis=drop_axes) if drop_axes else samples)


@dataclass(frozen=True)
class FrameGroup(zarr.Group):  # type: ignore[misc]
    """A group whose arrays, and those of the groups in it, read many frames at once."""

    def __getitem__(self, path: str) -> zarr.Array[Any] | zarr.Group:
        """See `zarr.Group`."""
        found = super().__getitem__(path)
        if isinstance(found, zarr.Group):
            return FrameGroup(found._async_group)
        array = found.async_array
        pipeline: CodecPipeline = FramePipeline.from_codecs(array.codec_pipeline)
        object.__setattr__(array, "codec_pipeline", pipeline)  # Zarr takes another pipeline for all arrays of a process only
        return found
