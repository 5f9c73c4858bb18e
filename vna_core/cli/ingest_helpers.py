"""Further processes of one ``vna ingest``: Python computes on one processor a process, and taking files in is computing most of the time.

They are forked before the archive is opened, and open it when there turns out to be work for them. From then on they do what idle processes of
``vna serve`` do for a store request (`vna_core.ingest.sharing`): they take groups of items through the rooms, and this process reads. One that dies
loses nothing, as whatever it had is offered again here.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from typing import IO, Final

import structlog

from vna_core.bootstrap import Archive, open_archive
from vna_core.cli.offering import GROUP, GROUP_OCTETS
from vna_core.cli.ordered import GRACE, Ordered, end_all
from vna_core.configuration import Settings
from vna_core.dicom.offered_files import OfferedFile
from vna_core.domain.errors import VnaError
from vna_core.ingest.sharing import Bench, Colleagues, Helper
from vna_core.plugin_manager import Plugins

_NAME: Final = "vna-ingest"

_log = structlog.get_logger(__name__)


class IngestHelpers:
    """To be made before the calling process has threads or an open archive.

    Parameters
    ----------
    processes
        How many take items through the rooms at once. One alone is the calling process; where there are more, it leaves that to them.

    plugins
        Loaded already, so that none loads them again.

    Attributes
    ----------
    sharing
        How many processes share the memory budget.
    """

    def __init__(self, settings: Settings, processes: int, plugins: Plugins) -> None:
        self._settings, self._plugins = settings, plugins
        number = processes if processes > 1 else 0
        self.sharing = number + 1
        self._bench = Bench()
        self._helpers = [Ordered(_NAME, self._live, self._bench.descriptors) for _ in range(number)]

    def colleagues(self, archive: Archive) -> Colleagues:
        """What they are to the calling process."""
        return Colleagues(archive.pipeline, archive.meter, self._bench if self._helpers else None)

    def called_for(self, items: Iterable[OfferedFile]) -> Iterator[OfferedFile]:
        """The same items. As soon as they are more than one group, the helpers open the archive, which is to be open here by then."""
        number = octets = 0
        called = False
        for item in items:
            number, octets = number + 1, octets + item.size
            if not called and (number > GROUP or octets > GROUP_OCTETS):
                called = True
                for one in self._helpers:
                    one.say("help")
            yield item

    def close(self) -> None:
        """Nothing is left to do. May be called twice."""
        end_all(self._helpers)
        self._helpers = []
        self._bench.close()

    def _live(self, orders: IO[str]) -> None:
        """The life of a helper: until its orders end."""
        signal.signal(
            signal.SIGINT, signal.SIG_IGN
        )  # from a terminal it comes to all; what has begun is finished, and the first process ends the others
        if not orders.readline():
            return
        try:
            archive = open_archive(self._settings, processes=self.sharing, plugins=self._plugins)
        except VnaError as error:
            _log.warning("process-cannot-help", code=error.code, message=error.message)
            return
        with archive:
            helper = Helper(self._bench, archive.pipeline, Colleagues(archive.pipeline, archive.meter), threading.Event())
            helper.begin()
            orders.read()
            helper.end(GRACE / 2)
