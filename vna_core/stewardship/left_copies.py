"""Instances come back from what they were in before they were packed, where the pack is damaged and that was not removed yet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import structlog

from vna_core.archival_storage.keys import digest_of_key, series_folder
from vna_core.catalogue import Catalogue
from vna_core.domain.errors import StorageError, StoreUnavailable, Unarchivable
from vna_core.domain.instance import HeldInstance, IndexEntry
from vna_core.ports.storage import Store
from vna_core.stewardship.stored_entry import proven_entry

_log = structlog.get_logger(__name__)


class LeftCopies:
    """Finds loose objects that wait to be removed, and has instances read from them again."""

    def __init__(self, stores: Mapping[str, Store], catalogue: Catalogue) -> None:
        self._stores = stores
        self._catalogue = catalogue

    def give_back(self, store: str, pack: str) -> tuple[int, int]:
        """For each instance in a pack of which no good copy is known.

        Returns
        -------
        tuple
            How many are read from a loose object now, and of how many none is left.

        Raises
        ------
        StoreUnavailable
            A store does not answer: what lies there may be what is looked for.
        """
        given, lost = 0, 0
        for held in self._catalogue.checks.unreadable_at(store, pack):
            entry = next(self._entries(held), None)
            if entry is None:
                lost += 1
                continue
            self._catalogue.replace_copy(held.pk, entry)
            self._catalogue.packs.forget_leftovers(entry.location.store, [entry.location.key])
            given += 1
        return given, lost

    def _entries(self, held: HeldInstance) -> Iterator[IndexEntry]:
        """What would be recorded about each loose object with the right octets."""
        folder = series_folder(held.study_instance_uid, held.series_instance_uid)
        for name, store in self._stores.items():
            for key in self._catalogue.packs.left_in(name, folder):
                if digest_of_key(key) != held.sha256:
                    continue
                try:
                    yield proven_entry(store, key, store.stat(key).size)
                except StoreUnavailable:
                    raise
                except (StorageError, Unarchivable) as error:
                    _log.info("copy-not-usable", store=name, key=key, code=error.code)
