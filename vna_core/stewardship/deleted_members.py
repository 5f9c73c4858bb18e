"""Deleted instances that lie in packs: taken out of them again when the deletion is taken back, and for good when it is purged.

A pack is not taken apart: one in which nothing else lies is removed, any other is compacted without what was deleted. The new
pack takes its place in every store by placement, and the old one goes there as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from vna_core.archival_storage.keeping import keep
from vna_core.archival_storage.keys import array_key, instance_key, is_pack
from vna_core.archival_storage.packs import read_pack
from vna_core.catalogue import Catalogue
from vna_core.domain.errors import DigestMismatch, Malformed, ObjectMissing, StorageError, StoreUnavailable
from vna_core.domain.octets import ByteRange
from vna_core.domain.packs import SeriesPlace
from vna_core.domain.stewardship import DeletedObject
from vna_core.ports.storage import Store
from vna_core.stewardship.holding import delete_released
from vna_core.stewardship.pack_jobs import ask_for_compaction
from vna_core.stewardship.sealing import LEASE, reader, remove_pack, unknown_packs
from vna_core.stewardship.taking_up import FoundObject


@dataclass(frozen=True, slots=True)
class Staying:
    """Why an object could not be removed; `silent` is the store where it does not answer."""

    why: str
    silent: str = ""

    @classmethod
    def because(cls, store: str, error: StorageError) -> Staying:
        """What a store said, or that it says nothing."""
        if isinstance(error, StoreUnavailable):
            return cls(f"store {store} does not answer", store)
        return cls(f"store {store}: {error.message}")


class DeletedMembers:
    """Members of packs that belong to deletions."""

    def __init__(self, stores: Mapping[str, Store], landing: Store, catalogue: Catalogue) -> None:
        self._stores = stores
        self._landing = landing
        self._catalogue = catalogue

    def kept_apart(self, found: FoundObject) -> FoundObject:
        """The object itself; as a loose one when its pack was taken over by one without it, for that pack goes.

        Raises
        ------
        DigestMismatch, ObjectMissing, StoreUnavailable
            It cannot be read.
        OutOfResources
            The landing store cannot take it.
        """
        if not is_pack(found.key) or self._catalogue.packs.has_copy(found.store.name, found.key):
            return found
        entry, where = found.entry(), ByteRange(found.offset, found.size)
        key = instance_key(entry.study_instance_uid, entry.series_instance_uid, entry.sop_instance_uid)
        made = keep(self._landing, key, lambda: found.store.chunks(found.key, where), found.sha256)
        return FoundObject(self._landing, made.key, made.size)

    def removed(self, where: DeletedObject) -> Staying | None:
        """Whether no store has the pack any more in which a purged object lay: why not, or None.

        A pack in which nothing lies that is held or may be taken back is removed; of any other the compaction is asked for.
        """
        staying: Staying | None = None
        for store in self._stores.values():
            try:
                store.stat(where.key)
                found = self._left(store, where.key)
            except ObjectMissing:
                continue
            except StorageError as error:
                found = Staying.because(store.name, error)
            if staying is None or not staying.silent:
                staying = found or staying
        return staying

    def unknown_removed(self, study: str, series: str) -> Staying | None:
        """Remove packs of a series that a process wrote which died before anything pointed at them: what was purged may lie in them too.

        Why one stays; None: none does. What is damaged is left as it is, as everywhere.
        """
        place, packs = SeriesPlace(0, study, series), self._catalogue.packs
        try:
            if not unknown_packs(self._catalogue, self._landing, place):
                return None
        except StorageError as error:
            return Staying.because(self._landing.name, error)
        claim = packs.claim(place, LEASE)
        if claim is None:
            return Staying("the series is being packed")
        try:
            names = [self._landing.name, *self._stores]
            rows = packs.series(study=study, series=series)
            held = {one.sha256 for row in rows for one in (*packs.loose(row, names[0]), *packs.packed(row, names))}
            for stored in unknown_packs(self._catalogue, self._landing, place):
                try:
                    members = {one.sha256 for one in read_pack(reader(self._landing, stored.key), stored.size).members}
                except (DigestMismatch, Malformed):
                    continue
                if not members <= held | self._catalogue.deletions.remembers(members):
                    return Staying(f"it may lie in a pack of which the catalogue knows nothing: {stored.key}")
                remove_pack(self._landing, stored.key)
        except StorageError as error:
            return Staying.because(self._landing.name, error)
        finally:
            packs.release(claim)
        return None

    def _left(self, store: Store, key: str) -> Staying | None:
        packs = self._catalogue.packs
        if not packs.is_needed(store.name, key):
            store.delete(array_key(key))
            delete_released(store, key)
            packs.gone(store.name, key)
            return None
        for pack in packs.listed(key=key):
            for place in packs.series(study=pack.study_instance_uid, series=pack.series_instance_uid):
                ask_for_compaction(self._catalogue, place)
        return Staying(f"it lies in a pack with others in store {store.name}: a job makes a pack without it")
