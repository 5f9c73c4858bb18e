"""When a campaign will be done: the rate of the last while, with a band that its own ups and downs give."""

from __future__ import annotations

import statistics
from collections import deque
from dataclasses import dataclass
from typing import Final

_SAMPLES: Final = 60
_FEWEST: Final = 4
_SPREAD: Final = 1.645
"""Standard errors on either side of the mean rate: nine times out of ten the mean lies between."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Seconds until the end: likely, and between which bounds in nine cases of ten. `rate` is in instances a second."""

    rate: float
    likely: float
    low: float
    high: float


class RateWatch:
    """Watches how many instances are done as time goes by.

    Parameters
    ----------
    interval
        Seconds over which one sample of the rate is taken.
    """

    def __init__(self, interval: float = 5.0) -> None:
        self._interval = interval
        self._last: tuple[float, int] | None = None
        self._rates: deque[float] = deque(maxlen=_SAMPLES)

    def see(self, at: float, done: int) -> None:
        """`done` instances were done at the moment `at` (seconds of a monotonic clock)."""
        if self._last is None:
            self._last = (at, done)
        elif at - self._last[0] >= self._interval:
            self._rates.append(max(0, done - self._last[1]) / (at - self._last[0]))
            self._last = (at, done)

    def estimate(self, left: int) -> Estimate | None:
        """For `left` instances; None while too little was seen."""
        if len(self._rates) < _FEWEST:
            return None
        mean = statistics.fmean(self._rates)
        if mean <= 0.0:
            return None
        error = _SPREAD * statistics.stdev(self._rates) / len(self._rates) ** 0.5
        slowest = max(mean - error, mean / 10)
        return Estimate(mean, left / mean, left / (mean + error), left / slowest)


def duration(seconds: float) -> str:
    """Seconds for people: ``3 d 4 h``, ``2 h 5 min``, ``40 s``."""
    whole = round(seconds)
    for size, unit, smaller, name in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {unit}" + (f" {rest} {name}" if rest else "")
    return f"{whole} s"
