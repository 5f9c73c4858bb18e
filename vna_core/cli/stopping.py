"""SIGTERM and SIGINT as an event for which every thread can wait."""

from __future__ import annotations

import os
import signal
import threading
from typing import Final

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


def stopped_by_signal(*, second_ends: bool = False) -> threading.Event:
    """The event that the first SIGTERM or SIGINT sets. To be called before the process has a second thread.

    A thread of its own takes the signals, which all others leave to it. A handler would run in the main thread, and only when that comes back
    to the interpreter: a signal that comes just before the main thread goes to sleep in the kernel would be heard at its next waking,
    which may never come, and a handler that interrupts the main thread inside the event's own lock would wait for itself.

    Parameters
    ----------
    second_ends
        A second signal ends the process there and then, as of a command that a person runs: a store or a database that does not
        answer may keep it from hearing the first. Not for a process with a supervisor, which hears a terminal's interrupt
        and its supervisor's signal, and is killed by that when it takes too long.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    stop = threading.Event()
    threading.Thread(target=_hear, args=(stop, second_ends), name="signals", daemon=True).start()
    return stop


def _hear(stop: threading.Event, second_ends: bool) -> None:
    signal.sigwait(_STOPPING)
    stop.set()
    if second_ends:
        os._exit(128 + signal.sigwait(_STOPPING))  # asks no thread, as any of them may be what hangs
