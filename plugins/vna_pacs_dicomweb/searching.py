"""QIDO-RS (PS3.18 section 10.6): a query as parameters, and pages until one is empty, or says that it is the last.

A page that is shorter than was asked for says nothing: sources cap pages as they like.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import replace
from functools import partial
from typing import Final
from urllib.parse import quote

from vna_core.dicom.answers import asked_values, contradicts, in_parts, row_of, single_questions, wanted_of
from vna_core.dicom.network.web_client import WebClient
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import AnswerCapped, PeerError
from vna_core.domain.query import Equals, Level, Query, Wildcard
from vna_core.ports.pacs import DicomJson

_STUDY, _SERIES = 0x0020000D, 0x0020000E
_ABOVE: Final = {Level.SERIES: (_STUDY,), Level.IMAGE: (_STUDY, _SERIES)}
_LAST_PAGE: Final = "VNA-Last-Page"
"""What another of these archives says with an answer behind which there is none."""
_LARGEST_PAGE: Final = 100_000
"""Answers asked for at once where a source turns no pages."""
_UIDS_AT_ONCE: Final = 50
"""UIDs in one question, so that its address stays short enough for every server."""
_MANY: Final = ("exceeded", "maximum", "more results", "limit")
"""Words of a Warning header field (PS3.18 section 8.3.4.4) that says that there are more answers."""


class Search:
    """Questions to one source."""

    def __init__(self, client: WebClient, page: int) -> None:
        self._client = client
        self._page = page

    def answers(self, query: Query, attributes: tuple[int, ...], deadline: Deadline | None) -> Iterator[DicomJson]:
        """Every match once. Raises AnswerCapped where the source has more and does not turn pages."""
        questions = [part for one in single_questions(query) for part in in_parts(one, _UIDS_AT_ONCE)]
        if len(questions) == 1:  # the source itself leaves out what is before the offset
            paged = self._pages(questions[0], attributes, query.offset, query.limit, deadline)
            return wanted_of(replace(query, offset=0), paged)
        enough = None if query.limit is None else query.offset + query.limit
        return wanted_of(query, self._all(questions, attributes, enough, deadline))

    def _all(
        self, questions: list[Query], attributes: tuple[int, ...], limit: int | None, deadline: Deadline | None
    ) -> Generator[DicomJson, None, None]:
        """Matches of several questions, each once."""
        seen: set[tuple[str, ...]] = set()
        for question in questions:
            for answer in self._pages(question, attributes, 0, limit, deadline):
                key = row_of(answer, question.level)
                if key not in seen:
                    seen.add(key)
                    yield answer

    def _pages(
        self, query: Query, attributes: tuple[int, ...], offset: int, limit: int | None, deadline: Deadline | None
    ) -> Generator[DicomJson, None, None]:
        path, parameters = question(query, attributes)
        before: frozenset[tuple[str, ...]] = frozenset()
        marked, warned = before, False
        pages = given = 0
        size = self._page if limit is None else min(self._page, max(limit, 1))
        first = offset
        while limit is None or given < limit:
            said_more = warned
            rows, warned, is_last = self._one_page(path, parameters, size, offset, deadline)
            keys = _keys(rows, query.level)
            if not rows and not said_more:
                return
            if rows and keys <= before:  # no offset, or none beyond these answers, is known to the source
                if not warned and len(rows) < size:
                    return
                if pages > 1:
                    raise _capped(given)
                fresh = self._at_once(path, parameters, size, first, deadline)
                yield from (
                    one for one in fresh if not _keys([one], query.level) <= before and not contradicts(one, query.conditions)
                )
                return
            if not rows or keys == marked:
                raise _capped(given)
            yield from (one for one in rows if not contradicts(one, query.conditions))
            if is_last or len(rows) > size:  # a source without pages gives everything at once
                return
            pages += 1
            if pages & (pages - 1) == 0:  # a source that begins again meets a page that was marked, however many it has
                marked = keys
            before, given, offset = keys, given + len(rows), offset + len(rows)

    def _at_once(
        self, path: str, parameters: list[tuple[str, str]], size: int, offset: int, deadline: Deadline | None
    ) -> list[DicomJson]:
        """Every answer of a source that turns no pages, in one that is large enough. Raises AnswerCapped where it gives no more."""
        before = size
        while size < _LARGEST_PAGE:
            size = min(10 * size, _LARGEST_PAGE)
            rows, warned, _ = self._one_page(path, parameters, size, offset, deadline)
            if len(rows) <= before or warned:
                raise _capped(len(rows))
            if len(rows) < size:
                return rows
            before = len(rows)
        raise _capped(before)

    def _one_page(
        self, path: str, parameters: list[tuple[str, str]], size: int, offset: int, deadline: Deadline | None
    ) -> tuple[list[DicomJson], bool, bool]:
        """Rows, whether the source warns of more, and whether it says that there are none."""
        asked = [*parameters, ("limit", str(size)), ("offset", str(offset))]
        ask = partial(self._client.document_and_answer, path, asked, accept="application/dicom+json", deadline=deadline)
        rows, answer = ask()
        if rows is None and answer.status != 204:  # without a match that would be said by 204 or an empty list
            rows, answer = ask()
        if rows is None:
            return [], False, True
        if not isinstance(rows, list) or not all(isinstance(one, dict) for one in rows):
            raise PeerError("The source answered a search with something else than a list of DICOM JSON objects.")
        warned = any(word in text.lower() for text in answer.headers("Warning") for word in _MANY)
        return rows, warned, answer.header(_LAST_PAGE) == "true"


def _keys(rows: list[DicomJson], level: Level) -> frozenset[tuple[str, ...]]:
    return frozenset(row_of(one, level) for one in rows)


def _capped(answers: int) -> AnswerCapped:
    return AnswerCapped("The source has more answers and turns no further pages: ask in smaller parts.", answers=answers)


def question(query: Query, attributes: tuple[int, ...]) -> tuple[str, list[tuple[str, str]]]:
    """Path and parameters of a query; unique keys of the levels above become part of the path."""
    conditions = list(query.conditions)
    path = ""
    for tag, name in ((_STUDY, "studies"), (_SERIES, "series")):
        if tag not in _ABOVE.get(query.level, ()):
            break
        known = next((one for one in conditions if isinstance(one, Equals) and one.tag == tag and len(one.values) == 1), None)
        if known is None or not known.values[0]:
            break
        conditions.remove(known)
        path += f"/{name}/{quote(known.values[0], safe='')}"
    path += {Level.STUDY: "/studies", Level.SERIES: "/series", Level.IMAGE: "/instances"}[query.level]
    parameters = [(f"{one.tag:08X}", ",".join(asked_values(one))) for one in conditions]
    if any(isinstance(one, Wildcard) and one.fuzzy for one in conditions):
        parameters.append(("fuzzymatching", "true"))
    parameters += [("includefield", f"{tag:08X}") for tag in attributes]
    return path, parameters
