"""A series written as an OME-Zarr 0.5 folder: decoded samples, compressed and sharded, for tools that know nothing of the archive."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from math import prod
from pathlib import Path
from typing import Any, Final

import zarr
from zarr.codecs import BloscCodec

from vna_core.access.arrays.series import SeriesArrays
from vna_core.access.arrays.whole_volumes import FrameGroup
from vna_core.access.arrays.zarr_store import ArchiveZarrStore
from vna_core.domain.errors import InvalidRequest

SHARD: Final = 64 << 20
"""Octets of samples that go into one file at most, unless one frame has more."""


def export_zarr(arrays: SeriesArrays, target: Path, progress: Callable[[int], object] = lambda octets: None) -> int:
    """Write every picture with all its levels below `target`; how many octets of samples were written.

    Parameters
    ----------
    progress
        Called with the octets of samples written since the last call.

    Raises
    ------
    InvalidRequest
        The folder is there already.
    DigestMismatch, ObjectMissing, StoreUnavailable, DecodeError
        A frame cannot be read; what was written is not complete then.
    """
    if target.exists() and any(target.iterdir()):
        raise InvalidRequest("The folder to write into is there already and not empty: choose another one, or remove it.")
    source = FrameGroup(zarr.open_group(ArchiveZarrStore(arrays), mode="r")._async_group)
    written = 0
    root = zarr.open_group(target, mode="w", zarr_format=3)
    root.update_attributes(source.attrs.asdict())
    for number, picture in enumerate(arrays.pictures):
        group = root.create_group(str(number), attributes=source[str(number)].attrs.asdict())
        for level in range(len(picture.levels)):
            array = source[f"{number}/{level}"]
            assert isinstance(array, zarr.Array)
            written += _copied(array, group, str(level), progress)
    return written


def _copied(array: zarr.Array[Any], group: zarr.Group, name: str, progress: Callable[[int], object]) -> int:
    shard = shard_shape(array.shape, array.chunks, array.dtype.itemsize)
    copy = group.create_array(
        name,
        shape=array.shape,
        dtype=array.dtype,
        chunks=array.chunks,
        shards=shard,
        compressors=BloscCodec(cname="zstd", clevel=5, shuffle="shuffle", typesize=array.dtype.itemsize),
        dimension_names=array.metadata.dimension_names,  # type: ignore[union-attr]
        attributes=array.attrs.asdict(),
    )
    written = 0
    for region in regions(array.shape, shard):
        samples = array[region]
        copy[region] = samples
        written += samples.nbytes  # type: ignore[union-attr]
        progress(samples.nbytes)  # type: ignore[union-attr]
    return written


def shard_shape(shape: tuple[int, ...], chunk: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Chunks put together into one file, doubled along one axis after the other from the last, up to `SHARD` octets."""
    shard = list(chunk)
    growing = True
    while growing:
        growing = False
        for axis in reversed(range(len(shape))):
            if shard[axis] < shape[axis] and 2 * prod(shard) * itemsize <= SHARD:
                shard[axis] *= 2
                growing = True
    return tuple(shard)


def regions(shape: tuple[int, ...], shard: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """The parts of an array that lie in one shard each."""
    starts = [range(0, length, step) for length, step in zip(shape, shard, strict=True)]
    for corner in product(*starts):
        yield tuple(slice(at, min(at + step, length)) for at, step, length in zip(corner, shard, shape, strict=True))
