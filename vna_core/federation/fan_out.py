"""One question to many members at once: answers come as they are given, and nobody waits for the slowest beyond the deadline.

Each member works in a thread of its own, and the number of its questions under way is bounded: a member that hangs keeps a few threads
of its own and slows nobody else.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import structlog

from vna_core.domain.deadline import Deadline
from vna_core.domain.errors import AnswerCapped, PeerUnavailable, VnaError
from vna_core.federation.members import Member, MemberReport, Outcome

T = TypeVar("T")
Work = Callable[[Member, Deadline], Iterable[T]]

_WAITING: Final = 20_000
"""Answers that wait to be taken; members wait when there are more."""
_PAUSE: Final = 0.02
"""Seconds after which a member that waits looks again."""

_TOO_LATE: Final = "did not answer in time"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Said(Generic[T]):
    """One answer of one member, or (`report`) the end of its answers."""

    member: Member
    answer: T | None = None
    report: MemberReport | None = None


class FanOut:
    """Asks members."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock

    def ask(self, members: Iterable[Member], work: Work[T], seconds: float, most: Callable[[Member], int]) -> Iterator[Said[T]]:
        """Answers as they come, and for each member at last its report; over after `seconds` at the latest.

        Parameters
        ----------
        work
            Asks one member; runs in a thread.
        most
            How many answers of a member are taken.
        """
        for heard in self._asked(members, work, seconds, most):
            if heard.report is not None:
                heard.member.count(heard.report.outcome)
            yield heard

    def _asked(
        self, members: Iterable[Member], work: Work[T], seconds: float, most: Callable[[Member], int]
    ) -> Iterator[Said[T]]:
        ends = self._clock() + seconds
        said: queue.SimpleQueue[Said[T]] = queue.SimpleQueue()
        pending: dict[str, tuple[Member, Deadline, float]] = {}
        for one in members:
            refused = self._refusal(one)
            if refused is not None:
                yield Said(one, report=refused)
                continue
            own = min(seconds, one.settings.deadline or seconds)
            deadline = Deadline(own)
            pending[one.name] = (one, deadline, self._clock() + own)
            ask = _Ask(one, deadline, work, most(one), said, self._clock)
            threading.Thread(target=ask.run, name=f"ask-{one.name}", daemon=True).start()
        try:
            yield from self._collected(pending, said, ends)
        finally:
            for _, deadline, _ in pending.values():
                deadline.cancel()

    def _refusal(self, one: Member) -> MemberReport | None:
        if not one.under_way.acquire(blocking=False):
            return one.report(Outcome.BUSY)
        if not one.breaker.may_ask():
            one.under_way.release()
            return one.report(Outcome.LEFT_ALONE, error=one.breaker.health.error)
        return None

    def _collected(
        self, pending: dict[str, tuple[Member, Deadline, float]], said: queue.SimpleQueue[Said[T]], ends: float
    ) -> Iterator[Said[T]]:
        counted: dict[str, int] = dict.fromkeys(pending, 0)
        begun = self._clock()
        while pending:
            now = self._clock()
            nearest = min(min(own for _, _, own in pending.values()), ends)
            # What has come is taken in one go: to look at every member's time for every row would cost more than the rows.
            try:
                taken = [said.get(timeout=max(0.0, nearest - now))]
                taken += [said.get() for _ in range(said.qsize())]
            except queue.Empty:
                taken = []
            for got in taken:
                if got.member.name not in pending:
                    continue
                if got.report is not None:
                    del pending[got.member.name]
                    if got.report.outcome is Outcome.TIMEOUT:
                        got.member.breaker.failed(_TOO_LATE)
                else:
                    counted[got.member.name] += 1
                yield got
            now = self._clock()
            if now < nearest:
                continue
            for name, (one, deadline, own) in list(pending.items()):
                if now >= min(own, ends):
                    del pending[name]
                    deadline.cancel()
                    one.breaker.failed(_TOO_LATE)
                    yield Said(one, report=one.report(Outcome.TIMEOUT, counted[name], now - begun))


class _Ask(Generic[T]):
    """One member asked, in its thread."""

    def __init__(
        self,
        one: Member,
        deadline: Deadline,
        work: Work[T],
        most: int,
        said: queue.SimpleQueue[Said[T]],
        clock: Callable[[], float],
    ) -> None:
        self._member, self._deadline, self._work, self._most = one, deadline, work, most
        self._said, self._clock = said, clock
        self._begun = clock()
        self._count = 0

    def run(self) -> None:
        """Ask, hand on, report."""
        one = self._member
        outcome, error, refused, late = Outcome.FAILED, "", False, False
        try:
            outcome = self._answers()
        except AnswerCapped:
            outcome = Outcome.PARTIAL
        except PeerUnavailable as failure:
            error, late = failure.code, self._deadline.over
            outcome = Outcome.TIMEOUT if late else Outcome.FAILED
        except VnaError as failure:
            error, refused = failure.code, True
        except Exception as failure:  # noqa: BLE001 - a fault of one adapter must not cost the other members' answers
            _log.exception("member-crashed", member=one.name)
            error, late = type(failure).__name__, self._deadline.over
        finally:
            one.under_way.release()
        seconds = self._clock() - self._begun
        if outcome in (Outcome.ANSWERED, Outcome.PARTIAL):
            one.breaker.succeeded(seconds)
        elif refused:
            one.breaker.refused(error)
        elif not late:  # what came too late is counted by whoever waits for it
            one.breaker.failed(error)
        self._hand_on(Said(one, report=one.report(outcome, self._count, seconds, error)))

    def _answers(self) -> Outcome:
        for answer in self._work(self._member, self._deadline):
            if self._count >= self._most:
                return Outcome.PARTIAL
            if not self._hand_on(Said(self._member, answer)):
                raise PeerUnavailable("Nobody waits for the answer any more.")
            self._count += 1
        return Outcome.ANSWERED

    def _hand_on(self, one: Said[Any]) -> bool:
        """Whether somebody took it."""
        while one.report is None and self._said.qsize() >= _WAITING:
            if self._deadline.over:
                return False
            time.sleep(_PAUSE)
        self._said.put(one)
        return True
