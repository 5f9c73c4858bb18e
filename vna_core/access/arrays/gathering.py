"""Reads that are asked for at the same time are done together: neighbours then cost one request instead of one each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final

MOST: Final = 256
"""Keys that are looked at together."""

Runs = Callable[[Sequence[str]], list[list[str]]]
ReadAll = Callable[[Sequence[str]], list[memoryview]]


class GatheredReads:
    """Gathers keys until the event loop has nothing else to do, and reads those that belong together in a thread.

    Parameters
    ----------
    runs
        Sorts keys into those that one request gives.
    read_all
        Gives the octets of several keys, in order. What it raises is raised to whoever asked for one of them.
    """

    def __init__(self, runs: Runs, read_all: ReadAll) -> None:
        self._runs = runs
        self._read_all = read_all
        self._waiting: dict[asyncio.AbstractEventLoop, dict[str, asyncio.Future[memoryview]]] = {}
        self._running: set[asyncio.Task[None]] = set()

    async def read(self, key: str) -> memoryview:
        """The octets of a key. Keys asked for twice at once are read once."""
        loop = asyncio.get_running_loop()
        waiting = self._waiting.setdefault(loop, {})
        if not waiting:
            loop.call_soon(self._begin, loop)
        future = waiting.get(key)
        if future is None:
            future = waiting[key] = loop.create_future()
        return await asyncio.shield(future)

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        waiting = self._waiting.pop(loop, {})
        keys = list(waiting)
        for at in range(0, len(keys), MOST):
            for run in self._runs(keys[at : at + MOST]):
                task = loop.create_task(self._read({key: waiting[key] for key in run}))
                self._running.add(task)
                task.add_done_callback(self._running.discard)

    async def _read(self, futures: dict[str, asyncio.Future[memoryview]]) -> None:
        try:
            found = await asyncio.to_thread(self._read_all, list(futures))
        except Exception as error:  # noqa: BLE001 - it is raised again by everybody who waits for one of the keys
            for future in futures.values():
                if not future.done():
                    future.set_exception(error)
            return
        for future, octets in zip(futures.values(), found, strict=True):
            if not future.done():
                future.set_result(octets)
