"""How to get the octets as received back from a canonical object.

A patch is a list of copies from the canonical object (as they are, with the byte order of 2, 4 or 8 octets turned round, or
with samples of 16 bits packed into 12) and the literals between them. The literals are one Zstandard frame whose dictionary is every canonical octet before the
trailer that no copy refers to (runs of 32 or more), so what only moved or got another header costs a few octets.

::

    varint flags            1: the whole result is 16-bit byte-swapped at the end; 2: the operations are compressed;
                            4: kinds take three bits, and kind 4 packs samples into 12 bits
    varint dictionary       octets of the dictionary that are used
    varint count, length    operations: their number, and the octets they take here
    operations              per copy: varint literal octets before it, varint (length << 2 | kind; with flag 4: << 3), signed
                            varint distance of its canonical offset from the end of the copy before; lengths are canonical
    literals                a Zstandard frame
"""

from __future__ import annotations

import threading
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import zstandard

from vna_core.dicom.packed_samples import pack_stream, packed_length
from vna_core.dicom.trailer_format import Read, read_trailer
from vna_core.domain.errors import Malformed

SWAB16: Final = 1
_COMPRESSED: Final = 2
_WIDE_KINDS: Final = 4
_PACKED_KIND: Final = 4
_DICTIONARY_LIMIT: Final = 16 << 20
_WORTHWHILE: Final = 32
_LITERAL_LIMIT: Final = 1 << 34
_UNITS: Final = (1, 2, 4, 8)
_KINDS: Final = {unit: kind for kind, unit in enumerate(_UNITS)}
_WORDS: Final = {2: "H", 4: "I", 8: "Q"}
_STEP: Final = 1 << 20
_LEVEL: Final = 3
_local = threading.local()


@dataclass(frozen=True, slots=True)
class Copy:
    """`length` octets at `canonical` of the canonical object belong at `original`.

    `unit` > 1 turns their byte order round; `packed` writes every 16 bits as 12 (`vna_core.dicom.packed_samples`).
    """

    original: int
    canonical: int
    length: int
    unit: int = 1
    packed: bool = False

    @property
    def taken(self) -> int:
        """Octets of the original it stands for."""
        return packed_length(self.length) if self.packed else self.length

    @property
    def end(self) -> int:
        """Offset in the original after it."""
        return self.original + (packed_length(self.length) if self.packed else self.length)


@dataclass(frozen=True, slots=True)
class Patch:
    """A patch taken apart. `size` is the length of the original."""

    flags: int
    dictionary: int
    copies: tuple[Copy, ...]
    literals: bytes
    size: int


def encode(copies: Iterable[Copy], literals: bytes, dictionary: bytes, flags: int = 0) -> bytes:
    """The patch's octets. `copies` are in the order of `original` and do not overlap there."""
    operations = bytearray()
    count = original = canonical = 0
    copies = tuple(copies)
    bits = 2
    if any(copy.packed for copy in copies):
        bits, flags = 3, flags | _WIDE_KINDS
    for copy in copies:
        _put(operations, copy.original - original)
        _put(operations, copy.length << bits | (_PACKED_KIND if copy.packed else _KINDS[copy.unit]))
        distance = copy.canonical - canonical
        _put(operations, distance << 1 if distance >= 0 else (-distance << 1) - 1)
        original, canonical = copy.end, copy.canonical + copy.length
        count += 1
    packed = bytes(operations)
    if len(packed) > 64:
        packed, flags = _compressor().compress(packed), flags | _COMPRESSED
    dictionary = dictionary[:_DICTIONARY_LIMIT]
    head = bytearray()
    for number in (flags, len(dictionary), count, len(packed)):
        _put(head, number)
    return bytes(head) + packed + _compress(literals, dictionary)


def decode(patch: bytes, size: int) -> Patch:
    """Take a patch apart. `size` is the length of the original.

    Raises
    ------
    Malformed
        The patch is damaged.
    """
    try:
        flags, position = _get(patch, 0)
        dictionary, position = _get(patch, position)
        count, position = _get(patch, position)
        length, position = _get(patch, position)
        packed = patch[position : position + length]
        if flags & _COMPRESSED:
            packed = zstandard.ZstdDecompressor().decompress(packed, max_output_size=_LITERAL_LIMIT)
        return Patch(
            flags, dictionary, tuple(_copies(packed, count, 3 if flags & _WIDE_KINDS else 2)), patch[position + length :], size
        )
    except (IndexError, zstandard.ZstdError) as error:
        raise Malformed("The reverse patch is damaged.") from error


def dictionary_ranges(copies: Iterable[Copy], end: int) -> list[tuple[int, int]]:
    """Canonical ranges ``(begin, end)`` before `end` that no copy refers to, in order; those under 32 octets are left out."""
    ranges: list[tuple[int, int]] = []
    position = 0
    for begin, length in sorted((copy.canonical, copy.length) for copy in copies):
        if begin >= position + _WORTHWHILE:
            ranges.append((position, begin))
        position = max(position, begin + length)
    if end >= position + _WORTHWHILE:
        ranges.append((position, end))
    return ranges


