"""The first top-level elements of an instance, read from the beginning of its file: enough to know what it is and whose.

A medium of a million files is indexed by this: nothing behind the wanted elements is read, and a file that is damaged further
behind is still found, so that it can be offered and told about.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from vna_core.dicom.attribute_values import SPECIFIC_CHARACTER_SET, values_as_text
from vna_core.dicom.character_sets import character_set_names
from vna_core.dicom.container import TRANSFER_SYNTAX_UID, open_container
from vna_core.dicom.dictionary import vr_of
from vna_core.dicom.element_headers import DELIMITER_OCTETS, ITEM_OCTETS, UNDEFINED, read_header
from vna_core.dicom.encoding_detection import detect

LONGEST_VALUE: Final = 4096
_DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_DEEPEST: Final = 64


@dataclass(frozen=True, slots=True)
class FirstElements:
    """What was found.

    Attributes
    ----------
    values
        Wanted attributes as text, by tag.
    complete
        Everything wanted was passed; False: the octets at hand ended before, so more of them may tell more.
    transfer_syntax_uid
        The declared one; empty when none is declared.
    media_storage_class_uid, media_storage_instance_uid
        Media Storage SOP Class and Instance UID of the File Meta Information.
    """

    values: Mapping[int, tuple[str, ...]]
    complete: bool
    transfer_syntax_uid: str = ""
    media_storage_class_uid: str = ""
    media_storage_instance_uid: str = ""


def first_elements(head: bytes, wanted: frozenset[int]) -> FirstElements:
    """Read `wanted` top-level elements from the first octets of an instance.

    Raises
    ------
    NotDicom, Truncated, Malformed
        The octets do not begin as a DICOM file or data set.
    """
    container = open_container(head)
    declared = container.meta.get(TRANSFER_SYNTAX_UID, "")
    buffer, begin = bytes(container.buffer), container.data_set_offset
    if declared == _DEFLATED:
        inflated = _inflated(buffer[begin:])
        if inflated:
            buffer, begin = inflated, 0
    encoding = detect(buffer, begin, len(buffer), sure=True)
    kinds = (declared, container.meta.get(0x00020002, ""), container.meta.get(0x00020003, ""))
    if encoding is None:
        return FirstElements({}, False, *kinds)
    raw, complete = _walk(buffer, begin, encoding.explicit, encoding.little_endian, wanted)
    sets = character_set_names(raw[SPECIFIC_CHARACTER_SET][1]) if SPECIFIC_CHARACTER_SET in raw else ()
    values: dict[int, tuple[str, ...]] = {}
    for tag, (vr, octets) in raw.items():
        if tag in wanted:
            values[tag] = values_as_text(octets, vr_of(tag) if vr == "UN" else vr, sets)
    return FirstElements(values, complete, *kinds)


def _inflated(octets: bytes) -> bytes:
    try:
        return zlib.decompressobj(-15).decompress(octets, 8 << 20)
    except zlib.error:
        return b""


def _walk(
    buffer: bytes, position: int, explicit: bool, little: bool, wanted: frozenset[int]
) -> tuple[dict[int, tuple[str, bytes]], bool]:
    last, size = max(wanted), len(buffer)
    found: dict[int, tuple[str, bytes]] = {}
    while position < size:
        header = read_header(buffer, position, size, explicit, little)
        if header is None:
            return found, False
        if header.tag > last:
            return found, True
        if header.length == UNDEFINED:
            after = behind_undefined(buffer, header.start, explicit, little)
            if after is None:
                return found, False
            position = after
            continue
        end = header.start + header.length
        if header.tag in wanted or header.tag == SPECIFIC_CHARACTER_SET:
            if end > size:
                return found, False
            if header.length <= LONGEST_VALUE:
                found.setdefault(header.tag, (header.vr, buffer[header.start : end]))
        position = end
    return found, False


def behind_undefined(buffer: bytes, position: int, explicit: bool, little: bool) -> int | None:
    """First octet behind a sequence of undefined length; None when it does not end in the octets."""
    order = "little" if little else "big"
    item, end = ITEM_OCTETS[little], DELIMITER_OCTETS[little]
    item_end = item[:2] + (b"\x0d\xe0" if little else b"\xe0\x0d")
    # Each level is a sequence (True) or an item of undefined length (False).
    levels = [True]
    while levels:
        head = buffer[position : position + 8]
        if len(head) < 8 or len(levels) > _DEEPEST:
            return None
        length = int.from_bytes(head[4:8], order)  # type: ignore[arg-type]
        if levels[-1]:
            if head[:4] == end:
                levels.pop()
                position += 8
            elif head[:4] == item:
                position += 8
                if length == UNDEFINED:
                    levels.append(False)
                else:
                    position += length
            else:
                return None
            continue
        if head[:4] == item_end:
            levels.pop()
            position += 8
            continue
        header = read_header(buffer, position, len(buffer), explicit, little)
        if header is None:
            return None
        if header.length == UNDEFINED:
            levels.append(True)
            position = header.start
        else:
            position = header.start + header.length
    return position
