"""Explicit VR Little Endian to Implicit VR Little Endian, element by element, values untouched (PS3.5 section 7.1.3).

Reads only what our own writer wrote: defined lengths everywhere, no delimiters.
"""

from __future__ import annotations

import struct
from typing import Final

from vna_core.domain.errors import Malformed

_LONG: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_TAG: Final = struct.Struct("<HH")
_HEAD: Final = struct.Struct("<HHI")
_UNDEFINED: Final = 0xFFFFFFFF


def implicit(octets: bytes | memoryview, depth: int = 0) -> bytes:
    """The same data set with implicit value representations. Raises Malformed where the octets are not as our writer writes them."""
    view = memoryview(octets)
    out = bytearray()
    at = 0
    while at < len(view):
        if at + 8 > len(view) or depth > 512:
            raise Malformed("The stored data set cannot be re-encoded.")
        group, number = _TAG.unpack_from(view, at)
        representation = bytes(view[at + 4 : at + 6])
        if representation in _LONG:
            length = int.from_bytes(view[at + 8 : at + 12], "little")
            at += 12
        else:
            length = int.from_bytes(view[at + 6 : at + 8], "little")
            at += 8
        if length == _UNDEFINED or at + length > len(view):
            raise Malformed("The stored data set cannot be re-encoded.")
        value = _items(view[at : at + length], depth) if representation == b"SQ" else view[at : at + length]
        out += _HEAD.pack(group, number, len(value))
        out += value
        at += length
    return bytes(out)


def _items(view: memoryview, depth: int) -> bytes:
    out = bytearray()
    at = 0
    while at + 8 <= len(view):
        length = int.from_bytes(view[at + 4 : at + 8], "little")
        item = implicit(view[at + 8 : at + 8 + length], depth + 1)
        out += _HEAD.pack(0xFFFE, 0xE000, len(item))
        out += item
        at += 8 + length
    return bytes(out)
