"""A process hears that it is to stop, whatever its main thread is doing."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.peers.archive import VNA, vna
from vna_core.testing import phantoms

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


_HANGING = """
import os
from vna_core.cli.stopping import stopped_by_signal

stop = stopped_by_signal(second_ends=True)
os.write(1, b"asleep ")
stop.wait()
os.write(1, b"stopped")
reading, writing = os.pipe()
os.read(reading, 1)
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_second_signal_ends_what_hangs_after_the_first(number: signal.Signals) -> None:
    with subprocess.Popen([sys.executable, "-c", _HANGING], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.read(7) == b"asleep "
            process.send_signal(number)
            assert process.stdout.read(7) == b"stopped"
            process.send_signal(number)
            assert process.wait(60) == 128 + number
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_scrub_that_is_stopped_says_so_and_goes_on_where_it_was(number: signal.Signals, tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    for count in range(40):
        (tmp_path / "source" / f"{count}.dcm").write_bytes(phantoms.ct(count, 8, 8))
    assert vna("ingest", str(tmp_path / "source"), data=tmp_path / "data")[0] == 0
    command = [*VNA, "scrub", "--json", "--rate", "1000", "--data", str(tmp_path / "data")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        try:
            while not has_begun(tmp_path / "data"):
                assert process.poll() is None
                time.sleep(0.05)
            process.send_signal(number)
            assert process.stdout is not None
            stopped = json.loads(process.stdout.read())
            assert process.wait(60) == 3
        finally:
            process.kill()
    assert not stopped["complete"] and stopped["findings"] == []
    code, [ended], _ = vna("scrub", data=tmp_path / "data")
    assert (code, ended["complete"], ended["scrub"]) == (0, True, stopped["scrub"])


def has_begun(data: Path) -> bool:
    """Whether a scrub is on record, and thus whoever does it hears that it is to stop."""
    with closing(sqlite3.connect(f"file:{data / 'catalogue.sqlite'}?mode=ro", uri=True)) as catalogue:
        return bool(catalogue.execute("SELECT count(*) FROM scrubs").fetchone()[0])
