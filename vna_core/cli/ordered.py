"""A forked process that does what another tells it, a line an order, and ends when nothing more can come."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Collection, Sequence
from typing import IO, Final

from vna_core.cli.forked import Forked

GRACE: Final = 10.0
"""Seconds that such a process may take to end when nothing is left to do, before it is killed."""


class Ordered:
    """One process, and the pipe to it.

    Parameters
    ----------
    name
        As of `Forked`.
    live
        What it does with its orders. To be over when they end.
    descriptors
        What it keeps open beside.

    The calling process must have no threads but its main one.
    """

    def __init__(self, name: str, live: Callable[[IO[str]], None], descriptors: Collection[int] = ()) -> None:
        orders_read, orders_write = os.pipe()
        self.process = Forked(name, lambda: live(os.fdopen(orders_read)), (orders_read, *descriptors))
        os.close(orders_read)
        self._orders = os.fdopen(orders_write, "w")

    def say(self, order: str) -> None:
        """Give an order. A process that died meanwhile does not hear it: the others do its work."""
        try:
            self._orders.write(order + "\n")
            self._orders.flush()
        except BrokenPipeError:
            return

    def dismiss(self) -> None:
        """Nothing is left to do. May be called twice."""
        try:
            self._orders.close()
        except BrokenPipeError:
            return


def end_all(processes: Sequence[Ordered]) -> None:
    """Dismiss all of them and wait for their end; whoever stays is killed."""
    for one in processes:
        one.dismiss()
    for one in processes:
        if one.process.wait(GRACE) is None:
            one.process.send(signal.SIGKILL)
            one.process.wait(GRACE)


def processors() -> int:
    """How many processors this process may use."""
    return len(os.sched_getaffinity(0))
