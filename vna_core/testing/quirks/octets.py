"""Elements, items and files put together octet by octet, every length open to a lie.

Apart from every reader and writer of the archive: a wrong reader cannot hide behind a wrong writer.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vna_core.testing.phantom_writer import EXPLICIT_LITTLE, LONG, UNDEFINED

CODES: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}
WORD: Final = {"OW": 2, "OL": 4, "OF": 4, "OD": 8, "OV": 8, "AT": 2}
IMPLEMENTATION: Final = "2.25.4711.1"

Value = str | bytes | int | float | tuple[int | float, ...] | list["Fields"]
Field = tuple[int, str, Value]
"""Tag, representation, value. A text is padded to even length, octets are taken as they are (in little endian words), a list
holds the items of a sequence. Without representation the octets are a whole encoded element."""
Fields = tuple[Field, ...]


@dataclass(frozen=True, slots=True)
class Form:
    """How elements are encoded."""

    explicit: bool = True
    big_endian: bool = False
    undefined: bool = False

    @property
    def order(self) -> str:
        """The mark of the byte order in `struct`."""
        return ">" if self.big_endian else "<"


LITTLE: Final = Form()
IMPLICIT: Final = Form(explicit=False)
BIG: Final = Form(big_endian=True)


def swapped(raw: bytes, unit: int = 2) -> bytes:
    """`raw` with the octets of every word of `unit` octets turned round."""
    return b"".join(raw[at : at + unit][::-1] for at in range(0, len(raw), unit))


def tag_octets(tag: int, form: Form = LITTLE) -> bytes:
    """The four octets of a tag."""
    return struct.pack(f"{form.order}HH", tag >> 16, tag & 0xFFFF)


def header(tag: int, vr: str, length: int, form: Form = LITTLE) -> bytes:
    """Tag, representation and length (PS3.5 section 7.1)."""
    head = tag_octets(tag, form)
    if not form.explicit:
        return head + struct.pack(f"{form.order}I", length)
    if vr in LONG:
        return head + vr.encode("latin-1") + b"\0\0" + struct.pack(f"{form.order}I", length)
    return head + vr.encode("latin-1") + struct.pack(f"{form.order}H", length)


def value_octets(vr: str, value: Value, form: Form = LITTLE) -> bytes:
    """The octets of a value."""
    if isinstance(value, str):
        raw = value.encode("latin-1")
        return raw + (b"\0" if vr == "UI" else b" ") * (len(raw) & 1)
    if isinstance(value, bytes):
        return swapped(value, WORD[vr]) if form.big_endian and vr in WORD else value
    if isinstance(value, list):
        return b"".join(item(data_set(one, form), form, undefined=form.undefined) for one in value)
    numbers = value if isinstance(value, tuple) else (value,)
    return struct.pack(f"{form.order}{len(numbers)}{CODES[vr]}", *numbers)


def element(tag: int, vr: str, value: Value, form: Form = LITTLE, *, length: int | None = None) -> bytes:
    """One element; `length` lies about the value's octets. Without `vr` the value is the element."""
    if not vr and isinstance(value, bytes):
        return value
    raw = value_octets(vr, value, form)
    if vr == "SQ" and form.undefined:
        return header(tag, vr, UNDEFINED, form) + raw + delimiter(form)
    return header(tag, vr, len(raw) if length is None else length, form) + raw


def item(content: bytes, form: Form = LITTLE, *, undefined: bool = False, length: int | None = None) -> bytes:
    """An item of a sequence or of encapsulated pixel data."""
    plain = replace(form, explicit=False)
    if undefined:
        return header(0xFFFEE000, "", UNDEFINED, plain) + content + header(0xFFFEE00D, "", 0, plain)
    return header(0xFFFEE000, "", len(content) if length is None else length, plain) + content


def delimiter(form: Form = LITTLE, length: int = 0) -> bytes:
    """A Sequence Delimitation Item."""
    return header(0xFFFEE0DD, "", length, replace(form, explicit=False))


def data_set(fields: Iterable[Field], form: Form = LITTLE) -> bytes:
    """Elements in the order given."""
    return b"".join(element(tag, vr, value, form) for tag, vr, value in fields)


def encapsulated(fragments: Sequence[bytes], offsets: Sequence[int] | None = ()) -> bytes:
    """A Pixel Data element of undefined length; no offset table item where `offsets` is None."""
    table = b"" if offsets is None else item(struct.pack(f"<{len(offsets)}I", *offsets))
    return header(0x7FE00010, "OB", UNDEFINED) + table + b"".join(map(item, fragments)) + delimiter()


def frame_offsets(fragments: Sequence[bytes]) -> list[int]:
    """Offsets of a right Basic Offset Table with one fragment per frame, octets from the first item (PS3.5 section A.4)."""
    return [sum(8 + len(one) for one in fragments[:index]) for index in range(len(fragments))]


def even(raw: bytes) -> bytes:
    """`raw` padded to even length with a zero octet."""
    return raw + b"\0" * (len(raw) & 1)


def meta_fields(sop_class: str, sop_instance: str, transfer_syntax: str = EXPLICIT_LITTLE) -> Fields:
    """The elements of the File Meta Information without its group length."""
    return (
        (0x00020001, "OB", b"\0\x01"),
        (0x00020002, "UI", sop_class),
        (0x00020003, "UI", sop_instance),
        (0x00020010, "UI", transfer_syntax),
        (0x00020012, "UI", IMPLEMENTATION),
        (0x00020013, "SH", "QUIRKS"),
    )


def file_meta(fields: Iterable[Field], form: Form = LITTLE, *, length: int | None = None) -> bytes:
    """Group 0002 with its group length; `length` lies about it."""
    rest = data_set(fields, form)
    return element(0x00020000, "UL", len(rest) if length is None else length, form) + rest


def part10(meta: bytes, body: bytes, preamble: bytes = bytes(128)) -> bytes:
    """A Part 10 file."""
    return preamble + b"DICM" + meta + body
