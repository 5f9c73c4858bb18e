"""SHA-256 of octets that are on their way: long streams are hashed in a thread beside the one that moves them."""

from __future__ import annotations

import hashlib
import threading
from queue import SimpleQueue
from typing import Final

BESIDE: Final = 4 << 20
"""Octets after which a thread of its own is worth its start."""
_STEP: Final = 1 << 20
_AHEAD: Final = 8
"""Pieces that may wait for the thread; the mover waits for it beyond that, so memory stays flat."""


class StreamDigest:
    """Takes pieces as they pass; `hexdigest` or `abandon` ends it. Used by one thread."""

    __slots__ = ("_digest", "_queue", "_room", "_size", "_thread", "_waiting")

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._size = 0
        self._waiting = bytearray()
        self._queue: SimpleQueue[bytes | bytearray | None] = SimpleQueue()
        self._room = threading.Semaphore(_AHEAD)
        self._thread: threading.Thread | None = None

    def update(self, piece: bytes | bytearray | memoryview) -> None:
        """Take the next octets. Only `bytes` may be kept beyond the call; anything else is copied where it has to wait."""
        self._size += len(piece)
        if self._size <= BESIDE:
            self._digest.update(piece)
        elif isinstance(piece, bytes) and len(piece) >= _STEP:
            self._hand_over_waiting()
            self._hand_over(piece)
        else:
            self._waiting += piece
            if len(self._waiting) >= _STEP:
                self._hand_over_waiting()

    def hexdigest(self) -> str:
        """The digest of everything, in lower-case hexadecimal."""
        self._hand_over_waiting()
        self._end()
        return self._digest.hexdigest()

    def abandon(self) -> None:
        """End without a result. May be called twice, and after `hexdigest`."""
        self._waiting = bytearray()
        self._end()

    def _end(self) -> None:
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join()
            self._thread = None

    def _hand_over_waiting(self) -> None:
        if self._waiting:
            piece, self._waiting = self._waiting, bytearray()
            self._hand_over(piece)

    def _hand_over(self, piece: bytes | bytearray) -> None:
        if self._thread is None:
            self._thread = threading.Thread(target=self._hash, name="digest", daemon=True)
            self._thread.start()
        self._room.acquire()
        self._queue.put(piece)

    def _hash(self) -> None:
        while (piece := self._queue.get()) is not None:
            self._digest.update(piece)
            self._room.release()
