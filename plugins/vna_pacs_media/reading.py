"""What one offered file is: an instance with its header, something else, or something that says it is DICOM and cannot be read."""

from __future__ import annotations

import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import IO, Final

from vna_core.dicom.first_elements import FirstElements, first_elements
from vna_core.domain.errors import LimitExceeded, Truncated, Unarchivable
from vna_core.domain.identifiers import mint_uid

STUDY, SERIES, SOP, CLASS = 0x0020000D, 0x0020000E, 0x00080018, 0x00080016
WANTED: Final = frozenset(
    (CLASS, SOP, 0x00080020, 0x00080030, 0x00080050, 0x00080060, 0x00080070, 0x00080080, 0x00080090)
    + (0x00081010, 0x00081030, 0x0008103E, 0x00100010, 0x00100020, 0x00100021, 0x00100030, 0x00100040)
    + (STUDY, SERIES, 0x00200010, 0x00200011, 0x00200013)
)
"""Attributes that are kept of every file, for questions at the levels."""
_DIRECTORY: Final = "1.2.840.10008.1.3.10"
_HEADS: Final = (1 << 16, 1 << 20, 16 << 20)
"""Octets of a file that are read until its header is known."""
_LARGEST_INFLATED: Final = 16 << 30
_ATTACHMENT: Final = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


@dataclass(frozen=True, slots=True)
class IndexedFile:
    """One instance found.

    Attributes
    ----------
    values
        Attributes of `WANTED`. Where the file lacks a UID, or its header cannot be read, UIDs are minted from its place, so that
        it is inventoried, fetched and told about like any other.
    readable
        The header was understood.
    folded
        The file is compressed as Orthanc does it (eight octets of length, then zlib); `unfolded_size` is what it says of its length.
    """

    values: Mapping[int, tuple[str, ...]]
    readable: bool = True
    folded: bool = False
    unfolded_size: int = -1

    def first(self, tag: int) -> str:
        """First value of an attribute; empty when there is none."""
        values = self.values.get(tag, ())
        return values[0] if values else ""


def indexed(place: str, stream: IO[bytes]) -> IndexedFile | None:
    """Look at one file; None for what is no instance (documents, programs, directories of media, an archive's own records).

    Raises OSError and what archives of files raise when they are damaged.
    """
    head = stream.read(_HEADS[0])
    folded = _is_folded(head)
    plain = _unfolded(head) if folded else head
    if plain[128:132] != b"DICM" and not _may_be_bare(plain):
        return None
    for size in _HEADS:
        if size > _HEADS[0]:
            head += stream.read(size - len(head))
            plain = _unfolded(head) if folded else head
        try:
            found = first_elements(plain, WANTED)
        except (Truncated, LimitExceeded):
            found = FirstElements({}, False)
        except Unarchivable:
            return None if plain[128:132] != b"DICM" else unreadable(place, folded)
        if found.complete or len(head) < size:
            break
    if found.media_storage_class_uid == _DIRECTORY or found.values.get(CLASS) == (_DIRECTORY,):
        return None
    if not found.values.get(SOP):
        return unreadable(place, folded) if plain[128:132] == b"DICM" else None
    size = min(int.from_bytes(head[:8], "little"), _LARGEST_INFLATED) if folded else -1
    return IndexedFile({**_minted(place, found.values), **found.values}, True, folded, size)


def unfolded(stream: IO[bytes]) -> Iterator[bytes]:
    """The content of a file that Orthanc compressed, in pieces. Raises Truncated, LimitExceeded."""
    declared = int.from_bytes(stream.read(8), "little")
    if declared > _LARGEST_INFLATED:
        raise LimitExceeded("A compressed file says it is too large.", limit="instance", maximum=_LARGEST_INFLATED)
    inflating, done = zlib.decompressobj(), 0
    try:
        while not inflating.eof and (piece := inflating.unconsumed_tail or stream.read(1 << 18)):
            out = inflating.decompress(piece, 1 << 20)
            done += len(out)
            if done > declared:
                raise Truncated("A compressed file is longer than it says.")
            yield out
    except zlib.error as error:
        raise Truncated("A compressed file cannot be uncompressed.") from error
    if done != declared:
        raise Truncated("A compressed file is shorter than it says.")


def is_attachment(path: str) -> bool:
    """Whether a path is one of Orthanc's storage area: two folders of two digits and a UUID."""
    return _ATTACHMENT.search(Path(path).as_posix()) is not None


def unreadable_uid(place: str, level: str) -> str:
    """A UID for a file without one: the same place gives the same."""
    return mint_uid(sha256(place.encode("utf-8", "surrogateescape")).hexdigest(), level)


def _minted(place: str, values: Mapping[int, tuple[str, ...]]) -> dict[int, tuple[str, ...]]:
    absent = {STUDY: "study", SERIES: "series", SOP: "instance"}
    return {tag: (unreadable_uid(place, level),) for tag, level in absent.items() if not any(values.get(tag, ()))}


def unreadable(place: str, folded: bool = False) -> IndexedFile:
    """What stands in the index for a file that says it is DICOM, or an archive, and cannot be read."""
    return IndexedFile({**_minted(place, {}), 0x00081030: ("Unreadable file",)}, False, folded)


def _is_folded(head: bytes) -> bool:
    return head[8:9] == b"\x78" and int.from_bytes(head[8:10], "big") % 31 == 0 and head[128:132] != b"DICM"


def _unfolded(head: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(head[8:], 16 << 20)
    except zlib.error:
        return head


def _may_be_bare(head: bytes) -> bool:
    """Whether the octets can be a data set without preamble: group 0002 or 0008 in either byte order at the very beginning."""
    return head[:2] in (b"\x02\x00", b"\x08\x00", b"\x00\x08", b"\x00\x02") or head[:4] == b"DICM"
