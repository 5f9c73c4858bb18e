"""A process that has nothing to do takes instances of others through the rooms."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import structlog

from vna_core.domain.octets import ReceivedInstance
from vna_core.ingest.pipeline import IngestPipeline
from vna_core.ingest.receive import brought_to_memory
from vna_core.ingest.sharing.bench import Bench
from vna_core.ingest.sharing.colleagues import Colleagues
from vna_core.ingest.sharing.forms import Unreadable, read_instances, results_form
from vna_core.ingest.sharing.lines import LineBroken, receive, send, signs_of_life

_PAUSE: Final = 0.1
"""Seconds until it is looked again whether there is room on the bench, and nothing else to do."""

_ANSWERED: Final = 2.0
"""Seconds after which a process that does not take its results is left alone."""

_log = structlog.get_logger(__name__)


class Helper:
    """Waits on the bench, in a thread of its own, from `begin` to `end`.

    Parameters
    ----------
    stop
        Nothing more is taken when it is set.
    """

    def __init__(self, bench: Bench, pipeline: IngestPipeline, colleagues: Colleagues, stop: threading.Event) -> None:
        self._bench, self._pipeline, self._colleagues = bench, pipeline, colleagues
        self._lock = threading.Lock()
        self._stop = stop
        self._left = False
        self._listening: socket.socket | None = None
        self._thread = threading.Thread(target=self._help, name="helper", daemon=True)

    def begin(self) -> None:
        """Take instances of others from now on."""
        self._thread.start()

    def end(self, seconds: float) -> None:
        """Set `stop`. What is not done within `seconds` is left to the process whose it is."""
        self._stop.set()
        with self._lock:
            if self._listening is not None:
                with contextlib.suppress(OSError):  # whoever took the line is gone
                    self._listening.shutdown(socket.SHUT_RDWR)
        self._thread.join(seconds)
        with self._lock:
            self._left = True

    def _help(self) -> None:
        line: socket.socket | None = None
        while True:
            try:
                line = line or self._sit_down()
                if line is not None:
                    line = self._round(line)
                    continue
            except Exception:
                _log.exception("helping-failed")  # whoever gave them sees that the line is broken
                line = None
                self._get_up()
            if self._stop.wait(_PAUSE):
                return

    def _round(self, line: socket.socket) -> socket.socket | None:
        """Wait at a line for instances and do what is to be done. The next line, if this process sat down again."""
        following = None
        with line:
            given = self._given(line)
            if given:
                results = self._results(line, given)
                following = self._sit_down()  # before the answer: whoever gets it looks for somebody idle
                self._answer(line, results)
        return following

    def _get_up(self) -> None:
        """Nobody listens where this process sat."""
        with self._lock:
            if self._listening is not None:
                self._listening.close()
                self._listening = None

    def _sit_down(self) -> socket.socket | None:
        with self._lock:
            if self._stop.is_set() or self._colleagues.is_occupied:
                return None
            self._listening = self._bench.sit_down()
            return self._listening

    def _given(self, line: socket.socket) -> list[ReceivedInstance]:
        """What another process wants to be done; nothing where it is gone, or this one has got something else to do."""
        try:
            form, descriptors = receive(line)
        except LineBroken:
            return []
        with self._lock:
            self._listening = None
        if not self._stop.is_set() and not self._colleagues.is_occupied:
            try:
                listed = read_instances(form, descriptors)
            except Unreadable as error:
                _log.error("instances-unreadable", message=str(error))
            else:
                return self._brought(listed)
        for one in descriptors:
            os.close(one)
        return []

    def _brought(self, listed: Sequence[tuple[ReceivedInstance, bool]]) -> list[ReceivedInstance]:
        """The same with their octets in memory, but for those that are too many; all are closed where that fails."""
        budget = self._pipeline.budget
        given: list[ReceivedInstance] = []
        try:
            for one, spooled in listed:
                given.append(one if spooled else replace(one, octets=brought_to_memory(one.octets, budget)))
        except BaseException:
            for one in (*given, *(one for one, _ in listed[len(given) :])):
                one.octets.close()
            raise
        return given

    def _results(self, line: socket.socket, given: Sequence[ReceivedInstance]) -> bytes:
        """The form of what became of them."""
        try:
            with signs_of_life(line):
                return results_form(self._pipeline.offer_all(given))
        except Exception:  # whoever gave them meets the same, and tells the sender
            _log.exception("offering-failed")
            return results_form([])

    def _answer(self, line: socket.socket, results: bytes) -> None:
        if self._left:  # the archive is being closed: what failed because of that is no result
            return
        line.settimeout(_ANSWERED)
        with contextlib.suppress(LineBroken):  # whose they were is gone, and its sender with it
            send(line, results)
