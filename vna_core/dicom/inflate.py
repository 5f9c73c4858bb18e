"""Deflated data sets (PS3.5 annex A.5), inflated within a bound."""

from __future__ import annotations

import mmap
import threading
import zlib
from typing import Final

from vna_core.dicom.elements import Buffer
from vna_core.domain.errors import LimitExceeded, Malformed, OutOfResources, Truncated, VnaError

_STEP: Final = 256 << 10
_WINDOWS: Final = ((-15, ""), (15, "F18"), (47, "F18"))


class InflationRoom:
    """Memory that the inflated data sets of a process share: few octets that arrive can become very many.

    Parameters
    ----------
    maximum
        Octets of all of them. One that is alone may have more, so that a large image comes in, if nothing else does meanwhile.
    """

    def __init__(self, maximum: int) -> None:
        self._maximum = maximum
        self._taken = 0
        self._lock = threading.RLock()  # what is collected as garbage inside `take` gives its room back in the same thread

    def take(self, amount: int, own: int) -> None:
        """Reserve octets for a data set that has `own`. Raises OutOfResources."""
        with self._lock:
            if self._taken > own and self._taken + amount > self._maximum:
                raise OutOfResources(
                    "Too much is being inflated at once (ingest.memory_budget): send again later.",
                    limit="ingest.memory_budget",
                    maximum=self._maximum,
                )
            self._taken += amount

    def give_back(self, amount: int) -> None:
        """Return reserved octets."""
        with self._lock:
            self._taken -= amount


class Inflated(bytearray):
    """An inflated data set; its room is given back when nobody has it any more."""

    def __init__(self, prefix: bytes, room: InflationRoom) -> None:
        super().__init__(prefix)
        self._room = room
        self._taken = 0

    def add(self, octets: bytes) -> None:
        """Put octets behind those that are there. Raises OutOfResources."""
        self._room.take(len(octets), self._taken)
        self._taken += len(octets)
        self.extend(octets)

    def give_back(self) -> None:
        """Be empty. May be called twice."""
        self.clear()
        self._room.give_back(self._taken)
        self._taken = 0

    def __del__(self) -> None:
        self._room.give_back(self._taken)


def looks_inflatable(buffer: Buffer, offset: int) -> bool:
    """Whether the octets from `offset` inflate, raw or with a zlib header, for at least one octet of output."""
    head = bytes(buffer[offset : offset + 4096])
    return any(_first_octets(head, window) for window, _rule in _WINDOWS)


def _first_octets(head: bytes, window: int) -> bytes:
    try:
        return zlib.decompressobj(window).decompress(head, 64)
    except zlib.error:
        return b""


def inflate(
    buffer: Buffer, offset: int, prefix: bytes, maximum: int, room: InflationRoom | None = None
) -> tuple[Inflated, int, str]:
    """Inflate everything from `offset` behind a copy of `prefix`.

    Parameters
    ----------
    buffer, offset
        The deflated octets begin at ``buffer[offset]``.
    prefix
        The container's octets, which come first in the result.
    maximum
        Most octets the result may have without the prefix (setting ``ingest.max_inflated``).
    room
        What it shares with others that are inflated at the same time.

    Returns
    -------
    tuple
        The unfolded octets, the offset in `buffer` of the first octet after the deflate stream, and the rule id of a
        deviation (``F18``: the stream has a zlib or gzip header) or empty.

    Raises
    ------
    LimitExceeded
        The output would pass `maximum`. At most one step more than the maximum was ever held.
    Truncated
        The stream ends before its last block.
    Malformed
        The octets are not a deflate stream.
    OutOfResources
        There is no room now.
    """
    window, rule = _window(buffer, offset)
    output = Inflated(prefix, room or InflationRoom(maximum))
    try:
        return output, _unfolded(buffer, offset, window, output, maximum), rule
    except VnaError:
        output.give_back()  # the error's frames would keep it for as long as somebody has the error
        raise


def _unfolded(buffer: Buffer, offset: int, window: int, output: Inflated, maximum: int) -> int:
    """Inflate into `output`; the offset behind the stream."""
    engine, longest = zlib.decompressobj(window), len(output) + maximum
    position, size = offset, len(buffer)
    while not engine.eof:
        piece = engine.unconsumed_tail
        if not piece:
            if position >= size:
                raise Truncated("The deflated data set ends before its last block.", rule="F19")
            piece = bytes(buffer[position : position + _STEP])
            position += len(piece)
            if isinstance(buffer, mmap.mmap):
                buffer.madvise(mmap.MADV_DONTNEED)
        try:
            output.add(engine.decompress(piece, _STEP))
        except zlib.error as error:
            raise Malformed("The deflated data set is damaged.", rule="F19") from error
        if len(output) > longest:
            raise LimitExceeded(
                f"The deflated data set inflates to more than {maximum} octets (ingest.max_inflated).",
                limit="ingest.max_inflated",
                maximum=maximum,
            )
    return position - len(engine.unused_data)


def _window(buffer: Buffer, offset: int) -> tuple[int, str]:
    head = bytes(buffer[offset : offset + 4096])
    for window, rule in _WINDOWS:
        if _first_octets(head, window):
            return window, rule
    raise Malformed("The data set is declared deflated and does not inflate.", rule="F18")
