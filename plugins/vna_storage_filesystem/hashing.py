"""SHA-256 of an object while it is written: beside the flush where it is of middling size, beside the writing where it is long.

A flush waits for the disk with a core to spare. An object that fits in memory is hashed during it, in another thread.
"""

from __future__ import annotations

import hashlib
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from vna_core.domain.digest import StreamDigest

BESIDE: Final = 1 << 18
"""Octets from which another thread is asked; hashing fewer costs less than asking."""
KEPT: Final = 4 << 20
"""Octets up to which an object's pieces are kept for that; longer objects are hashed while they stream."""

Piece = bytes | bytearray | memoryview


class ObjectDigest:
    """Takes the pieces of one object, which stay as they are until `hexdigest` is asked; `abandon` ends it without a result."""

    __slots__ = ("_asked", "_pieces", "_size", "_stream", "_threads")

    def __init__(self, threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._pieces: list[Piece] = []
        self._size = 0
        self._stream: StreamDigest | None = None
        self._asked: Future[str] | None = None

    def update(self, piece: Piece) -> None:
        """Take the next piece."""
        self._size += len(piece)
        if self._stream is not None:
            self._stream.update(piece)
            return
        self._pieces.append(piece)
        if self._size > KEPT:
            self._stream = StreamDigest()
            for one in self._pieces:
                self._stream.update(one)
            self._pieces = []

    def complete(self) -> None:
        """All pieces were taken: begin to hash what was kept."""
        if self._stream is None and self._size >= BESIDE:
            self._asked = self._threads.submit(_sha256, self._pieces)

    def hexdigest(self) -> str:
        """The digest in lower-case hexadecimal; waits for it."""
        if self._stream is not None:
            return self._stream.hexdigest()
        return self._asked.result() if self._asked is not None else _sha256(self._pieces)

    def abandon(self) -> None:
        """The digest is not needed. May be called twice, and after `hexdigest`."""
        if self._stream is not None:
            self._stream.abandon()
        if self._asked is not None:
            self._asked.cancel()


def _sha256(pieces: list[Piece]) -> str:
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    return digest.hexdigest()
