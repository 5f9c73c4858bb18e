"""The way out: canonical objects, data sets, frames, single values and the octets as received."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from struct import unpack_from
from typing import Final, Protocol

import google_crc32c

from vna_core.access.frame_indexes import FrameIndexes
from vna_core.archival_storage.copies import SMALL, CopyReader
from vna_core.archival_storage.keeping import verified
from vna_core.dicom.reverse_patch import rebuild
from vna_core.dicom.stored_object import element_range
from vna_core.domain.errors import DigestMismatch, NotFound, Unarchivable
from vna_core.domain.instance import HeldInstance, Location
from vna_core.domain.octets import ByteRange
from vna_core.domain.placement import COLD
from vna_core.ports.storage import Store

_FEW: Final = 4
"""Frames up to which a small object is worth being read whole for one of them."""


class CopyNotes(Protocol):
    """Knows copies, and takes notes of those that cannot be trusted: the catalogue, or what stands before several."""

    def set_location_state(self, pk: int, location: Location, state: str) -> None:
        """Mark one copy ``ok``, ``bad`` or ``cold``."""

    def moved(self, held: HeldInstance) -> HeldInstance:
        """The same object where it is now. Raises NotFound."""


class Retriever:
    """Reads what is held. Whatever leaves the archive whole is checked against its digest while it streams."""

    def __init__(self, stores: Mapping[str, Store], catalogue: CopyNotes) -> None:
        self._catalogue = catalogue
        self._local = frozenset(name for name, store in stores.items() if store.abilities().local)
        self.stores = stores
        self._frames = FrameIndexes()
        self._copies = CopyReader(stores, self._copy_damaged, catalogue.moved, self._copy_archived)

    def _copy_damaged(self, held: HeldInstance, location: Location) -> None:
        self._catalogue.set_location_state(held.pk, location, "bad")

    def is_local(self, held: HeldInstance) -> bool:
        """Whether reading costs no network: not worth a thread of its own."""
        return not held.locations or held.locations[0].store in self._local

    def _copy_archived(self, held: HeldInstance, location: Location) -> None:
        """A rule of the store itself put the object away, or its recall is over: who asks again has it recalled."""
        self._catalogue.set_location_state(held.pk, location, COLD)

    def part10(self, held: HeldInstance) -> Iterator[bytes]:
        """The canonical object as a Part 10 file, without our trailer.

        Raises DigestMismatch before the last piece when the stored copy is damaged, ObjectMissing, StoreUnavailable.
        """
        return self._copies.verified_chunks(held, held.trailer_offset)

    def small_part10(self, held: HeldInstance) -> memoryview:
        """The same in one piece, for an object of at most `SMALL` octets. Raises as `part10`."""
        return self._copies.beginning(held, held.trailer_offset)

    def data_set(self, held: HeldInstance) -> Iterator[bytes]:
        """The same without preamble and file meta information, as a C-STORE sends it."""
        skip = held.data_set_offset
        for piece in self.part10(held):
            if skip >= len(piece):
                skip -= len(piece)
                continue
            yield piece[skip:] if skip else piece
            skip = 0

    def original(self, held: HeldInstance) -> Iterator[bytes]:
        """The octets as received, bit-exact; the last piece comes only when their SHA-256 is right.

        Raises DigestMismatch, ObjectMissing, StoreUnavailable.
        """
        read = self.reader(held)
        try:
            yield from verified(rebuild(read, held.size), held.original_sha256)
        except (DigestMismatch, Unarchivable) as error:
            self._copies.is_intact(held)  # marks the copy
            raise DigestMismatch("The octets as received do not come back from the stored copy: it is damaged.") from error

    def frame_ranges(self, held: HeldInstance) -> tuple[ByteRange, ...]:
        """Ranges of the frames inside the stored object, in order. Known ones are not read again: objects never change."""
        count = held.number_of_frames
        if not count:
            return ()
        known = self._frames.get(held.sha256)
        if known is None:
            size = 16 * count + 4
            known = self._parsed(held, self._copies.read(held, ByteRange(held.size - size, size)))
            self._frames.put(held.sha256, known)
        return known

    def frame_range(self, held: HeldInstance, index: int, bits: int = 0) -> ByteRange:
        """Where a frame is inside the stored object, in whole octets.

        Parameters
        ----------
        index
            0-based.
        bits
            From one frame to the next, where frames follow one another without anything between them: no index is read then.
            A frame that begins inside an octet begins at its bit ``index * bits % 8``.
        """
        if bits and held.pixel_data is not None:
            first = index * bits
            begin, end = first >> 3, first + bits + 7 >> 3
            return ByteRange(held.pixel_data.offset + begin, end - begin)
        return self.frame_ranges(held)[index]

    def _parsed(self, held: HeldInstance, index: bytes) -> tuple[ByteRange, ...]:
        if google_crc32c.value(index[:-4]) != int.from_bytes(index[-4:], "little"):
            self._copies.is_intact(held)  # marks the copy
            raise DigestMismatch("The frame index of a stored copy is damaged.")
        pairs = unpack_from(f"<{2 * held.number_of_frames}Q", index)
        return tuple(ByteRange(offset, length) for offset, length in zip(pairs[::2], pairs[1::2], strict=True))

    def frames(self, held: HeldInstance, numbers: Sequence[int]) -> Iterator[bytes]:
        """Frames by their 1-based numbers (PS3.18 section 10.4.1.1.3), as stored. Raises NotFound for one that is not there.

        One range read each; a small object of few frames is read whole, with the index at its end, and verified.
        """
        whole = b""
        if held.size <= SMALL and 0 < held.number_of_frames <= _FEW:
            whole = self._copies.whole(held)
            ranges = self._parsed(held, whole[-16 * held.number_of_frames - 4 :])
        else:
            ranges = self.frame_ranges(held)
        if any(not 1 <= number <= len(ranges) for number in numbers):
            raise NotFound(f"The instance has {len(ranges)} frames.", frames=len(ranges))
        for number in numbers:
            one = ranges[number - 1]
            yield whole[one.offset : one.end] if whole else self._copies.read(held, one)

    def single_frames(self, held: Sequence[HeldInstance]) -> list[memoryview]:
        """The frames of small single-frame instances, in order; neighbours in a pack come by one range read, verified.

        Raises DigestMismatch, ObjectMissing, StoreUnavailable.
        """
        found: list[memoryview] = []
        for one, whole in zip(held, self._copies.wholes(held), strict=True):
            [frame] = self._parsed(one, whole[-20:])
            found.append(memoryview(whole)[frame.offset : frame.end])
        return found

    def range(self, held: HeldInstance, byte_range: ByteRange) -> bytes:
        """A range of the stored object, in memory; verified when it is a good part of a small object.

        Raises DigestMismatch, ObjectMissing, StoreUnavailable.
        """
        return self._copies.read(held, byte_range)

    def element(self, held: HeldInstance, path: str) -> tuple[ByteRange, str]:
        """Range and representation of one element's value in the stored object.

        Parameters
        ----------
        path
            Tags as eight hexadecimal digits with 0-based item numbers between: ``00081140/0/00081150``.

        Raises
        ------
        InvalidRequest
            The path is malformed.
        NotFound
            No such element.
        """

        return self._element(held, path, self.reader(held))

    def element_value(self, held: HeldInstance, path: str, byte_range: ByteRange | None = None) -> Iterator[bytes]:
        """One element's value, or a range of it, in pieces of at most 4 MiB."""
        read = self.reader(held)
        value, _ = self._element(held, path, read)
        if byte_range is not None:
            offset = min(byte_range.offset, value.length)
            value = ByteRange(value.offset + offset, min(byte_range.length, value.length - offset))
        if held.size <= SMALL:
            return iter((read(value.offset, value.length),))
        return self._copies.chunks(held, value)

    def _element(self, held: HeldInstance, path: str, read: Callable[[int, int], bytes]) -> tuple[ByteRange, str]:
        try:
            return element_range(read, held.size, path)
        except (DigestMismatch, Unarchivable) as error:
            self._copies.is_intact(held)  # marks the copy
            raise DigestMismatch("The header of a stored copy is damaged.") from error

    def reader(self, held: HeldInstance) -> Callable[[int, int], bytes]:
        """Gives ranges: of the verified whole of a small object, or read one by one."""
        if held.size > SMALL:
            return lambda offset, length: self._copies.read(held, ByteRange(offset, min(length, held.size - offset)))
        content = self._copies.whole(held)
        return lambda offset, length: content[offset : offset + length]
