"""What copies cost by the price table of the configuration: a month of keeping them, and what is done once.

A month is 30 days, a GiB 2^30 octets. Objects larger than a part are written by a request for each part and two more.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from vna_core.archival_storage.placement import PlacementPolicy
from vna_core.archival_storage.steps import AdjustStep, CopyStep, DropStep, SeriesSteps, steps_of
from vna_core.configuration.placement import StorePrice, TierPrice
from vna_core.domain.placement import OK, HeldCopy, PlacedInstance

GIB: Final = 1 << 30
PART: Final = 8 << 20
_THOUSAND: Final = 1000
_DAY: Final = 86_400_000_000
_DAYS: Final = 30
_FREE: Final = TierPrice()
_ROUNDS: Final = 6

Place = tuple[str, str]
"""A store and a tier of it; an empty tier: where new objects are."""


@dataclass(slots=True)
class Kept:
    """What is kept in one place."""

    objects: int = 0
    octets: int = 0


@dataclass(slots=True)
class Done:
    """What is done once in one place. `early` is the fee for objects that leave before their minimum time."""

    puts: int = 0
    gets: int = 0
    retrieved: int = 0
    deletions: int = 0
    early: float = 0.0


@dataclass(slots=True)
class Forecast:
    """One state of the archive and what leads to it, by place."""

    kept: dict[Place, Kept] = field(default_factory=lambda: defaultdict(Kept))
    done: dict[Place, Done] = field(default_factory=lambda: defaultdict(Done))

    def hold(self, instances: Iterable[PlacedInstance]) -> None:
        """Add the objects of a series."""
        seen: set[tuple[str, str]] = set()
        for one in instances:
            for copy in one.copies:
                kept = self.kept[copy.store, copy.tier]
                kept.octets += copy.size
                if (copy.store, copy.key) not in seen:
                    seen.add((copy.store, copy.key))
                    kept.objects += 1


class Prices:
    """The price table."""

    def __init__(self, prices: Mapping[str, StorePrice]) -> None:
        self._prices = prices

    def of(self, place: Place) -> TierPrice:
        """Prices of a place; nothing costs anything where the table says nothing."""
        store = self._prices.get(place[0])
        if store is None:
            return _FREE
        return store.tiers.get(place[1], store) if place[1] else store

    def month(self, place: Place, kept: Kept) -> float:
        """A month of keeping."""
        return kept.octets / GIB * self.of(place).gib_month

    def once(self, place: Place, done: Done) -> float:
        """What is done once."""
        price = self.of(place)
        requests = done.puts * price.put + done.gets * price.get
        return requests / _THOUSAND + done.retrieved / GIB * price.retrieval_gib + done.early

    def early(self, copy: HeldCopy, size: int, since: int, now: int) -> float:
        """The fee for an object that leaves its place at `now`, where it has been since `since` (microseconds since 1970)."""
        price = self.of((copy.store, copy.tier))
        left = price.minimum_days - (now - since) / _DAY
        return max(0.0, left) / _DAYS * size / GIB * price.gib_month


def forecast(
    policy: PlacementPolicy, instances: Sequence[PlacedInstance], now: int, prices: Prices, result: Forecast
) -> tuple[list[PlacedInstance], int]:
    """Do on paper all that the policy wants of a series at `now`; how its versions then are, and how many lack a good copy.

    What is done and where everything is afterwards is added to `result`.
    """
    placed, lost = list(instances), 0
    arrived = {one.pk: one.received_at for one in instances}
    for _ in range(_ROUNDS):
        steps = steps_of(policy, placed, now)
        lost = len(steps.without_source)
        if not (steps.copies or steps.adjustments or steps.drops):
            break
        _count(steps, min(arrived.values(), default=now), now, prices, result)
        placed = list(_applied(placed, steps, now))
    result.hold(placed)
    return placed, lost


def _count(steps: SeriesSteps, arrived: int, now: int, prices: Prices, result: Forecast) -> None:
    for copy in steps.copies:
        target, source = result.done[copy.target, ""], result.done[copy.sources[0], ""]
        target.puts += _puts(copy.size)
        for one in (target, source):  # what was written is read back
            one.gets += 1
            one.retrieved += copy.size
    for move in steps.adjustments:
        result.done[move.store, move.tier or move.before.tier].puts += 1
        if move.tier:
            _leave(move, arrived, now, prices, result)
    for drop in steps.drops:
        result.done[drop.store, drop.before.tier].deletions += 1
        _leave(drop, arrived, now, prices, result)


def _leave(step: AdjustStep | DropStep, arrived: int, now: int, prices: Prices, result: Forecast) -> None:
    since = step.before.tier_since or arrived
    result.done[step.store, step.before.tier].early += prices.early(step.before, step.size, since, now)


def _puts(size: int) -> int:
    return 1 if size <= PART else -(-size // PART) + 2


def _applied(placed: Iterable[PlacedInstance], steps: SeriesSteps, now: int) -> Iterator[PlacedInstance]:
    """The versions as they are when the steps are done."""
    copies: dict[str, list[CopyStep]] = defaultdict(list)
    for step in steps.copies:
        copies[step.key].append(step)
    moves = {(step.store, step.key): step for step in steps.adjustments}
    drops = {(step.store, step.key) for step in steps.drops}
    for one in placed:
        kept = [_moved(copy, moves.get((copy.store, copy.key)), now) for copy in one.copies]
        new = [
            HeldCopy(step.target, copy.key, copy.offset, copy.size, sealed=copy.sealed)
            for copy in one.copies
            for step in copies.get(copy.key, ())
            if copy.store == step.sources[0]
        ]
        fresh = {(copy.store, copy.key) for copy in new}
        packed = {copy.store for copy in new if copy.sealed}  # a pack takes over from what is loose beside it
        left = [copy for copy in kept if (copy.store, copy.key) not in drops | fresh and copy.store not in packed]
        yield replace(one, copies=(*left, *new))


def _moved(copy: HeldCopy, move: AdjustStep | None, now: int) -> HeldCopy:
    if move is None:
        return copy
    locked = max(copy.locked_until, move.locked_until)
    if not move.tier:
        return replace(copy, locked_until=locked)
    return replace(copy, locked_until=locked, tier=move.tier, tier_since=now, state=OK)
