"""Offering files to the archive: read one after the other, taken through the rooms side by side, with patience for passing failures."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import closing
from dataclasses import replace
from typing import Final

import structlog

from vna_core.dicom.offered_files import OfferedFile, unreadable
from vna_core.domain.errors import EmptyPayload, Unarchivable, VnaError
from vna_core.domain.octets import CHUNK, ReceivedInstance, Source
from vna_core.domain.outcome import IngestResult, Outcome
from vna_core.ingest.pipeline import IngestPipeline

WORKERS: Final = 6
"""Instances on their way at once, so that flushes are shared."""
_SHORTEST: Final = 0.2
_LONGEST: Final = 5.0

_log = structlog.get_logger(__name__)


class Patience:
    """How long a run waits for an archive that takes nothing now (no catalogue, no store, no room), over all its items together.

    Parameters
    ----------
    seconds
        From the first failure on, until something is taken again.
    told
        Called with the failure when a time of waiting begins.
    """

    def __init__(
        self,
        seconds: float,
        told: Callable[[VnaError], object] = lambda error: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], object] = time.sleep,
    ) -> None:
        self._seconds, self._told, self._clock, self._sleep = seconds, told, clock, sleep
        self._lock = threading.Lock()
        self._since: float | None = None
        self.over: VnaError | None = None
        """Why nothing more is offered; None as long as it is worth the while."""

    def taken(self) -> None:
        """The archive has taken something."""
        with self._lock:
            self._since = None

    def again(self, error: VnaError) -> bool:
        """Wait a moment, and say whether what failed is to be tried again."""
        if not error.transient:
            return False
        with self._lock:
            now = self._clock()
            begins = self._since is None
            since = self._since = now if self._since is None else self._since
            left = since + self._seconds - now
            if self.over is None and left <= 0:
                self.over = error
            if self.over is not None:
                return False
        if begins:
            self._told(error)
        self._sleep(min(left, _LONGEST, max(_SHORTEST, (now - since) / 2)))
        return True


class Offering:
    """Offers items to the archive. Whatever fails in one costs that item only."""

    def __init__(self, pipeline: IngestPipeline, issuer: str, patience: Patience) -> None:
        self._pipeline, self._issuer, self._patience = pipeline, issuer, patience

    def results(self, items: Iterable[OfferedFile]) -> Iterator[tuple[OfferedFile, IngestResult]]:
        """Results as they come; no further item is read when patience is over."""
        running: dict[Future[IngestResult], OfferedFile] = {}
        with ThreadPoolExecutor(WORKERS, "ingest") as pool:
            for item in items:
                while len(running) >= WORKERS:
                    yield from _finished(running)
                running[self._begin(item, pool)] = item
                if self._patience.over is not None:
                    break
            while running:
                yield from _finished(running)

    def _begin(self, item: OfferedFile, pool: ThreadPoolExecutor) -> Future[IngestResult]:
        while True:
            try:
                return pool.submit(self._offer, self._received(item))
            except VnaError as error:
                if not (item.member == "" and self._patience.again(error)):  # what lies in an archive cannot be begun again
                    return _refused(error)
            except OSError as error:
                return _refused(unreadable(item.path, error))
            except Exception as error:  # noqa: BLE001 - damaged archives raise whatever their codec raises: that costs this item only
                return _refused(Unarchivable(f"Cannot be read: {type(error).__name__}: {error}.", path=item.path))

    def _received(self, item: OfferedFile) -> ReceivedInstance:
        if item.open is None:
            raise item.error or Unarchivable("Cannot be read.", path=item.path)
        with self._pipeline.reception(Source("file", "vna ingest", item.path, self._issuer)) as reception:
            with item.open() as stream:
                while piece := stream.read(CHUNK):
                    reception.write(piece)
            if not reception.size:
                raise EmptyPayload("The file is empty.")
            return reception.finish()

    def _offer(self, received: ReceivedInstance) -> IngestResult:
        """Take one instance through the rooms, more than once where the archive could not take anything for a moment."""
        with closing(received.octets) as octets:
            while True:
                try:
                    result = self._pipeline.offer(replace(received, octets=octets.once_more()))
                    self._patience.taken()
                    return result
                except VnaError as error:
                    if not self._patience.again(error):
                        return IngestResult(Outcome.REFUSED, error=error)
                except Exception as error:  # a fault of ours is told of the item, and the run goes on to its summary
                    _log.exception("offering-failed")
                    failure = VnaError(f"An internal error ({type(error).__name__}); see the log.")
                    return IngestResult(Outcome.REFUSED, error=failure)


def _finished(running: dict[Future[IngestResult], OfferedFile]) -> Iterator[tuple[OfferedFile, IngestResult]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    for future in done:
        yield running.pop(future), future.result()


def _refused(error: VnaError) -> Future[IngestResult]:
    future: Future[IngestResult] = Future()
    future.set_result(IngestResult(Outcome.REFUSED, error=error))
    return future
