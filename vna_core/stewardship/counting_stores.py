"""Job `store-count`: what each store holds is counted again and again, for metrics that cost nothing to read."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from vna_core.catalogue import Catalogue
from vna_core.domain.jobs import Again, Job
from vna_core.ports.jobs import Running

STORE_COUNT: Final = "store-count"
_EVERY: Final = 60.0
"""Seconds between counts, at least."""
_SHARE: Final = 50.0
"""A count may take one part in so many of the time, so that those of a large archive are further apart."""


class StoreCounting:
    """Handler of the job, which is done again and again. One that is stopped begins anew.

    Parameters
    ----------
    has_policy
        There are placement rules; without them no copy is missing.
    """

    def __init__(self, catalogue: Catalogue, has_policy: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self._catalogue, self._has_policy, self._clock = catalogue, has_policy, clock

    def __call__(self, job: Job, running: Running) -> Again:
        """Count; the next time follows after a pause that grows with what it took."""
        del job
        begun = self._clock()
        sums = self._catalogue.store_sums
        sums.forget_missing(everything=not self._has_policy)
        if sums.count(lambda: running.stopping) is None:
            return Again()
        return Again(max(_EVERY, _SHARE * (self._clock() - begun)))
