"""Questions are begun ahead, never more at once than the source bears, and their answers are looked at in order."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from datetime import date

import pytest

from tests.unit.migration.listed_source import ListedSource, Study
from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import PeerError, PeerUnavailable
from vna_core.domain.query import Query
from vna_core.migration.questions import AT_ONCE, Questions
from vna_core.migration.spans import Span
from vna_core.ports.pacs import DicomJson

SPANS = [Span(date(2000 + year, 1, 1), date(2000 + year, 12, 31)) for year in range(8)]
STUDIES = [Study(f"1.2.{year}", date=f"{2000 + year}0601") for year in range(8)]


class Together(ListedSource):
    """Answers when so many questions are asked at once, and knows the most that were."""

    meeting: threading.Barrier
    lock = threading.Lock()
    now = most = 0

    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        with self.lock:
            self.now += 1
            self.most = max(self.most, self.now)
        try:
            self.meeting.wait()
            yield from super().find(query)
        finally:
            with self.lock:
                self.now -= 1


def together(at_once: int) -> Together:
    source = Together(STUDIES)
    source.meeting = threading.Barrier(at_once, timeout=30)
    return source


@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_so_many_questions_are_asked_at_once_and_looked_at_in_order(at_once: int) -> None:
    source = together(at_once)
    questions = Questions(source, (), at_once)
    with questions.ahead(SPANS) as in_turn:
        found = [answer["0020000D"]["Value"][0] for span in in_turn for piece in questions.ask(span).pieces() for answer in piece]
    assert found == [study.uid for study in STUDIES]
    assert source.most == at_once


def test_a_question_that_fails_ahead_fails_in_its_turn_and_can_be_asked_again() -> None:
    class Failing(ListedSource):
        failed = False

        def find(
            self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None
        ) -> Iterator[DicomJson]:
            if "20030101" in str(query) and not self.failed:
                self.failed = True
                raise PeerUnavailable("It hung up.")
            yield from super().find(query)

    questions = Questions(Failing(STUDIES), (), 3)
    found = []
    with questions.ahead(SPANS) as in_turn:
        for span in in_turn:
            try:
                found.append(questions.ask(span))
            except PeerError:
                assert span == SPANS[3]
                found.append(questions.ask(span))
    assert [len(piece) for answers in found for piece in answers.pieces()] == [1] * 8


def test_who_stops_looking_leaves_no_question_behind() -> None:
    source = ListedSource(STUDIES)
    questions = Questions(source, (), 2)
    with pytest.raises(PeerError), questions.ahead(SPANS) as in_turn:
        questions.ask(next(in_turn))
        raise PeerError("Enough.")
    assert not [one for one in threading.enumerate() if one.name.startswith("questions")]
    assert [len(piece) for piece in questions.ask(SPANS[1]).pieces()] == [1]


@pytest.mark.parametrize("number", [0, AT_ONCE - 1, AT_ONCE, 2 * AT_ONCE, 2 * AT_ONCE + 1])
@pytest.mark.parametrize("cap", [None, AT_ONCE + 7])
def test_answers_come_in_pieces_and_say_that_there_are_more(number: int, cap: int | None) -> None:
    source = ListedSource([Study(f"1.2.{one}") for one in range(number)], cap=cap, says_so=True)
    answers = Questions(source, (), 1).ask(Span())
    sizes = [len(piece) for piece in answers.pieces()]
    assert sum(sizes) == (number if cap is None else min(number, cap))
    assert max(sizes) <= AT_ONCE
    assert answers.capped == (cap is not None and number > cap)