def literals_of(patch: Patch, read: Read, end: int) -> bytes:
    """The literal octets of the original. `end` is the offset of the trailer in the canonical object."""
    pieces: list[bytes] = []
    wanted = patch.dictionary
    for begin, stop in dictionary_ranges(patch.copies, end):
        if not wanted:
            break
        pieces.append(read(begin, min(stop - begin, wanted)))
        wanted -= len(pieces[-1])
    expected = patch.size - sum(copy.taken for copy in patch.copies)
    if not expected:
        return b""
    try:
        literals = _decompress(patch.literals, b"".join(pieces), expected)
    except zstandard.ZstdError as error:
        raise Malformed("The reverse patch does not fit the object.") from error
    if len(literals) != expected:
        raise Malformed("The reverse patch does not fit the object.")
    return literals


def apply(patch: Patch, read: Read, end: int) -> Iterator[bytes]:
    """The original's octets in pieces of at most 1 MiB."""
    pieces = _unfolded(patch, read, literals_of(patch, read, end))
    return swap_stream(pieces, 2) if patch.flags & SWAB16 else pieces


def rebuild(read: Read, size: int) -> Iterator[bytes]:
    """The octets as received, from a stored canonical object alone.

    Parameters
    ----------
    read, size
        Range reads of the stored object, and its size.

    Raises
    ------
    Malformed, DigestMismatch
        The object has no trailer, or it is damaged. Compare the SHA-256 with the provenance while streaming.
    """
    trailer = read_trailer(read, size)
    return apply(decode(trailer.patch, trailer.provenance.original_size), read, trailer.offset)


def _unfolded(patch: Patch, read: Read, literals: bytes) -> Iterator[bytes]:
    position = taken = 0
    for copy in patch.copies:
        if copy.original > position:
            yield literals[taken : taken + copy.original - position]
            taken += copy.original - position
        yield from as_received(copy, _read_pieces(read, copy.canonical, copy.length))
        position = copy.end
    if position < patch.size:
        yield literals[taken : taken + patch.size - position]


def as_received(copy: Copy, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The octets of the original that a copy stands for, from the canonical ones."""
    if copy.packed:
        return pack_stream(pieces)
    return iter(pieces) if copy.unit == 1 else swap_stream(pieces, copy.unit)


def _read_pieces(read: Read, offset: int, length: int) -> Iterator[bytes]:
    end = offset + length
    while offset < end:
        piece = read(offset, min(_STEP, end - offset))
        if not piece:
            raise Malformed("The object is shorter than its reverse patch says.")
        offset += len(piece)
        yield piece


def swap(octets: bytes | bytearray | memoryview, unit: int) -> bytes:
    """`octets` with the byte order of every whole `unit` turned round; what is left at the end stays as it is."""
    if unit not in _WORDS or not octets:
        return bytes(octets)
    whole = len(octets) - len(octets) % unit
    words = array(_WORDS[unit])
    words.frombytes(memoryview(octets)[:whole])
    words.byteswap()
    return words.tobytes() + bytes(octets[whole:])


def swap_stream(pieces: Iterable[bytes | memoryview], unit: int) -> Iterator[bytes]:
    """`swap` over octets that come in pieces of any length."""
    rest = b""
    for piece in pieces:
        whole = rest + bytes(piece)
        keep = len(whole) % unit
        rest = whole[len(whole) - keep :]
        yield swap(whole[: len(whole) - keep], unit)
    if rest:
        yield rest


def _compressor() -> zstandard.ZstdCompressor:
    """One per thread, as a compressor must not be shared at the same time."""
    found: zstandard.ZstdCompressor | None = getattr(_local, "compressor", None)
    if found is None:
        found = _local.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return found


def _compress(literals: bytes, dictionary: bytes) -> bytes:
    if not dictionary or not literals:
        return _compressor().compress(literals)
    parameters = zstandard.ZstdCompressionParameters.from_level(
        _LEVEL, source_size=len(literals), dict_size=len(dictionary), write_content_size=1, write_checksum=0, write_dict_id=0
    )
    content = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdCompressor(dict_data=content, compression_params=parameters).compress(literals)


def _decompress(frame: bytes, dictionary: bytes, size: int) -> bytes:
    if not dictionary:
        return zstandard.ZstdDecompressor().decompress(frame, max_output_size=size)
    content = zstandard.ZstdCompressionDict(dictionary, dict_type=zstandard.DICT_TYPE_RAWCONTENT)
    return zstandard.ZstdDecompressor(dict_data=content, max_window_size=1 << 31).decompress(frame, max_output_size=size)


def _put(output: bytearray, number: int) -> None:
    while number > 0x7F:
        output.append(number & 0x7F | 0x80)
        number >>= 7
    output.append(number)


def _get(octets: bytes, position: int) -> tuple[int, int]:
    number = shift = 0
    while True:
        octet = octets[position]
        position += 1
        number |= (octet & 0x7F) << shift
        if octet < 0x80:
            return number, position
        shift += 7


def _copies(packed: bytes, count: int, bits: int) -> Iterator[Copy]:
    position = original = canonical = 0
    for _ in range(count):
        gap, position = _get(packed, position)
        length, position = _get(packed, position)
        distance, position = _get(packed, position)
        original += gap
        canonical += distance >> 1 if not distance & 1 else -((distance + 1) >> 1)
        length, kind = length >> bits, length & ((1 << bits) - 1)
        copy = Copy(original, canonical, length, 1 if kind == _PACKED_KIND else _UNITS[kind], kind == _PACKED_KIND)
        yield copy
        original, canonical = copy.end, canonical + length
