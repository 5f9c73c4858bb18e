"""How a data set is encoded, decided by its octets: byte order, and whether representations are written (PS3.5 section 7)."""

from __future__ import annotations

from dataclasses import dataclass
from struct import Struct
from typing import Final

from vna_core.dicom import dictionary
from vna_core.dicom import value_representations as representations
from vna_core.dicom.elements import Buffer

_SHORT_HEADER: Final = {True: Struct("<HHHH").unpack_from, False: Struct(">HHHH").unpack_from}
_LONG_HEADER: Final = {True: Struct("<HHI").unpack_from, False: Struct(">HHI").unpack_from}
_UNDEFINED: Final = 0xFFFFFFFF
_ENOUGH: Final = 6


@dataclass(frozen=True, slots=True)
class Encoding:
    """Byte order and explicitness of a data set."""

    explicit: bool
    little_endian: bool


@dataclass(frozen=True, slots=True)
class _Chain:
    """How far plausible headers follow one another.

    `ended` says that the chain reached the end exactly, `cut` that a plausible header's value passes the end.
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
        element is enough.
    """
    best, best_rank = None, (0, 0, 0)
    for explicit in (True, False):
        for little_endian in (True, False):
            chain = _chain(buffer, begin, end, explicit, little_endian)
            if not chain.convincing and not (sure and chain.count):
                continue
            rank = (chain.count, chain.ended + explicit, little_endian)
            if rank > best_rank:
                best, best_rank = Encoding(explicit, little_endian), rank
    return best


def first_header_fits(buffer: Buffer, begin: int, end: int, encoding: Encoding) -> bool:
    """Whether the first element reads well in `encoding` and its value lies inside; the quick test of a declared encoding."""
    if end - begin < 8:
        return False
    group, number, code, length = _SHORT_HEADER[encoding.little_endian](buffer, begin)
    tag = group << 16 | number
    if not (0x0004 <= group <= 0x0028 and tag in dictionary.VR_OF):
        return False
    codes = representations.ANY_LITTLE if encoding.little_endian else representations.ANY_BIG
    if encoding.explicit:
        return code in codes and begin + length <= end
    return code not in codes and begin + 8 + int(_LONG_HEADER[encoding.little_endian](buffer, begin)[2]) <= end


def _chain(buffer: Buffer, begin: int, end: int, explicit: bool, little: bool) -> _Chain:
    count, last, position = 0, -1, begin
    while count < _ENOUGH:
        if position == end:
            return _Chain(count, ended=count > 0)
        header = _header(buffer, position, end, explicit, little)
        if header is None or header[0] <= last or not _tag_is_plausible(header[0], count):
            return _Chain(count)
        tag, vr, start, length = header
        if length == _UNDEFINED or vr == "SQ":
            if not _begins_with_item(buffer, start, length, little):
                return _Chain(count)
            return _Chain(count + 2, ended=True)
        if start + length > end:
            return _Chain(count, cut=True)
        count, last, position = count + 1, tag, start + length
    return _Chain(count)


def _header(buffer: Buffer, position: int, end: int, explicit: bool, little: bool) -> tuple[int, str, int, int] | None:
    if end - position < 8:
        return None
    group, number, code, length = _SHORT_HEADER[little](buffer, position)
    tag = group << 16 | number
    if not explicit:
        return tag, dictionary.vr_of(tag), position + 8, _LONG_HEADER[little](buffer, position)[2]
    codes = representations.ANY_LITTLE if little else representations.ANY_BIG
    vr = codes.get(code)
    if vr is None:
        return None
    if vr not in representations.LONG_NAMES:
        return tag, vr, position + 8, length
    if length or end - position < 12:
        return None
    return tag, vr, position + 12, _LONG_HEADER[little](buffer, position + 4)[2]


def _tag_is_plausible(tag: int, index: int) -> bool:
    if index == 0:
        return tag >> 16 <= 0x7FE0 and dictionary.is_known(tag)
    return dictionary.is_known(tag) or (dictionary.is_private(tag) and tag >> 16 > 8)


def _begins_with_item(buffer: Buffer, start: int, length: int, little: bool) -> bool:
    if length == 0:
        return True
    head = bytes(buffer[start : start + 4])
    return head in ((b"\xfe\xff\x00\xe0", b"\xfe\xff\xdd\xe0") if little else (b"\xff\xfe\xe0\x00", b"\xff\xfe\xe0\xdd"))
