"""When a source may be worked: windows by weekday and hour, in local time."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from vna_core.domain.errors import InvalidRequest
from vna_core.domain.windows import DAYS, Window

_FORM: Final = re.compile(r"(?:([a-z]{3})(?:-([a-z]{3}))?\s+)?(\d{1,2}):(\d{2})-(\d{1,2}):(\d{2})")
_WEEK: Final = 7 * 24 * 60


@dataclass(frozen=True, slots=True)
class Windows:
    """Open spans of the week in minutes since Monday 00:00 local time, ends excluded; none: always open."""

    spans: tuple[tuple[int, int], ...] = ()

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Windows:
        """Windows such as ``mon-fri 19:00-06:00``, ``sat 00:00-24:00``, ``20:00-05:00`` (every day).

        A window that ends before it begins goes on until the next day. Raises InvalidRequest.
        """
        return cls(tuple(span for text in texts for part in text.split(",") for span in _spans(part.strip().lower())))

    @classmethod
    def of(cls, windows: Iterable[Window]) -> Windows:
        """Those of a source in the configuration."""
        spans = []
        for window in windows:
            length = (window.ends - window.begins) % 1440 or 1440
            spans += [(day * 1440 + window.begins, day * 1440 + window.begins + length) for day in sorted(window.days)]
        return cls(tuple(spans))

    def is_open(self, at: datetime) -> bool:
        """Whether work may be done at a moment."""
        return self.seconds_until_open(at) == 0.0

    def seconds_until_open(self, at: datetime) -> float:
        """Seconds until work may be done, 0.0 when it may be now."""
        if not self.spans:
            return 0.0
        local = at.astimezone()
        minute = local.weekday() * 1440 + local.hour * 60 + local.minute
        if any(begin <= minute < end or begin <= minute + _WEEK < end for begin, end in self.spans):
            return 0.0
        wait = min((begin - minute) % _WEEK for begin, _ in self.spans)
        return float(wait * 60 - local.second)

    def next_opening(self, at: datetime) -> datetime:
        """The moment from which work may be done."""
        return at + timedelta(seconds=self.seconds_until_open(at))


def _spans(text: str) -> list[tuple[int, int]]:
    match = _FORM.fullmatch(text)
    if match is None:
        raise InvalidRequest(f"{text!r} is no window. Write for example: mon-fri 19:00-06:00")
    first, last = match.group(1) or "mon", match.group(2) or match.group(1) or "sun"
    if first not in DAYS or last not in DAYS:
        raise InvalidRequest(f"{text!r}: days are {', '.join(DAYS)}.")
    begin, end = (int(match.group(at)) * 60 + int(match.group(at + 1)) for at in (3, 5))
    if begin >= 1440 or end > 1440 or begin == end:
        raise InvalidRequest(f"{text!r}: hours run from 00:00 to 24:00, and a window has a length.")
    days = [(DAYS.index(first) + step) % 7 for step in range((DAYS.index(last) - DAYS.index(first)) % 7 + 1)]
    length = (end - begin) % 1440 or 1440
    return [(day * 1440 + begin, day * 1440 + begin + length) for day in days]
