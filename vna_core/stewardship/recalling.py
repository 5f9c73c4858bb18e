"""Job `recall`: a whole study is brought back from archive tiers, as one job, without anybody waiting in a thread.

The stores are asked for every object at once; the job then looks from time to time how it stands. An object that can be read
again is recorded at once, so that the first images of a study are there before the last ones.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import structlog

from vna_core.archival_storage.copying import copy_object, with_answer
from vna_core.archival_storage.keys import digest_of_content
from vna_core.catalogue import Catalogue
from vna_core.configuration.placement import RecallSettings
from vna_core.domain.errors import VnaError
from vna_core.domain.jobs import Again, Job
from vna_core.domain.placement import COLD, OK, HeldCopy, PlacedInstance
from vna_core.ports.jobs import Running
from vna_core.ports.storage import Store

_SECOND: Final = 1_000_000
_DAY: Final = 86_400

_log = structlog.get_logger(__name__)


class Recaller:
    """Handler of jobs `recall`; their key is a Study Instance UID."""

    def __init__(
        self,
        stores: Mapping[str, Store],
        catalogue: Catalogue,
        settings: RecallSettings,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._stores, self._catalogue, self._settings, self._clock = stores, catalogue, settings, clock

    def __call__(self, job: Job, running: Running) -> Again | None:
        """Ask for, or look at, every object that no readable copy stands for."""
        pending = back = 0
        failure: VnaError | None = None
        for series_pk, instances in self._catalogue.placements.of_study(job.key).items():
            done: set[str] = set()
            for copies in _archived(instances):
                if running.stopping:
                    return Again()
                key = copies[0].key
                if key in done:
                    continue
                done.add(key)
                try:
                    if self._recalled(series_pk, copies):
                        back += 1
                    else:
                        pending += 1
                except VnaError as error:
                    _log.warning("recall-failed", key=key, code=error.code)
                    failure = failure or error
        running.tell({"back": back, "pending": pending})
        if failure is not None:
            raise failure
        return Again(self._settings.poll) if pending else None

    def _recalled(self, series_pk: int, copies: list[HeldCopy]) -> bool:
        """Ask the first store that answers; whether the object can be read now."""
        failure: VnaError | None = None
        for copy in copies:
            store = self._stores.get(copy.store)
            if store is None:
                continue
            try:
                if not with_answer(store, lambda store=store, copy=copy: store.recall(copy.key, self._settings.days)):  # type: ignore[misc]
                    return False
                self._back(series_pk, store, copy)
                return True
            except VnaError as error:
                failure = failure or error
        if failure is not None:
            raise failure
        return False

    def _back(self, series_pk: int, store: Store, copy: HeldCopy) -> None:
        until = round((self._clock() + self._settings.days * _DAY) * _SECOND)
        placements, cache = self._catalogue.placements, self._settings.cache
        tier = copy.tier or next(iter(store.abilities().archive_tiers), "")
        if cache and cache != copy.store:
            copy_object(store, self._stores[cache], copy.key, digest_of_content(copy.key))
            placements.set_terms(series_pk, cache, copy.key, readable_until=until)
            placements.copied_all(series_pk, [(copy.key, copy.store, cache)])
        placements.set_terms(series_pk, copy.store, copy.key, OK, tier=tier, readable_until=until)


def _archived(instances: Iterable[PlacedInstance]) -> Iterable[list[HeldCopy]]:
    """The archived copies of every version that has no readable one."""
    for one in instances:
        copies = [copy for copy in one.copies if copy.state == COLD]
        if copies and not any(copy.state == OK for copy in one.copies):
            yield copies
