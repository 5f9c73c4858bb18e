"""Many acknowledgements, one flush: whoever comes first commits for all who wait.

Each caller is released after the durable commit of its own entry. There is no thread of its own: the first caller leads, takes
everything that waits into one transaction, and passes the lead to a waiter that came later.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

Entry = TypeVar("Entry")
Result = TypeVar("Result")


class _Slot(Generic[Entry, Result]):
    __slots__ = ("done", "entry", "error", "result", "wake")

    def __init__(self, entry: Entry) -> None:
        self.entry = entry
        self.result: Result | None = None
        self.error: BaseException | None = None
        self.done = False
        self.wake = threading.Lock()


class GroupCommit(Generic[Entry, Result]):
    """Gathers entries of many threads into batches.

    Parameters
    ----------
    commit
        Makes one batch durable and returns one result or exception per entry, in order. Anything it raises goes to every
        caller of the batch.
    limit
        Most entries in one batch.
    """

    def __init__(self, commit: Callable[[Sequence[Entry]], Sequence[Result | Exception]], limit: int = 256) -> None:
        self._commit = commit
        self._limit = limit
        self._mutex = threading.Lock()
        self._waiting: deque[_Slot[Entry, Result]] = deque()
        self._busy = False

    def __call__(self, entry: Entry) -> Result:
        """Return the entry's result once its batch is durable, or raise its error."""
        slot: _Slot[Entry, Result] = _Slot(entry)
        with self._mutex:
            self._waiting.append(slot)
            leads = not self._busy
            self._busy = True
            if not leads:
                slot.wake.acquire()
        if not leads:
            slot.wake.acquire()  # released by the leader: the work is done, or the lead is handed over
        if not slot.done:
            self._lead()
        if slot.error is not None:
            raise slot.error
        return slot.result  # type: ignore[return-value]

    def _lead(self) -> None:
        with self._mutex:
            batch = [self._waiting.popleft() for _ in range(min(self._limit, len(self._waiting)))]
        try:
            outcomes: Sequence[Result | BaseException] = self._commit([slot.entry for slot in batch])
        except BaseException as error:
            outcomes = [error] * len(batch)
            if not isinstance(error, Exception):
                raise
        finally:
            self._finish(batch, outcomes)

    def _finish(self, batch: list[_Slot[Entry, Result]], outcomes: Sequence[Result | BaseException]) -> None:
        for slot, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, BaseException):
                slot.error = outcome
            else:
                slot.result = outcome
            slot.done = True
        with self._mutex:
            heir = self._waiting[0] if self._waiting else None
            self._busy = heir is not None
        for slot in batch:
            if slot.wake.locked():
                slot.wake.release()
        if heir is not None:
            heir.wake.release()
