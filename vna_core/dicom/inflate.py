"""Deflated data sets (PS3.5 annex A.5), inflated within a bound."""

from __future__ import annotations

import mmap
import zlib
from typing import Final

from vna_core.dicom.elements import Buffer
from vna_core.domain.errors import LimitExceeded, Malformed, Truncated

_STEP: Final = 256 << 10
_WINDOWS: Final = ((-15, ""), (15, "F18"), (47, "F18"))


def looks_inflatable(buffer: Buffer, offset: int) -> bool:
    """Whether the octets from `offset` inflate, raw or with a zlib header, for at least one octet of output."""
    head = bytes(buffer[offset : offset + 4096])
    return any(_first_octets(head, window) for window, _rule in _WINDOWS)


def _first_octets(head: bytes, window: int) -> bytes:
    try:
        return zlib.decompressobj(window).decompress(head, 64)
    except zlib.error:
        return b""


def inflate(buffer: Buffer, offset: int, prefix: bytes, maximum: int) -> tuple[bytearray, int, str]:
    """Inflate everything from `offset` behind a copy of `prefix`.

    Parameters
    ----------
    buffer, offset
        The deflated octets begin at ``buffer[offset]``.
    prefix
        The container's octets, which come first in the result.
    maximum
        Most octets the result may have without the prefix (setting ``ingest.max_inflated``).

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
    """
    window, rule = _window(buffer, offset)
    engine = zlib.decompressobj(window)
    output = bytearray(prefix)
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
            output += engine.decompress(piece, _STEP)
        except zlib.error as error:
            raise Malformed("The deflated data set is damaged.", rule="F19") from error
        if len(output) - len(prefix) > maximum:
            raise LimitExceeded(
                f"The deflated data set inflates to more than {maximum} octets (ingest.max_inflated).",
                limit="ingest.max_inflated",
                maximum=maximum,
            )
    return output, position - len(engine.unused_data), rule


def _window(buffer: Buffer, offset: int) -> tuple[int, str]:
    head = bytes(buffer[offset : offset + 4096])
    for window, rule in _WINDOWS:
        if _first_octets(head, window):
            return window, rule
    raise Malformed("The data set is declared deflated and does not inflate.", rule="F18")
