"""Reads Inventory instances (PS3.3 section A.88) of anybody as a stream: memory holds one study at a time.

A file is not believed: nesting, the length of a value and the instances of a study are bounded, and what is no Inventory, or ends
early, is an error and never an answer that is merely short.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final, NamedTuple

from vna_core.dicom import dictionary
from vna_core.dicom.inventory_writing import END_POINTS, FILES, INCORPORATED, INSTANCES, SERIES, STUDIES
from vna_core.domain.errors import LimitExceeded, Malformed, Truncated
from vna_core.domain.inventory_records import (
    DICOM,
    INVENTORY_STORAGE,
    FileAccess,
    IncorporatedInventory,
    InstanceRecord,
    InventoryHead,
    SeriesRecord,
    StudyRecord,
)
from vna_core.domain.numbers import whole_number

DEEPEST: Final = 16
LONGEST: Final = 1 << 16
"""Octets of a value that is kept; a longer one is passed over."""
MOST_INSTANCES: Final = 1_000_000
"""Instances of one study."""

_LONG: Final = frozenset((b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"))
_UNDEFINED: Final = 0xFFFFFFFF
_BASE: Final = 0x00080407
_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD
_TAG: Final = Struct("<HH").unpack
_SHORT: Final = Struct("<H").unpack
_WORD: Final = Struct("<I").unpack
_NUMBERS: Final = {"UV", "UL", "US"}
_SYNTAXES: Final = {"1.2.840.10008.1.2.1": True, "1.2.840.10008.1.2": False}
"""Those in which an Inventory can be read; whether the value representation is explicit."""

_Fields = dict[int, tuple[str, ...]]


class _Item(NamedTuple):
    """One item: its values as text, and the items of the sequences in it that matter."""

    fields: _Fields
    items: dict[int, list[_Item]]


def read_inventory(path: Path) -> Iterator[StudyRecord | InventoryHead]:
    """The study records of one Inventory file, and at the very end its head.

    Raises Malformed: it is no Inventory, or is in a transfer syntax that Inventories are not read in; Truncated: it ends early; LimitExceeded;
    OSError. Relative URIs of files come with the base URI that the Inventory has for them.
    """
    with path.open("rb") as stream:
        explicit = _begin(stream)
        reading = _Reading(stream, explicit)
        yield from reading.records()


def _begin(stream: BinaryIO) -> bool:
    """Pass the File Meta Information over; whether the data set is in explicit VR."""
    if stream.read(132)[128:] != b"DICM":
        raise Malformed("This is no DICOM file.")
    meta: dict[int, bytes] = {}
    while _TAG(head := _whole(stream, 4))[0] == 0x0002:
        group, element = _TAG(head)
        vr = _whole(stream, 2)
        length = _WORD(_whole(stream, 6)[2:])[0] if vr in _LONG else _SHORT(_whole(stream, 2))[0]
        if length > LONGEST:
            raise Malformed("The File Meta Information is damaged.")
        meta[group << 16 | element] = _whole(stream, length)
    stream.seek(-len(head), 1)
    named = meta.get(0x00020002, b"").rstrip(b"\0 ").decode("latin-1")
    if named != INVENTORY_STORAGE:
        raise Malformed(f"This is no Inventory but an instance of the class {named[:64]!r}.")
    syntax = meta.get(0x00020010, b"").rstrip(b"\0 ").decode("latin-1")
    if syntax not in _SYNTAXES:
        raise Malformed(f"An Inventory in the transfer syntax {syntax[:64]!r} cannot be read.")
    return _SYNTAXES[syntax]


def _whole(stream: BinaryIO, length: int) -> bytes:
    octets = stream.read(length)
    if len(octets) != length:
        raise Truncated("The Inventory ends early.")
    return octets


class _Reading:
    """One walk through a data set."""

    def __init__(self, stream: BinaryIO, explicit: bool) -> None:
        self._stream, self._explicit = stream, explicit
        self._codec = "utf-8"
        self._instances = 0

    def records(self) -> Iterator[StudyRecord | InventoryHead]:
        """Study records, then the head."""
        fields: _Fields = {}
        incorporated: list[IncorporatedInventory] = []
        while (head := self._header()) is not None:
            tag, vr, length = head
            if tag == STUDIES:
                base = _text(fields, _BASE)
                for item in self._items(length, tag, 1):
                    yield _study(item, base)
                    self._instances = 0
            elif tag == INCORPORATED:
                incorporated += [_incorporated(item) for item in self._items(length, tag, 1)]
            elif vr == "SQ" or length == _UNDEFINED:
                for _ in self._items(length, tag, 1):
                    continue
            else:
                self._keep(fields, tag, vr, length)
        yield InventoryHead(
            _text(fields, 0x00080018),
            _text(fields, 0x00080426),
            _text(fields, 0x00080403),
            _text(fields, _BASE),
            _int(fields, 0x00080427),
            _int(fields, 0x00080428),
            tuple(incorporated),
        )

    def _header(self) -> tuple[int, str, int] | None:
        """Tag, VR and length of the next element; None at the end of the file."""
        head = self._stream.read(4)
        if not head:
            return None
        if len(head) < 4:
            raise Truncated("The Inventory ends early.")
        group, element = _TAG(head)
        tag = group << 16 | element
        if group == 0xFFFE:
            return tag, "", _WORD(_whole(self._stream, 4))[0]
        if not self._explicit:
            return tag, dictionary.vr_of(tag), _WORD(_whole(self._stream, 4))[0]
        vr = _whole(self._stream, 2)
        if not vr.isalpha():
            raise Malformed("The Inventory is damaged: an element has no value representation.")
        length = _WORD(_whole(self._stream, 6)[2:])[0] if vr in _LONG else _SHORT(_whole(self._stream, 2))[0]
        return tag, vr.decode("latin-1"), length

    def _items(self, length: int, sequence: int, depth: int) -> Iterator[_Item]:
        """Items of a sequence whose header was just read."""
        if depth > DEEPEST:
            raise LimitExceeded("The Inventory is nested too deeply.", limit="depth", maximum=DEEPEST)
        end = None if length == _UNDEFINED else self._stream.tell() + length
        while end is None or self._stream.tell() < end:
            head = self._header()
            if head is None:
                raise Truncated("The Inventory ends early.")
            if head[0] == _SEQUENCE_END:
                return
            if head[0] != _ITEM:
                raise Malformed("The Inventory is damaged: a sequence holds something that is no item.")
            yield self._item(head[2], sequence, depth)

    def _item(self, length: int, sequence: int, depth: int) -> _Item:
        item = _Item({}, {})
        if sequence == INSTANCES:
            self._instances += 1
            if self._instances > MOST_INSTANCES:
                raise LimitExceeded("A study has too many instances.", limit="instances", maximum=MOST_INSTANCES)
        end = None if length == _UNDEFINED else self._stream.tell() + length
        while end is None or self._stream.tell() < end:
            head = self._header()
            if head is None:
                raise Truncated("The Inventory ends early.")
            tag, vr, size = head
            if tag == _ITEM_END:
                break
            if vr == "SQ" or size == _UNDEFINED:
                inside = self._items(size, tag, depth + 1)
                if tag in (SERIES, INSTANCES, FILES, END_POINTS):
                    item.items.setdefault(tag, []).extend(inside)
                else:
                    for _ in inside:
                        continue
            else:
                self._keep(item.fields, tag, vr, size)
        return item

    def _keep(self, fields: _Fields, tag: int, vr: str, length: int) -> None:
        if length > LONGEST:
            position = self._stream.seek(length, 1)
            if self._stream.seek(0, 2) < position:
                raise Truncated("The Inventory ends early.")
            self._stream.seek(position)
            return
        octets = _whole(self._stream, length)
        if vr in _NUMBERS:
            fields[tag] = (str(int.from_bytes(octets, "little")),)
        elif vr == "OB":
            fields[tag] = (octets.hex(),)
        else:
            if tag == 0x00080005:
                self._codec = "utf-8" if b"192" in octets else "latin-1"
            text = octets.decode(self._codec, "replace").rstrip("\0 ")
            one = vr in ("UR", "LT", "ST", "UT")
            fields[tag] = (text,) if one else tuple(part.strip(" \0") for part in text.split("\\"))


def _study(item: _Item, above: str) -> StudyRecord:
    base = _text(item.fields, _BASE) or above
    return StudyRecord(item.fields, tuple(_series(one, base) for one in item.items.get(SERIES, ())))


def _series(item: _Item, above: str) -> SeriesRecord:
    base = _text(item.fields, _BASE) or above
    return SeriesRecord(item.fields, tuple(_instance(one, base) for one in item.items.get(INSTANCES, ())))


def _instance(item: _Item, base: str) -> InstanceRecord:
    fields = item.fields
    places = (item, *item.items.get(FILES, ()))
    files = tuple(_file(one.fields, base) for one in places if _text(one.fields, 0x00080409))
    return InstanceRecord(_text(fields, 0x00080018), _text(fields, 0x00080016), _text(fields, 0x00200013), files)


def _file(fields: _Fields, base: str) -> FileAccess:
    uri = _text(fields, 0x00080409)
    if uri.startswith("./") and base:  # PS3.3 section P.2.1
        uri = f"{base.rstrip('/')}/{uri[2:]}"
    digest = _text(fields, 0x04000404) if _text(fields, 0x04000015).upper() == "SHA256" else ""
    return FileAccess(
        uri,
        _text(fields, 0x0008040A) or DICOM,
        _text(fields, 0x0008040B),
        _int(fields, 0x0008040C),
        _int(fields, 0x0008040D),
        _text(fields, 0x0008040E),
        digest if len(digest) == 64 else "",
    )


def _incorporated(item: _Item) -> IncorporatedInventory:
    points = (item, *item.items.get(END_POINTS, ()))
    uri = next((_text(one.fields, 0x00080409) for one in points if _text(one.fields, 0x00080409)), "")
    return IncorporatedInventory(_text(item.fields, 0x00081155), uri)


def _text(fields: _Fields, tag: int) -> str:
    return next(iter(fields.get(tag, ())), "")


def _int(fields: _Fields, tag: int) -> int:
    number = whole_number(_text(fields, tag), 20)
    return -1 if number is None else number
