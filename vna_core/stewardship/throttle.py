"""A brake for work in the background: at most so many octets a second."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

_LONGEST: Final = 1.0


class Throttle:
    """Lets octets pass at a rate.

    Parameters
    ----------
    rate
        Octets a second; 0: as fast as they come.
    """

    def __init__(
        self, rate: int, clock: Callable[[], float] = time.monotonic, sleep: Callable[[float], object] = time.sleep
    ) -> None:
        self._rate = rate
        self._clock = clock
        self._sleep = sleep
        self._free_at = 0.0

    def passed(self, octets: int) -> None:
        """Octets have passed; returns when the next may. What was not used in an idle second is not saved up."""
        if self._rate <= 0:
            return
        now = self._clock()
        self._free_at = max(self._free_at, now - _LONGEST) + octets / self._rate
        while (wait := self._free_at - self._clock()) > 0:
            self._sleep(min(wait, _LONGEST))
