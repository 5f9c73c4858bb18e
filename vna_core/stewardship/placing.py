"""Job `place`: one series is brought to where the policy wants it.

Whatever happens in between, the next attempt begins by looking at what is there. A copy is recorded after it was read back and
found right; a copy is dropped after every other one that must be there was asked for at its store. A process that dies between
copying and recording leaves an object that the next attempt finds, verifies and records; one that dies while it drops leaves a
copy that nobody reads any more, which the next attempt deletes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

import structlog

from vna_core.archival_storage.copying import copy_object, with_answer
from vna_core.archival_storage.keys import array_key, is_pack
from vna_core.archival_storage.placement import PlacementPolicy
from vna_core.archival_storage.steps import AdjustStep, CopyStep, DropStep, SeriesSteps, steps_of
from vna_core.catalogue import Catalogue
from vna_core.domain.errors import (
    DigestMismatch,
    ObjectArchived,
    ObjectMissing,
    OutOfResources,
    StorageError,
    StoreUnavailable,
    VnaError,
)
from vna_core.domain.jobs import URGENT, Again, Job
from vna_core.domain.placement import BAD, COLD, OK, RECALL
from vna_core.ports.jobs import Running
from vna_core.ports.storage import Store, Terms
from vna_core.stewardship.descriptions import description_of, stand_beside
from vna_core.stewardship.holding import HOLD_COPIES

_RECORD_EVERY: Final = 2.0
"""Seconds of copying whose results are recorded together; what a crash loses of them is verified once more."""
_SECOND: Final = 1_000_000

_log = structlog.get_logger(__name__)


@dataclass(slots=True)
class _Attempt:
    """What went wrong in one attempt, and which stores need not be asked again in it."""

    series_pk: int
    failures: list[VnaError] = field(default_factory=list)
    given_up: set[str] = field(default_factory=set)
    archived: bool = False

    def failed(self, store: str, error: VnaError) -> None:
        """Note a failure; a store that is down, full or refuses us is left alone until the next attempt."""
        _log.warning("placement-failed", series=self.series_pk, store=store, code=error.code)
        self.failures.append(error)
        if isinstance(error, StoreUnavailable | OutOfResources):
            self.given_up.add(store)

    def raise_worst(self) -> None:
        """Raise a failure, a passing one first: the job is then tried again without end."""
        for error in sorted(self.failures, key=lambda one: not one.transient):
            raise error


class Placer:
    """Handler of jobs `place`; their key is the primary key of a series.

    Parameters
    ----------
    removal_delay
        Seconds after which what a pack has taken over from may be removed (`packs.removal_delay`).
    """

    def __init__(
        self,
        stores: Mapping[str, Store],
        catalogue: Catalogue,
        policy: PlacementPolicy,
        clock: Callable[[], float] = time.time,
        removal_delay: float = 0.0,
    ) -> None:
        self._stores = stores
        self._removal_delay = removal_delay
        self._catalogue = catalogue
        self._placements = catalogue.placements
        self._policy = policy
        self._clock = clock

    def __call__(self, job: Job, running: Running) -> Again | None:
        """Copy, move and lock, then drop what is not asked for; raises what kept a part of it from being done."""
        series_pk = int(job.key)
        attempt = _Attempt(series_pk)
        steps = self._steps(series_pk)
        if self._copy(steps, attempt, running):
            return Again()
        for adjustment in steps.adjustments:
            self._adjust(adjustment, attempt)
        if steps.copies or steps.adjustments:
            steps = self._steps(series_pk)
            for adjustment in steps.adjustments:
                self._adjust(adjustment, attempt)
        for drop in steps.drops:
            if running.stopping:
                return Again()
            self._drop(drop, attempt)
        after = self._steps(series_pk)
        if (steps.copies or steps.drops) and self._catalogue.holds.covers(series_pk):
            self._catalogue.jobs.add(HOLD_COPIES, str(series_pk))
        self._placements.evaluated(series_pk, self._policy.digest, after.met, after.due, after.missing)
        if after.without_source:
            message = "Versions have no good copy to copy from: send them again, or repair them."
            attempt.failures.append(ObjectMissing(message, instances=len(after.without_source)))
        attempt.raise_worst()
        return Again(60.0) if attempt.archived else None

    def _steps(self, series_pk: int) -> SeriesSteps:
        return steps_of(self._policy, self._placements.of_series(series_pk), round(self._clock() * _SECOND))

    # -- copies -----------------------------------------------------------------------------------------------------------

    def _copy(self, steps: SeriesSteps, attempt: _Attempt, running: Running) -> bool:
        """Make the copies that are missing; True: the process is about to end."""
        done: list[tuple[str, str, str]] = []
        recorded = time.monotonic()
        for number, step in enumerate(steps.copies):
            if running.stopping:
                self._placements.copied_all(attempt.series_pk, done)
                return True
            source = self._copy_one(step, attempt)
            if source and is_pack(step.key) and self._catalogue.packs.listed(key=step.key):
                self._catalogue.packs.record_copy(step.key, step.target, self._removal_delay)
            elif source:
                done.append((step.key, source, step.target))
            if time.monotonic() - recorded > _RECORD_EVERY:
                self._placements.copied_all(attempt.series_pk, done)
                done, recorded = [], time.monotonic()
                running.tell({"copied": number + 1, "of": len(steps.copies)})
        self._placements.copied_all(attempt.series_pk, done)
        return False

    def _copy_one(self, step: CopyStep, attempt: _Attempt) -> str:
        """The store it was copied from; empty where it could not be."""
        if step.target in attempt.given_up:
            return ""
        for name in sorted(step.sources, key=self._is_remote):
            if name not in self._stores or name in attempt.given_up:
                continue
            try:
                copy_object(self._stores[name], self._stores[step.target], step.key, step.sha256)
                self._copy_array(step, name)
                return name
            except ObjectArchived:
                self._recall(attempt)
                return ""
            except (ObjectMissing, DigestMismatch) as error:
                if isinstance(error, DigestMismatch) and error.fields.get("store") != name:
                    attempt.failed(step.target, error)
                    return ""
                _log.error("stored-copy-damaged", store=name, key=step.key, how=error.code, size=step.size)
                self._placements.set_state(attempt.series_pk, name, step.key, BAD)
                attempt.failures.append(error)
            except VnaError as error:
                attempt.failed(str(error.fields.get("store", step.target)), error)
                if isinstance(error, OutOfResources):
                    attempt.given_up.add(step.target)
                if step.target in attempt.given_up or not isinstance(error, StoreUnavailable):
                    return ""
        return ""

    def _is_remote(self, name: str) -> bool:
        return name not in self._stores or not self._stores[name].abilities().local

    def _copy_array(self, step: CopyStep, source: str) -> None:
        """The description of a pack as an array goes with the pack."""
        if is_pack(step.key):
            stand_beside(self._stores[step.target], step.key, description_of(self._stores[source], step.key))

    def _recall(self, attempt: _Attempt) -> None:
        """The only source is in an archive tier: its study is recalled, and copied when it is back."""
        study = self._placements.study_of(attempt.series_pk)
        self._catalogue.jobs.add(RECALL, study, priority=URGENT)
        attempt.archived = True

    # -- tiers and locks --------------------------------------------------------------------------------------------------

    def _adjust(self, step: AdjustStep, attempt: _Attempt) -> None:
        if step.store in attempt.given_up:
            return
        store = self._stores[step.store]
        until = datetime.fromtimestamp(-(-step.locked_until // _SECOND), UTC) if step.locked_until else None
        try:
            with_answer(store, lambda: store.adjust(step.key, Terms(step.tier, until, step.compliance)))
        except ObjectArchived:
            self._recall(attempt)
            return
        except ObjectMissing as error:
            self._placements.set_state(attempt.series_pk, step.store, step.key, BAD)
            attempt.failures.append(error)
            return
        except VnaError as error:
            attempt.failed(step.store, error)
            return
        changed: dict[str, object] = {"locked_until": step.locked_until} if step.locked_until else {}
        state = ""
        if step.tier:
            changed |= {"tier": step.tier, "tier_since": round(self._clock() * _SECOND), "readable_until": 0}
            state = COLD if step.tier in store.abilities().archive_tiers else OK
        self._placements.set_terms(attempt.series_pk, step.store, step.key, state, **changed)

    # -- copies that are not asked for ------------------------------------------------------------------------------------

    def _drop(self, step: DropStep, attempt: _Attempt) -> None:
        store = self._stores.get(step.store)
        if store is None or step.store in attempt.given_up or not self._are_there(step, attempt):
            return
        if not self._placements.leave(attempt.series_pk, step.store, step.key):
            return
        try:
            with_answer(store, lambda: store.delete(step.key))
            if is_pack(step.key):
                with_answer(store, lambda: store.delete(array_key(step.key)))
        except VnaError as error:
            attempt.failed(step.store, error)
            return
        self._placements.left(attempt.series_pk, step.store, step.key)

    def _are_there(self, step: DropStep, attempt: _Attempt) -> bool:
        """Whether every copy that must stay answers at its store."""
        for name, key in step.required:
            store = self._stores[name]
            try:
                found = with_answer(store, lambda store=store, key=key: store.stat(key))  # type: ignore[misc]
            except ObjectMissing as error:
                _log.error("stored-copy-damaged", store=name, key=key, how=error.code, size=step.size)
                self._placements.set_state(attempt.series_pk, name, key, BAD)
                attempt.failures.append(error)
                return False
            except StorageError as error:
                attempt.failed(name, error)
                return False
            if key == step.key and not is_pack(key) and found.size != step.size:
                self._placements.set_state(attempt.series_pk, name, key, BAD)
                attempt.failures.append(DigestMismatch("A stored copy is truncated.", store=name, key=key))
                return False
        return True
