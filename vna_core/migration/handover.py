"""Takes instances off a source's hands: while some are stored together, the source sends the next.

A source is not waiting to forget what it delivered: what counts is the ledger, which is written when an instance is stored. So a
source may be answered as soon as an instance has come whole. How much has come and is not stored is bounded.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from vna_core.domain.octets import ReceivedInstance

INSTANCES: Final = 16
OCTETS: Final = 8 << 20
"""Bounds of what waits; one instance may always wait, whatever its size."""


class Handover:
    """Hands instances to `take`, in groups, in the order they came. A context manager, which ends when all were taken.

    Parameters
    ----------
    take
        Takes a group over, octets included, in a thread of its own. What it raises is raised by the next `put`, or at the end; what
        came after the group is dropped then.
    """

    def __init__(
        self, take: Callable[[list[ReceivedInstance]], object], *, instances: int = INSTANCES, octets: int = OCTETS
    ) -> None:
        self._take, self._most, self._room = take, instances, octets
        self._changed = threading.Condition()
        self._waiting: list[ReceivedInstance] = []
        self._octets = 0
        self._ended = False
        self._failure: BaseException | None = None
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        with self._changed:
            self._ended = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        if self._failure is not None and self._failure is not error:
            raise self._failure from error

    def put(self, received: ReceivedInstance) -> None:
        """Hand one instance over, octets included; waits for room. May be called from several threads."""
        with self._changed:
            self._changed.wait_for(lambda: self._failure is not None or self._fits(received))
            if self._failure is None:
                self._waiting.append(received)
                self._octets += received.octets.size
                self._changed.notify_all()
                if self._thread is None:
                    self._thread = threading.Thread(target=self._run, name="handover", daemon=True)
                    self._thread.start()
                return
        received.octets.close()
        raise self._failure

    def _fits(self, received: ReceivedInstance) -> bool:
        return not self._waiting or (len(self._waiting) < self._most and self._octets + received.octets.size <= self._room)

    def _run(self) -> None:
        while group := self._next():
            try:
                self._take(group)
            except BaseException as failure:  # noqa: BLE001 - whoever delivers hears it, whatever it is
                with self._changed:
                    self._failure, dropped, self._waiting = failure, self._waiting, []
                    self._changed.notify_all()
                for one in dropped:
                    one.octets.close()
                return

    def _next(self) -> list[ReceivedInstance]:
        """All that waits, as soon as anything does; nothing at the end."""
        with self._changed:
            self._changed.wait_for(lambda: bool(self._waiting) or self._ended)
            group, self._waiting, self._octets = self._waiting, [], 0
            self._changed.notify_all()
        return group
