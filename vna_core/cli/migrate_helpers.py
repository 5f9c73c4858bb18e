"""Further processes of one ``vna migrate run``: Python computes on one processor a process, and a migration computes most of the time.

They are forked before the archive is opened, open it while the inventory is taken, and take studies from the ledger as any other worker
does. One that dies loses nothing: its studies are taken again as soon as that is seen.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Callable
from functools import partial
from typing import IO, Final

from vna_core.bootstrap import open_archive
from vna_core.bootstrap_migration import migration_worker
from vna_core.cli.migrate_progress import Fetched, worker_name
from vna_core.cli.ordered import Ordered, end_all
from vna_core.configuration import Settings
from vna_core.domain.outcome import IngestResult
from vna_core.jobs import EmbeddedEngine, LedgerWork
from vna_core.migration.campaign import LOOK
from vna_core.plugin_manager import Plugins

_NAME: Final = "vna-migrate"
_DONE: Final = "done\n"
"""What a helper tells when it has done with a job."""


class ForkedHelpers:
    """See `vna_core.migration.campaign.Helpers`. To be made before the calling process has threads or an open archive.

    Parameters
    ----------
    processes
        How many work at once at most, the calling one among them.
    plugins
        Loaded already, so that no helper loads them again.
    """

    def __init__(self, settings: Settings, processes: int, told: Callable[[Fetched], object], plugins: Plugins) -> None:
        self._settings, self._told, self._plugins = settings, told, plugins
        self.processes = processes
        self._helpers = [_Helper(self._live) for _ in range(processes - 1)]
        self._taking_part: list[_Helper] = []
        self._reading: list[threading.Thread] = []

    def prepare(self) -> None:
        """Have them open the archive, whose tables are there now."""
        for one in self._helpers:
            one.say("open")

    def begin(self, retrievals: int, processes: int, ended: Callable[[], object]) -> int:
        """See `Helpers.begin`."""
        taking_part = self._helpers[: max(0, min(processes, retrievals) - 1)]
        for one in self._helpers[len(taking_part) :]:
            one.dismiss()
        share = -(-retrievals // (len(taking_part) + 1))
        self._taking_part = taking_part
        for one in taking_part:
            one.say(str(share))
            reading = threading.Thread(target=self._read, args=(one.results, ended), name="helper", daemon=True)
            reading.start()
            self._reading.append(reading)
        return share

    def lost(self) -> list[str]:
        """See `Helpers.lost`."""
        ended = [one for one in self._taking_part if one.process.poll() is not None]
        self._taking_part = [one for one in self._taking_part if one not in ended]
        return [worker_name(one.process.pid) for one in ended]

    def end(self) -> None:
        """See `Helpers.end`. May be called twice, and without `begin`."""
        end_all(self._helpers)
        for reading in self._reading:
            reading.join()
        for one in self._helpers:
            one.results.close()
        self._helpers, self._reading = [], []

    close = end

    def _read(self, results: IO[str], ended: Callable[[], object]) -> None:
        for line in results:
            if line == _DONE:
                ended()
            elif line.endswith("\n"):  # a helper that died in the middle of a line has told nothing
                self._told(Fetched(*json.loads(line)))

    def _live(self, orders: IO[str], results: IO[str]) -> None:
        """The life of a helper: until its orders end."""
        if not orders.readline():
            return
        writing = threading.Lock()

        def write(line: str) -> None:
            with writing:
                results.write(line)
                results.flush()

        def tell(result: IngestResult) -> None:
            write(json.dumps(Fetched.of(result).as_list()) + "\n")

        with open_archive(self._settings, processes=self.processes, plugins=self._plugins) as archive:
            threads = orders.readline()
            if not threads:
                return
            name = worker_name()
            worker = migration_worker(archive, name, tell)
            jobs = self._settings.jobs.model_copy(update={"threads": int(threads), "poll": LOOK})
            stop = threading.Event()
            work = LedgerWork(archive.catalogue.jobs, worker.handlers(), jobs, name)
            engine = EmbeddedEngine(work, partial(write, _DONE))
            threading.Thread(target=_until_the_end, args=(orders, stop, engine), name="orders", daemon=True).start()
            try:
                engine.run(stop)
            finally:
                worker.close()


def _until_the_end(orders: IO[str], stop: threading.Event, engine: EmbeddedEngine) -> None:
    orders.read()
    stop.set()
    engine.look()


class _Helper(Ordered):
    """One process, and the pipes to and from it."""

    def __init__(self, live: Callable[[IO[str], IO[str]], None]) -> None:
        results_read, results_write = os.pipe()
        super().__init__(_NAME, lambda orders: live(orders, os.fdopen(results_write, "w")), (results_write,))
        os.close(results_write)
        self.results = os.fdopen(results_read)
