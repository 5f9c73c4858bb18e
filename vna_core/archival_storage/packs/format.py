"""Where everything is in a pack.

::

    members        TAR members (POSIX ustar): the canonical objects, octet for octet, each padded to 512 octets
    tables         TAR members: `SHA256SUMS`, `zarr.json` where the frames are one array, `pack.json`
    end            1,024 zeros: a reader of TAR stops here
    index member   a TAR header, zeros to fill up, the footer, the Zarr v3 sharding index: the very end of the object

Readers that go on after the end of an archive (``tar -i``, for archives put behind one another) see the index as one more member.
Offsets count from the beginning of the pack.
"""

from __future__ import annotations

import tarfile
from dataclasses import dataclass
from struct import Struct
from typing import Final

from vna_core.domain.errors import DigestMismatch
from vna_core.domain.identifiers import key_segment
from vna_core.domain.octets import ByteRange

BLOCK: Final = 512
END: Final = bytes(2 * BLOCK)
MAGIC: Final = b"VNAPACK1"
VERSION: Final = 1
FOOTER: Final = Struct("<8sHHIQQII")
"""Magic, version, 0, members, frames in the index, offset of the tables, CRC-32C of the tables, CRC-32C of the footer before it."""
PAIR: Final = Struct("<QQ")

SUMS: Final = "SHA256SUMS"
ARRAY: Final = "zarr.json"
MANIFEST: Final = "pack.json"
INDEX: Final = "frames.index"
TABLES: Final = frozenset((SUMS, ARRAY, MANIFEST))

_DIGITS: Final = 16


@dataclass(frozen=True, slots=True)
class PackMember:
    """One canonical object inside a pack.

    Attributes
    ----------
    name
        Its file name in the archive, see `member_name`.
    sha256
        Of the object.
    range
        Where the object is in the pack.
    first_frame, frames
        Which frames of the pack's index are its own, 0-based; none for an object that was not current when the pack was sealed,
        or has no pixels.
    """

    name: str
    sha256: str
    range: ByteRange
    first_frame: int = 0
    frames: int = 0


@dataclass(frozen=True, slots=True)
class Pack:
    """What a pack tells about itself.

    Attributes
    ----------
    replaces
        SHA-256 of packs whose members this one took over: they hold nothing that is not here, or was deleted.
    array
        The metadata of the Zarr array that the frames are (``zarr.json``); None where they are none.
    frames
        Where the frames are, in the order of the array.
    tables
        Offset of the first octet after the last member.
    """

    study_instance_uid: str
    series_instance_uid: str
    size: int
    members: tuple[PackMember, ...]
    frames: tuple[ByteRange, ...]
    tables: int
    replaces: tuple[str, ...] = ()
    array: bytes | None = None


def member_name(sop_instance_uid: str, sha256: str) -> str:
    """File name of an object in a pack: ``<SOP Instance UID>.<first 16 digits of its SHA-256>.dcm``, so that it fits a plain header."""
    return f"{key_segment(sop_instance_uid)}.{sha256[:_DIGITS]}.dcm"


def tar_header(name: str, size: int, modified: int = 0) -> bytes:
    """The header of a regular file: 512 octets, or more where the name or the size need extended ones.

    Parameters
    ----------
    modified
        Seconds since 1970.
    """
    entry = tarfile.TarInfo(name)
    entry.size, entry.mtime, entry.mode = size, modified, 0o444
    return entry.tobuf(tarfile.PAX_FORMAT, "utf-8", "surrogateescape")


def padding(size: int) -> bytes:
    """Zeros that fill up the last block."""
    return bytes(-size % BLOCK)


def damaged(what: str) -> DigestMismatch:
    """The error for a pack that contradicts itself."""
    return DigestMismatch(f"A pack is damaged: {what}.")
