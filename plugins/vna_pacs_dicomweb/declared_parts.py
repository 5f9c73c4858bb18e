"""Parts of a multipart answer whose headers tell their length (RFC 2045 does not forbid it, and most archives do): each is read as one object.

Nothing of them is searched or copied. That a length is right is seen by the delimiter that must stand behind it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from vna_core.dicom.multipart import HEADER_LIMIT, check_boundary, header_fields
from vna_core.dicom.network.web_client import Answer
from vna_core.domain.numbers import whole_number

_LINE_END: Final = b"\r\n"


class DeclaredParts:
    """Header fields and octets of the parts at the beginning of a body of known length.

    It ends with the first part that is longer than `longest`, tells no length or a wrong one, or is written in an unusual way: what has been read of
    that part is in `rest` then, beginning with its delimiter, and a `MultipartReader` takes it from there.

    Attributes
    ----------
    rest
        Octets that were read and belong to nothing that was given.
    finished
        The close delimiter was seen.
    """

    def __init__(self, answer: Answer, boundary: str, longest: int) -> None:
        self._answer = answer
        self._delimiter = b"\r\n--" + check_boundary(boundary)
        self._begin = self._delimiter[2:] + _LINE_END
        self._longest = longest
        self.rest = b""
        self.finished = False

    def __iter__(self) -> Iterator[tuple[Mapping[str, str], bytes]]:
        line = self._answer.line(len(self._begin))
        if line != self._begin:
            self.rest = line
            return
        while True:
            head = self._head()
            size = self._size(head)
            if not size:
                self.rest = self._begin + head
                return
            octets = self._answer.octets(size)
            behind = self._answer.octets(len(self._delimiter) + len(_LINE_END))
            if behind == self._delimiter + b"--":
                line = self._answer.line(HEADER_LIMIT)
                self.finished = line.strip(b" \t") in (b"", _LINE_END)
                behind += line
            if behind != self._delimiter + _LINE_END and not self.finished:
                self.rest = b"".join((self._begin, head, octets, behind))
                return
            yield header_fields(head[: -len(_LINE_END)]), octets
            if self.finished:
                return

    def _head(self) -> bytes:
        """A part's header lines with the blank line behind them, or what there is of them."""
        head = bytearray()
        while len(head) <= HEADER_LIMIT:
            line = self._answer.line(HEADER_LIMIT)
            head += line
            if line == _LINE_END or not line.endswith(_LINE_END):
                break
        return bytes(head)

    def _size(self, head: bytes) -> int:
        """The length that a whole header block tells, where it is one to be read in one go; else 0."""
        if not head.endswith(_LINE_END * 2) or self._delimiter in _LINE_END + head:
            return 0
        size = whole_number(header_fields(head).get("content-length", "")) or 0
        return size if size <= self._longest else 0
