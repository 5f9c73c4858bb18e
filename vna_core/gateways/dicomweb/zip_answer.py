"""A ZIP file made while it is sent (APPNOTE.TXT 6.3.10): stored members with data descriptors, ZIP64 throughout."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

_VERSION: Final = 45
_FLAGS: Final = 0x0808  # sizes follow the data; names are UTF-8
_DATE: Final = 0x0021  # 1980-01-01: the archive's answer depends on what is held, not on when it was asked for


@dataclass(frozen=True, slots=True)
class Member:
    """One file of the archive: its name, and a function that gives its octets."""

    name: str
    octets: Callable[[], Iterator[bytes | memoryview]]


def zip_body(members: Iterable[Member]) -> Iterator[bytes | memoryview]:
    """Octets of the whole archive. Without its end no reader takes it for whole."""
    position = 0
    directory: list[bytes] = []
    for member in members:
        name = member.name.encode()
        head = struct.pack("<4s5H3I2H", b"PK\3\4", _VERSION, _FLAGS, 0, 0, _DATE, 0, 0, 0, len(name), 0) + name
        offset = position
        yield head
        size, checksum = 0, 0
        for piece in member.octets():
            size += len(piece)
            checksum = zlib.crc32(piece, checksum)
            yield piece
        tail = struct.pack("<4sI2Q", b"PK\7\x08", checksum, size, size)
        yield tail
        position += len(head) + size + len(tail)
        extra = struct.pack("<2H3Q", 1, 24, size, size, offset)
        directory.append(
            struct.pack("<4s6H3I5H2I", b"PK\1\2", _VERSION, _VERSION, _FLAGS, 0, 0, _DATE, checksum, 0xFFFFFFFF, 0xFFFFFFFF,
                        len(name), len(extra), 0, 0, 0, 0, 0xFFFFFFFF) + name + extra
        )  # fmt: skip
    entries = b"".join(directory)
    count = len(directory)
    end = struct.pack("<4sQ2H2I4Q", b"PK\6\6", 44, _VERSION, _VERSION, 0, 0, count, count, len(entries), position)
    locator = struct.pack("<4sIQI", b"PK\6\7", 0, position + len(entries), 1)
    yield entries + end + locator + struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, 0xFFFFFFFF, 0xFFFFFFFF, 0)
