"""Single objects of the stores become part of the catalogue: for a rebuild, for an orphan, and when a deletion is taken back."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from enum import StrEnum

from vna_core.archival_storage.comparison import ComparedObject, classify
from vna_core.archival_storage.copies import CopyReader
from vna_core.archival_storage.delivery_notes import deliveries
from vna_core.catalogue import Catalogue, Replacement
from vna_core.domain.instance import HeldInstance, IndexEntry, Location
from vna_core.domain.octets import ByteRange
from vna_core.domain.outcome import Outcome
from vna_core.domain.renormalization import Renormalization
from vna_core.ports.storage import Store, StoredObject
from vna_core.stewardship.stored_entry import proven_entry, undone_runs


class Taken(StrEnum):
    """How taking up an object ended."""

    RECORDED = "recorded"
    COPY = "copy"
    """The version was known; this copy of it was not."""
    KNOWN = "known"
    """The catalogue has it, or its octets in another object."""


class TakingUp:
    """Records objects that the catalogue does not know."""

    def __init__(self, stores: Mapping[str, Store], catalogue: Catalogue) -> None:
        self._stores = stores
        self._catalogue = catalogue
        self._copies = CopyReader(stores, lambda held, location: catalogue.set_location_state(held.pk, location, "bad"))

    def adopt(self, store: Store, stored: StoredObject) -> Taken:
        """Record one object, whatever it is.

        Raises what `proven_entry` does.
        """
        result = self.first(store, stored)
        if isinstance(result, Renormalization):
            return self.again(store, stored, undone_runs(self._stores))
        return result

    def first(self, store: Store, stored: StoredObject) -> Taken | Renormalization:
        """Record an object; or tell how it was made again of octets that an earlier object holds too: those come last.

        Raises what `proven_entry` does.
        """
        entry = proven_entry(store, stored.key, stored.size)
        versions = self._catalogue.versions(entry.sop_instance_uid)
        known = self._known(store, stored, versions)
        if known is not None:
            return known
        if entry.renormalization is not None:
            return entry.renormalization
        return self._record(entry, store, stored, versions)

    def again(self, store: Store, stored: StoredObject, undone: frozenset[str]) -> Taken:
        """Record an object that was made again: it stands for the version of the same octets, unless its run was undone."""
        entry = proven_entry(store, stored.key, stored.size)
        known = self._known(store, stored, self._catalogue.versions(entry.sop_instance_uid))
        if known is not None:
            return known
        made = entry.renormalization
        assert made is not None
        versions = [*self._catalogue.versions(made.replaced), *self._catalogue.versions(entry.sop_instance_uid)]
        version = next((held for held in versions if held.original_sha256 == entry.original_sha256), None)
        if version is None:  # the object it was made from is gone; this one holds the octets as well
            self._catalogue.record(entry)
        elif made.run in undone:
            self._catalogue.generations.list_only(version.pk, entry)
        else:
            self._catalogue.generations.replace([Replacement(version.pk, entry)])
        return Taken.RECORDED

    def _known(self, store: Store, stored: StoredObject, versions: tuple[HeldInstance, ...]) -> Taken | None:
        """How an object ends whose key is on record; a copy of it in a store that is not is listed with it."""
        for held in versions:
            if any(location.key == stored.key for location in held.locations):
                added = self._catalogue.add_copy(held.pk, Location(store.name, stored.key, 0, stored.size))
                return Taken.COPY if added else Taken.KNOWN
        return Taken.KNOWN if self._catalogue.generations.knows(stored.key) else None

    def _record(self, entry: IndexEntry, store: Store, stored: StoredObject, versions: tuple[HeldInstance, ...]) -> Taken:
        new = _compared(entry, lambda wanted: store.chunks(stored.key, wanted))
        classification = {held.pk: classify(self._held(held), new) for held in versions}
        recorded = self._catalogue.record(entry, classification)
        is_new = recorded.outcome is not Outcome.DUPLICATE or any(
            location.key == stored.key for location in recorded.held.locations
        )
        return Taken.RECORDED if is_new else Taken.KNOWN

    def _held(self, held: HeldInstance) -> ComparedObject:
        return _compared(held, lambda wanted: self._copies.chunks(held, wanted))


def _compared(entry: IndexEntry | HeldInstance, chunks: Callable[[ByteRange], Iterator[bytes | memoryview]]) -> ComparedObject:
    return ComparedObject(
        entry.patient,
        entry.study_instance_uid,
        entry.series_instance_uid,
        entry.transfer_syntax_uid,
        entry.data_set_offset,
        entry.trailer_offset,
        entry.pixel_data,
        chunks,
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
