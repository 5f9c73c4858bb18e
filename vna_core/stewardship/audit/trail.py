"""Takes audit events from every thread of a process and has one thread write them, many at a time.

An ordinary event costs its caller one append to a queue and is on disk within `PAUSE` seconds: the end of the process by force
loses at most that. What must not happen unrecorded (broken glass, deletion, correction) waits for the disk and is refused when
that fails. Where events cannot be written they are kept in memory, up to `MOST_WAITING`, and tried again; how many were lost
beyond that is itself recorded.
"""

from __future__ import annotations

import hashlib
import json
import os
import socket
import threading
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from vna_core.archival_storage.keeping import keep
from vna_core.archival_storage.keys import audit_anchor_key, audit_segment_key
from vna_core.configuration.audit import AuditSettings
from vna_core.domain.access import Principal, PrincipalKind
from vna_core.domain.audit import AuditEvent, AuditEventId, AuditOutcome
from vna_core.domain.errors import AuditUnavailable, VnaError
from vna_core.ports.storage import Store
from vna_core.stewardship.audit.chain import Chain, Head
from vna_core.stewardship.audit.records import record_of

PAUSE: Final = 0.05
WINDOW: Final = 60.0
"""Seconds for which equal questions of one principal, and its accesses to one study, become one further record."""
MOST_WAITING: Final = 100_000
_MOST_WINDOWS: Final = 10_000
_BATCH: Final = 1000
_PATIENCE: Final = 10.0

_log = structlog.get_logger(__name__)


class _Waiter:
    """Somebody who waits until an event is on disk."""

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: OSError | None = None


@dataclass(slots=True)
class _Window:
    """A minute of accesses of one kind: when it began, the first of them, and how many followed."""

    begun: float
    first: AuditEvent
    further: int = 0


