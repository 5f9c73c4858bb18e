"""Held instances in another transfer syntax, losslessly: header rewritten, frames re-encoded one by one in a subprocess.

Decompressing lossy pixels adds no loss; compressing is offered for lossless codecs alone, and each codestream is proven by
decoding it again before it is sent. Changes between native transfer syntaxes need no codec and no subprocess.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

from vna_core.access.codec_names import DECODABLE, ENCODABLE, EXPLICIT_LITTLE, IMPLICIT_LITTLE
from vna_core.access.decode import DecodePool
from vna_core.access.transcode_implicit import implicit
from vna_core.configuration import DecodeSettings
from vna_core.dicom.codestream import DEFLATED_LITTLE, is_encapsulated
from vna_core.dicom.part10 import file_head
from vna_core.domain.errors import DecodeError, LimitExceeded, UnsupportedMediaType
from vna_core.domain.instance import HeldInstance

HEADER_LIMIT: Final = 256 << 20
"""Most octets before the pixel data of an instance that is to be transcoded."""
TARGETS: Final = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED_LITTLE)) | ENCODABLE
"""Transfer syntaxes that instances can be converted to."""


class Retrieves(Protocol):
    """What transcoding needs of the retriever."""

    def data_set(self, held: HeldInstance) -> Iterator[bytes]: ...

    def frames(self, held: HeldInstance, numbers: Sequence[int]) -> Iterator[bytes]: ...


class Transcoder:
    """Converts held instances. Safe to call from several threads; each conversion takes a subprocess for one frame at a time."""

    def __init__(self, settings: DecodeSettings, pool: DecodePool | None = None) -> None:
        self.pool = pool if pool is not None else DecodePool(settings)

    def can(self, held: HeldInstance, target: str) -> bool:
        """Whether `transcode` may be tried: the target is one of ours and the stored form can be decoded."""
        stored = held.transfer_syntax_uid
        if target == stored:
            return True
        if target not in TARGETS:
            return False
        if not held.number_of_frames and (target in ENCODABLE or is_encapsulated(stored)):
            return held.pixel_data is None and target not in ENCODABLE  # nothing is there to be encoded or decoded
        return held.pixel_data is None or not is_encapsulated(stored) or stored in DECODABLE

    def transcode(self, held: HeldInstance, retriever: Retrieves, target: str) -> Iterator[bytes]:
        """The data set (no file meta information) in the transfer syntax `target`.

        Raises
        ------
        UnsupportedMediaType
            No lossless way leads from the stored form to the target.
        DecodeError
            The pixels of this instance cannot be decoded.
        """
        if target == held.transfer_syntax_uid:
            return retriever.data_set(held)
        if not self.can(held, target):
            raise UnsupportedMediaType(
                "The instance cannot be converted to the transfer syntax asked for.", transfer_syntax_uid=target
            )
        pieces = self._pieces(held, retriever, target)
        return _deflated(pieces) if target == DEFLATED_LITTLE else pieces

    def part10(self, held: HeldInstance, retriever: Retrieves, target: str) -> Iterator[bytes]:
        """The same as a Part 10 file."""
        body = self.transcode(held, retriever, target)
        yield file_head(held.sop_class_uid, held.sop_instance_uid, target)
        yield from body

    def frame(self, held: HeldInstance, retriever: Retrieves, numbers: Sequence[int], target: str) -> Iterator[bytes]:
        """Frames (1-based) in another transfer syntax: native octets or lossless codestreams, in the order of `numbers`."""
        header = _header(held, retriever)
        description: dict[str, Any] | None = None
        for codestream in retriever.frames(held, numbers):
            if description is None:
                job = {"job": "header", "source": held.transfer_syntax_uid, "target": target}
                description = self.pool.run(job, [header, codestream])[0]["before"]
            yield self._frame(held, codestream, description, target)[1]

    def _pieces(self, held: HeldInstance, retriever: Retrieves, target: str) -> Iterator[bytes]:
        recode = implicit if target == IMPLICIT_LITTLE else bytes
        if held.pixel_data is None:
            yield recode(_joined(retriever.data_set(held), held.trailer_offset - held.data_set_offset))
            return
        source = held.transfer_syntax_uid
        if not is_encapsulated(source) and target not in ENCODABLE:
            yield from _renamed(held, retriever.data_set(held), target)
            return
        header = _header(held, retriever)
        frames = retriever.frames(held, range(1, held.number_of_frames + 1))
        first = next(frames, None)
        if first is None:
            raise DecodeError("The instance has no frames.")
        answer, octets = self.pool.run({"job": "header", "source": source, "target": target}, [header, first])
        yield recode(octets[0])
        yield from self._pixels(held, _chain(first, frames), answer, target)
        yield recode(_tail(held, retriever))

    def _pixels(self, held: HeldInstance, frames: Iterable[bytes], answer: dict[str, Any], target: str) -> Iterator[bytes]:
        after = answer["after"]
        size = after["rows"] * after["columns"] * after["samples"] * after["bits_allocated"] // 8
        total = size * held.number_of_frames
        if target in ENCODABLE:
            yield b"\xe0\x7f\x10\x00OB\0\0\xff\xff\xff\xff" + b"\xfe\xff\x00\xe0" + bytes(4)
        elif total > 0xFFFFFFFE:
            raise UnsupportedMediaType("The pixels are too large for a native transfer syntax.")
        else:
            representation = b"" if target == IMPLICIT_LITTLE else b"OW\0\0" if after["bits_allocated"] > 8 else b"OB\0\0"
            yield b"\xe0\x7f\x10\x00" + representation + (total + total % 2).to_bytes(4, "little")
        for codestream in frames:
            result, octets = self._frame(held, codestream, answer["before"], target)
            if target in ENCODABLE:
                padding = b"\0" * (len(octets) % 2)
                yield b"\xfe\xff\x00\xe0" + (len(octets) + len(padding)).to_bytes(4, "little") + octets + padding
            elif len(octets) != size or result["bits_allocated"] != after["bits_allocated"]:
                raise DecodeError("The frames of this instance are not of one size.")
            else:
                yield octets
        yield b"\xfe\xff\xdd\xe0" + bytes(4) if target in ENCODABLE else b"\0" * (total % 2)

    def _frame(
        self, held: HeldInstance, codestream: bytes, description: dict[str, Any], target: str
    ) -> tuple[dict[str, Any], bytes]:
        job = {"job": "frame", "source": held.transfer_syntax_uid, "target": target, "description": description}
        answer, octets = self.pool.run(job, [codestream])
        return answer, octets[0]


def _chain(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    yield first
    yield from rest


def _header_size(held: HeldInstance) -> int:
    assert held.pixel_data is not None
    size = held.pixel_data.offset - 12 - held.data_set_offset  # tag, VR, two reserved octets and a length stand before the value
    if size > HEADER_LIMIT:
        raise LimitExceeded("The header is too large to be converted.", limit="transcode-header", maximum=HEADER_LIMIT)
    return size


def _header(held: HeldInstance, retriever: Retrieves) -> bytes:
    """The data set up to the Pixel Data element."""
    size = _header_size(held)
    return _joined(retriever.data_set(held), size)


def header(held: HeldInstance, retriever: Retrieves) -> bytes:
    """The data set up to the Pixel Data element, explicit little endian. Raises UnsupportedMediaType when there is none."""
    if held.pixel_data is None:
        raise UnsupportedMediaType("This instance has no pixels.")
    return _header(held, retriever)


def _joined(chunks: Iterator[bytes], size: int) -> bytes:
    if size > HEADER_LIMIT:
        raise LimitExceeded("The data set is too large to be converted.", limit="transcode-header", maximum=HEADER_LIMIT)
    parts = bytearray()
    for chunk in chunks:
        parts += chunk
        if len(parts) > size:
            break
    return bytes(parts[:size])


def _tail(held: HeldInstance, retriever: Retrieves) -> bytes:
    """The elements behind Pixel Data (private groups above 7FE0)."""
    assert held.pixel_data is not None
    begin = held.pixel_data.end + 8 * is_encapsulated(held.transfer_syntax_uid) - held.data_set_offset
    end = held.trailer_offset - held.data_set_offset
    if end <= begin:
        return b""
    _joined(iter(()), end - begin)
    parts = bytearray()
    position = 0
    for chunk in retriever.data_set(held):
        if position + len(chunk) > begin:
            parts += chunk[max(0, begin - position) : max(0, end - position)]
        position += len(chunk)
    return bytes(parts)


def _renamed(held: HeldInstance, chunks: Iterator[bytes], target: str) -> Iterator[bytes]:
    """Native to native: the header re-encoded where needed, the pixels passed through."""
    if target != IMPLICIT_LITTLE:
        yield from chunks
        return
    assert held.pixel_data is not None
    begin, length = _header_size(held), held.pixel_data.length
    head, tail = bytearray(), bytearray()
    position = 0
    value, end = begin + 12, begin + 12 + length
    for chunk in chunks:
        view, after = memoryview(chunk), position + len(chunk)
        if position < value:
            head += view[: max(0, value - position)]
            if after >= value:
                yield implicit(bytes(head[:begin])) + bytes(head[begin : begin + 4]) + length.to_bytes(4, "little")
        if position < end and after > value:
            yield bytes(view[max(0, value - position) : end - position])
        if after > end:
            tail += view[max(0, end - position) :]
        position = after
    yield implicit(bytes(tail))


def _deflated(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Deflated Explicit VR Little Endian (PS3.5 A.5): raw deflate, padded to an even length."""
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    total = 0
    for piece in pieces:
        packed = packer.compress(piece)
        total += len(packed)
        yield packed
    packed = packer.flush()
    yield packed + b"\0" * ((total + len(packed)) % 2)
