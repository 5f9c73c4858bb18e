"""Writes a parsed data set in canonical form: Explicit VR Little Endian, ascending, defined lengths, no group lengths.

Octets that are canonical already are copied in the longest runs there are; only what differs is encoded anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from struct import Struct
from typing import Final

import numpy as np

from vna_core.dicom.elements import Buffer, DataSet, Element
from vna_core.dicom.value_representations import LONG_NAMES, SWAP_UNIT, TEXT
from vna_core.domain.octets import ByteRange

PADDING: Final = 0xFFFCFFFC
_SHORT: Final = Struct("<HH2sH").pack
_LONG: Final = Struct("<HH2sHI").pack
_ITEM: Final = Struct("<HHI").pack
_LENGTH_OF: Final = Struct("<I").unpack_from
_VR_BYTES: Final = {vr: vr.encode("ascii") for vr in (*LONG_NAMES, *SWAP_UNIT, *TEXT)}
_SHORT_LIMIT: Final = 0xFFFF
_UNDEFINED: Final = 0xFFFFFFFF


def encode_element(tag: int, vr: str, value: bytes) -> bytes:
    """One element. An odd value is padded; one too long for a 16-bit length becomes UN (PS3.5 section 6.2.2)."""
    if len(value) & 1:
        value += b" " if vr in TEXT and vr != "UI" else b"\0"
    if vr not in LONG_NAMES and len(value) > _SHORT_LIMIT:
        vr = "UN"
    if vr in LONG_NAMES:
        return _LONG(tag >> 16, tag & 0xFFFF, _VR_BYTES[vr], 0, len(value)) + value
    return _SHORT(tag >> 16, tag & 0xFFFF, _VR_BYTES[vr], len(value)) + value


def little_endian(raw: bytes, vr: str) -> bytes:
    """A big-endian value in little-endian order; text and octet strings are the same in both."""
    unit = SWAP_UNIT.get(vr, 1)
    if unit == 1 or len(raw) < unit:
        return raw
    usable = len(raw) - len(raw) % unit
    return np.frombuffer(raw[:usable], dtype=f">u{unit}").astype(f"<u{unit}").tobytes() + raw[usable:]


class CanonicalWriter:
    """Encodes the data sets of one parsed byte string, and counts what it changed by rule.

    Parameters
    ----------
    encapsulated
        Fragments of encapsulated pixel data below the top level, by the offset of the element's value.
    clean
        The tokenizer noted nothing, so headers in the octets are what the elements say.
    """

    def __init__(self, buffer: Buffer, encapsulated: Mapping[int, list[ByteRange]], clean: bool) -> None:
        self._buffer = buffer
        self._encapsulated = encapsulated
        self._clean = clean
        self.changes: Counter[str] = Counter()

    def top_level(
        self, data_set: DataSet, before: int, left_out: Iterable[int], replaced: Mapping[int, tuple[str, bytes]]
    ) -> tuple[bytes, bytes]:
        """The elements before tag `before` and those after it, without those of `left_out`; `replaced` go where they belong."""
        dropped = frozenset(left_out) | replaced.keys()
        elements = [element for element in data_set.elements if element[0] not in dropped] if dropped else data_set.elements
        elements = self._in_order(elements)
        split = next((index for index, element in enumerate(elements) if element[0] >= before), len(elements))
        rest = elements[split:]
        while rest and rest[0][0] == before:
            rest = rest[1:]
        if not replaced:
            return self._encode(data_set, elements[:split]), self._encode(data_set, rest)
        return self._merged(data_set, elements[:split], {t: v for t, v in replaced.items() if t < before}), self._merged(
            data_set, rest, {t: v for t, v in replaced.items() if t > before}
        )

    def _merged(self, data_set: DataSet, elements: list[Element], replaced: Mapping[int, tuple[str, bytes]]) -> bytes:
        out, position = [], 0
        for tag in sorted(replaced):
            following = next((i for i in range(position, len(elements)) if elements[i][0] > tag), len(elements))
            out.append(self._encode(data_set, elements[position:following]))
            out.append(encode_element(tag, *replaced[tag]))
            position = following
        out.append(self._encode(data_set, elements[position:]))
        return b"".join(out)

    def _in_order(self, elements: list[Element]) -> list[Element]:
        """Ascending, the first of each tag, without group lengths, command and meta groups, and padding."""
        last, ascending = -1, True
        for element in elements:
            tag = element[0]
            if tag <= last or not tag & 0xFFFF or tag < 0x00030000 or tag == PADDING:
                ascending = False
                break
            last = tag
        if ascending:
            return elements
        kept: dict[int, Element] = {}
        last = -1
        for element in elements:
            tag = element[0]
            if tag == PADDING:
                self.changes["F21"] += 1
            elif tag < 0x00030000:
                self.changes["F28"] += 1
            elif not tag & 0xFFFF:
                self.changes["E28"] += 1
            elif tag in kept:
                self.changes["E27"] += 1
            else:
                if tag < last:
                    self.changes["E26"] += 1
                last = max(last, tag)
                kept[tag] = element
        return [kept[tag] for tag in sorted(kept)]

    def _encode(self, data_set: DataSet, elements: list[Element]) -> bytes:
        if not (self._clean and data_set.explicit and data_set.little_endian):
            encoded = []
            for element in elements:  # a loop, not a comprehension: one Python frame less for every level of nesting
                encoded.append(self._element(element, data_set.little_endian))  # noqa: PERF401
            return b"".join(encoded)
        buffer, out = self._buffer, []
        begin = end = 0
        for element in elements:
            tag, vr, start, length, items = element
            header = start - (12 if vr in LONG_NAMES else 8)
            if not length & 1 and (items is None or self._sequence_is_canonical(element)) and start not in self._encapsulated:
                if header != end:
                    if end > begin:
                        out.append(bytes(buffer[begin:end]))
                    begin = header
                end = start + length
                continue
            if end > begin:
                out.append(bytes(buffer[begin:end]))
            out.append(self._element(element, True))
            begin = end = 0
        if end > begin:
            out.append(bytes(buffer[begin:end]))
        return b"".join(out)

    def _sequence_is_canonical(self, element: Element) -> bool:
        """Whether a sequence's octets, header included, are what would be written."""
        tag, vr, start, length, items = element
        buffer = self._buffer
        if vr != "SQ" or bytes(buffer[start - 12 : start]) != _LONG(tag >> 16, tag & 0xFFFF, b"SQ", 0, length):
            return False
        position = start
        for item in items or ():
            if item.begin != position + 8 or not (item.explicit and item.little_endian):
                return False
            if bytes(buffer[position : position + 8]) != _ITEM(0xFFFE, 0xE000, item.end - item.begin):
                return False
            last, inner = -1, item.begin
            for nested in item.elements:
                if nested[0] <= last or not nested[0] & 0xFFFF or nested[0] == PADDING or nested[3] & 1:
                    return False
                last = nested[0]
                if nested[2] - (12 if nested[1] in LONG_NAMES else 8) != inner or nested[2] in self._encapsulated:
                    return False
                if nested[4] is not None and not self._sequence_is_canonical(nested):
                    return False
                inner = nested[2] + nested[3]
            if inner != item.end:
                return False
            position = item.end
        return position == start + length

    def _element(self, element: Element, little: bool) -> bytes:
        tag, vr, start, length, items = element
        if items is not None:
            return self._sequence(tag, items)
        if start in self._encapsulated:
            return self._nested_fragments(tag, self._encapsulated[start])
        raw = bytes(self._buffer[start : start + length])
        if length & 1:
            self.changes["E21"] += 1
        return encode_element(tag, vr, raw if little else little_endian(raw, vr))

    def _sequence(self, tag: int, items: list[DataSet]) -> bytes:
        out = []
        for item in items:
            content = self._encode(item, self._in_order(item.elements))
            out.append(_ITEM(0xFFFE, 0xE000, len(content)))
            out.append(content)
        value = b"".join(out)
        return _LONG(tag >> 16, tag & 0xFFFF, b"SQ", 0, len(value)) + value

    def _nested_fragments(self, tag: int, fragments: list[ByteRange]) -> bytes:
        out = [_LONG(tag >> 16, tag & 0xFFFF, b"OB", 0, _UNDEFINED)]
        for fragment in fragments:
            value = bytes(self._buffer[fragment.offset : fragment.end])
            value += b"\0" * (len(value) & 1)
            out.append(_ITEM(0xFFFE, 0xE000, len(value)) + value)
        out.append(_ITEM(0xFFFE, 0xE0DD, 0))
        return b"".join(out)
