"""Octets in memory, where another process can read them."""

from __future__ import annotations

import os
import threading
from typing import Final

from vna_core.domain.octets import Octets

KEPT: Final = 16 << 20
"""Octets of files of memory that are kept for the next loan."""


class LentFiles:
    """Files of memory, written again for each loan: a fresh page costs ten times as much as what is written on it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[int] = []
        self._kept = 0

    def lend(self, octets: Octets) -> int:
        """A descriptor at which another process finds the octets from 0 on. Raises OSError."""
        with self._lock:
            descriptor = self._idle.pop() if self._idle else os.memfd_create("octets", os.MFD_CLOEXEC)
            self._kept -= os.fstat(descriptor).st_size
        try:
            offset = 0
            for piece in octets.chunks():
                with memoryview(piece) as view:
                    done = 0
                    while done < len(view):
                        done += os.pwrite(descriptor, view[done:], offset + done)
                    offset += done
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def take_back(self, descriptor: int, *, is_free: bool) -> None:
        """The loan is over. `is_free`: nobody reads there any more, so something else may be written."""
        size = os.fstat(descriptor).st_size
        with self._lock:
            if is_free and self._kept + size <= KEPT:
                self._idle.append(descriptor)
                self._kept += size
                return
        os.close(descriptor)

    def close(self) -> None:
        """Give the memory back. May be called twice."""
        with self._lock:
            idle, self._idle, self._kept = self._idle, [], 0
        for one in idle:
            os.close(one)
