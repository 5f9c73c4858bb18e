"""What the other processes of a run are to one of them: it gives instances to those that are idle."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Iterator, Sequence

import structlog

from vna_core.domain.errors import OutOfResources
from vna_core.domain.octets import ReceivedInstance
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ingest.sharing.bench import Bench
from vna_core.ingest.sharing.forms import Result, Unreadable, instances_form, read_results
from vna_core.ingest.sharing.lending import LentFiles
from vna_core.ingest.sharing.lines import SILENCE, LineBroken, answer, send
from vna_core.metering import Meter
from vna_core.metering.metrics import SHARED

_log = structlog.get_logger(__name__)


class Colleagues:
    """The other processes.

    Parameters
    ----------
    bench
        Where they wait; None: there are none.
    """

    def __init__(self, pipeline: IngestPipeline, meter: Meter, bench: Bench | None = None) -> None:
        self._pipeline, self._meter, self._bench = pipeline, meter, bench
        self._files = LentFiles()
        self._lock = threading.Lock()
        self._own = 0
        processors = len(os.sched_getaffinity(0))
        self.at_once = 0 if bench is None or processors == 1 else processors + 1
        """How many groups are worth being stored at the same time: one for each processor, and one that waits for the disk."""

    @contextlib.contextmanager
    def occupied(self) -> Iterator[None]:
        """This process has work of its own as long as the block runs, and takes none of others."""
        with self._lock:
            self._own += 1
        try:
            yield
        finally:
            with self._lock:
                self._own -= 1

    @property
    def is_occupied(self) -> bool:
        """Whether this process has work of its own."""
        return self._own > 0 or self._pipeline.under_way > 0

    @property
    def any_idle(self) -> bool:
        """Whether there seems to be a process that has nothing to do."""
        return self._bench is not None and not self._bench.is_empty()

    def close(self) -> None:
        """Give the memory back that was kept for loans. May be called twice."""
        self._files.close()

    def idle(self) -> Colleague | None:
        """A process that has nothing to do; it waits for a group of instances from now on."""
        line = None if self._bench is None else self._bench.take()
        return None if line is None else Colleague(line, self._pipeline, self._files, self._meter)


class Colleague:
    """An idle process, for one group of instances."""

    def __init__(self, line: socket.socket, pipeline: IngestPipeline, files: LentFiles, meter: Meter) -> None:
        self._line, self._pipeline, self._files, self._meter = line, pipeline, files, meter

    def offer_all(self, received: Sequence[ReceivedInstance]) -> list[Result]:
        """As `IngestPipeline.offer_all`, in the other process; in this one where that dies, or has got something else to do.

        Offering the same octets twice is safe: what the other process still stored is a duplicate here.
        """
        if not received:
            self._line.close()
            return []
        results = self._there(received)
        self._meter.count(SHARED, "returned" if results is None else "taken", by=len(received))
        if results is None:
            return self._pipeline.offer_all(received)
        for one in received:
            one.octets.close()
        return results

    def _there(self, received: Sequence[ReceivedInstance]) -> list[Result] | None:
        results = None
        lent: list[int] = []
        in_memory = [one.octets for one in received if not one.octets.spooled]
        copied = sum(one.size for one in in_memory)
        try:
            with self._line as line:
                self._pipeline.budget.take_for_help(copied)
                try:
                    lent.extend(map(self._files.lend, in_memory))
                    files = iter(lent)
                    descriptors = [one.octets.descriptor if one.octets.spooled else next(files) for one in received]
                    line.settimeout(SILENCE)
                    send(line, instances_form(received), descriptors)
                    results = read_results(answer(line), len(received))
                finally:
                    for one in lent:  # written again only when the other process has said that it is done
                        self._files.take_back(one, is_free=results is not None)
                    self._pipeline.budget.give_back(copied)
        except (LineBroken, Unreadable, OutOfResources, OSError) as error:
            _log.info("instances-returned", count=len(received), message=str(error))
        return results
