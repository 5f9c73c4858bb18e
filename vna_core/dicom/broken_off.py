"""Whether a data set was broken off before its pixels, and another one goes on where it ends: told by the octets as received.

Proof is a plain reading alone. Whatever the reader would have to decide about either (a wrong group length, one file inside
another, elements out of order, a value that does not fit) proves nothing here, since octets that can be read in two ways may have
been made so.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

from vna_core.dicom.container import TRANSFER_SYNTAX_UID, open_container
from vna_core.dicom.element_headers import PIXEL_TAGS, UNDEFINED, read_header
from vna_core.dicom.elements import DataSet
from vna_core.dicom.encoding_detection import Encoding, detect
from vna_core.dicom.first_elements import behind_undefined
from vna_core.dicom.tokenizer import tokenize
from vna_core.domain.errors import LimitExceeded, Unarchivable

ROWS: Final = 0x00280010
COLUMNS: Final = 0x00280011
IMAGE_CONTENT: Final = PIXEL_TAGS | {0x00287FE0, 0x56000020}
"""Pixel Data, Float and Double Float Pixel Data, Pixel Data Provider URL (PS3.3 C.7.6.3); Spectroscopy Data (C.8.14.1)."""
_PREAMBLE: Final = "F24"
"""The only deviation of a container that leaves no doubt about what is read: a preamble with something in it."""


@dataclass(frozen=True, slots=True)
class BrokenOff:
    """A data set that describes an image and ends before it.

    Attributes
    ----------
    data_set
        Its octets as received, without preamble and File Meta Information.
    transfer_syntax_uid
        As its File Meta Information says; empty where there is none.
    """

    data_set: bytes
    transfer_syntax_uid: str
    encoding: Encoding

    def is_continued_by(self, data_set: bytes) -> bool:
        """Whether a data set begins as this one does and goes on, in ascending order, to pixel data at the top level.

        Parameters
        ----------
        data_set
            The data set, or its beginning; what lies behind these octets is not known, and proves nothing.
        """
        if not data_set.startswith(self.data_set):
            return False
        end = _pixel_data_behind(data_set, len(self.data_set), self.encoding)
        walked = None if end < 0 else _plain_walk(data_set, 0, end, self.encoding)
        return walked is not None and walked.elements[-1].tag < min(PIXEL_TAGS)


def data_set_of(octets: bytes) -> tuple[int, str] | None:
    """Where the data set begins as the reader finds it, and the transfer syntax that is declared; None where that is not plain.

    Parameters
    ----------
    octets
        The octets as received, or their beginning.
    """
    try:
        container = open_container(octets, declared=True)
    except Unarchivable:
        return None
    if container.unfolded or any(note.rule != _PREAMBLE for note in container.notes):
        return None
    return container.data_set_offset, container.meta.get(TRANSFER_SYNTAX_UID, "")


def broken_off(octets: bytes) -> BrokenOff | None:
    """What was received, if it has Rows and Columns with values and neither pixels nor the address of any (rule P34)."""
    found = data_set_of(octets)
    if found is None:
        return None
    begin, transfer_syntax_uid = found
    encoding = detect(octets, begin, len(octets), sure=True)
    walked = None if encoding is None else _plain_walk(octets, begin, len(octets), encoding)
    if encoding is None or walked is None or not walked.elements:
        return None
    by_tag = {one.tag: octets[one.start : one.start + one.length] for one in walked.elements if one.tag in (ROWS, COLUMNS)}
    if len(by_tag) < 2 or not all(map(any, by_tag.values())) or any(one.tag in IMAGE_CONTENT for one in walked.elements):
        return None
    return BrokenOff(octets[begin:], transfer_syntax_uid, encoding)


def _plain_walk(octets: bytes, begin: int, end: int, encoding: Encoding) -> DataSet | None:
    """The data set as the reader reads it, if there was nothing to decide and its elements are in ascending order."""
    try:
        walk = tokenize(octets, begin, end, explicit=encoding.explicit, little_endian=encoding.little_endian)
    except (Unarchivable, LimitExceeded):
        return None
    in_order = all(first.tag < second.tag for first, second in pairwise(walk.data_set.elements))
    return walk.data_set if in_order and not walk.notes and walk.end == end else None


def _pixel_data_behind(octets: bytes, position: int, encoding: Encoding) -> int:
    """Offset of the header of pixel data at the top level, at `position` or behind it; -1 where the octets show none."""
    explicit, little = encoding.explicit, encoding.little_endian
    while (header := read_header(octets, position, len(octets), explicit, little)) is not None:
        if header.tag in PIXEL_TAGS:
            return position if header.vr != "SQ" and header.length else -1
        after = header.start + header.length
        if header.length == UNDEFINED:
            behind = behind_undefined(octets, header.start, explicit, little)
            if behind is None:
                return -1
            after = behind
        position = after
    return -1
