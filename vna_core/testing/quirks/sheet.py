"""A clean image as elements and their truth, from which a file with one oddity is made."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from vna_core.testing.phantom_writer import EXPLICIT_LITTLE
from vna_core.testing.quirks.octets import (
    LITTLE,
    Field,
    Fields,
    Form,
    Value,
    data_set,
    file_meta,
    meta_fields,
    part10,
    value_octets,
)
from vna_core.testing.quirks.quirk_file import Expected, QuirkFile, Samples

CT: Final = "1.2.840.10008.5.1.4.1.1.2"
SECONDARY_CAPTURE: Final = "1.2.840.10008.5.1.4.1.1.7"
UNSPLIT: Final = frozenset(("LT", "ST", "UT", "UR"))
PIXEL_DATA: Final = 0x7FE00010
CHARACTER_SET: Final = 0x00080005
ROWS, COLUMNS = 6, 8


def uid(name: str, level: str) -> str:
    """A UID that follows from the name of a file."""
    return f"2.25.{int.from_bytes(hashlib.sha256(f'{name} {level}'.encode()).digest()[:15], 'big')}"


def gradient(frames: int = 1, rows: int = ROWS, columns: int = COLUMNS, samples: int = 1, bits: int = 12) -> Samples:
    """Samples that differ along every axis, unsigned, in the smallest type of at least 8 bits."""
    count = frames * rows * columns * samples
    dtype = np.dtype("u1" if bits <= 8 else "u2" if bits <= 16 else "u4")
    values = (np.arange(count, dtype=np.int64) * (((1 << bits) - 1) // max(count - 1, 1) or 1)) & ((1 << bits) - 1)
    return values.astype(dtype).reshape((frames, rows, columns) + ((samples,) if samples > 1 else ()))


def octets_of(samples: Samples) -> bytes:
    """Samples in little endian, padded to even length."""
    raw = samples.astype(samples.dtype.newbyteorder("<")).tobytes()
    return raw + b"\0" * (len(raw) & 1)


@dataclass(frozen=True, slots=True)
class Sheet:
    """Elements of a data set in ascending order; every change gives a new sheet.

    Attributes
    ----------
    certain
        Expected values that are not those of `fields`.
    uncertain
        Tags about whose canonical values nothing is said.
    kept
        Paths whose octets must not change, with the octets.
    """

    name: str
    fields: Fields
    certain: Expected = field(default_factory=dict)
    uncertain: frozenset[int] = frozenset((CHARACTER_SET,))
    kept: Mapping[str, bytes] = field(default_factory=dict)
    pixels: Samples | None = None

    def put(self, tag: int, vr: str, value: Value) -> Sheet:
        """With this element, whose value is right as it is."""
        rest = [one for one in self.fields if one[0] != tag]
        return replace(self, fields=tuple(sorted([*rest, (tag, vr, value)], key=lambda one: one[0])))

    def puts(self, *fields: Field) -> Sheet:
        """With these elements, whose values are right as they are."""
        sheet = self
        for one in fields:
            sheet = sheet.put(*one)
        return sheet

    def without(self, *tags: int) -> Sheet:
        """Without these elements; what the canonical object holds for them is not said."""
        return replace(self, fields=tuple(one for one in self.fields if one[0] not in tags))

    def odd(self, tag: int, vr: str, value: Value, expected: tuple[str, ...] | None) -> Sheet:
        """With an odd element, and the values it must become."""
        return self.put(tag, vr, value).must({f"{tag:08X}": expected})

    def keep(self, tag: int, vr: str, value: Value) -> Sheet:
        """With an odd element whose octets must not change."""
        sheet = self.put(tag, vr, value).unsure(tag)
        return replace(sheet, kept={**sheet.kept, f"{tag:08X}": value_octets(vr, value)})

    def keep_at(self, path: str, octets: bytes) -> Sheet:
        """Says that the value at a path must not change."""
        return replace(self, kept={**self.kept, path: octets})

    def must(self, expected: Expected) -> Sheet:
        """With further expected values, which go before those of the elements."""
        return replace(self, certain={**self.certain, **expected})

    def unsure(self, *tags: int) -> Sheet:
        """Nothing is said about these elements."""
        return replace(self, uncertain=self.uncertain | set(tags))

    def show(self, pixels: Samples | None) -> Sheet:
        """With other true pixels; the elements stay."""
        return replace(self, pixels=pixels)

    def value(self, tag: int) -> Value:
        """The value of an element that is there."""
        return next(value for found, _, value in self.fields if found == tag)

    def text(self, tag: int) -> str:
        """The value of an element as text; empty where it is absent."""
        value = next((value for found, _, value in self.fields if found == tag), "")
        return value.decode("latin-1").strip(" \0") if isinstance(value, bytes) else str(value)

    def body(self, form: Form = LITTLE) -> bytes:
        """The data set."""
        return data_set(self.fields, form)

    def meta(self, transfer_syntax: str = EXPLICIT_LITTLE) -> Fields:
        """Elements of the File Meta Information that fit."""
        return meta_fields(self.text(0x00080016), self.text(0x00080018), transfer_syntax)

    def part10(self, transfer_syntax: str = EXPLICIT_LITTLE, form: Form = LITTLE) -> bytes:
        """A clean Part 10 file around the data set."""
        return part10(file_meta(self.meta(transfer_syntax)), self.body(form))

    def expected(self) -> Expected:
        """What the canonical object must hold."""
        plain = tuple(one for one in self.fields if one[0] not in self.uncertain)
        return {**truth_of(plain), **self.certain}

    def file(self, octets: bytes | None = None, **others: str | tuple[str, ...]) -> QuirkFile:
        """The file; `octets` stand for the clean Part 10 file around the data set."""
        return QuirkFile(
            name=self.name,
            entry=self.name.split("-", 1)[0],
            octets=self.part10() if octets is None else octets,
            expected_values=self.expected(),
            unchanged=tuple(self.kept),
            original_values=self.kept,
            pixels=self.pixels,
            **others,  # type: ignore[arg-type]
        )

    def quarantined(self, octets: bytes) -> QuirkFile:
        """The file as one that is kept aside: nothing is said about a canonical object."""
        return QuirkFile(name=self.name, entry=self.name.split("-", 1)[0], octets=octets, outcome="quarantined")


def truth_of(fields: Iterable[Field], prefix: str = "") -> dict[str, tuple[str, ...] | None]:
    """Values of text and number elements by path; octets are passed over."""
    found: dict[str, tuple[str, ...] | None] = {}
    for tag, vr, value in fields:
        path = f"{prefix}{tag:08X}"
        if isinstance(value, list):
            for index, one in enumerate(value):
                found.update(truth_of(one, f"{path}[{index}]."))
        elif isinstance(value, str):
            found[path] = () if not value else (value,) if vr in UNSPLIT else tuple(value.split("\\"))
        elif isinstance(value, tuple):
            found[path] = tuple(map(str, value))
        elif not isinstance(value, bytes):
            found[path] = (str(value),)
    return found


def description(samples: Samples, bits: int, photometric: str = "MONOCHROME2") -> Fields:
    """Group 0028 of an image with these samples."""
    colour = samples.shape[3] if samples.ndim == 4 else 1
    allocated = samples.dtype.itemsize * 8
    return (
        (0x00280002, "US", colour),
        (0x00280004, "CS", photometric),
        *(((0x00280006, "US", 0),) if colour > 1 else ()),
        *(((0x00280008, "IS", str(samples.shape[0])),) if samples.shape[0] > 1 else ()),
        (0x00280010, "US", samples.shape[1]),
        (0x00280011, "US", samples.shape[2]),
        (0x00280100, "US", allocated),
        (0x00280101, "US", bits),
        (0x00280102, "US", bits - 1),
        (0x00280103, "US", 1 if samples.dtype.kind == "i" else 0),
    )


def sheet(name: str, sop_class: str = CT) -> Sheet:
    """A clean header without image."""
    return Sheet(
        name,
        (
            (0x00080005, "CS", "ISO_IR 100"),
            (0x00080008, "CS", "ORIGINAL\\PRIMARY\\AXIAL"),
            (0x00080016, "UI", sop_class),
            (0x00080018, "UI", uid(name, "instance")),
            (0x00080020, "DA", "20050101"),
            (0x00080030, "TM", "101112"),
            (0x00080050, "SH", "A17"),
            (0x00080060, "CS", "CT"),
            (0x00080070, "LO", "ACME"),
            (0x00080090, "PN", "Referring^Ann"),
            (0x00081030, "LO", "Thorax"),
            (0x00100010, "PN", "Doe^Jane"),
            (0x00100020, "LO", f"Q-{name[:3]}"),
            (0x00100030, "DA", "19590127"),
            (0x00100040, "CS", "F"),
            (0x0020000D, "UI", uid(name, "study")),
            (0x0020000E, "UI", uid(name, "series")),
            (0x00200010, "SH", "S1"),
            (0x00200011, "IS", "3"),
            (0x00200013, "IS", "17"),
            (0x00200032, "DS", "-100.5\\-90.25\\17"),
            (0x00200037, "DS", "1\\0\\0\\0\\1\\0"),
            (0x00200052, "UI", uid(name, "frame of reference")),
        ),
    )


def image(
    name: str, samples: Samples | None = None, bits: int = 12, photometric: str = "MONOCHROME2", sop_class: str = CT
) -> Sheet:
    """A clean image with native pixel data, a gradient unless told."""
    shown = gradient(bits=bits) if samples is None else samples
    vr = "OB" if shown.dtype.itemsize == 1 else "OW"
    return (
        sheet(name, sop_class)
        .puts(*description(shown, bits, photometric), (0x00280030, "DS", "0.5\\0.75"), (PIXEL_DATA, vr, octets_of(shown)))
        .show(shown)
    )
