"""Making a pack: one pass over its members, in memory only what the tables need."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from struct import unpack_from
from typing import Final

import google_crc32c

from vna_core.archival_storage.packs.format import (
    ARRAY,
    BLOCK,
    END,
    FOOTER,
    INDEX,
    MAGIC,
    MANIFEST,
    PAIR,
    SUMS,
    VERSION,
    PackMember,
    damaged,
    padding,
    tar_header,
)
from vna_core.archival_storage.packs.volume import Volume
from vna_core.domain.errors import DigestMismatch, InvalidRequest
from vna_core.domain.octets import ByteRange

_CHECKSUM: Final = 4


@dataclass(frozen=True, slots=True)
class PackInput:
    """One canonical object on its way into a pack.

    Attributes
    ----------
    frames
        How many of its frames go into the pack's index; 0 for an object that is not current.
    modified
        When it was received, in seconds since 1970.
    chunks
        Its octets.
    """

    name: str
    sha256: str
    size: int
    frames: int
    modified: int
    chunks: Callable[[], Iterator[bytes]]


class PackWriter:
    """The octets of a pack. The same inputs in the same order give the same pack.

    Parameters
    ----------
    volume
        The array that the frames of all inputs are, in their order; None where they are none.

    Attributes
    ----------
    members
        What the last whole pass wrote.
    dimensions
        Of the array; 0 without one. Known after a pass: a frame of another size than the array's makes it none.

    Raises
    ------
    InvalidRequest
        Two inputs have the same name, or there are none.
    """

    def __init__(
        self, study: str, series: str, inputs: Sequence[PackInput], *, volume: Volume | None = None, replaces: Sequence[str] = ()
    ) -> None:
        if not inputs or len({one.name for one in inputs}) != len(inputs):
            raise InvalidRequest("A pack has members, each under a name of its own.")
        self._about = {"version": VERSION, "study": study, "series": series, "replaces": sorted(replaces)}
        self._inputs = tuple(inputs)
        self._volume = volume
        self.members: tuple[PackMember, ...] = ()
        self.dimensions = 0

    def chunks(self) -> Iterator[bytes]:
        """The pack from beginning to end.

        Raises
        ------
        DigestMismatch
            An input is not what its digest says; the pack must not be kept.
        """
        members: list[PackMember] = []
        frames: list[ByteRange] = []
        position = 0
        for one in self._inputs:
            header = tar_header(one.name, one.size, one.modified)
            yield header
            where = ByteRange(position + len(header), one.size)
            tail = _Tail(16 * one.frames + _CHECKSUM if one.frames else 0)
            yield from _proven(one, tail)
            filler = padding(one.size)
            yield filler
            members.append(PackMember(one.name, one.sha256, where, len(frames), one.frames))
            frames += _frames_of(one, where, tail)
            position = where.end + len(filler)
        volume = self._volume
        fits = volume is not None and len(frames) == volume.shape[0] and {one.length for one in frames} == {volume.frame_size}
        array = volume.metadata if volume is not None and fits else None
        tables = self._tables(members, array)
        yield tables
        yield END
        yield _index(members, frames, position, tables)
        self.members = tuple(members)
        self.dimensions = len(volume.shape) if volume is not None and fits else 0

    def _tables(self, members: Sequence[PackMember], array: bytes | None) -> bytes:
        modified = max(one.modified for one in self._inputs)
        sums = "".join(f"{one.sha256}  {one.name}\n" for one in members).encode("ascii")
        listed = [[one.range.offset, one.range.length, one.frames] for one in members]
        manifest = json.dumps({**self._about, "members": listed}, separators=(",", ":")).encode("ascii")
        files = [(SUMS, sums), *([(ARRAY, array)] if array is not None else []), (MANIFEST, manifest)]
        return b"".join(tar_header(name, len(content), modified) + content + padding(len(content)) for name, content in files)


class _Tail:
    """The last octets of what passes."""

    def __init__(self, size: int) -> None:
        self._size = size
        self.octets = b""

    def take(self, piece: bytes) -> None:
        """The next piece."""
        if self._size:
            self.octets = (self.octets + piece)[-self._size :] if len(piece) < self._size else piece[-self._size :]


def _proven(one: PackInput, tail: _Tail) -> Iterator[bytes]:
    digest, size = hashlib.sha256(), 0
    for piece in one.chunks():
        digest.update(piece)
        size += len(piece)
        tail.take(piece)
        yield piece
    if size != one.size or digest.hexdigest() != one.sha256:
        raise DigestMismatch("A stored copy is damaged; no pack is made of it.", sha256=one.sha256)


def _frames_of(one: PackInput, where: ByteRange, tail: _Tail) -> list[ByteRange]:
    """Frames of an object by the index at its end, as ranges of the pack."""
    if not one.frames:
        return []
    index = tail.octets
    if google_crc32c.value(index[:-_CHECKSUM]) != int.from_bytes(index[-_CHECKSUM:], "little"):
        raise damaged("the frame index of an object does not fit its checksum")
    pairs = unpack_from(f"<{2 * one.frames}Q", index)
    return [ByteRange(where.offset + at, length) for at, length in zip(pairs[::2], pairs[1::2], strict=True)]


def _index(members: Sequence[PackMember], frames: Sequence[ByteRange], tables_at: int, tables: bytes) -> bytes:
    """The index member: header, filler, footer, and the sharding index that ends the pack."""
    footer = FOOTER.pack(MAGIC, VERSION, 0, len(members), len(frames), tables_at, google_crc32c.value(tables), 0)[:-_CHECKSUM]
    pairs = b"".join(PAIR.pack(one.offset, one.length) for one in frames)
    content = b"".join(
        (
            footer,
            google_crc32c.value(footer).to_bytes(_CHECKSUM, "little"),
            pairs,
            google_crc32c.value(pairs).to_bytes(4, "little"),
        )
    )
    size = len(content) + (-len(content) % BLOCK)
    return tar_header(INDEX, size) + content.rjust(size, b"\0")
