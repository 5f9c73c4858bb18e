"""Hours of the week in which something may be done."""

from __future__ import annotations

from dataclasses import dataclass

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
