"""Questions about studies to a source, some of them begun before their answers are looked at: a source answers several at once, and most of
the time of many short ones is waiting."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from vna_core.domain.errors import AnswerCapped
from vna_core.migration.spans import Span
from vna_core.ports.pacs import DicomJson, PacsAdapter

AT_ONCE: Final = 500
"""Answers in one piece; no more of a question is read before its turn."""


class Answers:
    """Answers to one question in pieces, the first of which is read when this is made. Raises PeerUnavailable, PeerError."""

    def __init__(self, found: Iterator[DicomJson]) -> None:
        self._found = found
        self.capped = False
        """Whether the source has said that there are more than it gave, so far."""
        self._first = self._read()

    def _read(self) -> list[DicomJson]:
        piece: list[DicomJson] = []
        try:
            piece.extend(itertools.islice(self._found, AT_ONCE))
        except AnswerCapped:
            self.capped = True
        return piece

    def pieces(self) -> Iterator[list[DicomJson]]:
        """Every piece, at least one, which may be empty. Raises as the source does."""
        piece = self._first
        while True:
            yield piece
            if self.capped or len(piece) < AT_ONCE:
                return
            piece = self._read()


class Questions:
    """Asks one source.

    Parameters
    ----------
    attributes
        Tags to be answered beside those that are by themselves.
    at_once
        Questions that the source is asked at once at most.
    """

    def __init__(self, adapter: PacsAdapter, attributes: tuple[int, ...], at_once: int) -> None:
        self._adapter, self._attributes, self._at_once = adapter, attributes, at_once
        self._begun: dict[Span, Future[Answers]] = {}

    def ask(self, span: Span) -> Answers:
        """Answers to a question, which may have been begun already. Raises PeerUnavailable, PeerError."""
        begun = self._begun.pop(span, None)
        return self._ask(span) if begun is None else begun.result()

    def _ask(self, span: Span) -> Answers:
        return Answers(iter(self._adapter.find(span.query, attributes=self._attributes)))

    @contextlib.contextmanager
    def ahead(self, spans: Sequence[Span]) -> Iterator[Iterator[Span]]:
        """The same spans in their order; while one is looked at, those behind it have been begun."""
        with ThreadPoolExecutor(self._at_once, "questions") as pool:
            try:
                yield self._in_turn(spans, pool)
            finally:
                for one in self._begun.values():
                    one.cancel()
                self._begun.clear()

    def _in_turn(self, spans: Sequence[Span], pool: ThreadPoolExecutor) -> Iterator[Span]:
        upcoming = iter(spans)
        for one in itertools.islice(upcoming, self._at_once):
            self._begun[one] = pool.submit(self._ask, one)
        for span in spans:
            yield span
            for one in itertools.islice(upcoming, 1):
                self._begun[one] = pool.submit(self._ask, one)
