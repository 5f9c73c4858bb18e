"""What the placement policy means for storage commitment: an instance is committed when every copy it must have is there."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from vna_core.access.availability import Availability
from vna_core.catalogue import Catalogue
from vna_core.domain.placement import PlacedInstance

_SECOND: Final = 1_000_000
_AT_ONCE: Final = 500


class PlacementPromises:
    """Asks the policy about instances whose commitment was requested."""

    def __init__(self, catalogue: Catalogue, availability: Availability, clock: Callable[[], float] = time.time) -> None:
        self._catalogue, self._policy, self._clock = catalogue, availability.policy, clock
        self._wait = availability.placement.commitment_wait

    def unmet(self, pks: Iterable[int]) -> set[int]:
        """Versions that lack a copy which the policy wants now."""
        if not self._policy.digest:
            return set()
        keys, now, found = sorted(pks), round(self._clock() * _SECOND), set[int]()
        for at in range(0, len(keys), _AT_ONCE):
            placed: list[PlacedInstance] = self._catalogue.placements.of_instances(keys[at : at + _AT_ONCE])
            found |= {one.pk for one in placed if not self._policy.verdict(one, now).met}
        return found

    def may_wait(self, requested_at: float) -> bool:
        """Whether a request of that time (seconds since 1970) goes on waiting for copies."""
        return self._clock() - requested_at < self._wait
