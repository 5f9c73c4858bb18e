"""Questions that together ask for every study of a source, and how a question is narrowed whose answer may be capped.

Two ways lead through the whole source: by study date (then by time of the day, then by patient), and by the beginning of the
Patient ID, which also finds studies whose date is empty or absurd.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

from vna_core.domain.query import Between, Condition, Level, Query, Wildcard

STUDY_DATE: Final = 0x00080020
STUDY_TIME: Final = 0x00080030
PATIENT_ID: Final = 0x00100020

EARLIEST: Final = date(1, 1, 1)
LATEST: Final = date(9999, 12, 31)
_DAY_ENDS: Final = ("000000", "235959.999999")
LONGEST_PREFIX: Final = 16
"""Characters of a Patient ID after which a question is not narrowed any more."""

ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_./#+:"
"""Characters with which Patient IDs begin or go on; those seen at the source are added."""


@dataclass(frozen=True, slots=True)
class Span:
    """One question: studies of these days, these seconds of the day, and patients whose ID begins so. Ends are included."""

    first: date | None = None
    last: date | None = None
    from_second: int = 0
    to_second: int = 86399
    prefix: str = ""

    @property
    def name(self) -> str:
        """As the ledger keeps it."""
        days = "all" if self.first is None or self.last is None else f"{_da(self.first)}-{_da(self.last)}"
        hours = "" if self._whole_day else f" {_tm(self.from_second)}-{_tm(self.to_second)}"
        return f"{days}{hours}" + (f" patient {self.prefix}*" if self.prefix else "")

    @property
    def days(self) -> int:
        """How many days it is about; 0 where it is about none in particular."""
        return 0 if self.first is None or self.last is None else (self.last - self.first).days + 1

    @property
    def _whole_day(self) -> bool:
        return (self.from_second, self.to_second) == (0, 86399)

    @property
    def query(self) -> Query:
        """The question at study level."""
        conditions: list[Condition] = []
        if self.first is not None and self.last is not None:
            conditions.append(Between(STUDY_DATE, _da(self.first), _da(self.last)))
            if not self._whole_day:
                high = _tm(self.to_second) + (".999999" if self.to_second == 86399 else "")
                conditions.append(Between(STUDY_TIME, _tm(self.from_second), high))
        if self.prefix:
            conditions.append(Wildcard(PATIENT_ID, self.prefix + "*"))
        return Query(Level.STUDY, tuple(conditions))

    def narrower(self, alphabet: str = ALPHABET) -> list[Span]:
        """Questions that together ask for the same; empty where none is narrower."""
        if self.first is not None and self.last is not None and self.first < self.last:
            middle = self.first + (self.last - self.first) // 2
            return [Span(self.first, middle), Span(middle + timedelta(1), self.last)]
        if self.first is not None and not self.prefix and self.to_second - self.from_second > 0:
            noon = (self.from_second + self.to_second) // 2
            return [
                Span(self.first, self.last, self.from_second, noon),
                Span(self.first, self.last, noon + 1, self.to_second),
            ]
        if len(self.prefix) >= LONGEST_PREFIX:
            return []
        return [
            Span(self.first, self.last, self.from_second, self.to_second, self.prefix + one)
            for one in alphabet
            if one not in "*?\\"
        ]


def by_date(today: date, years: int) -> list[Span]:
    """Every possible study date, newest first: spans of so many years, old times and the far future in one question each."""
    ends = range(today.year + 1, 1979, -years)
    recent = [Span(date(max(1980, end - years + 1), 1, 1), date(end, 12, 31)) for end in ends]
    return [
        *recent,
        Span(date(1950, 1, 1), date(1979, 12, 31)),
        Span(date(1900, 1, 1), date(1949, 12, 31)),
        Span(EARLIEST, date(1899, 12, 31)),
        Span(date(today.year + 2, 1, 1), LATEST),
    ]


def _da(day: date) -> str:
    return f"{day.year:04}{day.month:02}{day.day:02}"


def _tm(second: int) -> str:
    return f"{second // 3600:02}{second // 60 % 60:02}{second % 60:02}"
