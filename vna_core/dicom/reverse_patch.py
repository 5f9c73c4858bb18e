"""The octets as received, out of the canonical object (promise 3).

The patch is a list of operations in the order of the original octets: take so many literal octets, or copy a range of the
canonical object, octets swapped or not. Literals are what does not stand in the pixel data; they are compressed with the
canonical header as dictionary, which they mostly repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from vna_core.domain.octets import CHUNK, ByteRange

Read = Callable[[int, int], bytes | memoryview]
"""``read(offset, length)`` of a stored object."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A range of the octets as received that stands in the canonical object too.

    Attributes
    ----------
    original
        The range in the octets as received.
    canonical
        Offset in the canonical object.
    swap
        Octets per word whose order is reversed between the two (1: none).
    """

    original: ByteRange
    canonical: int
    swap: int = 1


Operation = tuple[int, ...]
"""``(length,)`` literal octets, or ``(canonical offset, length, swap)``."""


def operations(pieces: Iterable[Piece], size: int) -> tuple[list[Operation], list[ByteRange]]:
    """Operations that make up `size` octets, and the ranges of the octets as received that are literals."""
    made: list[Operation] = []
    literals: list[ByteRange] = []
    position = 0
    for piece in sorted(pieces, key=lambda one: one.original.offset):
        if piece.original.offset > position:
            literals.append(ByteRange(position, piece.original.offset - position))
            made.append((literals[-1].length,))
        made.append((piece.canonical, piece.original.length, piece.swap))
        position = piece.original.end
    if position < size:
        literals.append(ByteRange(position, size - position))
        made.append((size - position,))
    return made, literals


def swapped(raw: bytes | memoryview, word: int) -> bytes:
    """The octets of every `word` in reverse order; a rest shorter than a word stays. Its own inverse."""
    usable = len(raw) - len(raw) % word
    return np.frombuffer(raw, dtype=f"u{word}", count=usable // word).byteswap().tobytes() + bytes(raw[usable:])


def rebuild_from(read: Read, made: Iterable[Operation], literals: bytes) -> Iterator[bytes | memoryview]:
    """Run the operations. Pieces of at most 1 MiB.

    Raises
    ------
    EOFError
        The canonical object is shorter than the operations need.
    """
    taken = 0
    view = memoryview(literals)
    for operation in made:
        if len(operation) == 1:
            yield view[taken : taken + operation[0]]
            taken += operation[0]
            continue
        offset, length, word = operation
        while length:
            piece = read(offset, min(CHUNK, length))
            if not len(piece):
                raise EOFError("the canonical object ends before the range of its reverse patch")
            offset += len(piece)
            length -= len(piece)
            yield piece if word == 1 else swapped(piece, word)


_LARGEST_DICTIONARY: Final = 8 << 20


def dictionary_range(head_length: int) -> int:
    """How many octets from the beginning of the canonical object serve as compression dictionary."""
    return min(head_length, _LARGEST_DICTIONARY)
