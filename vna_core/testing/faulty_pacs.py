"""A PACS adapter that fails on purpose: slow, silent, broken or short, around one that works."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass

from vna_core.domain.deadline import Deadline, seconds_left
from vna_core.domain.errors import AnswerCapped, PeerError, PeerUnavailable
from vna_core.domain.octets import ReceivedInstance
from vna_core.domain.query import Query
from vna_core.ports.pacs import Deliver, DicomJson, FetchReport, InventoriedInstance, PacsAbilities, PacsAdapter

_FOREVER = 3600.0


@dataclass(frozen=True, slots=True)
class PacsFaults:
    """What goes wrong.

    Attributes
    ----------
    delay
        Seconds before each answer begins.
    hangs
        Never answers; obeys the deadline only if `deaf` is false.
    deaf
        Does not obey a deadline, as a blocked system call would not.
    fails
        Answers with this error.
    breaks_after
        Answers or instances after which the connection breaks.
    capped_after
        Answers after which it says that there are more.
    """

    delay: float = 0.0
    hangs: bool = False
    deaf: bool = False
    fails: str = ""
    breaks_after: int | None = None
    capped_after: int | None = None


class FaultyPacs(PacsAdapter):
    """Another adapter with faults, which may be changed while it is used; `calls` counts what it was asked."""

    def __init__(self, inner: PacsAdapter, faults: PacsFaults = PacsFaults()) -> None:  # noqa: B008 - a frozen value
        self.name = inner.name
        self.faults = faults
        self.calls: list[str] = []
        self._inner = inner
        self._closed = threading.Event()

    def _begin(self, call: str, deadline: Deadline | None) -> None:
        self.calls.append(call)
        faults = self.faults
        wait = _FOREVER if faults.hangs else faults.delay
        if wait and faults.deaf:
            self._closed.wait(wait)
        elif wait:
            woken = threading.Event()
            wake = woken.set
            if deadline is not None:
                with deadline.waking(wake):
                    woken.wait(seconds_left(deadline, wait))
                deadline.check()
            else:
                self._closed.wait(wait)
        if faults.fails:
            raise PeerError(faults.fails)

    def probe(self, thorough: bool = False) -> PacsAbilities:
        """See `PacsAdapter.probe`."""
        self._begin("probe", None)
        return self._inner.probe(thorough)

    def find(self, query: Query, *, attributes: tuple[int, ...] = (), deadline: Deadline | None = None) -> Iterator[DicomJson]:
        """See `PacsAdapter.find`."""
        self._begin("find", deadline)
        for number, answer in enumerate(self._inner.find(query, attributes=attributes, deadline=deadline)):
            self._interrupt(number)
            yield answer

    def _interrupt(self, number: int) -> None:
        if number == self.faults.breaks_after:
            raise PeerUnavailable("The connection broke.")
        if number == self.faults.capped_after:
            raise AnswerCapped("There are more.", answers=number)

    def inventory(self, study_instance_uid: str, *, deadline: Deadline | None = None) -> Iterator[InventoriedInstance]:
        """See `PacsAdapter.inventory`."""
        self._begin("inventory", deadline)
        yield from self._inner.inventory(study_instance_uid, deadline=deadline)

    def fetch(
        self,
        study_instance_uid: str,
        deliver: Deliver,
        series_instance_uid: str | None = None,
        sop_instance_uids: tuple[str, ...] = (),
        *,
        deadline: Deadline | None = None,
    ) -> FetchReport:
        """See `PacsAdapter.fetch`."""
        self._begin("fetch", deadline)
        delivered: list[int] = []

        def counted(received: ReceivedInstance) -> None:
            if len(delivered) == self.faults.breaks_after:
                raise PeerUnavailable("The connection broke.")
            deliver(received)
            delivered.append(1)

        taken: Deliver = counted
        return self._inner.fetch(study_instance_uid, taken, series_instance_uid, sop_instance_uids, deadline=deadline)

    def close(self) -> None:
        """Wake everybody who hangs, and close the adapter inside."""
        self._closed.set()
        self._inner.close()
