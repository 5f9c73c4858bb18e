"""How long a store takes for what the archive does with it most, one call after the other."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

from vna_core.domain.errors import VnaError
from vna_core.domain.octets import ByteRange
from vna_core.ports.storage import Store

ROUNDS: Final = 11
SIZE: Final = 512 * 1024
"""Octets of an object: a slice of CT."""
_RANGE: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Timing:
    """Seconds that one operation took: of `count` calls the median and the slowest. `octets` go over in each call."""

    operation: str
    count: int
    median: float
    slowest: float
    octets: int = 0


def timings_of(store: Store, prefix: str, clock: Callable[[], float] = time.perf_counter) -> list[Timing]:
    """Put, get, range and list, each `ROUNDS` times below `prefix`; the objects are left there.

    What the store refuses for a reason that does not pass is left out. Raises StoreUnavailable and OutOfResources.
    """
    keys = [f"{prefix}timing-{number:02}" for number in range(ROUNDS)]
    content = [secrets.token_bytes(SIZE) for _ in keys]  # random: nothing on the way makes it smaller, or knows it already
    operations: tuple[tuple[str, int, Callable[[int], object]], ...] = (
        ("put", SIZE, lambda number: store.create(keys[number], [content[number]])),
        ("get", SIZE, lambda number: store.read(keys[number])),
        ("range", _RANGE, lambda number: store.read(keys[number], ByteRange(SIZE // 3, _RANGE))),
        ("list", 0, lambda number: list(store.list(prefix))),
    )
    found = []
    for name, octets, call in operations:
        seconds = []
        try:
            for number in range(ROUNDS):
                begun = clock()
                call(number)
                seconds.append(clock() - begun)
        except VnaError as error:
            if error.transient:
                raise
            continue
        found.append(Timing(name, ROUNDS, median(seconds), max(seconds), octets))
    return found
