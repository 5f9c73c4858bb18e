"""How long a source was waited for while it delivered, several instances at once perhaps."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator


class DeliveryClock:
    """Tells the time of a retrieval in which the source had nothing for us from the time in which something of it was taken in.

    Parameters
    ----------
    clock
        Seconds that pass.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._taking, self._since, self._taken = 0, 0.0, 0.0
        self.waited = 0.0
        """Seconds of all retrievals in which no delivery was being taken in."""

    @contextlib.contextmanager
    def retrieval(self) -> Iterator[None]:
        """One retrieval; when it ends, every delivery has."""
        begun, before = self._clock(), self._taken
        try:
            yield
        finally:
            self.waited += max(0.0, self._clock() - begun - (self._taken - before))

    @contextlib.contextmanager
    def delivery(self) -> Iterator[None]:
        """One delivery; those that overlap count once."""
        with self._lock:
            if not self._taking:
                self._since = self._clock()
            self._taking += 1
        try:
            yield
        finally:
            with self._lock:
                self._taking -= 1
                if not self._taking:
                    self._taken += self._clock() - self._since
