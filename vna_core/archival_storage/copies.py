"""Reading the copies of a held version: verified, and from the next copy when one is bad."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Final, TypeVar

import google_crc32c
import structlog

from vna_core.dicom.reverse_patch import rebuild
from vna_core.domain.errors import CatalogueError, DigestMismatch, ObjectArchived, ObjectMissing, StorageError, StoreUnavailable
from vna_core.domain.instance import HeldInstance, Location
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Store

SMALL: Final = 4 << 20
"""Objects up to this size are read and verified in one go."""

_GOOD_PART: Final = 4
"""A range of at least one part in so many is read with the whole small object around it."""

_GAP: Final = 4096
"""Octets between two members of a pack that lie one after the other: header and padding."""

_log = structlog.get_logger(__name__)

T = TypeVar("T")
Damaged = Callable[[HeldInstance, Location], None]
Moved = Callable[[HeldInstance], HeldInstance]

_MOVES: Final = 3
"""How often in a row a copy may have moved while it was about to be read."""


class CopyReader:
    """Reads held versions from the stores that have a copy.

    Parameters
    ----------
    on_damage
        Told about every copy that is missing, short or not what its digest says.
    moved
        Asked where an object is now whose copy was not found: it may have gone into a pack since `held` was read.
    on_archived
        Told about every copy that must be recalled before it is read.
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        on_damage: Damaged,
        moved: Moved | None = None,
        on_archived: Damaged | None = None,
    ) -> None:
        self._stores = stores
        self._local = frozenset(name for name, store in stores.items() if store.abilities().local)
        self._on_damage = on_damage
        self._on_archived = on_archived
        self._moved = moved

    def whole(self, held: HeldInstance) -> bytes:
        """A small object, verified, in memory. Raises DigestMismatch, ObjectMissing, StoreUnavailable."""
        return self._beginning(held, held.size)

    def wholes(self, held: Sequence[HeldInstance]) -> list[bytes]:
        """Several small objects, verified, in order; those that lie one after the other in a pack come by one range read.

        Raises as `whole`.
        """
        found: list[bytes] = []
        for run in neighbours(held, [self._usable(one)[0][0] for one in held]):
            found += self._run(run) if len(run) > 1 else [self.whole(run[0][0])]
        return found

    def _run(self, run: Sequence[tuple[HeldInstance, Location]]) -> list[bytes]:
        """Neighbours by one read; one by one where that does not give them right, so that another copy is read instead."""
        (_, first), (_, last) = run[0], run[-1]
        try:
            wanted = ByteRange(first.offset, last.offset + last.length - first.offset)
            content = self._stores[first.store].read(first.key, wanted)
            begins = [where.offset - first.offset for _, where in run]
            pieces = [content[begin : begin + where.length] for begin, (_, where) in zip(begins, run, strict=True)]
            for (one, where), piece in zip(run, pieces, strict=True):
                self._prove(one, where, piece)
            return pieces
        except StorageError:
            return [self.whole(one) for one, _ in run]

    def verified_chunks(self, held: HeldInstance, until: int | None = None) -> Iterator[bytes]:
        """The object up to offset `until` in pieces; all of it is read and hashed, and the last piece comes only when it is right.

        Raises
        ------
        DigestMismatch
            The copy is damaged. Pieces given before are then worthless: the answer must end visibly.
        """
        until = held.size if until is None else until
        if held.size <= SMALL:
            yield self._beginning(held, until)
            return
        location, pieces = self._first(held, self._opener(ByteRange(0, held.size)))
        proof, position, withheld = _Proof(held), 0, b""
        for piece in pieces:
            proof.update(piece)
            if position < until:
                if withheld:
                    yield withheld
                withheld = piece[: until - position]
            position += len(piece)
        if position != held.size or not proof.holds:
            self._damaged(held, location, "other octets than its digest says")
            raise DigestMismatch("A stored copy is damaged; it was not served whole.", store=location.store, key=location.key)
        yield withheld

    def read(self, held: HeldInstance, byte_range: ByteRange) -> bytes:
        """A range of the object. Raises DigestMismatch when it is short.

        A range that is a good part of a small object is cut from the verified whole: that costs little more. Others, single
        frames of a large object, are read alone and not verified.
        """
        if held.size <= SMALL and byte_range.length * _GOOD_PART >= held.size:
            return self.whole(held)[byte_range.offset : byte_range.end]

        def ranged(held: HeldInstance, location: Location, store: Store) -> bytes:
            content = store.read(location.key, ByteRange(location.offset + byte_range.offset, byte_range.length))
            if len(content) != byte_range.length:
                raise DigestMismatch("A stored copy is truncated.", store=location.store, key=location.key)
            return content

        return self._first(held, ranged)

    def chunks(self, held: HeldInstance, byte_range: ByteRange) -> Iterator[bytes]:
        """A range in pieces of at most 1 MiB, not verified as a whole. Raises DigestMismatch at its end when it is short."""
        got = 0
        location, pieces = self._first(held, self._opener(byte_range))
        for piece in pieces:
            got += len(piece)
            yield piece
        if got != byte_range.length:
            self._damaged(held, location, "truncated")
            raise DigestMismatch("A stored copy is truncated.", store=location.store, key=location.key)

    def original(self, held: HeldInstance) -> Iterator[bytes]:
        """The octets as received, of which no more is read than is asked for: not verified. Raises as `read`, and Unarchivable."""
        return rebuild(lambda at, length: self.read(held, ByteRange(at, min(length, held.size - at))), held.size)

    def is_intact(self, held: HeldInstance, moves: int = _MOVES) -> bool:
        """Whether some copy has exactly the octets its digest says. Every copy found bad is reported.

        A copy that cannot be read without recalling it was right when it was put away, and counts as right.
        """
        failure: StorageError | None = None
        archived = False
        for location, store in self._usable(held):
            digest = hashlib.sha256()
            try:
                for piece in store.chunks(location.key, ByteRange(location.offset, location.length)):
                    digest.update(piece)
            except (ObjectMissing, DigestMismatch) as error:
                elsewhere = self._elsewhere(held, location, error, moves)
                if elsewhere is not None:
                    return self.is_intact(elsewhere, moves - 1)
                self._damaged(held, location, error.code)
                continue
            except ObjectArchived:
                archived = True
                continue
            except StorageError as error:
                failure = failure or error
                continue
            if digest.hexdigest() == held.sha256:
                return True
            self._damaged(held, location, "other octets than its digest says")
        if failure is not None and not archived:
            raise failure
        return archived

    def beginning(self, held: HeldInstance, until: int) -> memoryview:
        """A small object up to an offset, verified whole, without a copy. Raises DigestMismatch, ObjectMissing, StoreUnavailable."""
        whole = self._at_once(held)
        if whole is not None:
            return memoryview(whole)[:until]

        def read(held: HeldInstance, location: Location, store: Store) -> memoryview:
            content = store.read(location.key, ByteRange(location.offset, location.length))
            self._prove(held, location, content)
            return memoryview(content)[:until]

        return self._first(held, read)

    def _at_once(self, held: HeldInstance) -> bytes | None:
        """What is right in the first copy of an object, where that is local, by the shortest way. None: the long way tells why."""
        location = held.locations[0] if held.locations else None
        if location is None or location.store not in self._local or held.crc32c is None:
            return None
        try:
            content = self._stores[location.store].read(location.key, ByteRange(location.offset, location.length))
        except StorageError:
            return None
        is_right = len(content) == held.size and google_crc32c.extend(0, content) == held.crc32c
        return content if is_right else None

    def _beginning(self, held: HeldInstance, until: int) -> bytes:
        """The verified object up to an offset. What follows is read apart: cutting it off would copy everything before it."""

        def read(held: HeldInstance, location: Location, store: Store) -> bytes:
            content = store.read(location.key, ByteRange(location.offset, until))
            rest = (
                store.read(location.key, ByteRange(location.offset + until, location.length - until))
                if until < held.size
                else b""
            )
            self._prove(held, location, content, rest)
            return content

        return self._first(held, read)

    def _prove(self, held: HeldInstance, location: Location, *pieces: bytes) -> None:
        proof = _Proof(held)
        size = 0
        for piece in pieces:
            proof.update(piece)
            size += len(piece)
        if size != held.size or not proof.holds:
            raise DigestMismatch("A stored copy is damaged; it is not served.", store=location.store, key=location.key)

    def _first(self, held: HeldInstance, read: Callable[[HeldInstance, Location, Store], T], moves: int = _MOVES) -> T:
        """What the first usable copy gives."""
        failure: StorageError | None = None
        for location, store in self._usable(held):
            try:
                return read(held, location, store)
            except (ObjectMissing, DigestMismatch) as error:
                elsewhere = self._elsewhere(held, location, error, moves)
                if elsewhere is not None:
                    return self._first(elsewhere, read, moves - 1)
                self._damaged(held, location, error.code)
                failure = failure or error
            except ObjectArchived as error:
                if self._on_archived is not None:
                    self._on_archived(held, location)
                failure = failure or error
            except StorageError as error:
                failure = failure or error
        raise failure or ObjectMissing("No copy of the object is left.")

    def _elsewhere(self, held: HeldInstance, location: Location, error: StorageError, moves: int) -> HeldInstance | None:
        """The object where it is now, when it left a location; None when the copy should have been there."""
        if self._moved is None or not moves or not isinstance(error, ObjectMissing):
            return None
        now = self._moved(held)
        return now if now.locations and location not in now.locations else None

    def _usable(self, held: HeldInstance) -> list[tuple[Location, Store]]:
        """Copies in stores that are configured, local ones first."""
        found = [(location, store) for location in held.locations if (store := self._stores.get(location.store)) is not None]
        if len(found) > 1:
            found.sort(key=lambda one: one[0].store not in self._local)
        if not found:
            if held.locations:
                names = sorted({location.store for location in held.locations})
                raise StoreUnavailable(f"The copies are in stores that are not configured: {', '.join(names)}.")
            raise ObjectMissing("No copy of the object is left: all are missing or damaged. Send it again to heal it.")
        return found

    def _opener(self, byte_range: ByteRange) -> Callable[[HeldInstance, Location, Store], tuple[Location, Iterator[bytes]]]:
        """Reads the first piece of a range, to know that the copy is there."""

        def opened(held: HeldInstance, location: Location, store: Store) -> tuple[Location, Iterator[bytes]]:
            pieces = store.chunks(location.key, ByteRange(location.offset + byte_range.offset, byte_range.length))
            return location, chain((next(pieces, b""),), self._rest(held, location, pieces))

        return opened

    def _rest(self, held: HeldInstance, location: Location, pieces: Iterator[bytes]) -> Iterator[bytes]:
        """The pieces; damage that a store finds between them is reported."""
        try:
            yield from pieces
        except DigestMismatch as error:
            self._damaged(held, location, error.code)
            raise

    def _damaged(self, held: HeldInstance, location: Location, how: str) -> None:
        _log.error("stored-copy-damaged", store=location.store, key=location.key, how=how, size=held.size)
        try:
            self._on_damage(held, location)
        except CatalogueError as error:  # the reader must hear of the damage, not of the note that could not be made
            _log.error("damage-not-recorded", store=location.store, key=location.key, code=error.code)


