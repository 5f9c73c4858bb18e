"""A circuit breaker per member: an archive that fails again and again is left alone for a while, so that it costs nobody time.

A table gives the next state for every state and event; nothing else changes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final


class State(StrEnum):
    """Of one member."""

    CLOSED = "closed"
    """It is asked."""
    OPEN = "open"
    """It is left alone until the pause is over."""
    TRYING = "trying"
    """One question is on its way to find out; others are not sent."""


class Event(StrEnum):
    """What happens to a member."""

    SUCCESS = "success"
    FAILURE = "failure"
    TOO_MANY_FAILURES = "too-many-failures"
    PAUSE_OVER = "pause-over"


TRANSITIONS: Final[Mapping[tuple[State, Event], State]] = {
    (State.CLOSED, Event.SUCCESS): State.CLOSED,
    (State.CLOSED, Event.FAILURE): State.CLOSED,
    (State.CLOSED, Event.TOO_MANY_FAILURES): State.OPEN,
    (State.CLOSED, Event.PAUSE_OVER): State.CLOSED,
    (State.OPEN, Event.SUCCESS): State.CLOSED,  # a question that was under way when the circuit opened
    (State.OPEN, Event.FAILURE): State.OPEN,
    (State.OPEN, Event.TOO_MANY_FAILURES): State.OPEN,
    (State.OPEN, Event.PAUSE_OVER): State.TRYING,
    (State.TRYING, Event.SUCCESS): State.CLOSED,
    (State.TRYING, Event.FAILURE): State.OPEN,
    (State.TRYING, Event.TOO_MANY_FAILURES): State.OPEN,
    (State.TRYING, Event.PAUSE_OVER): State.TRYING,
}


@dataclass(frozen=True, slots=True)
class Health:
    """How a member is, as people see it. `latency` is a moving average of answered questions in seconds, -1 before the first."""

    state: State
    failures: int
    latency: float
    error: str


class Breaker:
    """Health of one member, in one process.

    Parameters
    ----------
    failures, pause
        After so many failures in a row it is left alone for so many seconds.
    tell
        Called with the health as it begins, and whenever it changed.
    """

    def __init__(
        self,
        failures: int,
        pause: float,
        clock: Callable[[], float] = time.monotonic,
        tell: Callable[[Health], object] | None = None,
    ) -> None:
        self._most, self._pause, self._clock = failures, pause, clock
        self._tell = tell
        self._lock = threading.Lock()
        self._state = State.CLOSED
        self._failures = 0
        self._opened = 0.0
        self._latency = -1.0
        self._error = ""
        self._changed()

    def may_ask(self) -> bool:
        """Whether to send a question; a yes while the circuit is open makes it the one that tries."""
        with self._lock:
            if self._state is State.OPEN and self._clock() - self._opened >= self._pause:
                self._state = TRANSITIONS[self._state, Event.PAUSE_OVER]
                self._opened = self._clock()
                self._changed()
                return True
            if self._state is State.TRYING and self._clock() - self._opened >= self._pause:  # the one that tried never came back
                self._opened = self._clock()
                return True
            return self._state is State.CLOSED

    def succeeded(self, seconds: float) -> None:
        """A question was answered."""
        with self._lock:
            self._state = TRANSITIONS[self._state, Event.SUCCESS]
            self._failures, self._error = 0, ""
            self._latency = seconds if self._latency < 0 else 0.8 * self._latency + 0.2 * seconds
            self._changed()

    def refused(self, error: str) -> None:
        """A question was answered with a refusal: about this question alone, and from a member that lives."""
        with self._lock:
            self._state = TRANSITIONS[self._state, Event.SUCCESS]
            self._failures, self._error = 0, error
            self._changed()

    def failed(self, error: str) -> None:
        """A question was not answered."""
        with self._lock:
            self._failures += 1
            self._error = error
            event = Event.TOO_MANY_FAILURES if self._failures >= self._most else Event.FAILURE
            before, self._state = self._state, TRANSITIONS[self._state, event]
            if self._state is State.OPEN and before is not State.OPEN:
                self._opened = self._clock()
            self._changed()

    @property
    def health(self) -> Health:
        """As it is now."""
        with self._lock:
            return self._health()

    def _health(self) -> Health:
        return Health(self._state, self._failures, self._latency, self._error)

    def _changed(self) -> None:
        if self._tell is not None:
            self._tell(self._health())
