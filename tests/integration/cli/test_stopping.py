"""A process hears that it is to stop, whatever its main thread is doing."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

_ASLEEP = """
import ctypes, os, signal, threading
from vna_core.cli.stopping import stopped_by_signal

stop = stopped_by_signal()

def end():
    stop.wait()
    os.write(1, b"stopped")
    os._exit(0)

threading.Thread(target=end).start()
for number in (signal.SIGTERM, signal.SIGINT):
    signal.siginterrupt(number, False)  # the kernel resumes the read below instead of letting the interpreter run
reading, writing = os.pipe()
os.write(1, b"asleep ")
ctypes.CDLL(None).read(reading, ctypes.create_string_buffer(1), 1)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_main_thread_that_sleeps_in_the_kernel_keeps_no_signal_from_being_heard(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", _ASLEEP], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.read(7) == b"asleep "
            process.send_signal(number)
            assert process.stdout.read() == b"stopped"
            assert process.wait(60) == 0
        finally:
            process.kill()
