"""What lies around a data set: preamble, prefix and File Meta Information (PS3.10 section 7.1).

Labels found here are hints. The walk ignores the group length and believes the octets: group 0002 ends where another
group begins.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from struct import Struct
from typing import Final

from vna_core.dicom import value_representations as representations
from vna_core.dicom.element_headers import read_header
from vna_core.dicom.elements import Buffer, Note
from vna_core.dicom.encoding_detection import begins_plainly, detect
from vna_core.domain.errors import Malformed, NotDicom, Truncated

PREFIX_SEARCH: Final = 4096
_LESS_THAN_A_HEADER: Final = 8
"""Fewer octets before a bare data set cannot hold an element of it."""

TRANSFER_SYNTAX_UID: Final = 0x00020010
_GROUP_LENGTH: Final = 0x00020000
_LITTLE: Final = Struct("<HH2sH").unpack_from
_BIG: Final = Struct(">HH2sH").unpack_from
_LENGTH_LITTLE: Final = Struct("<I").unpack_from
_LENGTH_BIG: Final = Struct(">I").unpack_from
_ZEROS: Final = bytes(128)
_META_TEXT_LIMIT: Final = 1024


@dataclass(slots=True)
class Container:
    """Where the data set begins, and what is written around it.

    Attributes
    ----------
    buffer
        The octets the offsets refer to (the octets as received, unless `unfolded` is ``swab16``).
    meta
        Elements of group 0002 as text, without padding; binary values as hexadecimal digits.
    bare
        There is no File Meta Information.
    """

    buffer: Buffer
    data_set_offset: int
    meta: dict[int, str] = field(default_factory=dict)
    bare: bool = False
    unfolded: str = ""
    notes: list[Note] = field(default_factory=list)


def open_container(buffer: Buffer, *, declared: bool = False) -> Container:
    """Find the data set in the octets.

    Parameters
    ----------
    declared
        The sender named a transfer syntax outside the octets, so a bare data set is what was agreed on and no deviation.

    Raises
    ------
    NotDicom
        Neither File Meta Information nor a plausible data set was found.
    Truncated
        The octets end inside the File Meta Information.
    """
    size = len(buffer)
    if buffer[128:132] == b"DICM" and _meta_follows(buffer, 132):
        container = Container(buffer, 132)
        if buffer[:128] != _ZEROS:
            container.notes.append(Note("F24", 0, "preamble is not zero"))
        return _walk_meta(container, size)
    return _odd_container(buffer, size, declared)


def _meta_follows(buffer: Buffer, offset: int) -> bool:
    return bytes(buffer[offset : offset + 2]) in (b"\x02\x00", b"\x00\x02")


def _odd_container(buffer: Buffer, size: int, declared: bool) -> Container:
    if buffer[128:132] == b"IDMC":
        swapped = _swab16(buffer)
        if _meta_follows(swapped, 132):
            container = Container(swapped, 132, unfolded="swab16", notes=[Note("F25", 0, "every 16-bit word is byte-swapped")])
            return _walk_meta(container, size)
    if buffer[:4] == b"DICM" and _data_follows(buffer, 4, size):
        return _walk_meta(Container(buffer, 4, notes=[Note("F02", 0, "no preamble before DICM")]), size)
    if bytes(buffer[:4]) in (
        b"\x02\x00\x00\x00",
        b"\x00\x02\x00\x00",
        b"\x02\x00\x01\x00",
        b"\x02\x00\x02\x00",
        b"\x02\x00\x10\x00",
    ):
        container = Container(buffer, 0, notes=[Note("F01", 0, "no preamble and no DICM")])
        return _walk_meta(container, size)
    encoding = detect(buffer, 0, size, sure=declared)
    if encoding is not None:
        container = Container(buffer, 0, bare=True)
        if not declared:
            rule = "F04" if encoding.explicit else "F03" if encoding.little_endian else "F06"
            container.notes.append(Note(rule, 0, "data set without File Meta Information"))
        return container
    if buffer[128:132] == b"DICM" and _data_follows(buffer, 132, size):
        return Container(buffer, 132, bare=True, notes=[Note("F03", 132, "preamble without File Meta Information")])
    found = bytes(buffer[:PREFIX_SEARCH]).find(b"DICM")
    while found >= 0:
        if _meta_follows(buffer, found + 4):
            return _walk_meta(Container(buffer, found + 4, notes=[Note("F26", 0, f"{max(found - 128, 0)} octets before")]), size)
        found = bytes(buffer[:PREFIX_SEARCH]).find(b"DICM", found + 1)
    for begin in range(1, _LESS_THAN_A_HEADER):
        if begins_plainly(buffer, begin, size):
            return Container(buffer, begin, bare=True, notes=[Note("F26", 0, f"{begin} octets before a bare data set")])
    raise NotDicom("The octets are neither a DICOM file nor a data set.")


def _data_follows(buffer: Buffer, offset: int, size: int) -> bool:
    return _meta_follows(buffer, offset) or detect(buffer, offset, size) is not None


def _swab16(buffer: Buffer) -> bytes:
    swapped = bytearray(buffer)
    even = len(swapped) & ~1
    swapped[0:even:2], swapped[1:even:2] = swapped[1:even:2], swapped[0:even:2]
    return bytes(swapped)


def _walk_meta(container: Container, size: int) -> Container:
    """Read group 0002 from ``container.data_set_offset`` and move that behind it."""
    buffer, position, meta, notes = container.buffer, container.data_set_offset, container.meta, container.notes
    begin_after_length = declared_length = -1
    kinds: set[str] = set()
    while position + 8 <= size:
        if not _meta_follows(buffer, position):
            after = _foreign_element(buffer, position, size)
            if not after:
                break
            notes.append(Note("F28", position, "element of another group in the File Meta Information"))
            position = after
        tag, start, length, kind = _meta_element(buffer, position)
        kinds.add(kind)
        if start + length > size:
            raise Truncated("The octets end inside the File Meta Information.", rule="E35")
        value = bytes(buffer[start : start + min(length, _META_TEXT_LIMIT)])
        position = start + length
        if tag == _GROUP_LENGTH:
            begin_after_length = position
            declared_length = int.from_bytes(value[:4], "big" if kind == "F17" else "little")
            continue
        meta.setdefault(tag, _meta_text(tag, value))
        if tag == TRANSFER_SYNTAX_UID and value.rstrip(b"\0") != meta[tag].encode("latin-1"):
            notes.append(Note("F10", start, "transfer syntax UID padded with spaces", tag))
    notes.extend(
        Note(rule, container.data_set_offset, "File Meta Information not explicit little endian") for rule in sorted(kinds - {""})
    )
    if begin_after_length < 0:
        notes.append(Note("F08", container.data_set_offset, "no group length", _GROUP_LENGTH))
    elif begin_after_length + declared_length != position:
        notes.append(Note("F07", container.data_set_offset, f"group length {declared_length}", _GROUP_LENGTH))
    if TRANSFER_SYNTAX_UID not in meta:
        notes.append(Note("F09", container.data_set_offset, "no transfer syntax UID", TRANSFER_SYNTAX_UID))
    container.data_set_offset = position
    if bytes(buffer[position + 128 : position + 132]) == b"DICM" and _meta_follows(buffer, position + 132):
        return _inner_container(container, position + 132, size)
    if position >= size:
        raise Truncated("The octets end with the File Meta Information.", rule="E35")
    return container


def _foreign_element(buffer: Buffer, position: int, size: int) -> int:
    """Where group 0002 goes on after one element of a group that no data set begins with; 0 where it does not."""
    if bytes(buffer[position + 1 : position + 2]) != b"\0" or buffer[position] not in (0, 1, 3):
        return 0
    header = read_header(buffer, position, size, True, True)
    if header is None or header.start + header.length + 8 > size:
        return 0
    after = header.start + header.length
    return after if _meta_follows(buffer, after) and bytes(buffer[after + 4 : after + 6]) in representations.VR_BYTES else 0


def _inner_container(outer: Container, offset: int, size: int) -> Container:
    """A whole DICOM file stands where the data set should: the inner one counts (bounded by the size, each layer is 140 octets)."""
    while True:
        layers = sum(note.rule == "F27" for note in outer.notes)
        if layers >= 8:
            raise Malformed("DICOM files are wrapped in one another too often.", rule="F27")
        outer.notes.append(Note("F27", offset - 132, "a DICOM file inside a DICOM file"))
        outer.meta, outer.data_set_offset = {}, offset
        return _walk_meta(outer, size)


def _meta_element(buffer: Buffer, position: int) -> tuple[int, int, int, str]:
    """Tag, value offset, value length and the rule id of a deviation: explicit, else implicit; little endian, else big."""
    little = buffer[position] == 2
    group, number, letters, length = (_LITTLE if little else _BIG)(buffer, position)
    tag = group << 16 | number
    vr = representations.VR_BYTES.get(letters)
    unpack_length = _LENGTH_LITTLE if little else _LENGTH_BIG
    if vr is None:
        return tag, position + 8, unpack_length(buffer, position + 4)[0], "F16" if little else "F17"
    if vr not in representations.LONG_NAMES:
        return tag, position + 8, length, "" if little else "F17"
    if position + 12 > len(buffer):
        raise Truncated("The octets end inside the File Meta Information.", rule="E35")
    return tag, position + 12, unpack_length(buffer, position + 8)[0], "" if little else "F17"


def _meta_text(tag: int, value: bytes) -> str:
    if tag in (0x00020001, 0x00020102):
        return value.hex()
    return value.decode("latin-1").strip(" \0")
