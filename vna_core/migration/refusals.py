"""Questions that a source refuses: a part of them it may answer. When it is no use to go on asking in smaller parts."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Final

from vna_core.domain.errors import PeerError
from vna_core.migration.spans import Span

_IN_A_ROW: Final = 40
"""Refusals without an answer between them after which smaller parts are not tried: from ten years down to a second are 29."""
_PREFIX: Final = 2
"""Characters of a Patient ID beyond which a refused question is not narrowed."""
_PLAUSIBLE: Final = date(1900, 1, 1)
_LONG: Final = 366


class Refusals:
    """Counts refusals of one source."""

    def __init__(self) -> None:
        self._in_a_row = 0
        self._any_answer = False
        self._last: PeerError | None = None

    def answered(self) -> None:
        """The source answered a question, if only with nothing."""
        self._in_a_row, self._any_answer = 0, True

    def check(self) -> None:
        """Every way was tried. Raises PeerError: each question was refused, however narrow."""
        if self._last is not None and not self._any_answer:
            message = f"The source refuses every question about its studies, however narrow. {self._last.message}"
            raise PeerError(message, **self._last.fields) from self._last

    def narrower(self, span: Span, error: PeerError, alphabet: str) -> list[Span]:
        """Questions to ask in place of one that was refused; empty where it is left unanswered."""
        self._last = error
        self._in_a_row += 1
        if self._in_a_row > _IN_A_ROW:
            return []
        if span.first is None or span.last is None:
            return span.narrower(alphabet) if 0 < len(span.prefix) < _PREFIX else []
        if span.prefix or span.from_second == span.to_second:
            return []  # patients are asked for in another way, without a date
        far = not _PLAUSIBLE <= span.last <= datetime.now(UTC).date().replace(month=12, day=31)
        if far and span.days <= _LONG:
            return []
        return span.narrower(alphabet)
