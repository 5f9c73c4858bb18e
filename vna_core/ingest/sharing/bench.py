"""Where the processes of one run wait that have nothing to do."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import struct
from typing import Final, Self

from vna_core.ingest.sharing.descriptors import receive_with, send_with

_WHOSE: Final = struct.Struct("!i")


class Bench:
    """Made before the processes are forked that share it.

    A process that has nothing to do lays one end of a line on the bench, a pair of connected sockets, and listens at the other. Whoever has
    more than it can do takes a line from there. So nobody waits for a process that is busy: what lies on the bench belongs to one that was
    idle, and a line is broken as soon as its process died, which is seen when it is taken.
    """

    def __init__(self, laying: socket.socket | None = None, taking: socket.socket | None = None) -> None:
        if laying is None or taking is None:
            laying, taking = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._laying, self._taking = laying, taking

    @classmethod
    def inherited(cls, descriptors: tuple[int, int]) -> Self:
        """The bench whose `descriptors` this process was started with."""
        return cls(*(socket.socket(fileno=one) for one in descriptors))

    @property
    def descriptors(self) -> tuple[int, int]:
        """What a process keeps open to have its part in it."""
        return self._laying.fileno(), self._taking.fileno()

    def sit_down(self) -> socket.socket | None:
        """Lay a line on the bench. Returns the end to listen at; None: there is no room now."""
        try:
            mine, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
        except OSError:  # this process, or the system, has as many open as it may have
            return None
        with theirs:
            for _ in range(2):
                if self._lay(os.getpid(), theirs):
                    return mine
                self._sweep()
        mine.close()
        return None

    def is_empty(self) -> bool:
        """Whether nobody waits here."""
        return not select.select([self._taking], [], [], 0)[0]

    def take(self) -> socket.socket | None:
        """A line to another process that waits, or None when there is none."""
        while (laid := self._next()) is not None:
            whose, line = laid
            if whose != os.getpid() and _is_whole(line):
                return line
            line.close()
        return None

    def close(self) -> None:
        """Leave it to the others. May be called twice."""
        self._laying.close()
        self._taking.close()

    def _lay(self, whose: int, line: socket.socket) -> bool:
        try:
            send_with(self._laying, _WHOSE.pack(whose), [line.fileno()], socket.MSG_DONTWAIT)
        except OSError:  # no room on the bench, or in the system for what lies on it
            return False
        return True

    def _next(self) -> tuple[int, socket.socket] | None:
        try:
            whose, descriptors = receive_with(self._taking, _WHOSE.size, 1, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return None
        if not descriptors:  # this process has as many open as it may have
            return None
        return _WHOSE.unpack(whose)[0], socket.socket(fileno=descriptors[0])

    def _sweep(self) -> None:
        """Take away what processes left behind that died."""
        with contextlib.ExitStack() as closing:
            laid = []
            while (one := self._next()) is not None:
                closing.callback(one[1].close)
                laid.append(one)
            for whose, line in laid:
                if _is_whole(line):
                    self._lay(whose, line)


def _is_whole(line: socket.socket) -> bool:
    """Whether its process lives. It never says anything before it was asked."""
    try:
        line.recv(1, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
