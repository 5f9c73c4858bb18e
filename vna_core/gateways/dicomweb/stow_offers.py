"""Parts of one store request on their way into the archive, in this process and in others that have nothing to do."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from vna_core.domain.octets import ReceivedInstance
from vna_core.gateways.dicomweb.stow_answer import PartOutcome
from vna_core.ingest.sharing import Colleague, Colleagues

GROUPS_HERE: Final = 2
"""Groups of parts that this process stores at the same time: one computes while the other waits for the disk."""
LEAST: Final = 4
"""Parts that are worth being given to another process,"""
LEAST_OCTETS: Final = 4 << 20
"""or their octets."""
MOST: Final = 16
"""Parts of one group."""
PARTS_AT_ONCE: Final = 64
"""Parts of one request that have come and are not stored."""

Offer = Callable[[Sequence[ReceivedInstance], bool, Colleague | None], list[PartOutcome]]
"""Stores instances; blocking. See `StoreRequest.offer`."""


@dataclass(slots=True)
class _Part:
    received: ReceivedInstance
    outcome: asyncio.Future[PartOutcome]

    @property
    def in_memory(self) -> int:
        """Octets of memory that it takes."""
        return 0 if self.received.octets.spooled else self.received.octets.size


class Offers:
    """What becomes whole while other parts are being stored waits, and goes together with what comes next: parts that go together share
    flushes, and one thread hardly ever hands the interpreter over to another.

    Where other processes have nothing to do, they store the parts, and this one goes on receiving; where they are busy or there are none, it
    stores them itself. So a request of one sender uses all processors, and waits for nobody.

    Parameters
    ----------
    memory
        Octets of parts in memory above which no more are taken until some are stored.
    """

    def __init__(self, offer: Offer, threads: ThreadPoolExecutor, colleagues: Colleagues, memory: int) -> None:
        self._offer, self._threads, self._colleagues, self._memory = offer, threads, colleagues, memory
        self._loop = asyncio.get_running_loop()
        self._outcomes: list[asyncio.Future[PartOutcome]] = []
        self._waiting: list[_Part] = []
        self._parts = self._octets = 0
        self._room = asyncio.Event()
        self._here = self._elsewhere = 0
        self._all_came = False

    @property
    def begun(self) -> bool:
        """Whether any part came so far."""
        return bool(self._outcomes)

    async def take(self, items: Sequence[ReceivedInstance | PartOutcome], *, last: bool = False, cut_short: bool = False) -> None:
        """Take parts in their order; waits while too many are under way. `last`: no others will come."""
        for item in items:
            outcome: asyncio.Future[PartOutcome] = self._loop.create_future()
            self._outcomes.append(outcome)
            if isinstance(item, PartOutcome):
                outcome.set_result(item)
                continue
            part = _Part(item, outcome)
            await self._until_there_is_room(part.in_memory)
            if cut_short:
                self._start([part], cut_short=True)
            else:
                self._waiting.append(part)
                self._next()
        if last:
            self.all_came()

    def all_came(self) -> None:
        """No more parts will come."""
        self._all_came = True
        self._next()

    async def outcomes(self) -> list[PartOutcome]:
        """Every part's outcome, when all have one."""
        return list(await asyncio.gather(*self._outcomes))

    async def _until_there_is_room(self, octets: int) -> None:
        while self._parts and (self._parts >= PARTS_AT_ONCE or self._octets + octets > self._memory):
            if not self._here and not self._elsewhere:
                self._next(wanted=True)  # nothing else makes room
            self._room.clear()
            await self._room.wait()
        self._parts += 1
        self._octets += octets

    def _next(self, *, wanted: bool = False) -> None:
        """Start what can be started; `wanted`: nothing waits for what is coming, as that waits for room."""
        while self._waiting:
            colleague = None
            if self._free and self._colleagues.any_idle:
                if self._is_worth_giving:
                    colleague = self._colleagues.idle()
                elif not (self._all_came or wanted):
                    return  # more is coming
            if colleague is None and (self._here >= GROUPS_HERE or (self._elsewhere and not self._free)):
                return
            size = self._size
            group, self._waiting = self._waiting[:size], self._waiting[size:]
            self._start(group, colleague)

    @property
    def _free(self) -> int:
        """How many more groups are worth being stored at the same time."""
        return max(0, self._colleagues.at_once - self._here - self._elsewhere)

    @property
    def _is_worth_giving(self) -> bool:
        return len(self._waiting) >= LEAST or sum(one.received.octets.size for one in self._waiting) >= LEAST_OCTETS

    @property
    def _size(self) -> int:
        """Parts of the next group: what waits is divided among those that can take it."""
        return min(MOST, max(LEAST, -(-len(self._waiting) // max(1, self._free))))

    def _start(self, group: list[_Part], colleague: Colleague | None = None, *, cut_short: bool = False) -> None:
        if colleague is None:
            self._here += 1
        else:
            self._elsewhere += 1
        received = [one.received for one in group]
        in_memory = sum(one.in_memory for one in group)
        storing = self._loop.run_in_executor(self._threads, self._offer, received, cut_short, colleague)
        storing.add_done_callback(lambda done: self._stored(group, in_memory, colleague is None, done))

    def _stored(self, group: list[_Part], in_memory: int, here: bool, done: asyncio.Future[list[PartOutcome]]) -> None:
        if here:
            self._here -= 1
        else:
            self._elsewhere -= 1
        self._parts -= len(group)
        self._octets -= in_memory
        self._room.set()
        failure = done.exception()
        for position, part in enumerate(group):
            if part.outcome.cancelled():
                continue
            if failure is not None:
                part.outcome.set_exception(failure)
            else:
                part.outcome.set_result(done.result()[position])
        self._next()
