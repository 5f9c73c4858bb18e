"""A process of this program made by fork: it begins with every module loaded, where a new interpreter would load them again."""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Collection
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_FIRST_DESCRIPTOR: Final = 3


class Forked:
    """One child process; the methods are those of `subprocess.Popen`.

    Parameters
    ----------
    name
        What the process is called in the system's list of processes (its first 15 characters).
    work
        What it does; the return ends it with code 0, an exception with code 1.
    descriptors
        What it keeps open beside the standard streams. Everything else is closed in it.

    The calling process must have no threads but its main one.
    """

    def __init__(self, name: str, work: Callable[[], None], descriptors: Collection[int]) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        parent = os.getpid()
        self.returncode: int | None = None
        self.pid = os.fork()
        if self.pid == 0:
            _live(name, work, descriptors, parent)

    def poll(self) -> int | None:
        """The exit code (negative: the signal that ended it), or None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float) -> int | None:
        """The exit code, or None when it still runs after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while self.poll() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        return self.returncode

    def send(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)


def _live(name: str, work: Callable[[], None], descriptors: Collection[int], parent: int) -> None:
    """The child's life, from the fork to its end."""
    code = 1
    try:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(_PR_SET_NAME, name.encode("ascii", "replace"), 0, 0, 0)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)  # when the supervisor is killed, nothing serves unsupervised
        if os.getppid() == parent:
            _close_all_but(descriptors)
            gc.freeze()  # what was loaded before the fork stays in memory shared with the parent
            work()
            code = 0
    except SystemExit as ended:
        code = ended.code if isinstance(ended.code, int) else 1
    except BaseException:  # noqa: BLE001 - nothing may return into the parent's code
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _close_all_but(descriptors: Collection[int]) -> None:
    """Close what the parent had open: a listening socket kept by the wrong process would be given connections nobody answers."""
    for entry in os.listdir("/proc/self/fd"):
        number = int(entry)
        if number >= _FIRST_DESCRIPTOR and number not in descriptors:
            try:
                os.close(number)
            except OSError:  # the descriptor that listed the folder is gone by now
                continue