class AuditTrail:
    """The audit trail of one data folder, as one process sees it. The writing thread starts with the first event."""

    def __init__(self, settings: AuditSettings, folder: Path, landing: Store) -> None:
        self._settings = settings
        self._landing = landing
        self.folder = folder
        self._chain = Chain(folder, settings.segment_size, self._copy)
        self._system = f"vna@{socket.gethostname()}"
        self._queue: deque[tuple[AuditEvent, _Waiter | None]] = deque()
        self._windows: dict[tuple[object, ...], _Window] = {}
        self._changing = threading.Lock()
        self._wake = threading.Event()
        self._urgent = threading.Event()
        self._closing = False
        self._thread: threading.Thread | None = None
        self._pid = -1
        self._lost = 0
        self._failing = False
        self._head: Head | None = None
        self._begun = self._anchored_at = time.monotonic()

    @property
    def failing(self) -> bool:
        """Whether the last attempt to write did not succeed."""
        return self._failing

    def note(self, event: AuditEvent) -> None:
        """Take an event; it is written soon."""
        self._take(event, None)

    def note_access(self, event: AuditEvent) -> None:
        """Take an event that may come often: the first of its kind is written, those of the next minute are counted."""
        about = tuple([one.study_instance_uid for one in event.studies])
        key = (event.event, event.principal, event.outcome, event.destination, event.query, about)
        with self._changing:
            window = self._windows.get(key)
            if window is not None:
                window.further += event.count
                return
            if len(self._windows) < _MOST_WINDOWS:
                self._windows[key] = _Window(time.monotonic(), event)
        self._take(event, None)

    def note_durably(self, event: AuditEvent) -> None:
        """Return once the event is on disk. Raises AuditUnavailable."""
        waiter = _Waiter()
        self._take(event, waiter)
        if not waiter.done.wait(_PATIENCE) or waiter.error is not None:
            raise AuditUnavailable("The audit trail cannot be written, so this is refused: look at the disk of the data folder.")

    def close(self) -> None:
        """Write what waits. May be called twice."""
        thread = self._thread if self._pid == os.getpid() else None
        self._closing = True
        self._urgent.set()
        self._wake.set()
        if thread is not None:
            thread.join(_PATIENCE)
        self._thread = None
        self._chain.close()

    def _take(self, event: AuditEvent, waiter: _Waiter | None) -> None:
        if not self._settings.enabled:
            if waiter is not None:
                waiter.done.set()
            return
        if len(self._queue) >= MOST_WAITING:
            self._lost += 1
            if waiter is not None:
                waiter.error = OSError("too many events wait")
                waiter.done.set()
            return
        self._queue.append((event, waiter))
        if self._pid != os.getpid():
            self._start()
        if waiter is not None:
            self._urgent.set()
        if not self._wake.is_set():
            self._wake.set()

    def _start(self) -> None:
        with self._changing:
            if self._pid != os.getpid():
                self._pid = os.getpid()
                self._thread = threading.Thread(target=self._write, name="audit", daemon=True)
                self._thread.start()

    # -- the writing thread ----------------------------------------------------------------------------------------------

    def _write(self) -> None:
        while True:
            if self._wake.wait(1.0):
                self._urgent.wait(PAUSE)  # others join
            self._wake.clear()
            self._urgent.clear()
            closing = self._closing
            self._end_windows(closing)
            while self._queue:
                if not self._write_batch():
                    break
            if closing and (not self._queue or self._failing):
                self._anchor(closing=True)
                return
            self._anchor(closing=False)

    def _end_windows(self, closing: bool) -> None:
        over = time.monotonic() - WINDOW
        with self._changing:
            ended = [key for key, window in self._windows.items() if closing or window.begun < over]
            found = [self._windows.pop(key) for key in ended]
        now = datetime.now(UTC)
        self._queue.extend((replace(one.first, count=one.further, at=now), None) for one in found if one.further)

    def _write_batch(self) -> bool:
        batch = [self._queue.popleft() for _ in range(min(_BATCH, len(self._queue)))]
        lost, self._lost = self._lost, 0
        events = [event for event, _ in batch] + ([_loss(lost)] if lost else [])
        try:
            head = self._chain.append([record_of(event, self._settings.site, self._system) for event in events])
        except OSError as error:
            self._refused(batch, lost, error)
            return False
        self._failing = False
        self._head = head
        for _, waiter in batch:
            if waiter is not None:
                waiter.done.set()
        return True

    def _refused(self, batch: list[tuple[AuditEvent, _Waiter | None]], lost: int, error: OSError) -> None:
        """Put back what nobody waits for; tell those who wait."""
        if not self._failing:
            _log.error("audit-trail-unavailable", error=error.strerror, waiting=len(batch))
        self._failing = True
        self._lost += lost
        for event, waiter in reversed(batch):
            if waiter is None:
                self._queue.appendleft((event, None))
            else:
                waiter.error = error
                waiter.done.set()
        time.sleep(0 if self._closing else 0.5)

    def _anchor(self, closing: bool) -> None:
        """Note the head of the chain in the store, from time to time, and when a process ends that lived for a while."""
        head, now = self._head, time.monotonic()
        due = now - self._begun > WINDOW if closing else now - self._anchored_at >= self._settings.anchor_interval
        if head is None or not due:
            return
        content = json.dumps({"n": head.number, "digest": head.digest}, sort_keys=True).encode("ascii")
        try:
            keep(self._landing, audit_anchor_key(self._chain.name, head.number, _sha256(content)), lambda: [content])
        except VnaError as error:
            _log.warning("audit-anchor-failed", code=error.code)
        self._head, self._anchored_at = None, now

    def _copy(self, path: Path) -> None:
        """Copy a full file to the store."""
        try:
            content = path.read_bytes()
            keep(self._landing, audit_segment_key(self._chain.name, path.stem, _sha256(content)), lambda: [content])
        except (VnaError, OSError) as error:
            _log.warning("audit-copy-failed", file=path.name, error=type(error).__name__)


def _loss(lost: int) -> AuditEvent:
    return AuditEvent(
        AuditEventId.SECURITY_ALERT,
        Principal(PrincipalKind.LOCAL, "audit trail"),
        AuditOutcome.SERIOUS_FAILURE,
        description=f"{lost} events before this one could not be recorded",
    )


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
