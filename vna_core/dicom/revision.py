"""A data set as it will be written: the elements read, with what the rules decided about them."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass, field
from operator import itemgetter

from vna_core.dicom.elements import Buffer, DataSet, Element, PixelElement
from vna_core.domain.octets import ByteRange

_tag_of = itemgetter(0)


@dataclass(slots=True, eq=False)
class RevisedDataSet:
    """Elements in canonical order whose values are little endian, either ranges of `buffer` or literals.

    Attributes
    ----------
    buffer
        What non-negative `Element.start` refer to.
    data_set
        The root. Elements at every level ascend by tag; an element whose `start` is negative has the value
        ``literals[-1 - start]``.
    pixel
        The Pixel Data element at the top level. Its octets are written as its layout says, not by the data set's writer.
    encapsulated
        Fragments of encapsulated pixel data below the top level, by the offset of the value (as in `ParsedOctets`).
    """

    buffer: Buffer
    data_set: DataSet
    literals: list[bytes] = field(default_factory=list)
    pixel: PixelElement | None = None
    encapsulated: Mapping[int, list[ByteRange]] = field(default_factory=dict)

    def value(self, element: Element) -> bytes:
        """The octets of an element's value."""
        start = element[2]
        return bytes(self.buffer[start : start + element[3]]) if start >= 0 else self.literals[-1 - start]

    def find(self, tag: int) -> Element | None:
        """The element of that tag at the top level."""
        elements = self.data_set.elements
        index = bisect_left(elements, tag, key=_tag_of)
        return elements[index] if index < len(elements) and elements[index][0] == tag else None

    def number(self, tag: int, default: int) -> int:
        """First value of a top-level element read as an integer by the octets (IS by its text, others by their length)."""
        element = self.find(tag)
        if element is None or not element[3] or element[3] > 64:
            return default
        raw = self.value(element)
        if element[1] in ("IS", "DS", "UN", "LO", "SH", "CS"):
            try:
                return int(raw.split(b"\\")[0].strip(b" \0") or b"x")
            except ValueError:
                if element[1] != "UN":
                    return default
        return int.from_bytes(raw[: 2 if len(raw) % 4 else 4], "little")

    def text(self, tag: int) -> str:
        """Value of a top-level element of characters, without padding; empty when it is absent."""
        element = self.find(tag)
        return "" if element is None else self.value(element).decode("latin-1").strip(" \0")

    def literal(self, tag: int, vr: str, value: bytes) -> Element:
        """An element with a value of its own; the caller puts it into a data set."""
        self.literals.append(value)
        return Element(tag, vr, -len(self.literals), len(value), None)
