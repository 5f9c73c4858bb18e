"""On the bench lie lines to processes that are idle, and never one to a process that is gone."""

from __future__ import annotations

import os
import resource
import signal
import socket

import pytest

from vna_core.ingest.sharing import Bench, lines
from vna_core.ingest.sharing.lines import MOST_DESCRIPTORS, MOST_OCTETS, LineBroken, receive, send


def sit_down_in_a_process(bench: Bench, times: int = 1) -> int:
    """A child that has laid lines on the bench and waits; its process id."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        lines = [bench.sit_down() for _ in range(times)]
        os.write(writing, b"s" if all(lines) else b"f")
        signal.pause()
    assert os.read(reading, 1) == b"s"
    os.close(reading)
    os.close(writing)
    return child


def end(child: int) -> None:
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_line_leads_to_whoever_laid_it() -> None:
    bench = Bench()
    assert bench.is_empty() and bench.take() is None
    child = sit_down_in_a_process(bench)
    assert not bench.is_empty()
    line = bench.take()
    assert line is not None and bench.take() is None
    line.settimeout(30)
    end(child)
    assert line.recv(1) == b"", "the end of the process is seen at the line"
    line.close()
    bench.close()


def test_nobody_takes_a_line_to_a_process_that_died_or_to_itself() -> None:
    bench = Bench()
    end(sit_down_in_a_process(bench))
    own = bench.sit_down()
    assert own is not None
    assert bench.take() is None
    own.close()
    bench.close()


def test_what_the_dead_left_behind_makes_room() -> None:
    bench = Bench()
    alive = sit_down_in_a_process(bench)
    laid = 0
    while True:  # as many as find room
        line = bench.sit_down()
        if line is None:
            break
        laid += 1
        line.close()
        if laid > 5_000:
            break
    assert laid > 5_000, "lines that are broken are swept away"
    last = bench.take()
    assert last is not None, "the one that is whole is still there"
    last.close()
    end(alive)
    bench.close()


def test_what_is_no_message_ends_the_line() -> None:
    for octets in (b"", b"\0\0", b"\xff\xff\xff\xff", b"\0\0\0\x09too few"):
        here, there = socket.socketpair()
        there.sendall(octets)
        there.close()
        with pytest.raises(LineBroken):
            receive(here)
        here.close()


def test_a_message_has_bounds() -> None:
    here, there = socket.socketpair()
    with here, there:
        with pytest.raises(LineBroken):
            send(here, bytes(MOST_OCTETS + 1))
        with pytest.raises(LineBroken):
            send(here, b"", [0] * (MOST_DESCRIPTORS + 1))
        send(here, b"message", [0])
        message, descriptors = receive(there)
        assert message == b"message" and len(descriptors) == 1
        os.close(descriptors[0])


def test_a_process_that_can_open_nothing_more_does_not_sit_down() -> None:
    bench = Bench()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        assert bench.sit_down() is None
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    own = bench.sit_down()
    assert own is not None
    own.close()
    bench.close()


def test_a_process_is_alive_as_long_as_it_gives_signs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lines, "_BEAT", 0.01)
    here, there = socket.socketpair()
    with here, there:
        with lines.signs_of_life(there):
            assert receive(here) == (b"", []) and receive(here) == (b"", [])
        send(there, b"the answer")
        assert lines.answer(here) == b"the answer"
        monkeypatch.setattr(lines, "SILENCE", 0.01)
        with pytest.raises(LineBroken):
            lines.answer(here)
