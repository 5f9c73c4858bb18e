"""How long the rooms of the way in take for one instance, kept for each thread."""

from __future__ import annotations

import threading
import time
from typing import Final

STORING: Final = frozenset(("place", "index"))
"""Rooms that wait for stores and the catalogue; the others compute."""


class StageClock:
    """Measures the rooms that this thread walks through."""

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def begin(self) -> None:
        """An instance enters."""
        self._of_thread.last = time.perf_counter()
        self._of_thread.storing = 0.0

    def left(self, room: str) -> None:
        """A room was left."""
        last = getattr(self._of_thread, "last", 0.0)
        if last:
            now = time.perf_counter()
            if room in STORING:
                self._of_thread.storing += now - last
            self._of_thread.last = now

    def storing(self) -> float:
        """Seconds that this thread's last instance spent waiting for stores and the catalogue."""
        self._of_thread.last = 0.0
        return float(self._of_thread.storing)
