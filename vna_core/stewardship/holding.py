"""Job `hold-copies`: legal holds are set on the objects themselves, at every store that has object locks, and lifted again.

The catalogue refuses to delete what is under a hold, whatever a store can; a store that holds an object refuses it to others too.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import structlog

from vna_core.archival_storage.copying import with_answer
from vna_core.archival_storage.keys import pack_folder, series_folder
from vna_core.catalogue import Catalogue
from vna_core.catalogue.store_holds import HoldOnObject
from vna_core.domain.errors import ObjectMissing, StorageError, StoreUnavailable, VnaError
from vna_core.domain.jobs import Again, Job
from vna_core.ports.jobs import Running
from vna_core.ports.storage import Store, Terms

HOLD_COPIES: Final = "hold-copies"
"""Kind of the job; its key is the primary key of a series."""

_log = structlog.get_logger(__name__)


class HoldingCopies:
    """Handler of jobs `hold-copies`."""

    def __init__(self, stores: Mapping[str, Store], catalogue: Catalogue) -> None:
        self._stores = stores
        self._catalogue = catalogue

    def __call__(self, job: Job, running: Running) -> Again | None:
        """Bring every object of the series to what its holds say; raises what kept some from it, at the end."""
        series_pk, failures = int(job.key), list[VnaError]()
        for place in self._catalogue.packs.place_of(series_pk):
            uids = (place.study_instance_uid, place.series_instance_uid)
            for one in self._catalogue.store_holds.of_series(series_pk, (series_folder(*uids), pack_folder(*uids))):
                if running.stopping:
                    return Again()
                if one.held is not one.wanted:
                    failures += self._brought(one)
        for error in sorted(failures, key=lambda one: not one.transient):
            raise error
        return None

    def _brought(self, one: HoldOnObject) -> list[VnaError]:
        store = self._stores.get(one.store)
        if store is None or store.abilities().local:
            return []
        try:
            with_answer(store, lambda: store.stat(one.key))  # a store that was down at the start tells its abilities only now
            if not store.abilities().object_lock:
                return []
            with_answer(store, lambda: store.adjust(one.key, Terms(legal_hold=one.wanted)))
        except ObjectMissing:
            if not one.wanted:
                self._catalogue.store_holds.note(one.store, one.key, held=False)
            return []
        except VnaError as error:
            _log.warning("hold-not-set", store=one.store, key=one.key, wanted=one.wanted, code=error.code)
            return [error]
        self._catalogue.store_holds.note(one.store, one.key, held=one.wanted)
        return []


def delete_released(store: Store, key: str) -> None:
    """Delete an object that no hold of the catalogue is on: one that an earlier hold left at the store is lifted.

    Raises StorageError where it is locked otherwise, StoreUnavailable.
    """
    try:
        store.delete(key)
    except StoreUnavailable:
        raise
    except StorageError:
        if not store.abilities().object_lock:
            raise
        store.adjust(key, Terms(legal_hold=False))
        store.delete(key)
