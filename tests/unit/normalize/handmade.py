"""DICOM octets put together by hand, so that no writer under test (and no other library) has a say in them."""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from vna_core.configuration import IngestSettings
from vna_core.dicom.reverse_patch import rebuild
from vna_core.domain.instance import CanonicalInstance
from vna_core.domain.octets import Octets, ReceivedInstance, Source
from vna_core.ingest.identify import identify
from vna_core.ingest.normalize import normalize

EXPLICIT = "1.2.840.10008.1.2.1"
IMPLICIT = "1.2.840.10008.1.2"
BIG_ENDIAN = "1.2.840.10008.1.2.2"
DEFLATED = "1.2.840.10008.1.2.1.99"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
RLE = "1.2.840.10008.1.2.5"
CT = "1.2.840.10008.5.1.4.1.1.2"
LONG = ("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV")
LIMITS = IngestSettings()
UNDEFINED = 0xFFFFFFFF


def element(tag: int, vr: str, value: bytes, *, implicit: bool = False, big: bool = False, length: int | None = None) -> bytes:
    """One element exactly as told; `length` lies about the value's."""
    order = ">" if big else "<"
    size = len(value) if length is None else length
    head = struct.pack(f"{order}HH", tag >> 16, tag & 0xFFFF)
    if implicit:
        return head + struct.pack(f"{order}I", size) + value
    if vr in LONG:
        return head + vr.encode() + b"\0\0" + struct.pack(f"{order}I", size) + value
    return head + vr.encode() + struct.pack(f"{order}H", size) + value


def item(value: bytes, *, undefined: bool = False, big: bool = False) -> bytes:
    order = ">" if big else "<"
    if undefined:
        return struct.pack(f"{order}HHI", 0xFFFE, 0xE000, UNDEFINED) + value + struct.pack(f"{order}HHI", 0xFFFE, 0xE00D, 0)
    return struct.pack(f"{order}HHI", 0xFFFE, 0xE000, len(value)) + value


def sequence(
    tag: int, items: Sequence[bytes], *, undefined: bool = False, vr: str = "SQ", implicit: bool = False, big: bool = False
) -> bytes:
    body = b"".join(items)
    if undefined:
        end = struct.pack(f"{'>' if big else '<'}HHI", 0xFFFE, 0xE0DD, 0)
        return element(tag, vr, body, implicit=implicit, big=big, length=UNDEFINED) + end
    return element(tag, vr, body, implicit=implicit, big=big)


def fragments(parts: Sequence[bytes], offsets: Sequence[int] | None = ()) -> bytes:
    """An encapsulated Pixel Data element; no offset table item when `offsets` is None."""
    table = b"" if offsets is None else item(b"".join(struct.pack("<I", offset) for offset in offsets))
    end = struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    return element(0x7FE00010, "OB", table + b"".join(map(item, parts)), length=UNDEFINED) + end


def file(
    data_set: bytes,
    transfer_syntax: str = EXPLICIT,
    *,
    sop_class: str = CT,
    sop_instance: str = "1.2.3.4",
    preamble: bytes = bytes(128),
) -> bytes:
    meta = element(0x00020001, "OB", b"\0\1") + uid(0x00020002, sop_class) + uid(0x00020003, sop_instance)
    meta += uid(0x00020010, transfer_syntax) + uid(0x00020012, "1.2.3")
    return preamble + b"DICM" + element(0x00020000, "UL", struct.pack("<I", len(meta))) + meta + data_set


def uid(tag: int, value: str, **encoding: bool) -> bytes:
    return element(tag, "UI", value.encode() + b"\0" * (len(value) & 1), **encoding)  # type: ignore[arg-type]


def number(tag: int, value: int, **encoding: bool) -> bytes:
    return element(tag, "US", struct.pack(">H" if encoding.get("big") else "<H", value), **encoding)  # type: ignore[arg-type]


