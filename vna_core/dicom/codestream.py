"""Which codec a codestream is of, by its first octets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from vna_core.dicom.codestream_header import CodestreamHeader, read_header
from vna_core.dicom.elements import Buffer, PixelElement
from vna_core.domain.octets import ByteRange

_HEAD: Final = 4096
_LONG_HEAD: Final = 1 << 20
"""Colour profiles and previews may stand before the frame header."""

IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
ENCAPSULATED_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1.98"
GE_PRIVATE: Final = "1.2.840.113619.5.2"

DEFLATED: Final = frozenset((DEFLATED_LITTLE, "1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205"))
"""Transfer syntaxes whose data set is deflated (PS3.5 annex A.5, A.9, A.11)."""

NATIVE: Final = frozenset((IMPLICIT_LITTLE, EXPLICIT_LITTLE, DEFLATED_LITTLE, EXPLICIT_BIG, GE_PRIVATE))
"""Transfer syntaxes with native pixel data."""

_JPEG: Final = "1.2.840.10008.1.2.4."
VIDEO: Final = frozenset(
    _JPEG + str(number) for number in (*range(100, 109), "100.1", "101.1", "102.1", "103.1", "104.1", "105.1", "106.1")
)
"""Transfer syntaxes whose pixel data is a video, not one codestream a frame (PS3.5 annex A.4.5 to A.4.9)."""

FAMILIES: Final[dict[str, frozenset[str]]] = {
    "jpeg-baseline": frozenset((_JPEG + "50",)),
    "jpeg-extended": frozenset((_JPEG + "51", _JPEG + "52")),
    "jpeg-progressive": frozenset((_JPEG + "53", _JPEG + "54", _JPEG + "55", _JPEG + "56")),
    "jpeg-lossless": frozenset((_JPEG + "57", _JPEG + "58", _JPEG + "70")),
    "jpeg-ls": frozenset((_JPEG + "80", _JPEG + "81")),
    "jpeg-2000": frozenset((_JPEG + "90", _JPEG + "91", _JPEG + "92", _JPEG + "93")),
    "htj2k": frozenset((_JPEG + "201", _JPEG + "202", _JPEG + "203")),
    "jpeg-xl": frozenset((_JPEG + "110", _JPEG + "111", _JPEG + "112")),
    "rle": frozenset(("1.2.840.10008.1.2.5",)),
    "video": VIDEO,
    "mpeg-2": VIDEO,
}
"""Codec families and the transfer syntaxes they are right under (PS3.5 annex A.4)."""

_KNOWN_ENCAPSULATED: Final = frozenset().union(*FAMILIES.values()) | {ENCAPSULATED_UNCOMPRESSED, "1.2.840.10008.1.2.8.1"}

_LOSSLESS_ONLY: Final = frozenset((_JPEG + "80", _JPEG + "90", _JPEG + "201", _JPEG + "202"))
"""Transfer syntaxes of families that may be lossy, under which no lossy codestream is right."""

_UIDS: Final = {
    "jpeg-baseline": (_JPEG + "50", _JPEG + "50"),
    "jpeg-extended": (_JPEG + "51", _JPEG + "51"),
    "jpeg-progressive": (_JPEG + "55", _JPEG + "55"),
    "jpeg-lossless": (_JPEG + "70", _JPEG + "57"),
    "jpeg-ls": (_JPEG + "80", _JPEG + "81"),
    "jpeg-2000": (_JPEG + "90", _JPEG + "91"),
    "htj2k": (_JPEG + "201", _JPEG + "203"),
    "jpeg-xl": (_JPEG + "112", _JPEG + "112"),
    "rle": ("1.2.840.10008.1.2.5", "1.2.840.10008.1.2.5"),
    "mpeg-2": (_JPEG + "100", _JPEG + "100"),
    "video": (_JPEG + "102", _JPEG + "102"),
}
"""The transfer syntax a codestream is right under: the plain one, and the one for a lossy stream or another predictor."""


BEGINNINGS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ", b"\0\0\0\x0cJXL ", b"\xff\x0a")
"""How codestreams begin: SOI and a marker, SOC and SIZ, the signature boxes of JP2 and JPEG XL, a bare JPEG XL codestream."""


def is_encapsulated(uid: str) -> bool:
    """Whether the standard defines the transfer syntax and it encapsulates pixel data."""
    return uid in _KNOWN_ENCAPSULATED


def first_header(buffer: Buffer, pixel: PixelElement) -> CodestreamHeader | None:
    """The header of the first codestream, over as many fragments as it takes; None where the octets do not say.

    A codestream in the place of the offset table is one: the table is missing (P13).
    """
    fragments, table, found = pixel.fragments or [], pixel.offset_table, None
    if table is not None and bytes(buffer[table.offset : table.offset + min(table.length, 8)]).startswith(BEGINNINGS):
        fragments = [table, *fragments]
    for length in (_HEAD, _LONG_HEAD):
        octets = _first_octets(buffer, fragments, length)
        found = read_header(octets) or found
        if len(octets) < length or (found is not None and found.complete):
            break
    return found


def _first_octets(buffer: Buffer, fragments: Sequence[ByteRange], length: int) -> bytes:
    """What the fragments hold one after the other, at most `length` octets of it."""
    pieces: list[bytes] = []
    for fragment in fragments:
        pieces.append(bytes(buffer[fragment.offset : fragment.offset + min(length, fragment.length)]))
        length -= len(pieces[-1])
        if not length:
            break
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def uid_of(header: CodestreamHeader) -> str:
    """The transfer syntax a codestream is right under, by its header alone."""
    plain, other = _UIDS[header.family]
    return plain if header.complete and header.selection == 1 and not header.lossy else other


def agrees(declared: str, header: CodestreamHeader) -> bool:
    """Whether a declared transfer syntax is right for a codestream.

    A lossless transfer syntax is wrong over a lossy stream, and the one for first-order prediction over another predictor.
    """
    if declared not in FAMILIES[header.family] or (header.lossy and declared in _LOSSLESS_ONLY):
        return False
    return declared != _JPEG + "70" or header.selection == 1
