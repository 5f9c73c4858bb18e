"""An archive that can take nothing now: no room, no store, no catalogue. It is tried again by itself, less and less often."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from vna_core.domain.errors import VnaError

SHORTEST: Final = 1.0
LONGEST: Final = 15.0
"""Seconds between two attempts: half as long as nothing could be taken, within these bounds."""


class HeldUp:
    """What keeps one process from taking anything. Safe to use from several threads."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._state: tuple[VnaError, float, float] | None = None

    @property
    def why(self) -> VnaError | None:
        """What the last attempt failed with; None: it did not."""
        state = self._state
        return None if state is None else state[0]

    @property
    def seconds(self) -> float:
        """Until the next attempt is due; 0.0: now."""
        state = self._state
        return 0.0 if state is None else max(0.0, state[2] - self._clock())

    def note(self, error: VnaError) -> bool:
        """An attempt failed; whether one before it failed for the same reason. What does not pass by itself holds up nothing else."""
        if not error.transient:
            return False
        now, state = self._clock(), self._state
        since = now if state is None else state[1]
        self._state = (error, since, now + min(LONGEST, max(SHORTEST, (now - since) / 2)))
        return state is not None and state[0].code == error.code

    def over(self) -> None:
        """Something was taken."""
        self._state = None
