"""Writes Inventory instances (PS3.3 section A.88) as a stream: memory holds one study, whatever the size of the archive.

Sequences are of undefined length, and Inventory Completion Status stands behind them: a file that was not finished says nothing
about being complete. It gets its name only when it is whole and flushed.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from struct import Struct
from types import TracebackType
from typing import BinaryIO, Final, Self

from vna_core.dicom import dictionary
from vna_core.dicom.canonical_writer import ITEM, SEQUENCE_DELIMITER, UNDEFINED, header, literal_element
from vna_core.dicom.part10 import IMPLEMENTATION_VERSION_NAME, file_head
from vna_core.domain.inventory_records import (
    COMPLETE,
    DICOM,
    INVENTORY_STORAGE,
    PARTIAL,
    Attributes,
    FileAccess,
    IncorporatedInventory,
    InstanceRecord,
    SeriesRecord,
    StudyRecord,
)

EXPLICIT: Final = "1.2.840.10008.1.2.1"
STUDIES, SERIES, INSTANCES, FILES = 0x00080423, 0x00080424, 0x00080425, 0x0008041A
INCORPORATED, END_POINTS = 0x00080422, 0x00080420

_ITEM_BEGIN: Final = ITEM + b"\xff\xff\xff\xff"
_ITEM_END: Final = b"\xfe\xff\x0d\xe0\0\0\0\0"
_UNSIGNED: Final = {"UV": Struct("<Q").pack, "UL": Struct("<I").pack}
_LONGEST_SHORT: Final = 0xFFFE


class InventoryFile:
    """One Inventory instance while it is written; a context manager that leaves nothing behind when it fails.

    Parameters
    ----------
    path
        Where it will lie. Raises FileExistsError when something is there: an Inventory is never overwritten.
    base_uri
        What relative URIs of files are relative to.
    taken_at
        When the inventory began (with a time zone).
    """

    def __init__(
        self, path: Path, sop_instance_uid: str, *, base_uri: str = "", purpose: str = "", taken_at: datetime | None = None
    ) -> None:
        if path.exists():
            raise FileExistsError(f"{path} exists already.")
        self._path, self._partial = path, path.with_name(f"{path.name}.partial")
        self._uid, self._base, self._purpose = sop_instance_uid, base_uri, purpose
        self._at = (taken_at or datetime.now(UTC)).astimezone(UTC)
        self._file: BinaryIO | None = None
        self._studies = 0

    def __enter__(self) -> Self:
        self._file = self._partial.open("wb")
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        assert self._file is not None
        try:
            if kind is None:
                self._file.flush()
                os.fsync(self._file.fileno())
        finally:
            self._file.close()
            if kind is not None:
                self._partial.unlink(missing_ok=True)
        if kind is not None:
            return
        os.link(self._partial, self._path)  # fails where something came meanwhile
        self._partial.unlink()

    def _write(self, octets: bytes) -> None:
        assert self._file is not None
        self._file.write(octets)

    def _begin(self) -> None:
        self._write(file_head(INVENTORY_STORAGE, self._uid, EXPLICIT))
        head: dict[int, tuple[str, ...]] = {
            0x00080005: ("ISO_IR 192",),
            0x00080016: (INVENTORY_STORAGE,),
            0x00080018: (self._uid,),
            0x00080023: (f"{self._at:%Y%m%d}",),
            0x00080033: (f"{self._at:%H%M%S.%f}",),
            0x00080070: (IMPLEMENTATION_VERSION_NAME,),
            0x00080201: ("+0000",),
        }
        self._write(_elements(head))
        self._write(header(0x00080400, "SQ", 0))  # no item: everything there is
        self._write(_elements({0x00080401: (self._purpose,), 0x00080403: ("INSTANCE",)}))
        if self._base:
            self._write(_elements({0x00080407: (self._base,)}))

    def finish(
        self,
        studies: Iterable[StudyRecord] = (),
        incorporated: Sequence[IncorporatedInventory] = (),
        *,
        whole: bool,
        total: int | None = None,
    ) -> int:
        """Write the records and the end; the number of studies. Called once.

        Parameters
        ----------
        whole
            Whether this instance, with what it incorporates, is everything; otherwise it is a part of another one.
        total
            Studies in the whole tree; those of this instance where it is not given.
        """
        if incorporated:
            self._write(header(INCORPORATED, "SQ", UNDEFINED))
            for one in incorporated:
                self._write(_item(_incorporated(one)))
            self._write(SEQUENCE_DELIMITER)
        self._write(header(STUDIES, "SQ", UNDEFINED))
        for study in studies:
            self._write(_study(study, f"{self._at:%Y%m%d%H%M%S}+0000"))
            self._studies += 1
        self._write(SEQUENCE_DELIMITER)
        self._write(_elements({0x00080426: (COMPLETE if whole else PARTIAL,)}))
        self._write(_number(0x00080427, "UL", self._studies))
        self._write(_number(0x00080428, "UV", self._studies if total is None else total))
        return self._studies


def _study(study: StudyRecord, at: str) -> bytes:
    inside = b"".join(_item(_series(one, at)) for one in study.series)
    counts = {0x00201206: (str(len(study.series)),), 0x00201208: (str(study.instances),)}
    return _item(_with({**study.attributes, **counts, 0x00080404: (at,)}, SERIES, inside))


def _series(series: SeriesRecord, at: str) -> bytes:
    inside = b"".join(_item(_instance(one, at)) for one in series.instances)
    counts = {0x00201209: (str(len(series.instances)),), 0x00080404: (at,)}
    return _with({**series.attributes, **counts}, INSTANCES, inside)


def _instance(one: InstanceRecord, at: str) -> bytes:
    attributes = {
        0x00080016: (one.sop_class_uid,),
        0x00080018: (one.sop_instance_uid,),
        0x00080404: (at,),
        0x00200013: (one.instance_number,),
    }
    return _with(attributes, FILES, b"".join(_item(_file(file)) for file in one.files))


def _file(file: FileAccess) -> bytes:
    text = {0x00080409: (file.uri,), 0x0008040A: (file.container,)}
    if file.member:
        text[0x0008040B] = (file.member,)
    written = _elements(text)
    if file.offset >= 0:
        written += _number(0x0008040C, "UV", file.offset)
    if file.length >= 0:
        written += _number(0x0008040D, "UV", file.length)
    written += _elements({0x0008040E: (file.transfer_syntax_uid,)})
    if file.sha256:
        written += _elements({0x04000015: ("SHA256",)}) + literal_element(0x04000404, "OB", bytes.fromhex(file.sha256))
    return written


def _incorporated(one: IncorporatedInventory) -> bytes:
    point = _file(FileAccess(one.uri, DICOM, transfer_syntax_uid=EXPLICIT)) if one.uri else b""
    points = header(END_POINTS, "SQ", UNDEFINED) + _item(point) + SEQUENCE_DELIMITER if point else b""
    named = _elements({0x00081150: (INVENTORY_STORAGE,), 0x00081155: (one.sop_instance_uid,)})
    return points + named


def _with(attributes: Attributes, tag: int, inside: bytes) -> bytes:
    """Elements in order, a sequence among them."""
    before = {one: value for one, value in attributes.items() if one < tag}
    after = {one: value for one, value in attributes.items() if one > tag}
    sequence = header(tag, "SQ", UNDEFINED) + inside + SEQUENCE_DELIMITER
    return _elements(before) + sequence + _elements(after)


def _elements(attributes: Attributes) -> bytes:
    return b"".join(_element(tag, attributes[tag]) for tag in sorted(attributes))


def _element(tag: int, values: Sequence[str]) -> bytes:
    vr = dictionary.vr_of(tag)
    octets = "\\".join(values).encode("utf-8", "replace")
    while len(octets) > _LONGEST_SHORT and vr not in ("UR", "UT", "UC", "UN"):
        octets = octets[:_LONGEST_SHORT].decode("utf-8", "ignore").encode()
    return literal_element(tag, vr, octets)


def _number(tag: int, vr: str, value: int) -> bytes:
    return literal_element(tag, vr, _UNSIGNED[vr](value))


def _item(octets: bytes) -> bytes:
    return _ITEM_BEGIN + octets + _ITEM_END
