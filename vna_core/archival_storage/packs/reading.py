"""Reading a pack: what it holds from its end alone, and whether every octet of it is right."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from struct import unpack_from
from typing import Any, Final

import google_crc32c

from vna_core.archival_storage.packs.format import (
    ARRAY,
    BLOCK,
    END,
    FOOTER,
    MAGIC,
    MANIFEST,
    SUMS,
    TABLES,
    VERSION,
    Pack,
    PackMember,
    damaged,
)
from vna_core.domain.errors import Malformed
from vna_core.domain.octets import ByteRange

_TAIL_READS: Final = (1 << 16, 1 << 20, 1 << 24, 1 << 28)
_LARGEST_TABLES: Final = 1 << 30
_MOST: Final = 10_000_000

Read = Callable[[int, int], bytes]
"""``read(offset, length)`` gives octets of the pack; fewer only at its end."""


def read_pack(read: Read, size: int) -> Pack:
    """What a pack holds: one read of its end, mostly, and one of its tables.

    Raises
    ------
    Malformed
        The object is no pack, or one of a later version.
    DigestMismatch
        Its tables or its index are damaged.
    """
    tail, at = _find_footer(read, size)
    _, version, _, member_count, frame_count, tables_at, tables_crc, footer_crc = FOOTER.unpack_from(tail, at)
    if google_crc32c.value(tail[at : at + FOOTER.size - 4]) != footer_crc:
        raise damaged("its footer does not fit its checksum")
    if version != VERSION:
        raise Malformed(f"The pack is of version {version}; this release reads version {VERSION}.")
    index_at = at + FOOTER.size
    index = tail[index_at : index_at + 16 * frame_count]
    if google_crc32c.value(index) != int.from_bytes(tail[-4:], "little"):
        raise damaged("its index does not fit its checksum")
    end = size - (-(-(len(tail) - at) // BLOCK)) * BLOCK - BLOCK - len(END)
    if not 0 <= tables_at < end or end - tables_at > _LARGEST_TABLES:
        raise damaged("its tables lie outside of it")
    tables = read(tables_at, end - tables_at)
    if google_crc32c.value(tables) != tables_crc:
        raise damaged("its tables do not fit their checksum")
    pairs = unpack_from(f"<{2 * frame_count}Q", index)
    frames = tuple(ByteRange(offset, length) for offset, length in zip(pairs[::2], pairs[1::2], strict=True))
    files = _files(tables)
    manifest = _manifest(files)
    members = _members(manifest["members"], files[SUMS].decode("ascii"))
    if len(members) != member_count:
        raise damaged("its tables list another number of members than its footer")
    return Pack(
        study_instance_uid=manifest["study"],
        series_instance_uid=manifest["series"],
        size=size,
        members=members,
        frames=frames,
        tables=tables_at,
        replaces=tuple(manifest["replaces"]),
        array=files.get(ARRAY),
    )


def _find_footer(read: Read, size: int) -> tuple[bytes, int]:
    """The pack's end from some octet on, and where the footer is in it."""
    for length in _TAIL_READS:
        length = min(length, size)
        tail = read(size - length, length)
        at = tail.rfind(MAGIC)
        while at >= 0:
            rest = len(tail) - at - FOOTER.size - 4
            if rest >= 0 and rest == 16 * FOOTER.unpack_from(tail, at)[4]:
                return tail, at
            at = tail.rfind(MAGIC, 0, at)
        if length == size:
            break
    raise Malformed("The object is no pack.")


def _files(tables: bytes) -> dict[str, bytes]:
    files: dict[str, bytes] = {}
    try:
        with tarfile.open(fileobj=io.BytesIO(tables), mode="r:") as archive:
            for entry in archive:
                content = archive.extractfile(entry)
                if entry.name in TABLES and content is not None:
                    files[entry.name] = content.read()
    except tarfile.TarError as error:
        raise damaged("its tables cannot be read") from error
    if SUMS not in files or MANIFEST not in files:
        raise damaged("a table is missing")
    return files


def _manifest(files: dict[str, bytes]) -> dict[str, Any]:
    try:
        manifest = json.loads(files[MANIFEST])
        if manifest["version"] != VERSION or len(manifest["members"]) > _MOST:
            raise Malformed("The pack's manifest is of another version, or lists more members than a pack can have.")
        return {"study": str(manifest["study"]), "series": str(manifest["series"])} | {
            "replaces": [str(one) for one in manifest["replaces"]],
            "members": [tuple(map(int, one)) for one in manifest["members"]],
        }
    except (ValueError, KeyError, TypeError) as error:
        raise damaged("its manifest cannot be read") from error


def _members(listed: list[tuple[int, int, int]], sums: str) -> tuple[PackMember, ...]:
    lines = sums.splitlines()
    if len(lines) != len(listed):
        raise damaged("its tables list different members")
    members, first = [], 0
    for line, (offset, length, frames) in zip(lines, listed, strict=True):
        sha256, _, name = line.partition("  ")
        members.append(PackMember(name, sha256, ByteRange(offset, length), first, frames))
        first += frames
    return tuple(members)


@dataclass(frozen=True, slots=True)
class PackCheck:
    """What reading every octet of a pack found.

    Attributes
    ----------
    sha256, size
        Of what was read.
    damaged
        Members that are not what their digest says.
    checksums
        CRC-32C of each member, in order.
    """

    sha256: str
    size: int
    damaged: tuple[PackMember, ...]
    checksums: tuple[int, ...]


def check_pack(pack: Pack, chunks: Iterable[bytes]) -> PackCheck:
    """Read a pack once, and digest it and each of its members on the way."""
    whole, position = hashlib.sha256(), 0
    waiting = iter(pack.members)
    found: list[PackMember] = []
    checksums: list[int] = []
    current = next(waiting, None)
    digest, checksum = hashlib.sha256(), 0
    for piece in chunks:
        whole.update(piece)
        view, begin = memoryview(piece), position
        position += len(piece)
        while current is not None and current.range.offset < position:
            part = view[max(0, current.range.offset - begin) : max(0, current.range.end - begin)]
            digest.update(part)
            checksum = google_crc32c.extend(checksum, bytes(part))
            if position < current.range.end:
                break
            found += [] if digest.hexdigest() == current.sha256 else [current]
            checksums.append(checksum)
            current, digest, checksum = next(waiting, None), hashlib.sha256(), 0
    while current is not None:  # cut off
        found.append(current)
        checksums.append(0)
        current = next(waiting, None)
    return PackCheck(whole.hexdigest(), position, tuple(found), tuple(checksums))
