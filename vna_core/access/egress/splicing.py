"""An adapted object made while the stored one streams: new octets for the header, stored ones for the pixels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vna_core.access.egress.end_of_image import Segment
from vna_core.dicom.stored_object import StoredHeader
from vna_core.domain.errors import DigestMismatch

CHUNK = 1 << 20


def spliced(stored: Iterator[bytes], segments: Sequence[Segment], header: StoredHeader) -> Iterator[bytes]:
    """The segments one after the other; the last piece comes only when the stored object has been read to its end.

    Parameters
    ----------
    stored
        The stored object in pieces, verified: it raises before its last piece when its digest is wrong.
    segments
        Literals and ranges of the stored object, the ranges ascending.
    header
        What the literals were made of. The octets that stream by must be the same ones.

    Raises
    ------
    DigestMismatch
        The stored object is damaged.
    """
    window = _Window(stored, header)
    withheld = b""
    for segment in segments:
        for piece in (segment,) if isinstance(segment, bytes) else window.range(segment.offset, segment.length):
            if withheld:
                yield withheld
            withheld = piece
    window.drain()
    yield withheld


class _Window:
    """The stored stream, read forward once, and compared where it is known already."""

    def __init__(self, stored: Iterator[bytes], header: StoredHeader) -> None:
        self._stored = stored
        self._header = header
        self._piece = memoryview(b"")
        self._begin = 0

    def _advance(self) -> bool:
        self._begin += len(self._piece)
        piece = next(self._stored, None)
        self._piece = memoryview(piece or b"")
        if piece is not None:
            self._compare()
        return piece is not None

    def _compare(self) -> None:
        begin, end = self._begin, self._begin + len(self._piece)
        front, behind, known = self._header.front, self._header.front + self._header.moved, self._header.revised.buffer
        before = min(end, front)
        same = begin >= before or self._piece[: before - begin] == known[begin:before]
        after = max(begin, behind)
        if same and after < end:
            same = self._piece[after - begin :] == known[after - behind + front : end - behind + front]
        if not same:
            raise DigestMismatch("The header of a stored copy is not what it was a moment ago: the copy is damaged.")

    def range(self, offset: int, length: int) -> Iterator[bytes]:
        end = offset + length
        while offset < end:
            while self._begin + len(self._piece) <= offset:
                if not self._advance():
                    raise DigestMismatch("A stored copy is truncated.")
            piece = self._piece[offset - self._begin : min(end - self._begin, offset - self._begin + CHUNK)]
            yield bytes(piece)
            offset += len(piece)

    def drain(self) -> None:
        while self._advance():
            continue
