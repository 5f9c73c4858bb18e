"""Writes revised data sets in the canonical encoding: Explicit VR Little Endian with defined lengths (PS3.5 sections 7.1, 7.5).

The result is a list of pieces. Octets that are canonical as they were received stay ranges of the source and are never
taken apart, so a clean data set costs one comparison per element header; everything else becomes a literal.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from struct import Struct
from typing import Final

from vna_core.dicom import value_representations as representations
from vna_core.dicom.elements import DataSet, Element
from vna_core.dicom.packed_samples import unpacked_length
from vna_core.dicom.revision import RevisedDataSet
from vna_core.domain.errors import Malformed
from vna_core.domain.octets import ByteRange, Octets

PIXEL_DATA: Final = 0x7FE00010
ITEM: Final = b"\xfe\xff\x00\xe0"
SEQUENCE_DELIMITER: Final = b"\xfe\xff\xdd\xe0\0\0\0\0"
UNDEFINED: Final = 0xFFFFFFFF
SHORT_MAXIMUM: Final = 0xFFFE

_SHORT_READ: Final = Struct("<HHHH").unpack_from
_LONG_READ: Final = Struct("<HHHHI").unpack_from
_SHORT: Final = Struct("<HH2sH").pack
_LONG: Final = Struct("<HH2sHI").pack
_ITEM: Final = Struct("<4sI").pack
_CODES: Final = {name: code for code, name in representations.ANY_LITTLE.items()}
_SHORT_NAMES: Final = frozenset(representations.SHORT)
_LETTERS: Final = {name: name.encode("ascii") for name in (*representations.SHORT, *representations.LONG)}
_TEXT: Final = representations.TEXT - {"UI"}


@dataclass(frozen=True, slots=True)
class Derived:
    """Octets made from those of the source in a way that can be undone; `payload` holds the result.

    The byte order of every `unit` octets is turned round, or `packed` samples of 12 bits are written in 16 each.
    """

    source: ByteRange
    unit: int
    payload: bytes | Octets
    packed: bool = False


Piece = bytes | ByteRange | Derived
"""A literal, a range of the source's buffer as it is, or octets derived from such a range."""


@dataclass(slots=True)
class Written:
    """A data set or sequence value in canonical form.

    `verbatim` says that it is one range of the source, the one from where the value began to where it ended. `pixel_offset`
    is where the pixel pieces begin, -1 where there are none.
    """

    pieces: list[Piece]
    size: int
    verbatim: bool
    pixel_offset: int = -1


def header(tag: int, vr: str, length: int) -> bytes:
    """The header of an explicit little endian element (PS3.5 section 7.1.2)."""
    if vr in _SHORT_NAMES:
        return _SHORT(tag >> 16, tag & 0xFFFF, _LETTERS[vr], length)
    return _LONG(tag >> 16, tag & 0xFFFF, _LETTERS[vr], 0, length)


def padding(vr: str) -> bytes:
    """What makes a value even: a space for characters, NUL for UIDs and binary values (PS3.5 section 6.2)."""
    return b" " if vr in _TEXT else b"\0"


def literal_element(tag: int, vr: str, value: bytes) -> bytes:
    """A whole element, its value padded to an even length; one too long for the 16-bit length is UN (PS3.5 section 6.2.2)."""
    if len(value) & 1:
        value += padding(vr)
    if vr in _SHORT_NAMES and len(value) > SHORT_MAXIMUM:
        vr = "UN"
    return header(tag, vr, len(value)) + value


def size_of(piece: Piece) -> int:
    """Octets of a piece."""
    if isinstance(piece, bytes):
        return len(piece)
    if isinstance(piece, ByteRange):
        return piece.length
    return unpacked_length(piece.source.length) if piece.packed else piece.source.length


def write_data_set(revised: RevisedDataSet, pixel_pieces: Iterable[Piece] = ()) -> Written:
    """The whole data set.

    Parameters
    ----------
    pixel_pieces
        What stands for the Pixel Data element at the top level, its header included.

    Raises
    ------
    Malformed
        A sequence or item would pass the 32-bit length.
    """
    done: dict[int, Written] = {}
    for element in reversed(_sequences(revised.data_set)):
        done[id(element[4])] = _write_sequence(revised, element, done)
    return _write_elements(revised, revised.data_set, done, list(pixel_pieces))


def _sequences(root: DataSet) -> list[Element]:
    """Every element with items, each before those inside it."""
    found: list[Element] = []
    pending = [root]
    while pending:
        for element in pending.pop().elements:
            if element[4]:
                found.append(element)
                pending.extend(element[4])
    return found