def neighbours(held: Sequence[HeldInstance], places: Sequence[Location]) -> list[list[tuple[HeldInstance, Location]]]:
    """Objects in runs, in order: each lies right behind the one before it in a pack, and a run is at most `SMALL` octets long."""
    runs: list[list[tuple[HeldInstance, Location]]] = []
    for one, where in zip(held, places, strict=True):
        before = runs[-1][-1][1] if runs else None
        fits = (
            before is not None
            and (before.store, before.key) == (where.store, where.key)
            and 0 <= where.offset - before.offset - before.length <= _GAP
            and where.offset + where.length - runs[-1][0][1].offset <= SMALL
        )
        if fits:
            runs[-1].append((one, where))
        else:
            runs.append([(one, where)])
    return runs


class _Proof:
    """Whether octets are those that were stored: by the checksum made then, else by the digest."""

    def __init__(self, held: HeldInstance) -> None:
        self._held = held
        self._digest = hashlib.sha256() if held.crc32c is None else None
        self._checksum = 0

    def update(self, piece: bytes) -> None:
        """Take the next piece."""
        if self._digest is None:
            self._checksum = google_crc32c.extend(self._checksum, piece)
        else:
            self._digest.update(piece)

    @property
    def holds(self) -> bool:
        """Whether everything taken was right."""
        if self._digest is None:
            return self._checksum == self._held.crc32c
        return self._digest.hexdigest() == self._held.sha256
