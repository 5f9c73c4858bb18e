"""How a data set is encoded, decided by its octets: byte order, and whether representations are written (PS3.5 section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from vna_core.dicom import dictionary
from vna_core.dicom.element_headers import (
    ANY_CODES,
    LENGTH,
    SHORT_HEADER,
    UNDEFINED,
    begins_with_item,
    read_header,
    tag_is_plausible,
)
from vna_core.dicom.elements import Buffer

_ENOUGH: Final = 6
"""Headers in a row that are looked at. So many that name their representations are no accident: no other reading is tried."""
_BEGINNINGS: Final = frozenset(b"\x08\0" + bytes((number, 0)) for number in (0x00, 0x05, 0x08, 0x16, 0x18))
"""The tags that data sets begin with, little endian."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """Byte order and explicitness of a data set."""

    explicit: bool
    little_endian: bool


@dataclass(frozen=True, slots=True)
class _Chain:
    """How far plausible headers follow one another.

    `ended` says that the chain reached the end exactly or a sequence, `cut` that a plausible header's value passes the end.
    """

    count: int
    ended: bool = False
    cut: bool = False

    @property
    def convincing(self) -> bool:
        return self.count >= 3 or (self.count >= 1 and (self.ended or self.cut))


def detect(buffer: Buffer, begin: int, end: int, *, sure: bool = False) -> Encoding | None:
    """The encoding of the data set in ``buffer[begin:end]``, or None when no reading makes a plausible chain of elements.

    Parameters
    ----------
    sure
        Something else already says that a data set begins here (file meta, a presentation context), so that one plausible
        header is enough.
    """
    found = _best(buffer, begin, end, sure=sure)
    return _best(buffer, begin, end, sure=False, any_first=True) if found is None and sure else found


def begins_plainly(buffer: Buffer, begin: int, end: int) -> bool:
    """Whether a data set begins at `begin` with one of the first elements of group 0008 and goes on for several more.

    That is much stricter than `detect`: it tells where in strange octets a data set begins.
    """
    if bytes(buffer[begin : begin + 4]) not in _BEGINNINGS:
        return False
    return any(_chain(buffer, begin, end, explicit, True, False).count >= _ENOUGH for explicit in (True, False))


def _best(buffer: Buffer, begin: int, end: int, *, sure: bool, any_first: bool = False) -> Encoding | None:
    best, best_rank = None, (-1, 0, False, False)
    for explicit in (True, False):
        for little_endian in (True, False):
            chain = _chain(buffer, begin, end, explicit, little_endian, any_first)
            if not chain.convincing and not (sure and (chain.count or chain.cut)):
                continue
            if any_first and chain.count < (2 if chain.ended else 3):
                continue
            if explicit and chain.count >= _ENOUGH:
                return Encoding(explicit, little_endian)
            rank = (chain.count, int(chain.ended), explicit, little_endian)
            if rank > best_rank:
                best, best_rank = Encoding(explicit, little_endian), rank
    return best


def first_header_fits(buffer: Buffer, begin: int, end: int, encoding: Encoding) -> bool:
    """Whether the first element reads well in `encoding` and its value lies inside; the quick test of a declared encoding."""
    if end - begin < 8:
        return False
    little = encoding.little_endian
    group, number, code, length = SHORT_HEADER[little](buffer, begin)
    if not (0x0004 <= group <= 0x0028 and (group << 16 | number) in dictionary.VR_OF):
        return False
    if encoding.explicit:
        return code in ANY_CODES[little] and begin + int(length) <= end
    return code not in ANY_CODES[little] and begin + 8 + int(LENGTH[little](buffer, begin + 4)[0]) <= end


def _chain(buffer: Buffer, begin: int, end: int, explicit: bool, little: bool, any_first: bool) -> _Chain:
    count, last, position = 0, -1, begin
    while count < _ENOUGH:
        if position == end:
            return _Chain(count, ended=count > 0)
        header = read_header(buffer, position, end, explicit, little)
        if header is None or header.tag <= last or not _tag_may_stand(header.tag, count, any_first):
            return _Chain(count)
        tag, vr, start, length = header
        if length == UNDEFINED or (vr == "SQ" and length):
            inner = little or vr == "UN"
            if not begins_with_item(buffer, start, inner):
                return _Chain(count)
            return _Chain(count + 2, ended=True)
        if start + length > end:
            return _Chain(count, cut=True)
        count, last, position = count + 1, tag, start + length
    return _Chain(count)


def _tag_may_stand(tag: int, index: int, any_first: bool) -> bool:
    if index == 0:
        return tag >> 16 <= 0x7FE0 and (any_first or dictionary.is_known(tag))
    return tag_is_plausible(tag)
