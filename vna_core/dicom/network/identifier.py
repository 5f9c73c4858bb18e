"""Identifiers of C-FIND, C-MOVE, C-GET and of storage commitment as octets (PS3.4 annex C and J)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from struct import pack
from types import MappingProxyType
from typing import Final

from vna_core.dicom.attribute_values import values_as_text
from vna_core.dicom.canonical_writer import literal_element
from vna_core.dicom.character_sets import character_set_names
from vna_core.dicom.dictionary import vr_of
from vna_core.dicom.elements import DataSet
from vna_core.dicom.tokenizer import tokenize
from vna_core.domain.errors import InvalidRequest, VnaError
from vna_core.domain.numbers import whole_number

SPECIFIC_CHARACTER_SET: Final = 0x00080005
QUERY_RETRIEVE_LEVEL: Final = 0x00080052
_TAG: Final = re.compile(r"[0-9A-Fa-f]{8}")
_NUMERIC: Final = {
    "US": ("<H", 0, 0xFFFF),
    "UL": ("<I", 0, 0xFFFFFFFF),
    "SS": ("<h", -0x8000, 0x7FFF),
    "SL": ("<i", -(1 << 31), (1 << 31) - 1),
    "UV": ("<Q", 0, (1 << 64) - 1),
    "SV": ("<q", -(1 << 63), (1 << 63) - 1),
}
_FLOATING: Final = {"FL": ("<f", 3.4e38), "FD": ("<d", 1.7e308)}
_FLOAT: Final = re.compile(r"-?[0-9]+(\.[0-9]*)?([eE][+-]?[0-9]{1,3})?")


@dataclass(frozen=True, slots=True)
class Identifier:
    """A decoded identifier.

    Attributes
    ----------
    values
        Values of every plain element by tag; an empty tuple for an empty one.
    items
        Items of every sequence by tag.
    """

    values: Mapping[int, tuple[str, ...]]
    items: Mapping[int, tuple[Identifier, ...]] = field(default_factory=dict)

    def first(self, tag: int) -> str:
        """First value of an element; empty when there is none."""
        values = self.values.get(tag, ())
        return values[0] if values else ""


def decode_identifier(octets: bytes | bytearray, transfer_syntax_uid: str) -> Identifier:
    """Read an identifier. Text is decoded by the character set it declares. Raises InvalidRequest."""
    explicit, little = transfer_syntax_uid != "1.2.840.10008.1.2", transfer_syntax_uid != "1.2.840.10008.1.2.2"
    if not octets:
        return Identifier({})
    try:
        walk = tokenize(
            bytes(octets), 0, len(octets), explicit=explicit, little_endian=little, max_depth=16, max_elements=100_000
        )
    except VnaError as error:
        raise InvalidRequest("The identifier cannot be read as a data set.") from error
    return _decoded(bytes(octets), walk.data_set, ())


def _decoded(buffer: bytes, data_set: DataSet, inherited: tuple[str, ...]) -> Identifier:
    sets = inherited
    values: dict[int, tuple[str, ...]] = {}
    items: dict[int, tuple[Identifier, ...]] = {}
    for tag, vr, start, length, below in data_set.elements:
        raw = buffer[start : start + length]
        if tag == SPECIFIC_CHARACTER_SET:
            sets = character_set_names(raw)
        if below is not None:
            items[tag] = tuple(_decoded(buffer, item, sets) for item in below)
        elif tag & 0xFFFF:
            known = vr_of(tag) if vr == "UN" else vr
            values[tag] = values_as_text(raw, known, sets)
    return Identifier(values, items)


def encode_identifier(
    values: Mapping[int, Sequence[str]],
    transfer_syntax_uid: str,
    items: Mapping[int, Sequence[Identifier]] = MappingProxyType({}),
    private: Mapping[int, str] = MappingProxyType({}),
) -> bytes:
    """An identifier as octets; text beyond ASCII makes it ISO_IR 192. `private` tells the VR of private elements."""
    explicit = transfer_syntax_uid != "1.2.840.10008.1.2"
    plain = {tag: tuple(texts) for tag, texts in values.items() if tag != SPECIFIC_CHARACTER_SET}
    whole = Identifier(plain, {tag: tuple(below) for tag, below in items.items()})
    if not _is_ascii(whole):
        whole = Identifier({**whole.values, SPECIFIC_CHARACTER_SET: ("ISO_IR 192",)}, whole.items)
    return _encoded(whole, explicit, private)


def _is_ascii(one: Identifier) -> bool:
    return all(text.isascii() for texts in one.values.values() for text in texts) and all(
        _is_ascii(item) for items in one.items.values() for item in items
    )


def _encoded(one: Identifier, explicit: bool, private: Mapping[int, str]) -> bytes:
    out = {}
    for tag, texts in one.values.items():
        vr = private.get(tag) or vr_of(tag)
        out[tag] = _element(tag, vr, _raw(vr, texts), explicit)
    for tag, items in one.items.items():
        encoded = [_encoded(item, explicit, private) for item in items]
        content = b"".join([pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in encoded])
        out[tag] = _element(tag, "SQ", content, explicit)
    return b"".join(out[tag] for tag in sorted(out))


def _raw(vr: str, texts: Sequence[str]) -> bytes:
    if vr in _NUMERIC:
        code, low, high = _NUMERIC[vr]
        told = [(text, whole_number(text.removeprefix("-"), 20)) for text in texts]
        whole = [-one if text.startswith("-") else one for text, one in told if one is not None]
        return b"".join(pack(code, one) for one in whole if low <= one <= high)
    if vr in _FLOATING:
        code, largest = _FLOATING[vr]
        numbers = [float(text) for text in texts if len(text) < 64 and _FLOAT.fullmatch(text)]
        return b"".join(pack(code, number) for number in numbers if abs(number) <= largest)
    if vr == "AT":
        return b"".join(pack("<HH", int(text[:4], 16), int(text[4:], 16)) for text in texts if _TAG.fullmatch(text))
    return "\\".join(texts).encode("utf-8", "replace") if vr != "SQ" else b""


def _element(tag: int, vr: str, raw: bytes, explicit: bool) -> bytes:
    if explicit:
        return literal_element(tag, vr, raw)
    if len(raw) & 1:
        raw += b"\0" if vr in ("UI", "OB", "UN") else b" "
    return pack("<HHI", tag >> 16, tag & 0xFFFF, len(raw)) + raw
