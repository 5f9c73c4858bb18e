"""The last element of every stored object: Data Set Trailing Padding (FFFC,FFFC), whose value readers ignore (PS3.10 section 7.2).

Layout of its value, integers little-endian::

    record      zstd frame; dictionary: the object's first octets (its head, at most 8 MiB), raw content
                  4 octets  length of the JSON
                  JSON      provenance, transformations, findings, reverse patch operations
                  literals  octets of the original that stand nowhere else
    padding     0 or 1 octet, so that the value's length is even
    locator     44 octets, see `_LOCATOR`: where everything is, found from the end of the object
    shard index Zarr v3: offset and length of every frame, CRC-32C (absent without frames)
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from struct import Struct
from typing import Any, Final

import google_crc32c
import zstandard

from vna_core.dicom.elements import DataSet
from vna_core.dicom.frame_index import read_shard_index, shard_index
from vna_core.dicom.reverse_patch import Operation, Read, dictionary_range, rebuild_from
from vna_core.dicom.tokenizer import tokenize
from vna_core.domain.errors import Malformed
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.transformation import Confidence, Finding, Transformation

_MAGIC: Final = b"VNA\x01TRLR"
_LOCATOR: Final = Struct("<8sQQQIII")
"""Magic, trailer offset, head length, number of frames, record length, data set offset, CRC-32C of what stands before."""

_HEADER: Final = Struct("<HH2sHI")
_TAIL: Final = 1 << 16
_LARGEST_RECORD: Final = 4 << 30


@dataclass(frozen=True, slots=True)
class Record:
    """What the trailer tells about how the object came to be."""

    source: Source
    received_at: datetime
    rule_set: str
    original_sha256: str
    original_size: int
    pixel_data: ByteRange | None
    operations: list[Operation]
    transformations: tuple[Transformation, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Trailer:
    """A trailer read back. `offset` is where the (FFFC,FFFC) element begins, `head_length` where the header's octets end."""

    offset: int
    head_length: int
    data_set_offset: int
    frames: tuple[ByteRange, ...]
    record: Record
    literals: bytes


def write_trailer(offset: int, head: bytes, data_set_offset: int, frames: tuple[ByteRange, ...], record: Record, literals: bytes) -> bytes:
    """The whole element, to be appended at `offset`."""
    document = json.dumps(_as_document(record), ensure_ascii=True, separators=(",", ":")).encode("ascii")
    packed = _compress(len(document).to_bytes(4, "little") + document + literals, head)
    index = shard_index(frames)
    padding = b"\0" * ((len(packed) + _LOCATOR.size + len(index)) & 1)
    fields = (_MAGIC, offset, len(head), len(frames), len(packed), data_set_offset)
    checksum = google_crc32c.value(_LOCATOR.pack(*fields, 0)[:-4])
    value = packed + padding + _LOCATOR.pack(*fields, checksum) + index
    return _HEADER.pack(0xFFFC, 0xFFFC, b"OB", 0, len(value)) + value


def read_trailer(read: Read, size: int) -> Trailer:
    """Find and open the trailer of a stored object.

    Parameters
    ----------
    read
        ``read(offset, length)`` of the object.
    size
        The object's length in octets.

    Raises
    ------
    Malformed
        The object has no trailer, or it is damaged.
    """
    offset, head_length, count, packed_length, data_set_offset, place, tail_offset, tail = _locate(read, size)
    index = bytes(tail[place + _LOCATOR.size - tail_offset :])
    try:
        frames = read_shard_index(index)
    except ValueError as error:
        raise Malformed("The trailer's frame index is damaged.") from error
    packed = bytes(read(offset + _HEADER.size, packed_length))
    plain = _decompress(packed, bytes(read(0, dictionary_range(head_length))))
    length = int.from_bytes(plain[:4], "little")
    try:
        record = _from_document(json.loads(plain[4 : 4 + length]))
    except (ValueError, KeyError, TypeError, IndexError) as error:
        raise Malformed("The trailer's record is damaged.") from error
    return Trailer(offset, head_length, data_set_offset, frames, record, plain[4 + length :])


