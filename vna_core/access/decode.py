"""Decoding subprocesses: killable, bounded in memory and time (promise 10: a bad image never takes the server down).

A job goes to an idle subprocess over a pipe and comes back with its octets, or it ends in DecodeError: the codec failed, the
time or memory limit was hit, or the subprocess died. A subprocess that did not answer in order is killed and replaced, and so is one
in which a codec broke off: its memory may hold anything, and the next image is somebody else's.
"""

from __future__ import annotations

import json
import os
import queue
import selectors
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from vna_core.configuration import DecodeSettings
from vna_core.domain.errors import DecodeError, InvalidRequest, OutOfResources, UnsupportedMediaType, VnaError

_LENGTH: Final = struct.Struct("<I")
_SIZE: Final = struct.Struct("<Q")
MAX_BLOB: Final = 1 << 30
"""Most octets of one blob that crosses the pipe."""
_ERRORS: Final[dict[str, type[VnaError]]] = {error.code: error for error in (DecodeError, InvalidRequest, UnsupportedMediaType)}

Check = Callable[[], None]
"""Raises where nobody waits for a result any more."""


def always_wanted() -> None:
    """The result is wanted whatever comes."""


def pack(head: Mapping[str, Any], blobs: Sequence[bytes | memoryview]) -> list[bytes | memoryview]:
    """A message: length-prefixed JSON that lists the sizes of the blobs behind it."""
    text = json.dumps({**head, "blobs": [len(blob) for blob in blobs]}).encode()
    return [_LENGTH.pack(len(text)) + text, *blobs]


class _Worker:
    """One subprocess and its two pipes."""

    def __init__(self, settings: DecodeSettings) -> None:
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vna_core.access.decode_worker", str(settings.memory), str(settings.max_pixels)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
            start_new_session=True,  # a terminal's interrupt is for the archive, which stops its subprocesses itself
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._in = self._process.stdin.fileno()
        self._out = self._process.stdout.fileno()
        os.set_blocking(self._in, False)
        os.set_blocking(self._out, False)
        self._selector = selectors.DefaultSelector()

    def call(
        self, head: Mapping[str, Any], blobs: Sequence[bytes | memoryview], timeout: float
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Raises TimeoutError or EOFError when the subprocess is not to be used again."""
        deadline = time.monotonic() + timeout
        for piece in pack(head, blobs):
            self._send(memoryview(piece), deadline)
        size = _LENGTH.unpack(self._take(_LENGTH.size, deadline))[0]
        answer: dict[str, Any] = json.loads(self._take(size, deadline))
        sizes = [int(length) for length in answer.pop("blobs")]
        if any(length > MAX_BLOB for length in sizes):
            raise EOFError
        return answer, [self._take(length, deadline) for length in sizes]

    def _wait(self, descriptor: int, event: int, deadline: float) -> None:
        self._selector.register(descriptor, event)
        try:
            if not self._selector.select(max(0.0, deadline - time.monotonic())):
                raise TimeoutError
        finally:
            self._selector.unregister(descriptor)

    def _send(self, piece: memoryview, deadline: float) -> None:
        while piece:
            try:
                piece = piece[os.write(self._in, piece) :]
            except BlockingIOError:
                self._wait(self._in, selectors.EVENT_WRITE, deadline)
            except BrokenPipeError as error:
                raise EOFError from error

    def _take(self, length: int, deadline: float) -> bytes:
        parts = bytearray()
        while len(parts) < length:
            try:
                piece = os.read(self._out, min(1 << 20, length - len(parts)))
            except BlockingIOError:
                self._wait(self._out, selectors.EVENT_READ, deadline)
                continue
            if not piece:
                raise EOFError
            parts += piece
        return bytes(parts)

    def kill(self) -> None:
        """End the subprocess at once and take its exit status."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._selector.close()


class DecodePool:
    """At most ``decode.processes`` subprocesses, started when first needed. Safe to call from several threads."""

    def __init__(self, settings: DecodeSettings) -> None:
        self.settings = settings
        self._idle: queue.SimpleQueue[_Worker | None] = queue.SimpleQueue()
        for _ in range(settings.processes):
            self._idle.put(None)
        self._closed = False
        self._lock = threading.Lock()
        self._running: set[_Worker] = set()

    def run(
        self, head: Mapping[str, Any], blobs: Sequence[bytes | memoryview] = (), check: Check = always_wanted
    ) -> tuple[dict[str, Any], list[bytes]]:
        """Answer of one job.

        Parameters
        ----------
        check
            Asked when the job's turn has come: what it raises ends the job before any work is done.

        Raises
        ------
        DecodeError
            This image cannot be decoded; others are unaffected.
        OutOfResources
            Every subprocess was busy for ``decode.timeout`` seconds.
        """
        try:
            worker = self._idle.get(timeout=self.settings.timeout)
        except queue.Empty:
            raise OutOfResources("All decoding subprocesses are busy; try again later.", limit="decode.processes") from None
        try:
            check()
            if worker is None:
                worker = self._start()
            answer, results = worker.call(head, blobs, self.settings.timeout)
            if answer.pop("spoilt", False):
                self._discard(worker)
                worker = None
        except (TimeoutError, EOFError, OSError, ValueError) as error:
            self._discard(worker)
            worker = None
            if isinstance(error, TimeoutError):
                raise DecodeError(
                    "Decoding took longer than the limit allows.", limit="decode.timeout", maximum=self.settings.timeout
                ) from error
            raise DecodeError("The decoder died on this image.") from error
        finally:
            self._idle.put(worker)
        if "error" in answer:
            error_type = _ERRORS.get(str(answer["error"].get("code")), DecodeError)
            raise error_type(str(answer["error"].get("message")))
        return answer, results

    def _start(self) -> _Worker:
        with self._lock:
            if self._closed:
                raise OSError("the pool is closed")
            worker = _Worker(self.settings)
            self._running.add(worker)
            return worker

    def _discard(self, worker: _Worker | None) -> None:
        if worker is not None:
            with self._lock:
                self._running.discard(worker)
            worker.kill()

    def close(self) -> None:
        """Kill the subprocesses; jobs under way end in DecodeError. May be called twice."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, set()
        for worker in running:
            worker.kill()
