"""Single objects of the stores become part of the catalogue: for a rebuild, for an orphan, and when a deletion is taken back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from vna_core.archival_storage.comparison import ComparedObject, classify
from vna_core.archival_storage.copies import CopyReader
from vna_core.archival_storage.delivery_notes import deliveries
from vna_core.archival_storage.keys import digest_of_key, is_pack
from vna_core.catalogue import Catalogue, Compare, Replacement
from vna_core.dicom.reverse_patch import rebuild
from vna_core.domain.instance import HeldInstance, IndexEntry, Location
from vna_core.domain.octets import ByteRange
from vna_core.domain.outcome import Outcome
from vna_core.domain.renormalization import Renormalization
from vna_core.ports.storage import Store
from vna_core.stewardship.stored_entry import proven_entry, undone_runs


@dataclass(frozen=True, slots=True)
class FoundObject:
    """One canonical object that a store holds, loose or in a pack. `sha256` is given for members of packs."""

    store: Store
    key: str
    size: int
    offset: int = 0
    sha256: str = ""

    @property
    def name(self) -> str:
        """How a report names it."""
        return f"{self.store.name}:{self.key}" + (f"@{self.offset}" if self.sha256 else "")

    def entry(self) -> IndexEntry:
        """What is recorded about it, proven. Raises what `proven_entry` does."""
        return proven_entry(self.store, self.key, self.size, self.offset, self.sha256)


class Taken(StrEnum):
    """How taking up an object ended."""

    RECORDED = "recorded"
    COPY = "copy"
    """The version was known; this copy of it was not."""
    KNOWN = "known"
    """The catalogue has it, or its octets in another object."""
    DELETED = "deleted"
    """Its octets were deleted: it stays out."""


class TakingUp:
    """Records objects that the catalogue does not know."""

    def __init__(self, stores: Mapping[str, Store], catalogue: Catalogue) -> None:
        self._stores = stores
        self._catalogue = catalogue
        self._copies = CopyReader(
            stores, lambda held, location: catalogue.set_location_state(held.pk, location, "bad"), catalogue.moved
        )

    def adopt(self, found: FoundObject) -> Taken:
        """Record one object, whatever it is. Raises what `proven_entry` does."""
        result = self.first(found)
        if isinstance(result, Renormalization):
            return self.again(found, undone_runs(self._stores))
        return result

    def first(self, found: FoundObject) -> Taken | Renormalization:
        """Record an object; or tell how it was made again of octets that an earlier object holds too: those come last.

        Raises what `proven_entry` does.
        """
        entry = found.entry()
        versions = self._catalogue.versions(entry.sop_instance_uid)
        known = self._known(found, versions)
        if known is not None:
            return known
        if self._catalogue.deletions.find(entry.sop_instance_uid, entry.original_sha256) is not None:
            return Taken.DELETED
        if entry.renormalization is not None:
            return entry.renormalization
        return self._record(entry, found)

    def again(self, found: FoundObject, undone: frozenset[str]) -> Taken:
        """Record an object that was made again: it stands for the version of the same octets, unless its run was undone."""
        entry, catalogue = found.entry(), self._catalogue
        known = self._known(found, catalogue.versions(entry.sop_instance_uid))
        if known is not None:
            return known
        made = entry.renormalization
        assert made is not None
        versions = [*catalogue.versions(made.replaced), *catalogue.versions(entry.sop_instance_uid)]
        version = next((held for held in versions if held.original_sha256 == entry.original_sha256), None)
        if version is not None and any(one.sha256 == entry.sha256 for one in catalogue.generations.of_version(version.pk)):
            self._leave_if_packed(version, entry.sha256, found)  # it lies loose and in a pack, or in two packs
            return Taken.KNOWN
        if version is None:  # the object it was made from is gone; this one holds the octets as well
            version = catalogue.record(entry, self._comparing(entry, found)).held
        elif made.run in undone:
            catalogue.generations.list_only(version.pk, entry)
        else:
            catalogue.generations.replace([Replacement(version.pk, entry)])
        self._repoint(found, version)
        return Taken.RECORDED

    def _known(self, found: FoundObject, versions: tuple[HeldInstance, ...]) -> Taken | None:
        """How an object ends that is on record; a copy of it in a store that has none yet is listed with it."""
        where, sha256 = Location(found.store.name, found.key, found.offset, found.size), found.sha256 or digest_of_key(found.key)
        for held in versions:
            is_new = held.sha256 == sha256 and all(one.store != where.store for one in held.locations)
            if is_new or _is_at(held, found):
                self._repoint(found, held)
                self._leave_if_packed(held, sha256, found)
                return Taken.COPY if self._catalogue.add_copy(held.pk, where) else Taken.KNOWN
        return Taken.KNOWN if self._catalogue.generations.knows(found.key, found.offset) else None

    def _comparing(self, entry: IndexEntry, found: FoundObject) -> Compare:
        """How the found object differs from versions that are held."""
        store, key = found.store, found.key
        new = _compared(
            entry,
            lambda wanted: store.chunks(key, _inside(found, wanted)),
            lambda: rebuild(lambda at, length: store.read(key, _inside(found, ByteRange(at, length))), found.size),
        )
        return lambda versions: {held.pk: classify(self._held(held), new) for held in versions}

    def _record(self, entry: IndexEntry, found: FoundObject) -> Taken:
        recorded = self._catalogue.record(entry, self._comparing(entry, found))
        if recorded.outcome is not Outcome.DUPLICATE or _is_at(recorded.held, found):
            self._repoint(found, recorded.held)
            return Taken.RECORDED
        self._leave_if_packed(recorded.held, entry.sha256, found)
        return Taken.KNOWN

    def _repoint(self, found: FoundObject, held: HeldInstance) -> None:
        """A member of a pack that is listed is of this version."""
        if is_pack(found.key):
            self._catalogue.packs.repoint(found.key, found.offset, held.pk)

    def _leave_if_packed(self, held: HeldInstance, sha256: str, found: FoundObject) -> None:
        """A loose object that lies in a pack as well was not removed yet: at once where its own store has the pack, else with it.

        An object that is current waits too: one made again may take its place, and it would be listed nowhere.
        """
        if is_pack(found.key):
            return
        places = list(held.locations) if held.sha256 == sha256 else []
        places += [one.location for one in self._catalogue.generations.of_version(held.pk) if one.sha256 == sha256]
        packed = [one.store for one in places if is_pack(one.key)]
        if packed:
            at_once = found.store.name in packed
            self._catalogue.packs.leave(found.store.name, [(found.key, held.pk)], 0.0 if at_once else None)

    def _held(self, held: HeldInstance) -> ComparedObject:
        return _compared(held, lambda wanted: self._copies.chunks(held, wanted), lambda: self._copies.original(held))


def _inside(found: FoundObject, wanted: ByteRange) -> ByteRange:
    return ByteRange(found.offset + wanted.offset, wanted.length)


def _is_at(held: HeldInstance, found: FoundObject) -> bool:
    return any(one.key == found.key and one.offset == found.offset for one in held.locations)


def _compared(
    entry: IndexEntry | HeldInstance,
    chunks: Callable[[ByteRange], Iterator[bytes | memoryview]],
    original: Callable[[], Iterator[bytes | memoryview]],
) -> ComparedObject:
    return ComparedObject(
        entry.patient,
        entry.study_instance_uid,
        entry.series_instance_uid,
        entry.transfer_syntax_uid,
        entry.data_set_offset,
        entry.trailer_offset,
        entry.pixel_data,
        chunks,
        original,
    )


def deliver_again(store: Store, catalogue: Catalogue, only: Collection[str] | None = None) -> None:
    """Note once more what second departments delivered of octets that are held.

    Parameters
    ----------
    only
        SHA-256 of the octets that are meant; None: all.

    Raises
    ------
    ValueError, KeyError, TypeError
        A note is damaged.
    """
    for delivery in deliveries(store):
        if only is None or delivery.original_sha256 in only:
            for held in catalogue.versions(delivery.sop_instance_uid):
                if held.original_sha256 == delivery.original_sha256:
                    catalogue.labelling.deliver(held.pk, delivery.source)
