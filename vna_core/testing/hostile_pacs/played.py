"""What was played already."""

from __future__ import annotations

import threading

from vna_core.testing.hostile_pacs.faults import FAULTS


class Played:
    """Remembers what was done once. May be used by several threads."""

    def __init__(self) -> None:
        self._keys: set[str] = set()
        self._lock = threading.Lock()

    def first(self, key: str) -> bool:
        """Whether this is the first time."""
        with self._lock:
            first = key not in self._keys
            self._keys.add(key)
        return first

    def now(self, fault: str, target: str) -> str:
        """The fault to play at a target now: a transient one only the first time."""
        if fault and FAULTS[fault].transient and not self.first(f"{fault}:{target}"):
            return ""
        return fault
