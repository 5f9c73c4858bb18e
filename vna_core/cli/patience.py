"""How long a command waits for an archive that can take nothing for a while."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

from vna_core.domain.errors import VnaError

_SHORTEST: Final = 0.2
_LONGEST: Final = 5.0


class Patience:
    """How long a run waits for an archive that takes nothing now (no catalogue, no store, no room), over all its items together.

    Parameters
    ----------
    seconds
        From the first failure on, until something is taken again.
    told
        Called with the failure when a time of waiting begins.
    """

    def __init__(
        self,
        seconds: float,
        told: Callable[[VnaError], object] = lambda error: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._seconds, self._told, self._clock, self._sleep = seconds, told, clock, sleep
        self._lock = threading.Lock()
        self._since: float | None = None
        self.over: VnaError | None = None
        """Why nothing more is offered; None as long as it is worth the while."""

    def taken(self) -> None:
        """The archive has taken something."""
        with self._lock:
            self._since = None

    def again(self, error: VnaError) -> bool:
        """Wait a moment, and say whether what failed is to be tried again."""
        if not error.transient:
            return False
        with self._lock:
            now = self._clock()
            begins = self._since is None
            since = self._since = now if self._since is None else self._since
            left = since + self._seconds - now
            if self.over is None and left <= 0:
                self.over = error
            if self.over is not None:
                return False
        if begins:
            self._told(error)
        self._sleep(min(left, _LONGEST, max(_SHORTEST, (now - since) / 2)))
        return True