def _write_sequence(revised: RevisedDataSet, element: Element, done: dict[int, Written]) -> Written:
    """The value of a sequence: items with defined lengths (PS3.5 section 7.5.1)."""
    pieces: list[Piece] = []
    size, verbatim = 0, element[2] >= 0
    expected = element[2] + 8
    for item in element[4] or ():
        inner = _write_elements(revised, item, done, [])
        if inner.size >= UNDEFINED:
            raise Malformed("An item of a sequence is larger than 4 GiB.")
        head = _ITEM(ITEM, inner.size)
        if verbatim and inner.verbatim and item.begin == expected and revised.buffer[expected - 8 : expected] == head:
            expected = item.begin + inner.size + 8
        else:
            verbatim = False
        pieces.append(head)
        pieces.extend(inner.pieces)
        size += 8 + inner.size
    if verbatim and expected - 8 == element[2] + element[3]:
        return Written([ByteRange(element[2], element[3])], size, True)
    if size >= UNDEFINED:
        raise Malformed("A sequence is larger than 4 GiB.")
    return Written(pieces, size, False)


def _write_elements(revised: RevisedDataSet, data_set: DataSet, done: dict[int, Written], pixel: list[Piece]) -> Written:
    """One data set, in runs: what is canonical in the source and adjacent there stays one range."""
    pieces: list[Piece] = []
    buffer = revised.buffer
    size = 0
    begin = end = data_set.begin
    root = data_set is revised.data_set
    pixel_start = revised.pixel.value.offset if root and revised.pixel is not None else -1
    source_is_plain = data_set.explicit and data_set.little_endian
    pixel_offset = -1
    for element in data_set.elements:
        tag, vr, start, length, items = element
        if start == pixel_start and revised.pixel is not None and tag == revised.pixel.tag:
            inner = Written(pixel, sum(map(size_of, pixel)), False)
            pixel_offset = size
        else:
            if source_is_plain and start >= 0 and not length & 1 and (not items or done[id(items)].verbatim):
                if vr in _SHORT_NAMES:
                    head = start - 8
                    plain = head >= 0 and _SHORT_READ(buffer, head) == (tag >> 16, tag & 0xFFFF, _CODES[vr], length)
                else:
                    head = start - 12
                    plain = head >= 0 and _LONG_READ(buffer, head) == (tag >> 16, tag & 0xFFFF, _CODES[vr], 0, length)
                if plain:
                    size += start + length - head
                    if head != end:
                        if end > begin:
                            pieces.append(ByteRange(begin, end - begin))
                        begin = head
                    end = start + length
                    continue
            inner = _write_element(revised, element, done.get(id(items)) if items else None)
        if end > begin:
            pieces.append(ByteRange(begin, end - begin))
        begin = end = -1
        pieces.extend(inner.pieces)
        size += inner.size
    if end > begin:
        pieces.append(ByteRange(begin, end - begin))
    verbatim = (not pieces and data_set.begin == data_set.end) or (
        len(pieces) == 1 and pieces[0] == ByteRange(data_set.begin, data_set.end - data_set.begin)
    )
    return Written(pieces, size, verbatim, pixel_offset)


def _write_element(revised: RevisedDataSet, element: Element, sequence: Written | None) -> Written:
    """One element whose octets are not canonical in the source."""
    tag, vr, start, length, items = element
    if sequence is not None:
        return Written([header(tag, "SQ", sequence.size), *sequence.pieces], 12 + sequence.size, False)
    if items is not None:
        return Written([header(tag, "SQ", 0)], 12, False)
    if start in revised.encapsulated:
        return _write_fragments(revised, element, revised.encapsulated[start])
    even = length + (length & 1)
    if vr in _SHORT_NAMES and even > SHORT_MAXIMUM:
        vr = "UN"  # PS3.5 section 6.2.2: too long for the 16-bit length
    head = header(tag, vr, even)
    pieces: list[Piece] = [head]
    if length:
        pieces.append(ByteRange(start, length) if start >= 0 else revised.literals[-1 - start])
    if length & 1:
        pieces.append(padding(vr))
    return Written(pieces, len(head) + even, False)


def _write_fragments(revised: RevisedDataSet, element: Element, fragments: list[ByteRange]) -> Written:
    """Encapsulated pixel data below the top level: the fragments as they are, item headers new."""
    pieces: list[Piece] = [header(element[0], "OB", UNDEFINED)]
    for fragment in fragments:
        pieces.extend(fragment_pieces([fragment]))
    pieces.append(SEQUENCE_DELIMITER)
    return Written(pieces, sum(map(size_of, pieces)), False)


def fragment_pieces(parts: list[ByteRange]) -> list[Piece]:
    """One item with the octets of `parts` one after the other, padded to an even length (PS3.5 section A.4)."""
    length = sum(part.length for part in parts)
    even = length + (length & 1)
    if even >= UNDEFINED:
        raise Malformed("A frame of the pixel data is larger than 4 GiB.")
    pieces: list[Piece] = [_ITEM(ITEM, even)]
    pieces.extend(part for part in parts if part.length)
    if length & 1:
        pieces.append(b"\0")
    return pieces
