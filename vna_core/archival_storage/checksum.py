"""CRC-32C of content on its way into a store, so that reading it back can be checked at a small part of a digest's cost."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

import google_crc32c

from vna_core.ports.storage import Content

_STEP: Final = 1 << 16
"""Octets that are copied at a time where the library takes nothing but `bytes`: a copy of this size stays in the cache."""


class Checksummed:
    """Gives the content that a function gives, and keeps the checksum of the last whole pass over it.

    Attributes
    ----------
    crc32c
        None until the content was read to its end.
    """

    def __init__(self, content: Callable[[], Content]) -> None:
        self._content = content
        self.crc32c: int | None = None

    def __call__(self) -> Iterator[bytes | bytearray | memoryview]:
        """The content's pieces, checksummed as they are taken."""
        self.crc32c = None
        checksum = 0
        for piece in self._content():
            checksum = extended(checksum, piece)
            yield piece
        self.crc32c = checksum


def extended(checksum: int, piece: bytes | bytearray | memoryview) -> int:
    """The checksum of what `checksum` is of, followed by `piece`."""
    if isinstance(piece, bytes):
        return int(google_crc32c.extend(checksum, piece))
    with memoryview(piece) as view:
        for begin in range(0, len(view), _STEP):
            checksum = google_crc32c.extend(checksum, bytes(view[begin : begin + _STEP]))
    return int(checksum)
