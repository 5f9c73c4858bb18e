"""The body of an answer on its way to uvicorn's protocol."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from vna_core.gateways.web.pieces import PIECES, Octets


class Body:
    """What an application sends with: its messages go to uvicorn, its pieces to the network as they are.

    Parameters
    ----------
    write
        Sends octets behind those before.
    """

    __slots__ = ("_cycle", "_write")

    def __init__(self, cycle: RequestResponseCycle, write: Callable[[Octets], None]) -> None:
        self._cycle = cycle
        self._write = write

    async def __call__(self, message: Message) -> None:
        """Send one message; waits while the client has not taken what came before."""
        if message["type"] != PIECES:
            await self._cycle.send(message)  # type: ignore[arg-type]  # Starlette's and uvicorn's names for the same
            return
        cycle = self._cycle
        if cycle.flow.write_paused and not cycle.disconnected:
            await cycle.flow.drain()
        if not cycle.disconnected:
            self._send(message["pieces"])

    def _send(self, pieces: Sequence[Octets]) -> None:
        cycle, write = self._cycle, self._write
        size = sum(map(len, pieces))
        if not size:
            return  # an empty chunk would be the end (RFC 9112 section 7.1)
        if cycle.chunked_encoding:
            write(b"%x\r\n" % size)
        elif size > cycle.expected_content_length:
            raise RuntimeError("The body is longer than was announced.")
        else:
            cycle.expected_content_length -= size
        for piece in pieces:
            write(piece)
        if cycle.chunked_encoding:
            write(b"\r\n")
