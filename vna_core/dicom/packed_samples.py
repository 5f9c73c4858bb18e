"""Samples of 12 bits written without a gap, and the same samples in 16 bits each (PS3.5-2004 annex D, Bits Allocated 12).

Two samples stand in three octets, low bits first: the first sample is the first octet and the low half of the second. What is
left after the last whole three octets (one or two) stays as it is: two octets are one sample with four unused bits already.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

_LOW: Final = bytes(octet & 0x0F for octet in range(256))
_HIGH: Final = bytes(octet >> 4 for octet in range(256))
_RAISED: Final = bytes((octet << 4) & 0xF0 for octet in range(256))


def unpacked_length(length: int) -> int:
    """Octets that packed samples of `length` octets take in 16 bits each."""
    return length // 3 * 4 + length % 3


def packed_length(length: int) -> int:
    """The opposite of `unpacked_length`."""
    return length // 4 * 3 + length % 4


def unpack(octets: bytes) -> bytes:
    """Every three octets as two samples of 16 bits, little endian; what is left stays."""
    whole = len(octets) // 3 * 3
    first, second, third = octets[0:whole:3], octets[1:whole:3], octets[2:whole:3]
    result = bytearray(whole // 3 * 4)
    result[0::4] = first
    result[1::4] = second.translate(_LOW)
    result[2::4] = _either(second.translate(_HIGH), third.translate(_RAISED))
    result[3::4] = third.translate(_HIGH)
    return bytes(result) + octets[whole:]


def pack(octets: bytes) -> bytes:
    """Every two samples of 16 bits, whose upper four bits are zero, as three octets; what is left stays."""
    whole = len(octets) // 4 * 4
    low, high = octets[2:whole:4], octets[3:whole:4]
    result = bytearray(whole // 4 * 3)
    result[0::3] = octets[0:whole:4]
    result[1::3] = _either(octets[1:whole:4].translate(_LOW), low.translate(_RAISED))
    result[2::3] = _either(low.translate(_HIGH), high.translate(_RAISED))
    return bytes(result) + octets[whole:]


def unpack_stream(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """`unpack` over octets that come in pieces of any length."""
    rest = b""
    for piece in pieces:
        whole = rest + bytes(piece)
        keep = len(whole) % 3
        rest = whole[len(whole) - keep :]
        yield unpack(whole[: len(whole) - keep])
    if rest:
        yield rest


def pack_stream(pieces: Iterable[bytes | memoryview]) -> Iterator[bytes]:
    """`pack` over octets that come in pieces of any length."""
    rest = b""
    for piece in pieces:
        whole = rest + bytes(piece)
        keep = len(whole) % 4
        rest = whole[len(whole) - keep :]
        yield pack(whole[: len(whole) - keep])
    if rest:
        yield rest


def _either(one: bytes, other: bytes) -> bytes:
    return (int.from_bytes(one, "little") | int.from_bytes(other, "little")).to_bytes(len(one), "little")
