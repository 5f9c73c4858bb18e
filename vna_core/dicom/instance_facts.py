"""What a dialect may ask about an instance, answered from the revised data set."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Iterator
from typing import Final

from vna_core.dicom import dictionary
from vna_core.dicom.attribute_values import character_sets_of, values_as_text
from vna_core.dicom.elements import DataSet, Element, ParsedOctets
from vna_core.dicom.revision import RevisedDataSet

SOP_CLASS_UID: Final = 0x00080016
LONGEST_TEXT: Final = 1 << 16
"""Octets; a longer value reads as empty."""

_STEP: Final = re.compile(r"([0-9A-Fa-f]{8})(?:\[([0-9]{1,9})\])?")
_CREATOR_MASK: Final = 0x1FF00
_ODD: Final = 0x10000


class InstanceFacts:
    """`vna_core.ports.dialect.DialectFacts` over a revised data set. Valid as long as its buffer is."""

    __slots__ = (
        "_blocks",
        "_character_sets",
        "_creators",
        "_items",
        "_parsed",
        "_revised",
        "declared_transfer_syntax_uid",
        "sop_class_uid",
    )

    def __init__(self, revised: RevisedDataSet, parsed: ParsedOctets) -> None:
        self._revised, self._parsed = revised, parsed
        self._character_sets: tuple[str, ...] | None = None
        self._creators: tuple[tuple[str, str], ...] | None = None
        self._items: dict[str, DataSet | None] = {"": revised.data_set}
        self._blocks: dict[str, dict[tuple[int, str], list[int]]] = {}
        self.declared_transfer_syntax_uid = parsed.declared_transfer_syntax_uid
        self.sop_class_uid = revised.text(SOP_CLASS_UID)

    def text(self, tag: int) -> str:
        """Value of a top-level or File Meta element as text, values joined by a backslash."""
        if tag >> 16 == 2:
            return self._parsed.file_meta.get(tag, "")
        element = self._revised.find(tag)
        return "" if element is None else "\\".join(self._values(element, element.vr))

    def values(self, path: str) -> tuple[str, ...]:
        """Values of an element as text, numbers in decimal. A private UN is read as its creator's dictionary says."""
        found = self._resolve(path)
        if found is None:
            return ()
        holder, element = found
        vr = element.vr
        if vr == "UN" and element.tag & _ODD:
            vr = dictionary.vr_of(element.tag, self._creator_of(holder, element.tag))
        return self._values(element, vr)

    def octets(self, path: str, maximum: int) -> bytes:
        """At most `maximum` octets of a value, little endian."""
        found = self._resolve(path)
        if found is None or found[1].items is not None:
            return b""
        element = found[1]
        return self._revised.value(element._replace(length=min(element.length, max(maximum, 0))))[:maximum]

    def length(self, path: str) -> int:
        """Octets of a value, or items of a sequence; -1 when the element is absent."""
        found = self._resolve(path)
        if found is None:
            return -1
        element = found[1]
        return element.length if element.items is None else len(element.items)

    def private(self, creator: str, element: int, *, group: int, within: str = "") -> str:
        """Path of a private element addressed by its creator and the low octet of its element number; empty when absent."""
        holder = self._data_set(within)
        if holder is None:
            return ""
        for block in self._blocks_of(within, holder).get((group, creator), ()):
            tag = group << 16 | block << 8 | element & 0xFF
            if _find(holder, tag) is not None:
                return f"{within}.{tag:08X}" if within else f"{tag:08X}"
        return ""

    def creators(self) -> tuple[tuple[str, str], ...]:
        """Path and value of every Private Creator element, in the first item of each sequence."""
        if self._creators is None:
            self._creators = tuple(self._walk())
        return self._creators

    def _blocks_of(self, within: str, holder: DataSet) -> dict[tuple[int, str], list[int]]:
        """Blocks reserved in one data set, by group and creator."""
        blocks = self._blocks.get(within)
        if blocks is None:
            blocks = self._blocks[within] = {}
            for one in _creator_elements(holder):
                blocks.setdefault((one.tag >> 16, self._creator_text(one)), []).append(one.tag & 0xFF)
        return blocks

    def _walk(self) -> Iterator[tuple[str, str]]:
        waiting = [("", self._revised.data_set)]
        while waiting:
            prefix, data_set = waiting.pop()
            for element in _creator_elements(data_set):
                yield f"{prefix}{element.tag:08X}", self._creator_text(element)
            waiting += [(f"{prefix}{one[0]:08X}[0].", one[4][0]) for one in reversed(data_set.elements) if one[4]]

    def _values(self, element: Element, vr: str) -> tuple[str, ...]:
        if element.items is not None or element.length > LONGEST_TEXT:
            return ()
        if self._character_sets is None:
            self._character_sets = character_sets_of(self._revised)
        return values_as_text(self._revised.value(element), vr, self._character_sets)

    def _creator_text(self, element: Element) -> str:
        return creator_text(self._revised, element)

    def _creator_of(self, holder: DataSet, tag: int) -> str:
        found = _find(holder, tag & 0xFFFF0000 | tag >> 8 & 0xFF)
        return "" if found is None else self._creator_text(found)

    def _data_set(self, path: str) -> DataSet | None:
        """The data set that an item's path names; the root for an empty path."""
        if path not in self._items:
            above, _, step = path.rpartition(".")
            holder, match = self._data_set(above), _STEP.fullmatch(step)
            element = None if holder is None or match is None else _find(holder, int(match[1], 16))
            number = int(match[2] or 0) if match is not None else 0
            items = (element.items or ()) if element is not None else ()
            self._items[path] = items[number] if number < len(items) else None
        return self._items[path]

    def _resolve(self, path: str) -> tuple[DataSet, Element] | None:
        """The element a path names and the data set that holds it."""
        above, _, step = path.rpartition(".")
        holder, match = self._data_set(above), _STEP.fullmatch(step)
        if holder is None or match is None:
            return None
        element = _find(holder, int(match[1], 16))
        return None if element is None else (holder, element)


def creator_text(revised: RevisedDataSet, element: Element) -> str:
    """Value of a Private Creator element without padding, at most 64 octets of it."""
    return revised.value(element)[:64].decode("latin-1").strip(" \0")


def _creator_elements(data_set: DataSet) -> list[Element]:
    return [
        one for one in data_set.elements if one[0] & _CREATOR_MASK == _ODD and one[0] & 0xFF >= 0x10 and one[3] and one[4] is None
    ]


def _find(data_set: DataSet, tag: int) -> Element | None:
    elements = data_set.elements
    index = bisect_left(elements, tag, key=_tag_of)
    return elements[index] if index < len(elements) and elements[index][0] == tag else None


def _tag_of(element: Element) -> int:
    return element[0]
