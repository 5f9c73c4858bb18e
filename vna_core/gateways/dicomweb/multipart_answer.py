"""Multipart answers (RFC 2387): boundaries, part headers, and the size of the whole before its first octet is sent."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from typing import Final

import structlog

from vna_core.domain.errors import DecodeError

_AHEAD: Final = 4
"""Pieces of a part that has another form, made before its header is sent: file head, data set before the pixels, their header, first frame."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Part:
    """One part: its media type with parameters, its size where known, and a function that gives its octets.

    Attributes
    ----------
    otherwise
        Gives the part that goes out in its place where it cannot be decoded (its first frame, of several).
    """

    media_type: str
    size: int | None
    octets: Callable[[], Iterator[bytes | memoryview]]
    location: str = ""
    otherwise: Callable[[], Part] | None = None

    def begun(self) -> tuple[Part, Iterator[bytes | memoryview]]:
        """The part as it goes out, and its octets. Raises what making them raises."""
        octets = self.octets()
        if self.otherwise is None:
            return self, octets
        try:
            ahead = list(islice(octets, _AHEAD))
        except DecodeError as error:
            _log.warning("sent-as-stored", part=self.location, code=error.code)
            return self.otherwise().begun()
        return self, chain(ahead, octets)


class MultipartAnswer:
    """Parts of one media type, sent one after the other."""

    def __init__(self, media_type: str) -> None:
        self._boundary = secrets.token_hex(20)
        self.content_type = f'multipart/related; type="{media_type}"; boundary={self._boundary}'

    def _head(self, part: Part, first: bool) -> bytes:
        size = "" if part.size is None else f"\r\nContent-Length: {part.size}"
        location = f"\r\nContent-Location: {part.location}" if part.location else ""
        head = f"\r\n--{self._boundary}\r\nContent-Type: {part.media_type}{size}{location}\r\n\r\n"
        return head[2 if first else 0 :].encode("latin-1", "replace")

    @property
    def _end(self) -> bytes:
        return f"\r\n--{self._boundary}--\r\n".encode()

    def size(self, parts: Iterable[Part]) -> int | None:
        """Octets of the whole body, or None when a part's size is not known."""
        total = len(self._end)
        for number, part in enumerate(parts):
            if part.size is None:
                return None
            total += len(self._head(part, number == 0)) + part.size
        return total

    def body(self, parts: Iterable[Part]) -> Iterator[bytes | memoryview]:
        """The whole body. Small pieces are joined to their neighbours."""
        held = bytearray()
        first = True
        for part, octets in (one.begun() for one in parts):
            held += self._head(part, first)
            first = False
            for piece in octets:
                if len(held) + len(piece) <= 262_144:
                    held += piece
                    continue
                if held:
                    yield bytes(held)
                    held.clear()
                if len(piece) <= 65_536:
                    held += piece
                else:
                    yield piece
        held += self._end
        yield bytes(held)
