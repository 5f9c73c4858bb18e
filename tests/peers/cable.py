"""A cable between a client and a service on this machine: it can be unplugged, and it can break after so many octets."""

from __future__ import annotations

import contextlib
import socket
import threading


class Cable:
    """Forwards TCP connections to ``127.0.0.1:port`` from a port of its own (a free one, or `own`) until it is unplugged."""

    def __init__(self, port: int, own: int = 0) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", own))
        self.port = int(self._listener.getsockname()[1])
        self._lock, self._open = threading.Lock(), set[socket.socket]()
        self._breaks_after: int | None = None
        self._times = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def break_after(self, octets: int, times: int = 3) -> None:
        """Break every connection when so many more octets went to the service, and again `times` in all; then work again.

        Once would not be seen: HTTP clients repeat a request by themselves when an old connection turns out to be dead.
        """
        self._breaks_after, self._times = octets, times

    def unplug(self) -> None:
        """Nothing gets through any more, and nobody answers."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._break()

    def _break(self) -> None:
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                return
            with self._lock:
                self._open |= {near, far}
            threading.Thread(target=self._forward, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._forward, args=(far, near, False), daemon=True).start()

    def _forward(self, source: socket.socket, target: socket.socket, counted: bool) -> None:
        with contextlib.suppress(OSError):
            while octets := source.recv(1 << 16):
                if counted and self._breaks_after is not None:
                    self._breaks_after -= len(octets)
                    if self._breaks_after < 0:
                        self._times -= 1
                        self._breaks_after = 1024 if self._times > 0 else None
                        self._break()
                        return
                target.sendall(octets)
            target.shutdown(socket.SHUT_WR)