def rebuild(read: Read, size: int) -> Iterator[bytes | memoryview]:
    """The octets as received, in pieces of at most 1 MiB, from a stored object alone."""
    trailer = read_trailer(read, size)
    yield from rebuild_from(read, trailer.record.operations, trailer.literals)


def read_header(read: Read, trailer: Trailer) -> tuple[bytes, DataSet]:
    """The object's head and its data set, tokenized up to the pixel data."""
    head = bytes(read(0, trailer.head_length))
    walk = tokenize(head, trailer.data_set_offset, len(head), explicit=True, little_endian=True)
    return head, walk.data_set


def _locate(read: Read, size: int) -> tuple[int, int, int, int, int, int, int, bytes]:
    """Search the locator backwards; it must say the object's own size and carry its checksum."""
    reach = _TAIL
    while True:
        start = max(0, size - reach)
        tail = bytes(read(start, size - start))
        at = tail.rfind(_MAGIC)
        while at >= 0:
            if at + _LOCATOR.size <= len(tail):
                _, offset, head, count, packed, data_set, checksum = _LOCATOR.unpack_from(tail, at)
                ends = start + at + _LOCATOR.size + (16 * count + 4 if count else 0)
                if ends == size and google_crc32c.value(tail[at : at + _LOCATOR.size - 4]) == checksum:
                    return offset, head, count, packed, data_set, start + at, start, tail
            at = tail.rfind(_MAGIC, 0, at)
        if start == 0 or reach >= 1 << 28:
            raise Malformed("The object has no trailer: it was not written by this archive, or its end is lost.")
        reach *= 16


def _parameters(length: int) -> zstandard.ZstdCompressionParameters:
    return zstandard.ZstdCompressionParameters.from_level(3, source_size=length, write_content_size=True)


def _compress(plain: bytes, head: bytes) -> bytes:
    dictionary = zstandard.ZstdCompressionDict(head[: dictionary_range(len(head))], dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(dict_data=dictionary, compression_params=_parameters(len(plain) + len(head))).compress(plain)


def _decompress(packed: bytes, head: bytes) -> bytes:
    dictionary = zstandard.ZstdCompressionDict(head, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    try:
        if zstandard.frame_content_size(packed) > _LARGEST_RECORD:
            raise Malformed("The trailer's record says it is larger than 4 GiB.")
        return zstandard.ZstdDecompressor(dict_data=dictionary).decompress(packed)
    except zstandard.ZstdError as error:
        raise Malformed("The trailer's record cannot be decompressed.") from error


def _as_document(record: Record) -> dict[str, Any]:
    document: dict[str, Any] = {
        "v": 1,
        "t": record.received_at.isoformat(),
        "s": [record.source.kind, record.source.name, record.source.address, record.source.issuer],
        "r": record.rule_set,
        "h": record.original_sha256,
        "n": record.original_size,
        "o": record.operations,
    }
    if record.pixel_data is not None:
        document["p"] = [record.pixel_data.offset, record.pixel_data.length]
    if record.transformations:
        document["x"] = [
            [t.rule, t.confidence.value, t.tag, t.keyword, t.original, t.canonical, t.count, t.detail] for t in record.transformations
        ]
    if record.findings:
        document["f"] = [[f.rule, f.message, f.tag] for f in record.findings]
    return document


def _from_document(document: dict[str, Any]) -> Record:
    if document["v"] != 1:
        raise ValueError("unknown version of the trailer's record")
    pixel = document.get("p")
    return Record(
        source=Source(*document["s"]),
        received_at=datetime.fromisoformat(document["t"]),
        rule_set=document["r"],
        original_sha256=document["h"],
        original_size=document["n"],
        pixel_data=ByteRange(*pixel) if pixel else None,
        operations=[tuple(operation) for operation in document["o"]],
        transformations=tuple(
            Transformation(rule, Confidence(confidence), tag, keyword, original, canonical, count, detail)
            for rule, confidence, tag, keyword, original, canonical, count, detail in document.get("x", ())
        ),
        findings=tuple(Finding(*finding) for finding in document.get("f", ())),
    )
