"""The last element of a canonical object: Data Set Trailing Padding (FFFC,FFFC) (PS3.10 section 7.2), which readers ignore.

::

    journal         Zstandard, dictionary `JOURNAL_DICTIONARY`: JSON with source, time, rule set, transformations, findings
    reverse patch   see `reverse_patch`
    (one octet of zero where the two have an odd length together)
    footer          88 octets, little endian: `_FOOTER`
    shard index     Zarr v3 sharding index: uint64 offset and length per frame, CRC-32C; at the very end of the object

The footer ends with a CRC-32C over everything in the element before it. Offsets count from the beginning of the object.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from struct import Struct, unpack_from
from struct import error as StructError
from typing import Any, Final

import google_crc32c
import zstandard

from vna_core.dicom.canonical_writer import header
from vna_core.domain.errors import DigestMismatch, Malformed
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.renormalization import Renormalization
from vna_core.domain.transformation import Confidence, Finding, Transformation

Read = Callable[[int, int], bytes]
"""``read(offset, length)`` gives octets of the object; fewer only at its end."""

TRAILER_TAG: Final = 0xFFFCFFFC
MAGIC: Final = b"VNATRLR1"
_VERSION: Final = 1
_FOOTER: Final = Struct("<8sHHIIIIQQQ32sI")
"""Magic, version, flags, frames, journal length, patch length, data set offset, offset and length of the pixel data's value,
length and SHA-256 of the octets as received, CRC-32C."""

_PAIR: Final = Struct("<QQ").pack
_HEADER: Final = 12
_HAS_PIXELS: Final = 1
_TAIL_READS: Final = (4096, 1 << 16, 1 << 20, 1 << 24, 1 << 28)
_JOURNAL_LIMIT: Final = 1 << 28
JOURNAL_DICTIONARY: Final = (
    b'"detail":"no transfer syntax UID"preamble is not zero","count":2,"original":"","canonical":"2.25.1.2.840.10008.5.1.4.1.1.'
    b'"findings":[{"rule":"E29","message":"","tag":"00290010"}],"transformations":[{"rule":"E28","confidence":"inferred",'
    b'"tag":"00020003","confidence":"proven","keyword":"SOPInstanceUID","issuer":""},"kind":"file","kind":"stow","kind":"migration",'
    b'{"version":1,"rule_set":"2026.11.0","received_at":"2026-11-24T08:00:00.000000+00:00","source":{"kind":"dimse","name":"",'
    b'"address":"127.0.0.1","issuer":""}}'
)
"""Raw-content dictionary of the journal. Part of the format: never change it within version 1."""

_write_json: Final = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode
_local = threading.local()


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where an object came from.

    Attributes
    ----------
    original_sha256, original_size
        Of the octets as received.
    """

    source: Source
    received_at: datetime
    rule_set: str
    original_sha256: str
    original_size: int
    transformations: tuple[Transformation, ...] = ()
    findings: tuple[Finding, ...] = ()
    renormalization: Renormalization | None = None


@dataclass(frozen=True, slots=True)
class Trailer:
    """A trailer as read.

    Attributes
    ----------
    offset
        Where the (FFFC,FFFC) element begins: what is served ends here.
    data_set_offset
        First octet after the File Meta Information.
    pixel_data
        Range of the Pixel Data element's value, None when there is none.
    frames
        One range per frame, in frame order.
    patch
        The reverse patch.
    """

    offset: int
    size: int
    data_set_offset: int
    pixel_data: ByteRange | None
    frames: tuple[ByteRange, ...]
    provenance: Provenance
    patch: bytes


def build_trailer(
    provenance: Provenance, patch: bytes, data_set_offset: int, pixel_data: ByteRange | None, frames: Sequence[ByteRange]
) -> bytes:
    """The whole (FFFC,FFFC) element.

    Raises
    ------
    Malformed
        The patch is too large for an element (4 GiB).
    """
    journal = _encode_journal(provenance)
    body = journal + patch
    if len(body) & 1:
        body += b"\0"
    flags = _HAS_PIXELS if pixel_data is not None else 0
    where = pixel_data or ByteRange(0, 0)
    length = len(body) + _FOOTER.size + 16 * len(frames) + 4
    if length >= 0xFFFFFFFF:
        raise Malformed("The octets as received differ too much from the canonical object to be kept beside it.")
    body += _FOOTER.pack(
        MAGIC, _VERSION, flags, len(frames), len(journal), len(patch), data_set_offset, where.offset, where.length,
        provenance.original_size, bytes.fromhex(provenance.original_sha256), 0,
    )[:-4]  # fmt: skip
    checksum = google_crc32c.value(body).to_bytes(4, "little")
    index = b"".join([_PAIR(frame.offset, frame.length) for frame in frames])
    index_checksum = google_crc32c.value(index).to_bytes(4, "little")
    return b"".join((header(TRAILER_TAG, "OB", length), body, checksum, index, index_checksum))


