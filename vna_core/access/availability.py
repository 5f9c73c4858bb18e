"""How readily what is held can be read, told honestly; and the recall of what cannot be read at once.

ONLINE: some copy can be read now. NEARLINE: every good copy must be recalled from an archive tier before. OFFLINE: the only copies
are in stores that are not configured any more, or do not answer. A study, series or patient is as available as the least
available instance in it (PS3.3 C.4.23.1.1).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import structlog

from vna_core.archival_storage.placement import PlacementPolicy
from vna_core.catalogue import Catalogue, Match
from vna_core.catalogue.availability import NEARLINE, OFFLINE, ONLINE
from vna_core.configuration.placement import PlacementSettings
from vna_core.domain.errors import CatalogueError, ObjectMissing, RecallPending, VnaError
from vna_core.domain.instance import HeldInstance
from vna_core.domain.jobs import URGENT
from vna_core.domain.placement import RECALL
from vna_core.domain.query import Level
from vna_core.ports.storage import Store

_LOOK_EVERY: Final = 30.0
"""Seconds between questions to a store whether it answers."""
_NOTE_EVERY: Final = 86_400.0
_MOST_NOTED: Final = 100_000

_log = structlog.get_logger(__name__)


class StoreWatch:
    """Which stores do not answer. Asked in the background, at most every half minute, so that no query waits for a store.

    Parameters
    ----------
    gone
        Stores that hold copies and are not configured any more.
    """

    def __init__(
        self, stores: Mapping[str, Store], gone: Collection[str] = (), clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._stores, self._gone, self._clock = stores, frozenset(gone), clock
        self._lock = threading.Lock()
        self._looked = float("-inf")
        self._silent: frozenset[str] = frozenset()

    @property
    def offline(self) -> frozenset[str]:
        """What was last found; a look that is due begins and is not waited for."""
        with self._lock:
            due = self._clock() - self._looked >= _LOOK_EVERY
            if due:
                self._looked = self._clock()
        if due and self._stores:
            threading.Thread(target=self.look, name="store-watch", daemon=True).start()
        return self._gone | self._silent

    def look(self) -> None:
        """Ask every store now."""
        silent = set()
        for name, store in self._stores.items():
            try:
                store.stat("probe/answers")
            except ObjectMissing:
                continue
            except VnaError:
                silent.add(name)
        for name in sorted(silent - self._silent):
            _log.warning("store-does-not-answer", store=name)
        self._silent = frozenset(silent)


class Availability:
    """Answers for queries, and stands between retrievals and archive tiers.

    Where the policy counts ages from the last access, retrievals are noted, once a day for each study.

    Attributes
    ----------
    policy, placement, settings
        The placement policy, its section of the configuration, and what that says about recalls.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        watch: StoreWatch | None = None,
        placement: PlacementSettings | None = None,
        policy: PlacementPolicy | None = None,
    ) -> None:
        self.catalogue = catalogue
        self.watch = watch or StoreWatch({})
        self.placement = placement or PlacementSettings()
        self.policy = policy or PlacementPolicy()
        self.settings = self.placement.recall
        self._notes_accesses = self.policy.counts_accesses
        self._noted: dict[str, float] = {}

    def of(self, level: Level, pks: Sequence[int]) -> dict[int, str]:
        """Instance Availability by key, of those that are not ONLINE; patients, studies, series or current versions."""
        offline = self.watch.offline
        if not offline:
            return dict.fromkeys(self.catalogue.availabilities.nearline(level, pks), NEARLINE)
        nearline, gone = self.catalogue.availabilities.unreadable(level, pks, offline)
        return dict.fromkeys(nearline, NEARLINE) | dict.fromkeys(gone, OFFLINE)

    def of_matches(self, level: Level, matches: Sequence[Match]) -> list[tuple[Match, str]]:
        """Matches, each with its Instance Availability."""
        known = self.of(level, [match.pk for match in matches if not match.available])
        return [(match, match.available or known.get(match.pk, ONLINE)) for match in matches]

    def of_held(self, held: HeldInstance) -> str:
        """Instance Availability of one version."""
        offline = self.watch.offline
        if not held.locations or all(location.store in offline for location in held.locations):
            return OFFLINE
        return NEARLINE if held.nearline else ONLINE

    def ensure(self, found: Iterable[HeldInstance]) -> None:
        """Let a retrieval pass, or ask for the recall of every study it needs and raise RecallPending. Never waits."""
        instances = list(found)
        self._note({held.study_instance_uid for held in instances})
        studies = {held.study_instance_uid for held in instances if held.nearline}
        for study in sorted(studies):
            self.recall(study)
        if studies:
            raise self.pending(sum(held.nearline for held in instances))

    def pending(self, instances: int) -> RecallPending:
        """What a retrieval of archived instances is answered with."""
        after = self.settings.retry_after
        message = f"Images are being recalled from a cold tier: ask again in {after} s."
        return RecallPending(message, instances=instances, retry_after=after)

    def recall(self, study_instance_uid: str) -> None:
        """Have a whole study brought back, as one job; asking again changes nothing."""
        self.catalogue.jobs.add(RECALL, study_instance_uid, priority=URGENT)

    def _note(self, studies: set[str]) -> None:
        if not self._notes_accesses:
            return
        now = time.monotonic()
        fresh = [uid for uid in studies if now - self._noted.get(uid, float("-inf")) > _NOTE_EVERY]
        if not fresh:
            return
        if len(self._noted) > _MOST_NOTED:
            self._noted.clear()
        try:
            self.catalogue.placements.accessed(fresh)
            self._noted.update(dict.fromkeys(fresh, now))
        except CatalogueError as error:  # the images must be given out whether or not it could be noted
            _log.warning("access-not-noted", code=error.code)


__all__ = ["NEARLINE", "OFFLINE", "ONLINE", "Availability", "StoreWatch"]
