"""What the source says it holds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import structlog

from vna_core.domain.errors import PeerError
from vna_core.domain.query import Between, Level, Query
from vna_core.ports.pacs import DicomJson, PacsAdapter

_STUDY_DATE: Final = 0x00080020
_SUSPICIOUS: Final = frozenset(
    (50, 100, 200, 250, 256, 300, 400, 500, 512, 1000, 1024, 2000, 2048, 2500, 5000, 10000, 20000, 50000, 65535)
)
"""Numbers of answers at which products are known to stop without saying so."""

_log = structlog.get_logger(__name__)


def studies_of(adapter: PacsAdapter) -> Iterator[str]:
    """Study Instance UIDs, each once.

    One question for everything; where the number of answers looks like a cap, the same is asked again by ever shorter spans of
    study dates, and all answers count.

    Raises PeerUnavailable, PeerError.
    """
    seen: dict[str, None] = {}
    answers = [_uid(one) for one in adapter.find(Query(Level.STUDY))]
    for uid in answers:
        if uid:
            seen.setdefault(uid)
    if len(answers) in _SUSPICIOUS:
        _log.warning("inventory-looks-capped", answers=len(answers))
        for uid in _by_dates(adapter, 18500101, 20991231, len(answers)):
            seen.setdefault(uid)
    yield from seen


def _by_dates(adapter: PacsAdapter, low: int, high: int, cap: int) -> Iterator[str]:
    """Studies of a span of dates, split in the middle as long as the answers reach the cap."""
    spans = [(low, high)]
    while spans:
        first, last = spans.pop()
        try:
            found = [_uid(one) for one in adapter.find(Query(Level.STUDY, (Between(_STUDY_DATE, str(first), str(last)),)))]
        except PeerError as error:
            _log.warning("inventory-span-failed", first=first, last=last, code=error.code)
            raise
        yield from (uid for uid in found if uid)
        if len(found) >= cap and first < last:
            middle = _middle(first, last)
            spans += [(first, middle), (_next_day(middle), last)]


def _middle(first: int, last: int) -> int:
    if first // 10000 != last // 10000:
        return (first // 10000 + last // 10000) // 2 * 10000 + 1231
    if first // 100 != last // 100:
        return (first // 100 + last // 100) // 2 * 100 + 31
    return (first + last) // 2


def _next_day(date: int) -> int:
    """The first possible date after one; days that no month has match nothing and harm nothing."""
    year, month, day = date // 10000, date // 100 % 100, date % 100
    if day < 31:
        return date + 1
    return (year * 100 + month + 1) * 100 + 1 if month < 12 else (year + 1) * 10000 + 101


def _uid(answer: DicomJson) -> str:
    values = answer.get("0020000D", {}).get("Value") or [""]
    return str(values[0] or "")