def read_trailer(read: Read, size: int) -> Trailer:
    """Read the trailer back from the stored object alone, mostly with one read of 4 KiB.

    Raises
    ------
    Malformed
        The object has no trailer of ours, or of a later version.
    DigestMismatch
        The trailer's checksums do not fit its octets.
    """
    tail, footer_at = _find_footer(read, size)
    fields = _FOOTER.unpack_from(tail, footer_at)
    (
        _,
        version,
        flags,
        count,
        journal_length,
        patch_length,
        data_set_offset,
        pixel_offset,
        pixel_length,
        original_size,
        sha256,
        crc,
    ) = fields
    if version != _VERSION:
        raise Malformed(f"The trailer is of version {version}; this release reads version {_VERSION}.")
    body = journal_length + patch_length
    body += body & 1
    needed = _HEADER + body + len(tail) - footer_at
    if needed > size:
        raise Malformed("The trailer is longer than the object.")
    if needed > len(tail):
        tail = read(size - needed, needed)
        footer_at = _HEADER + body
    begin = footer_at - body
    value_length = len(tail) - begin
    index_at = footer_at + _FOOTER.size
    index = tail[index_at : index_at + 16 * count]
    if (
        tail[begin - _HEADER : begin] != header(TRAILER_TAG, "OB", value_length)
        or google_crc32c.value(tail[begin : index_at - 4]) != crc
        or google_crc32c.value(index) != int.from_bytes(tail[-4:], "little")
    ):
        raise DigestMismatch("The trailer of a stored object is damaged.")
    pairs = unpack_from(f"<{2 * count}Q", index)
    frames = tuple(ByteRange(offset, length) for offset, length in zip(pairs[::2], pairs[1::2], strict=True))
    return Trailer(
        offset=size - value_length - _HEADER,
        size=size,
        data_set_offset=data_set_offset,
        pixel_data=ByteRange(pixel_offset, pixel_length) if flags & _HAS_PIXELS else None,
        frames=frames,
        provenance=_decode_journal(tail[begin : begin + journal_length], sha256.hex(), original_size),
        patch=tail[begin + journal_length : begin + journal_length + patch_length],
    )


def _find_footer(read: Read, size: int) -> tuple[bytes, int]:
    """The object's end from some octet on, and where the footer is in it."""
    for length in _TAIL_READS:
        length = min(length, size)
        tail = read(size - length, length)
        found = tail.rfind(MAGIC)
        while found >= 0:
            frames = len(tail) - found - _FOOTER.size - 4
            if frames >= 0 and frames % 16 == 0 and unpack_from("<I", tail, found + 12)[0] == frames // 16:
                return tail, found
            found = tail.rfind(MAGIC, 0, found)
        if length == size:
            break
    raise Malformed("The object has no trailer of this archive.")


def _encode_journal(provenance: Provenance) -> bytes:
    source = provenance.source
    journal: dict[str, Any] = {
        "version": 1,
        "rule_set": provenance.rule_set,
        "received_at": provenance.received_at.isoformat(),
        "source": {
            "kind": source.kind,
            **{name: value for name in ("name", "address", "issuer") if (value := getattr(source, name))},
        },
    }
    if provenance.transformations:
        journal["transformations"] = [_transformation_fields(change) for change in provenance.transformations]
    if provenance.findings:
        journal["findings"] = [{"rule": f.rule, "message": f.message, "tag": f.tag} for f in provenance.findings]
    again = provenance.renormalization
    if again is not None:
        journal["renormalization"] = {**asdict(again), "at": again.at.isoformat()}
    text = _write_json(journal)
    compressor: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if compressor is None:
        content = zstandard.ZstdCompressionDict(JOURNAL_DICTIONARY, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
        content.precompute_compress(level=3)
        compressor = _local.compressor = zstandard.ZstdCompressor(level=3, dict_data=content, write_dict_id=False)
    return compressor.compress(text.encode("utf-8", "surrogatepass"))


def _transformation_fields(change: Transformation) -> dict[str, object]:
    fields: dict[str, object] = {"rule": change.rule, "confidence": change.confidence.value}
    for name, value, empty in (
        ("tag", change.tag, ""),
        ("keyword", change.keyword, ""),
        ("original", change.original, None),
        ("canonical", change.canonical, None),
        ("count", change.count, 1),
        ("detail", change.detail, ""),
    ):
        if value != empty:
            fields[name] = value
    return fields


def _decode_journal(octets: bytes, sha256: str, original_size: int) -> Provenance:
    content = zstandard.ZstdCompressionDict(JOURNAL_DICTIONARY, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    try:
        text = zstandard.ZstdDecompressor(dict_data=content).decompress(octets, max_output_size=_JOURNAL_LIMIT)
        journal = json.loads(text.decode("utf-8", "surrogatepass"))
        return Provenance(
            source=Source(**journal["source"]),
            received_at=datetime.fromisoformat(journal["received_at"]),
            rule_set=journal["rule_set"],
            original_sha256=sha256,
            original_size=original_size,
            transformations=tuple(
                Transformation(**{**fields, "confidence": Confidence(fields["confidence"])})
                for fields in journal.get("transformations", ())
            ),
            findings=tuple(Finding(**fields) for fields in journal.get("findings", ())),
            renormalization=_decode_renormalization(journal.get("renormalization")),
        )
    except (zstandard.ZstdError, ValueError, KeyError, TypeError, StructError) as error:
        raise Malformed("The journal of a stored object cannot be read.") from error


def _decode_renormalization(fields: dict[str, Any] | None) -> Renormalization | None:
    return None if fields is None else Renormalization(**{**fields, "at": datetime.fromisoformat(fields["at"])})
