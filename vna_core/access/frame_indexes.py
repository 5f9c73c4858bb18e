"""Frame indexes that were read already, so that each further frame of an object costs one range read."""

from __future__ import annotations

import threading
from collections import OrderedDict
from typing import Final

from vna_core.domain.octets import ByteRange

MOST: Final = 500_000
"""Ranges kept at most, over all objects."""


class FrameIndexes:
    """Frame indexes by the digest of their object, the ones used last; may be used by several threads at once."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._kept: OrderedDict[str, tuple[ByteRange, ...]] = OrderedDict()
        self._size = 0
        self._lock = threading.Lock()

    def get(self, sha256: str) -> tuple[ByteRange, ...] | None:
        """The index of an object, or None."""
        with self._lock:
            if sha256 in self._kept:
                self._kept.move_to_end(sha256)
            return self._kept.get(sha256)

    def put(self, sha256: str, index: tuple[ByteRange, ...]) -> None:
        """Keep an index, and drop those that were not used for longest."""
        with self._lock:
            if sha256 in self._kept or len(index) > self._most:
                return
            self._kept[sha256] = index
            self._size += len(index)
            while self._size > self._most:
                _, dropped = self._kept.popitem(last=False)
                self._size -= len(dropped)
