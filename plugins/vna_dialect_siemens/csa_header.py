"""CSA headers of Siemens MR, both versions: named lists of texts. Read-only, bounded, and silent about damage."""

from __future__ import annotations

from struct import unpack_from
from typing import Final

_MAGIC: Final = b"SV10"
_NAME: Final = 64
_TAG: Final = 84
"""Octets of a tag: name (64), multiplicity, representation (4), type code, number of items, a constant."""

_MOST_TAGS, _MOST_ITEMS = 1024, 4096


def csa_values(header: bytes, name: str) -> tuple[str, ...]:
    """Values of a tag, empty ones left out; an empty tuple when it is absent or the header cannot be read."""
    version_2 = header.startswith(_MAGIC)
    position = 8 if version_2 else 0
    if len(header) < position + 8:
        return ()
    tags = unpack_from("<I", header, position)[0]
    position += 8
    first_length = None
    for _ in range(min(tags, _MOST_TAGS)):
        if position + _TAG > len(header):
            return ()
        found = header[position : position + _NAME].partition(b"\0")[0].decode("latin-1")
        items = unpack_from("<I", header, position + 76)[0]
        position += _TAG
        values: list[str] = []
        for _ in range(min(items, _MOST_ITEMS)):
            if position + 16 > len(header):
                return ()
            lengths = unpack_from("<4I", header, position)
            if first_length is None:
                first_length = lengths[0]
            length = lengths[1] if version_2 else lengths[0] - first_length
            position += 16
            if not 0 <= length <= len(header) - position:
                return ()
            values.append(header[position : position + length].partition(b"\0")[0].decode("latin-1").strip())
            position += length + -length % 4
        if found == name:
            return tuple(value for value in values if value)
    return ()
