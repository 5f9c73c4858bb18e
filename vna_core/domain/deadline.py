"""How long somebody is willing to wait, and the means to say that nobody waits any more."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator

from vna_core.domain.errors import PeerUnavailable


class Deadline:
    """A moment after which an answer is of no use; any thread may cancel it before.

    Parameters
    ----------
    seconds
        From now (None: no end; only `cancel` ends the wait).
    """

    __slots__ = ("_callbacks", "_cancelled", "_ends", "_lock")

    def __init__(self, seconds: float | None = None) -> None:
        self._ends = None if seconds is None else time.monotonic() + max(0.0, seconds)
        self._cancelled = False
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []

    def cancel(self) -> None:
        """Nobody waits any more. Wakes whoever blocks in `waking`. May be called twice, from any thread."""
        with self._lock:
            self._cancelled = True
            waiting = list(self._callbacks)
        for wake in waiting:
            wake()

    @property
    def over(self) -> bool:
        """Whether the moment has passed or the wait was cancelled."""
        return self._cancelled or (self._ends is not None and time.monotonic() >= self._ends)

    def remaining(self, most: float) -> float:
        """Seconds that a single wait may take: at most `most`, never negative."""
        if self._cancelled:
            return 0.0
        return most if self._ends is None else min(most, max(0.0, self._ends - time.monotonic()))

    def check(self) -> None:
        """Raises PeerUnavailable when it is over."""
        if self.over:
            raise PeerUnavailable("The time for this answer is over." if not self._cancelled else "The request was cancelled.")

    @contextlib.contextmanager
    def waking(self, wake: Callable[[], object]) -> Iterator[None]:
        """Have `wake` called when the deadline is cancelled while the block runs (at once when it was before)."""
        with self._lock:
            cancelled = self._cancelled
            if not cancelled:
                self._callbacks.append(wake)
        if cancelled:
            wake()
        try:
            yield
        finally:
            with self._lock:
                if not cancelled and wake in self._callbacks:
                    self._callbacks.remove(wake)


def seconds_left(deadline: Deadline | None, most: float) -> float:
    """`Deadline.remaining` where there may be none."""
    return most if deadline is None else deadline.remaining(most)
