"""Seeded damage to whole files: the same number always makes the same mutant."""

from __future__ import annotations

import random
import struct
from collections.abc import Callable, Sequence

Damage = Callable[[random.Random, bytearray, Sequence[bytes]], None]


def mutant(number: int, files: Sequence[bytes]) -> bytes:
    """One of the files with one to three damages."""
    chance = random.Random(number)
    octets = bytearray(chance.choice(files))
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if len(octets) > 16:
            chance.choice(DAMAGES)(chance, octets, files)
    return bytes(octets)


def place(chance: random.Random, octets: bytearray) -> int:
    """An offset; mostly behind the preamble, often where a header stands."""
    at = chance.randrange(132 if len(octets) > 200 else 0, len(octets))
    kind = chance.random()
    if kind < 0.3:
        found = octets.find(
            chance.choice((b"SQ\0\0", b"UN\0\0", b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0")), at
        )
        return found if found >= 0 else at
    return at


def bit_flip(chance: random.Random, octets: bytearray, _files: Sequence[bytes]) -> None:
    octets[place(chance, octets)] ^= 1 << chance.randrange(8)


def octet_put(chance: random.Random, octets: bytearray, _files: Sequence[bytes]) -> None:
    octets[place(chance, octets)] = chance.choice((0, 1, 8, 0xFE, 0xFF, chance.randrange(256)))


def bytes_swapped(chance: random.Random, octets: bytearray, _files: Sequence[bytes]) -> None:
    at, width = place(chance, octets), chance.choice((2, 4, 8))
    octets[at : at + width] = octets[at : at + width][::-1]


def range_deleted(chance: random.Random, octets: bytearray, _files: Sequence[bytes]) -> None:
    at = place(chance, octets)
    del octets[at : at + chance.choice((1, 2, 4, 8, 12, chance.randrange(1, 200)))]


def range_doubled(chance: random.Random, octets: bytearray, _files: Sequence[bytes]) -> None:
    at = place(chance, octets)
    octets[at:at] = octets[at : at + chance.choice((1, 2, 4, 8, 16, chance.randrange(1, 200)))]


def length_edited(chance: random.Random, octets: bytearray, _files: Sequence[bytes]) -> None:
    """Another number where a length is likely: behind the letters of a representation or an item tag."""
    at = place(chance, octets) + chance.choice((0, 2, 4))
    if at + 4 > len(octets):
        return
    value = struct.unpack_from("<I", octets, at)[0]
    other = chance.choice((0, value + chance.choice((-8, -6, -4, -2, -1, 1, 2, 4, 8, 20)), value >> 1, 0xFFFFFFFF, 13, 6))
    struct.pack_into("<I", octets, at, other & 0xFFFFFFFF)


def short_length_edited(chance: random.Random, octets: bytearray, _files: Sequence[bytes]) -> None:
    at = octets.find(chance.choice((b"LO", b"SH", b"UI", b"US", b"DS", b"CS", b"PN")), place(chance, octets))
    if at < 0 or at + 4 > len(octets):
        return
    value = struct.unpack_from("<H", octets, at + 2)[0]
    struct.pack_into("<H", octets, at + 2, (value + chance.choice((-4, -2, -1, 1, 2, 3, 7))) & 0xFFFF)


def header_spliced(chance: random.Random, octets: bytearray, files: Sequence[bytes]) -> None:
    """A part of another file, long enough for a header or a few elements."""
    other = chance.choice(files)
    begin = chance.randrange(len(other))
    at = place(chance, octets)
    octets[at:at] = other[begin : begin + chance.choice((8, 12, chance.randrange(1, 120)))]


def marker_put_in(chance: random.Random, octets: bytearray, _files: Sequence[bytes]) -> None:
    """An item tag or a delimiter between others."""
    at = place(chance, octets)
    tag = chance.choice((b"\xfe\xff\x00\xe0", b"\xfe\xff\x0d\xe0", b"\xfe\xff\xdd\xe0"))
    octets[at:at] = tag + struct.pack("<I", chance.choice((0, 0, 8, 20, 0xFFFFFFFF)))


def cut(chance: random.Random, octets: bytearray, _files: Sequence[bytes]) -> None:
    del octets[place(chance, octets) :]


DAMAGES: tuple[Damage, ...] = (
    bit_flip,
    octet_put,
    bytes_swapped,
    range_deleted,
    range_doubled,
    length_edited,
    length_edited,
    short_length_edited,
    header_spliced,
    marker_put_in,
    cut,
)
