"""Directory flushes shared by the threads that wait for them.

A new name is durable when its directory was flushed after the name was made. Threads that make names in one directory at the
same time need one flush between them: whoever finds no flush waiting leads the next one, the others wait for its end.
"""

from __future__ import annotations

import os
import threading


class DirectoryFlush:
    """Flushes directories; concurrent callers for the same directory share a flush that began after each of them called."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: dict[str, _Flush] = {}
        self._running: dict[str, _Flush] = {}

    def flush(self, path: str) -> None:
        """Return when `path` was flushed by a call that began after this one. Raises OSError as fsync does."""
        with self._lock:
            flush = self._waiting.get(path)
            leader = flush is None
            if flush is None:
                flush = self._waiting[path] = _Flush()
            running = self._running.get(path)
        if not leader:
            flush.done.wait()
            if flush.error is not None:
                raise OSError(flush.error.errno, flush.error.strerror, path)
            return
        if running is not None:
            running.done.wait()
        with self._lock:
            del self._waiting[path]
            self._running[path] = flush
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
        except OSError as error:
            flush.error = error
            raise
        finally:
            with self._lock:
                if self._running.get(path) is flush:
                    del self._running[path]
            flush.done.set()


class _Flush:
    __slots__ = ("done", "error")

    def __init__(self) -> None:
        self.done = threading.Event()
        self.error: OSError | None = None
