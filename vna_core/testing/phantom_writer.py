"""A small writer of DICOM octets, apart from every reader and writer of the archive, so that none can hide a fault of the other."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

LONG: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
UNDEFINED: Final = 0xFFFFFFFF
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
DEFLATED: Final = "1.2.840.10008.1.2.1.99"
_SWAPPED: Final = {"US": 2, "SS": 2, "OW": 2, "UL": 4, "SL": 4, "FL": 4, "FD": 8, "AT": 2}

Value = str | bytes | int | float | Sequence[int | float] | list["Elements"]
Elements = list[tuple[int, str, Value]]
"""Tag, representation, value; a sequence's value is a list of items, each `Elements`."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a data set is encoded."""

    explicit: bool = True
    big_endian: bool = False
    undefined_sequences: bool = False

    @property
    def order(self) -> str:
        return ">" if self.big_endian else "<"


def raw_value(vr: str, value: Value, form: Form) -> bytes:
    """The octets of a plain value, padded."""
    if isinstance(value, str):
        raw = value.encode("latin-1")
        return raw + (b"\0" if vr == "UI" else b" ") * (len(raw) & 1)
    if isinstance(value, bytes):
        unit = _SWAPPED.get(vr, 1) if form.big_endian else 1
        if unit > 1:
            value = b"".join(value[at : at + unit][::-1] for at in range(0, len(value), unit))
        return value + b"\0" * (len(value) & 1)
    numbers = [value] if isinstance(value, int | float) else [one for one in value if isinstance(one, int | float)]
    code = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d"}[vr]
    return struct.pack(f"{form.order}{len(numbers)}{code}", *numbers)


def element(tag: int, vr: str, value: Value, form: Form = Form()) -> bytes:  # noqa: B008 - a frozen value
    """One element in the given form."""
    if vr == "SQ":
        assert isinstance(value, list)
        items = b"".join(_item(one, form) for one in value if isinstance(one, list))
        if form.undefined_sequences:
            return _header(tag, vr, UNDEFINED, form) + items + struct.pack(f"{form.order}HHI", 0xFFFE, 0xE0DD, 0)
        return _header(tag, vr, len(items), form) + items
    raw = raw_value(vr, value, form)
    return _header(tag, vr, len(raw), form) + raw


def _item(elements: Elements, form: Form) -> bytes:
    content = data_set(elements, form)
    if form.undefined_sequences:
        return (
            struct.pack(f"{form.order}HHI", 0xFFFE, 0xE000, UNDEFINED)
            + content
            + struct.pack(f"{form.order}HHI", 0xFFFE, 0xE00D, 0)
        )
    return struct.pack(f"{form.order}HHI", 0xFFFE, 0xE000, len(content)) + content


def _header(tag: int, vr: str, length: int, form: Form) -> bytes:
    head = struct.pack(f"{form.order}HH", tag >> 16, tag & 0xFFFF)
    if not form.explicit:
        return head + struct.pack(f"{form.order}I", length)
    if vr in LONG:
        return head + vr.encode("ascii") + b"\0\0" + struct.pack(f"{form.order}I", length)
    return head + vr.encode("ascii") + struct.pack(f"{form.order}H", length)


def data_set(elements: Elements, form: Form = Form()) -> bytes:  # noqa: B008 - a frozen value
    """Elements in the order given."""
    return b"".join([element(tag, vr, value, form) for tag, vr, value in elements])


def encapsulated(fragments: Sequence[bytes], offsets: Sequence[int] = ()) -> bytes:
    """A Pixel Data element of undefined length with the fragments as they are."""
    table = struct.pack(f"<{len(offsets)}I", *offsets)
    items = [table, *fragments]
    body = b"".join(struct.pack("<HHI", 0xFFFE, 0xE000, len(one)) + one for one in items)
    return struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, UNDEFINED) + body + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def file_meta(sop_class: str, sop_instance: str, transfer_syntax: str, group_length: int | None = None) -> bytes:
    """Group 0002; `group_length` lies about its length."""
    rest = data_set(
        [
            (0x00020001, "OB", b"\0\x01"),
            (0x00020002, "UI", sop_class),
            (0x00020003, "UI", sop_instance),
            (0x00020010, "UI", transfer_syntax),
            (0x00020012, "UI", "2.25.91720134588113201"),
            (0x00020013, "SH", "PHANTOM"),
        ]
    )
    return element(0x00020000, "UL", len(rest) if group_length is None else group_length) + rest


def part10(meta: bytes, body: bytes, preamble: bytes = bytes(128)) -> bytes:
    """A Part 10 file."""
    return preamble + b"DICM" + meta + body
