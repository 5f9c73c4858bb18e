"""A stored canonical object read back with few range reads: its header, and where single values are."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass

from vna_core.dicom.container import open_container
from vna_core.dicom.elements import DataSet, Element
from vna_core.dicom.pixel_fragments import SEQUENCE_DELIMITER
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.tokenizer import tokenize
from vna_core.dicom.trailer_format import Read, Trailer, read_trailer
from vna_core.dicom.value_representations import VR_BYTES
from vna_core.domain.errors import InvalidRequest, Malformed, NotFound
from vna_core.domain.numbers import whole_number
from vna_core.domain.octets import ByteRange

_DELIMITED = 8
_HEADER = 12
_DEEPEST = 1 << 20
_MOST = 1 << 31


@dataclass(frozen=True, slots=True)
class StoredHeader:
    """Everything before the trailer but the value of the top-level pixel data.

    Attributes
    ----------
    revised
        The data set; the Pixel Data element is in it with its true length and no octets.
    front
        Octets of the buffer that stand before the pixel data; later ones are moved by `moved`.
    """

    trailer: Trailer
    file_meta: dict[int, str]
    revised: RevisedDataSet
    front: int
    moved: int

    def position(self, offset: int) -> int:
        """Offset in the object of an offset in the buffer."""
        return offset if offset < self.front else offset + self.moved


def read_header(read: Read, size: int) -> StoredHeader:
    """Read and tokenize the header of a stored object: one or two reads for the trailer, one or two for the rest.

    Raises
    ------
    Malformed, Truncated, DigestMismatch
        The object is not one of ours, or it is damaged.
    """
    trailer = read_trailer(read, size)
    pixel = trailer.pixel_data
    if pixel is None:
        buffer, front, moved = read(0, trailer.offset), trailer.offset, 0
        head = b""
    else:
        whole = read(0, pixel.offset)
        head = whole[-_HEADER:] if whole[-_HEADER + 4 : -_HEADER + 6] in VR_BYTES and whole[-6:-4] == b"\0\0" else whole[-8:]
        behind = pixel.end + (_DELIMITED if _ends_with_delimiter(read, pixel, trailer.offset) else 0)
        buffer, front = whole[: -len(head)], pixel.offset - len(head)
        moved = behind - front
        if behind < trailer.offset:
            buffer += read(behind, trailer.offset - behind)
    walk = tokenize(
        buffer, trailer.data_set_offset, len(buffer), explicit=True, little_endian=True, max_depth=_DEEPEST, max_elements=_MOST
    )
    if walk.end != len(buffer):
        raise Malformed("The header of a stored object ends before its data set.")
    if pixel is not None:
        tag = int.from_bytes(head[0:2], "little") << 16 | int.from_bytes(head[2:4], "little")
        element = Element(tag, head[4:6].decode("ascii"), front, pixel.length, None)
        walk.data_set.elements.insert(bisect_left(walk.data_set.elements, tag, key=_tag_of), element)
    meta = open_container(buffer).meta
    return StoredHeader(trailer, meta, RevisedDataSet(buffer, walk.data_set, [], None, walk.encapsulated), front, moved)


def _ends_with_delimiter(read: Read, pixel: ByteRange, limit: int) -> bool:
    """Whether a sequence delimiter stands behind the value, which makes the pixel data encapsulated."""
    if pixel.end + _DELIMITED > limit:
        return False
    octets = read(pixel.end, _DELIMITED)
    return int.from_bytes(octets[0:2], "little") << 16 | int.from_bytes(octets[2:4], "little") == SEQUENCE_DELIMITER


def element_range(read: Read, size: int, path: str) -> tuple[ByteRange, str]:
    """Where the value of one element is in a stored object, and its representation.

    Parameters
    ----------
    path
        Tags of eight hexadecimal digits and 0-based item numbers between slashes: ``00081140/0/00081150``.

    Raises
    ------
    NotFound
        The object has no such element.
    InvalidRequest
        `path` is not a tag path.
    """
    steps = path.strip("/").split("/")
    if len(steps) % 2 == 0 or not all(_step_is_valid(step, index) for index, step in enumerate(steps)):
        raise InvalidRequest("The bulk data path is not made of tags and item numbers.")
    header = read_header(read, size)
    data_set: DataSet = header.revised.data_set
    for index in range(0, len(steps), 2):
        tag = int(steps[index], 16)
        at = bisect_left(data_set.elements, tag, key=_tag_of)
        if at == len(data_set.elements) or data_set.elements[at].tag != tag:
            raise NotFound("The instance has no such element.")
        element = data_set.elements[at]
        if index + 1 == len(steps):
            if tag >= 0x7FE00008 and header.trailer.pixel_data is not None and element.start == header.front:
                return header.trailer.pixel_data, element.vr
            return ByteRange(header.position(element.start), element.length), element.vr
        items = element.items or []
        number = int(steps[index + 1])
        if number >= len(items):
            raise NotFound("The instance has no such item.")
        data_set = items[number]
    raise NotFound("The instance has no such element.")


def _step_is_valid(step: str, index: int) -> bool:
    if index % 2:
        return whole_number(step, 9) is not None
    return len(step) == 8 and all(digit in "0123456789abcdefABCDEF" for digit in step)


def _tag_of(element: Element) -> int:
    return element[0]
