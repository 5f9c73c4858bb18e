"""SIGTERM and SIGINT as an event for which every thread can wait."""

from __future__ import annotations

import signal
import threading
from typing import Final

_STOPPING: Final = (signal.SIGTERM, signal.SIGINT)


def stopped_by_signal() -> threading.Event:
    """The event that the first SIGTERM or SIGINT sets. To be called before the process has a second thread.

    A thread of its own takes the signals, which all others leave to it. A handler would run in the main thread, and only when that comes back
    to the interpreter: a signal that comes just before the main thread goes to sleep in the kernel would be heard at its next waking,
    which may never come, and a handler that interrupts the main thread inside the event's own lock would wait for itself.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    stop = threading.Event()
    threading.Thread(target=_hear, args=(stop,), name="signals", daemon=True).start()
    return stop


def _hear(stop: threading.Event) -> None:
    signal.sigwait(_STOPPING)
    stop.set()
