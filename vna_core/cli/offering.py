"""Offering files to the archive: read one after the other, taken through the rooms in groups, here or in processes that help.

An item is done when it has a result, which the room that ended it gave after flush and commit; until then its octets are kept here. So a process that
dies takes nothing with it: its group is offered again, and what had been stored already is a duplicate.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Final

from vna_core.cli.offered_group import OfferedGroup
from vna_core.cli.patience import Patience
from vna_core.dicom.offered_files import OfferedFile, unreadable
from vna_core.domain.errors import EmptyPayload, Unarchivable, VnaError
from vna_core.domain.octets import CHUNK, ReceivedInstance, Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ingest.sharing import Colleague, Colleagues

HERE: Final = 2
"""Groups that this process takes through the rooms at once where no other does: one computes while the other waits for the disk."""
GROUP: Final = 16
"""Items of a group at most,"""
GROUP_OCTETS: Final = 8 << 20
"""and octets after which nothing is added to it."""
ON_THEIR_WAY: Final = 128
"""Items that are read and have no result yet, at most."""
LARGE: Final = 6
"""As many of them whatever their size; more only while their octets are few."""
_SHARE: Final = 4
"""They are few as long as they are this part of the process's memory budget: what another process takes is there twice for a moment."""


@dataclass(slots=True, eq=False)
class _Offered:
    """An item that was read, and what became of it."""

    item: OfferedFile
    received: ReceivedInstance | None = None
    result: IngestResult | None = None

    @property
    def size(self) -> int:
        """Octets that are kept of it."""
        return 0 if self.received is None else self.received.octets.size


Running = Future[list[IngestResult]]


class Offering:
    """Offers items to the archive. Whatever fails in one costs that item only.

    Parameters
    ----------
    colleagues
        Other processes, which take groups when they have nothing to do; this one only reads then.
    """

    def __init__(self, pipeline: IngestPipeline, issuer: str, patience: Patience, colleagues: Colleagues) -> None:
        self._pipeline, self._issuer, self._patience, self._colleagues = pipeline, issuer, patience, colleagues
        self._in_order: deque[_Offered] = deque()
        self._waiting: deque[_Offered] = deque()
        self._here: dict[Running, list[_Offered]] = {}
        self._elsewhere: dict[Running, list[_Offered]] = {}
        self._octets = 0

    def results(self, items: Iterable[OfferedFile]) -> Iterator[tuple[OfferedFile, IngestResult]]:
        """Results in the order of the items, as soon as they are there; no further item is read when patience is over."""
        with ThreadPoolExecutor(ON_THEIR_WAY, "ingest") as pool:  # a thread waits for each process that takes a group
            for item in items:
                self._add(self._read(item))
                yield from self._done(pool, last=False)
                if self._patience.over is not None:
                    break
            yield from self._done(pool, last=True)

    def _add(self, offered: _Offered) -> None:
        self._in_order.append(offered)
        if offered.result is None:
            self._waiting.append(offered)
            self._octets += offered.size

    def _done(self, pool: ThreadPoolExecutor, *, last: bool) -> Iterator[tuple[OfferedFile, IngestResult]]:
        """What has a result; waits until there is room for another item, or where there is no other, for all of them."""
        while True:
            self._note_results()
            self._begin(pool, last)
            while self._in_order and (result := self._in_order[0].result) is not None:
                yield self._in_order.popleft().item, result
            running = [*self._here, *self._elsewhere]
            if not running or not (last or self._is_full):
                return
            wait(running, return_when=FIRST_COMPLETED)

    def _note_results(self) -> None:
        for place in (self._here, self._elsewhere):
            for one in [running for running in place if running.done()]:
                for offered, result in zip(place.pop(one), one.result(), strict=True):
                    self._octets -= offered.size
                    offered.received, offered.result = None, result

    def _begin(self, pool: ThreadPoolExecutor, last: bool) -> None:
        """Begin groups as long as there is somebody to take them."""
        while self._waiting:
            colleague: Colleague | None = None
            if self._colleagues.any_idle:
                if not (last or self._is_group):
                    return  # more is coming
                colleague = self._colleagues.idle()
            if colleague is None and (self._elsewhere or len(self._here) >= HERE):
                return
            group = self._group()
            work = OfferedGroup([one.received for one in group if one.received is not None], self._pipeline, self._patience)
            place = self._here if colleague is None else self._elsewhere
            place[pool.submit(work.results, colleague)] = group

    def _group(self) -> list[_Offered]:
        group: list[_Offered] = []
        octets = 0
        while self._waiting and len(group) < GROUP and octets < GROUP_OCTETS:
            octets += self._waiting[0].size
            group.append(self._waiting.popleft())
        return group

    @property
    def _is_group(self) -> bool:
        return len(self._waiting) >= GROUP or sum(one.size for one in self._waiting) >= GROUP_OCTETS

    @property
    def _is_full(self) -> bool:
        number = len(self._in_order)
        return number >= ON_THEIR_WAY or (number >= LARGE and self._octets > self._pipeline.budget.maximum // _SHARE)

    def _read(self, item: OfferedFile) -> _Offered:
        while True:
            try:
                return _Offered(item, self._received(item))
            except VnaError as error:
                if not (item.member == "" and self._patience.again(error)):  # what lies in an archive cannot be begun again
                    return _refused(item, error)
            except OSError as error:
                return _refused(item, unreadable(item.path, error))
            except Exception as error:  # noqa: BLE001 - damaged archives raise whatever their codec raises: that costs this item only
                return _refused(item, Unarchivable(f"Cannot be read: {type(error).__name__}: {error}.", path=item.path))

    def _received(self, item: OfferedFile) -> ReceivedInstance:
        if item.open is None:
            raise item.error or Unarchivable("Cannot be read.", path=item.path)
        source = Source("file", "vna ingest", item.path, self._issuer)
        with self._pipeline.reception(source, digest_later=True) as reception:
            with item.open() as stream:
                while piece := stream.read(CHUNK):
                    reception.write(piece)
            if not reception.size:
                raise EmptyPayload("The file is empty.")
            return reception.finish()


def _refused(item: OfferedFile, error: VnaError) -> _Offered:
    return _Offered(item, result=IngestResult(Outcome.REFUSED, error=error))
