"""Hours of the week in which something may be done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")


@dataclass(frozen=True, slots=True)
class Window:
    """A span of hours that opens on some days of the week, in local time.

    Attributes
    ----------
    days
        Days on which it opens, 0 is Monday.
    begins, ends
        Minutes after midnight, 0 to 1440. A window that ends no later than it begins ends on the following day.
    """

    days: frozenset[int]
    begins: int
    ends: int

    def holds(self, moment: datetime) -> bool:
        """Whether it is open at a moment."""
        minute = moment.hour * 60 + moment.minute
        if self.begins < self.ends:
            return moment.weekday() in self.days and self.begins <= minute < self.ends
        return (moment.weekday() in self.days and minute >= self.begins) or (
            (moment.weekday() - 1) % 7 in self.days and minute < self.ends
        )


def is_open(windows: Iterable[Window], moment: datetime) -> bool:
    """Whether any window is open; without windows, always."""
    every = list(windows)
    return not every or any(window.holds(moment) for window in every)


def opens_next(windows: Iterable[Window], moment: datetime) -> datetime:
    """The first minute from `moment` on at which one is open. `moment` itself where none is given."""
    every = list(windows)
    at = moment
    for _ in range(8 * 24 * 60):
        if is_open(every, at):
            return at
        at = at.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return at
