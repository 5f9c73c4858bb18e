"""Short work that is done in the event loop while the disk is quick."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import inf
from typing import Any, Final

_SCHEDULING: Final = "/proc/thread-self/schedstat"
"""Nanoseconds that a thread ran, nanoseconds that it was ready and had no processor, and how often it ran (sched-stats of the kernel's documentation)."""


def busy() -> float:
    """Seconds that this thread ran, or was ready to and another had the processor; without end where the system does not tell."""
    try:
        with open(_SCHEDULING, "rb", buffering=0) as told:
            ran, ready, _ = told.read(64).split()
    except OSError:
        return inf
    return (int(ran) + int(ready)) / 1e9


class PromptWork:
    """Whether short work is at present quick enough to be done in the event loop.

    A hand-over to a thread costs more than a read from the page cache. So short reads are made in the loop while they are
    quick; when they wait long, one after the other (a cold disk), their successors go to threads for a while, where they wait side by
    side, and for twice as long each time that the next one in the loop waits as well. What took long without waiting met a busy
    machine, on which threads would only be more work.

    Parameters
    ----------
    clock
        Seconds.
    busy
        Seconds that the calling thread was busy, from any beginning. It is asked before a piece of work unless it was within `PATIENCE`,
        and when one took long: so quick work one after the other costs no question, and hardly anything that was done before is taken to
        be of this work. Without end: nothing is known, and what took long has waited.
    """

    PATIENCE: Final = 0.005
    """Seconds of waiting after which a piece of work was not quick."""
    PAUSE: Final = 0.1
    """Seconds until the loop tries again."""
    LONGEST_PAUSE: Final = 1.6

    def __init__(self, clock: Callable[[], float] = time.perf_counter, busy: Callable[[], float] = busy) -> None:
        self._clock = clock
        self._busy = busy
        self._busy_before = 0.0
        self._asked = -inf
        self._not_before = 0.0
        self._pause = self.PAUSE

    @property
    def is_quick(self) -> bool:
        return self._clock() >= self._not_before

    def do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The result of the call, made here and timed."""
        begin = self._clock()
        if begin - self._asked > self.PATIENCE:
            self._busy_before, self._asked = self._busy(), begin
        try:
            return call(*arguments)
        finally:
            end = self._clock()
            if end - begin <= self.PATIENCE:
                self._pause = self.PAUSE
            elif self._has_waited(end - begin, end):
                self._not_before = end + self._pause
                self._pause = min(2 * self._pause, self.LONGEST_PAUSE)

    def _has_waited(self, seconds: float, now: float) -> bool:
        before, self._busy_before, self._asked = self._busy_before, self._busy(), now
        was_busy = 0.0 if self._busy_before == inf else self._busy_before - before
        return seconds - was_busy > self.PATIENCE