def identification(
    *, study: str = "1.2.3.1", series: str = "1.2.3.2", sop: str = "1.2.3.4", extra: bytes = b"", **encoding: bool
) -> bytes:
    """The identifiers of a CT; `extra` stands between groups 0008 and 0020."""
    return (
        uid(0x00080016, CT, **encoding)
        + uid(0x00080018, sop, **encoding)
        + extra
        + uid(0x0020000D, study, **encoding)
        + uid(0x0020000E, series, **encoding)
    )


def description(
    rows: int,
    columns: int,
    bits: int = 16,
    *,
    samples: int = 1,
    frames: int = 0,
    photometric: bytes = b"MONOCHROME2 ",
    **encoding: bool,
) -> bytes:
    """Group 0028 of an image."""
    octets = number(0x00280002, samples, **encoding) + element(0x00280004, "CS", photometric, **encoding)  # type: ignore[arg-type]
    if frames:
        text = str(frames).encode()
        octets += element(0x00280008, "IS", text + b" " * (len(text) & 1), **encoding)  # type: ignore[arg-type]
    for tag, value in ((0x10, rows), (0x11, columns), (0x100, bits), (0x101, bits), (0x102, bits - 1), (0x103, 0)):
        octets += number(0x00280000 | tag, value, **encoding)
    return octets


def received(
    octets: bytes, *, transfer_syntax: str = "", sop_class: str = "", sop_instance: str = "", source: Source | None = None
) -> ReceivedInstance:
    return ReceivedInstance(
        Octets(len(octets), hashlib.sha256(octets).hexdigest(), octets),
        source or Source("dimse", "SENDER", "127.0.0.1"),
        datetime(2026, 11, 24, 8, 0, tzinfo=UTC),
        transfer_syntax,
        sop_class,
        sop_instance,
    )


def spooled(path: Path) -> ReceivedInstance:
    """A file received through a spool."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while piece := stream.read(1 << 20):
            digest.update(piece)

    descriptor = os.open(path, os.O_RDONLY)
    return ReceivedInstance(
        Octets(path.stat().st_size, digest.hexdigest(), descriptor=descriptor), Source("file"), datetime(2026, 11, 24, tzinfo=UTC)
    )


def noticed(canonical: CanonicalInstance) -> list[str]:
    """Rules of the findings, but that a data set made here names no patient and no device (I11)."""
    return [finding.rule for finding in canonical.findings if finding.rule != "I11"]


def offer(octets: bytes, **hints: str) -> CanonicalInstance:
    one = received(octets, **hints)  # type: ignore[arg-type]
    return normalize(one, identify(one, LIMITS), LIMITS)


def stored(canonical: CanonicalInstance) -> bytes:
    """The canonical object as a store would hold it."""
    octets = b"".join(canonical.chunks())
    assert len(octets) == canonical.size
    return octets


def data_set(canonical: CanonicalInstance) -> bytes:
    """The canonical data set without our trailer."""
    return stored(canonical)[canonical.data_set_offset : canonical.trailer_offset]


def without_record(octets: bytes) -> bytes:
    """A data set without the Original Attributes Sequence and the Instance Coercion DateTime at its top level."""
    for head in (b"\x00\x04\x61\x05SQ\0\0", b"\x08\x00\x15\x00DT"):
        at = octets.find(head)
        if at >= 0:
            size = struct.unpack_from("<I" if head.endswith(b"\0") else "<H", octets, at + len(head))[0]
            octets = octets[:at] + octets[at + len(head) + (4 if head.endswith(b"\0") else 2) + size :]
    return octets


def original(object_: bytes) -> bytes:
    """The octets as received, from the stored object alone."""
    return b"".join(rebuild(lambda offset, length: object_[offset : offset + length], len(object_)))


def rules(canonical: CanonicalInstance) -> list[str]:
    return [change.rule for change in canonical.transformations]


def assert_reversible_and_stable(octets: bytes, canonical: CanonicalInstance) -> None:
    """What holds for everything that is ever held."""
    object_ = stored(canonical)
    assert original(object_) == octets
    again = offer(object_)
    assert data_set(again) == data_set(canonical)
    assert rules(again) == ["F21"]
    assert original(stored(again)) == object_
    served = offer(object_[: canonical.trailer_offset])
    assert data_set(served) == data_set(canonical)
    assert rules(served) == []
