"""Octets and descriptors in one message of a local socket (unix(7), SCM_RIGHTS).

`socket.send_fds` and `socket.recv_fds` of Python 3.11 do the same, but leave out their flags.
"""

from __future__ import annotations

import array
import socket
from collections.abc import Sequence


def send_with(line: socket.socket, octets: bytes, descriptors: Sequence[int], flags: int = 0) -> int:
    """Send octets, and descriptors with the first of them; how many octets were sent. Raises OSError."""
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", descriptors))] if descriptors else []
    return line.sendmsg([octets], rights, flags)


def receive_with(line: socket.socket, size: int, most: int, flags: int = 0) -> tuple[bytes, list[int]]:
    """At most `size` octets and at most `most` descriptors, which belong to the caller. Raises OSError."""
    received = array.array("i")
    octets, ancillary, _, _ = line.recvmsg(size, socket.CMSG_LEN(most * received.itemsize), flags | socket.MSG_CMSG_CLOEXEC)
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            received.frombytes(data[: len(data) - len(data) % received.itemsize])
    return octets, list(received)
