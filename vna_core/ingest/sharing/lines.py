"""Messages on a line between two processes of one run: a length, octets, and descriptors that go with them.

A message without octets is a sign of life.
"""

from __future__ import annotations

import contextlib
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Final

from vna_core.ingest.sharing.descriptors import receive_with, send_with

MOST_OCTETS: Final = 64 << 20
"""Octets of a message. What is told of an instance takes about a kilobyte."""
MOST_DESCRIPTORS: Final = 64
SILENCE: Final = 10.0
"""Seconds without a sign of life after which a process is taken for dead."""
_BEAT: Final = 1.0
_LENGTH: Final = struct.Struct("!I")


class LineBroken(Exception):
    """The process at the other end is gone, or what it sent is no message."""


def send(line: socket.socket, message: bytes, descriptors: Sequence[int] = ()) -> None:
    """Send a message. Raises LineBroken."""
    if len(message) > MOST_OCTETS or len(descriptors) > MOST_DESCRIPTORS:
        raise LineBroken("the message is too large")
    try:
        head = _LENGTH.pack(len(message))
        line.sendall(head[send_with(line, head, descriptors) :])
        line.sendall(message)
    except OSError as error:
        raise LineBroken(str(error)) from error


def receive(line: socket.socket) -> tuple[bytes, list[int]]:
    """The next message, and the descriptors that came with it: they belong to the caller. Raises LineBroken."""
    descriptors: list[int] = []
    try:
        head, descriptors = receive_with(line, _LENGTH.size, MOST_DESCRIPTORS)
        length = _LENGTH.unpack(head + _exactly(line, _LENGTH.size - len(head)))[0]
        if length > MOST_OCTETS:
            raise LineBroken("the message is too large")
        return bytes(_exactly(line, length)), descriptors
    except (OSError, LineBroken) as error:
        for one in descriptors:
            os.close(one)
        raise LineBroken(str(error)) from error


@contextlib.contextmanager
def signs_of_life(line: socket.socket) -> Iterator[None]:
    """Tell the other end that this process lives, as long as the block runs; nothing else may be sent there meanwhile."""
    done = threading.Event()

    def tell() -> None:
        with contextlib.suppress(LineBroken):  # nobody listens: that is seen at the answer
            while not done.wait(_BEAT):
                send(line, b"")

    line.settimeout(_BEAT)
    telling = threading.Thread(target=tell, name="signs-of-life", daemon=True)
    telling.start()
    try:
        yield
    finally:
        done.set()
        telling.join()


def answer(line: socket.socket) -> bytes:
    """The next message that is more than a sign of life. Raises LineBroken, also where the other process is silent for too long."""
    line.settimeout(SILENCE)
    while True:
        message, descriptors = receive(line)
        for one in descriptors:
            os.close(one)
        if message:
            return message


def _exactly(line: socket.socket, count: int) -> bytearray:
    octets = bytearray()
    while len(octets) < count:
        piece = line.recv(min(count - len(octets), 1 << 20))
        if not piece:
            raise LineBroken("the line ended")
        octets += piece
    return octets
