"""Short work that is done in the event loop while the disk is quick."""

from __future__ import annotations

import resource
import time
from collections.abc import Callable
from typing import Any, Final


def waits() -> int:
    """How often this thread has waited for something; being put aside for another does not count (getrusage(2))."""
    return resource.getrusage(resource.RUSAGE_THREAD).ru_nvcsw


class PromptWork:
    """Whether short work is at present quick enough to be done in the event loop.

    A hand-over to a thread costs more than a read from the page cache. So short reads are made in the loop while they are
    quick; one that waited long (a cold disk) sends its successors to threads for a while, where they wait side by side. What took
    long without waiting met a busy machine, on which threads would only be more work.

    Parameters
    ----------
    clock
        Seconds.
    waits
        How often the calling thread has waited.
    """

    PATIENCE: Final = 0.005
    """Seconds after which a piece of work that waited was not quick."""
    PAUSE: Final = 1.0
    """Seconds until the loop tries again."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter, waits: Callable[[], int] = waits) -> None:
        self._clock = clock
        self._waits = waits
        self._not_before = 0.0

    @property
    def is_quick(self) -> bool:
        return self._clock() >= self._not_before

    def do(self, call: Callable[..., Any], *arguments: Any) -> Any:
        """The result of the call, made here and timed."""
        begin, waited = self._clock(), self._waits()
        try:
            return call(*arguments)
        finally:
            end = self._clock()
            if end - begin > self.PATIENCE and self._waits() > waited:
                self._not_before = end + self.PAUSE
