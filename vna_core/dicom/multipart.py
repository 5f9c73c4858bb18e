"""Streaming reader of multipart bodies (RFC 2046 section 5.1, RFC 2387), free of any I/O.

Chunks go in as they come from the network, events come out; nothing but part headers and a possible beginning of a
delimiter is ever held back, so a part may be of any size.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from vna_core.domain.errors import InvalidRequest, LimitExceeded

HEADER_LIMIT: Final = 16_384
"""Most octets in the header block of one part."""
BOUNDARY_LIMIT: Final = 200
"""Longest boundary in characters."""
PADDING_LIMIT: Final = 256
"""Most white space behind a delimiter before it is not one."""

_BOUNDARY_CHARACTERS: Final = frozenset(b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ'()+_,-./:=? ")


@dataclass(frozen=True, slots=True)
class PartBegins:
    """The header block of a part; field names in lower case."""

    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class PartOctets:
    """Some octets of the part that began last."""

    octets: memoryview


@dataclass(frozen=True, slots=True)
class PartEnds:
    """The delimiter behind the part was seen: the part is whole."""


Event = PartBegins | PartOctets | PartEnds


class _State(Enum):
    PREAMBLE = auto()
    HEADERS = auto()
    BODY = auto()
    EPILOGUE = auto()


class _Verdict(Enum):
    DELIMITER = auto()
    CLOSE = auto()
    ORDINARY = auto()
    UNDECIDED = auto()


def check_boundary(boundary: str) -> bytes:
    """The boundary as octets.

    RFC 2046 section 5.1.1 allows 70 characters; Orthanc sends 73 (vendor behaviour), so more are taken.

    Raises InvalidRequest for one that is empty, endless or of characters that the RFC does not allow.
    """
    raw = boundary.encode("ascii", "replace")
    if not 1 <= len(raw) <= BOUNDARY_LIMIT or raw.endswith(b" ") or not _BOUNDARY_CHARACTERS.issuperset(raw):
        raise InvalidRequest(
            "The boundary parameter of the multipart media type is missing or malformed (RFC 2046 section 5.1.1)."
        )
    return raw


class MultipartReader:
    """Takes a multipart body apart while it arrives.

    Parameters
    ----------
    boundary
        The boundary parameter, without quotes.

    Attributes
    ----------
    finished
        The close delimiter was seen. When the body ends and this is False, the body was cut short, and the part that
        began last is not whole.
    """

    def __init__(self, boundary: str) -> None:
        self._delimiter = b"\r\n--" + check_boundary(boundary)
        self._state = _State.PREAMBLE
        # The first delimiter needs no line break before it; pretending one makes it like every other.
        self._held: bytes = b"\r\n"
        self._lookback = 0

    @property
    def finished(self) -> bool:
        return self._state is _State.EPILOGUE

    def feed(self, chunk: bytes | memoryview) -> Iterator[Event]:
        """Events that the next chunk of the body gives. Raises LimitExceeded for an endless header block."""
        buffer = b"".join((self._held, chunk)) if self._held else bytes(chunk)
        self._held = b""
        yield from self._take(buffer, last=False)

    def close(self) -> Iterator[Event]:
        """The body is over: decide about what was held back (a close delimiter need not end its line)."""
        buffer, self._held = self._held, b""
        yield from self._take(buffer, last=True)

    def _take(self, buffer: bytes, last: bool) -> Iterator[Event]:
        position: int | None = 0
        while position is not None and position < len(buffer) and self._state is not _State.EPILOGUE:
            room = self._headers if self._state is _State.HEADERS else self._body
            position = yield from room(buffer, position, last)

    def _headers(self, buffer: bytes, position: int, last: bool) -> Generator[Event, None, int | None]:
        # `position` is at the line break of the delimiter's line, so that an empty block is two line breaks as well.
        window = position + HEADER_LIMIT + len(self._delimiter) + PADDING_LIMIT
        blank = buffer.find(b"\r\n\r\n", position, window)
        delimiter = buffer.find(self._delimiter, position, window if blank == -1 else blank + len(self._delimiter))
        if delimiter != -1 and (blank == -1 or delimiter <= blank):
            verdict = self._verdict(buffer, delimiter, last)
            if verdict is _Verdict.UNDECIDED:
                self._held = buffer[position:]
                return None
            if verdict is not _Verdict.ORDINARY:
                self._state = _State.BODY
                self._lookback = 0
                yield PartBegins(header_fields(buffer[position:delimiter]))
                return delimiter
        if (len(buffer) if blank == -1 else blank) - position > HEADER_LIMIT:
            raise LimitExceeded("The header block of a part is too long.", limit="part-header", maximum=HEADER_LIMIT)
        if blank == -1:
            self._held = buffer[position:]
            return None
        self._state = _State.BODY
        self._lookback = 2  # the blank line may serve as the line break of a delimiter that follows at once
        yield PartBegins(header_fields(buffer[position:blank]))
        return blank + 2

    def _body(self, buffer: bytes, position: int, last: bool) -> Generator[Event, None, int | None]:
        start = position + self._lookback
        search = position
        while (found := buffer.find(self._delimiter, search)) != -1:
            verdict = self._verdict(buffer, found, last)
            if verdict is _Verdict.ORDINARY:
                search = found + 1
                continue
            yield from self._emit(buffer, start, found)
            if verdict is _Verdict.UNDECIDED:
                self._lookback = max(0, start - found)
                self._held = buffer[found:]
                return None
            if self._state is _State.BODY:
                yield PartEnds()
            self._lookback = 0
            self._state = _State.EPILOGUE if verdict is _Verdict.CLOSE else _State.HEADERS
            return buffer.index(b"\r\n", found + len(self._delimiter)) if verdict is _Verdict.DELIMITER else len(buffer)
        keep = len(buffer) if last else self._suffix(buffer, position)
        yield from self._emit(buffer, start, keep)
        self._lookback = max(0, start - keep)
        self._held = buffer[keep:]
        return None

    def _emit(self, buffer: bytes, start: int, end: int) -> Iterator[Event]:
        if self._state is _State.BODY and end > start:
            yield PartOctets(memoryview(buffer)[start:end])

    def _suffix(self, buffer: bytes, position: int) -> int:
        """Where an unfinished delimiter at the end of `buffer` begins (its length: there is none)."""
        at = buffer.find(b"\r", max(position, len(buffer) - len(self._delimiter) + 1))
        while at != -1:
            if self._delimiter.startswith(buffer[at:]):
                return at
            at = buffer.find(b"\r", at + 1)
        return len(buffer)

    def _verdict(self, buffer: bytes, found: int, last: bool) -> _Verdict:
        """What follows the delimiter's characters: a line end, ``--``, or something that makes it ordinary content."""
        after = found + len(self._delimiter)
        rest = buffer[after : after + PADDING_LIMIT + 4]
        close = rest.startswith(b"--")
        line = (rest[2:] if close else rest).lstrip(b" \t")
        if line.startswith(b"\r\n"):
            return _Verdict.CLOSE if close else _Verdict.DELIMITER
        if last:
            return _Verdict.CLOSE if close and not line else _Verdict.ORDINARY
        if len(rest) <= PADDING_LIMIT and (line in (b"", b"\r") or (rest == b"-")):
            return _Verdict.UNDECIDED
        return _Verdict.ORDINARY


def header_fields(block: bytes | bytearray) -> dict[str, str]:
    """Header fields of a block, by their names in lower case (RFC 5322 section 2.2), continuation lines unfolded; the first of equal names counts."""
    lines: list[str] = []
    for line in block.decode("latin-1").split("\r\n"):
        if line[:1] in (" ", "\t") and lines:
            lines[-1] += " " + line.strip()
        elif line:
            lines.append(line)
    fields: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if colon:
            fields.setdefault(name.strip().lower(), value.strip())
    return fields
