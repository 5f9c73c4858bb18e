"""Sorted streams walked together, so that none of them need fit into memory."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Protocol, TypeVar


class Keyed(Protocol):
    """Something that has a key."""

    @property
    def key(self) -> str:
        """What it is sorted by."""


A = TypeVar("A", bound=Keyed)
B = TypeVar("B", bound=Keyed)
C = TypeVar("C", bound=Keyed)


def side_by_side(a: Iterator[A], b: Iterator[B], c: Iterator[C]) -> Iterator[tuple[str, tuple[A | None, B | None, C | None]]]:
    """Every key that any of three streams has, in order, with what each has under it (None: nothing)."""
    streams: tuple[Iterator[Any], ...] = (a, b, c)
    heads: list[Any] = [next(stream, None) for stream in streams]
    while keys := [head.key for head in heads if head is not None]:
        key = min(keys)
        found = [head if head is not None and head.key == key else None for head in heads]
        heads = [next(stream, None) if one is not None else head for stream, one, head in zip(streams, found, heads, strict=True)]
        yield key, (found[0], found[1], found[2])
