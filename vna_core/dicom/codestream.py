"""Which codec a codestream is of, by its first octets."""

from __future__ import annotations

from typing import Final

from vna_core.dicom.elements import Buffer, PixelElement

_HEAD: Final = 16_384

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
FAMILIES: Final[dict[str, frozenset[str]]] = {
    "jpeg-baseline": frozenset((_JPEG + "50", _JPEG + "51")),
    "jpeg-extended": frozenset((_JPEG + "51", _JPEG + "52")),
    "jpeg-progressive": frozenset((_JPEG + "53", _JPEG + "54", _JPEG + "55", _JPEG + "56")),
    "jpeg-lossless": frozenset((_JPEG + "57", _JPEG + "58", _JPEG + "70")),
    "jpeg-ls": frozenset((_JPEG + "80", _JPEG + "81")),
    "jpeg-2000": frozenset((_JPEG + "90", _JPEG + "91", _JPEG + "92", _JPEG + "93")),
    "htj2k": frozenset((_JPEG + "201", _JPEG + "202", _JPEG + "203")),
    "jpeg-xl": frozenset((_JPEG + "110", _JPEG + "111", _JPEG + "112")),
    "rle": frozenset(("1.2.840.10008.1.2.5",)),
    "video": frozenset(
        _JPEG + str(number) for number in (*range(100, 109), "100.1", "101.1", "102.1", "103.1", "104.1", "105.1", "106.1")
    ),
}
"""Codec families and the transfer syntaxes they are right under (PS3.5 annex A.4)."""

_KNOWN_ENCAPSULATED: Final = frozenset().union(*FAMILIES.values()) | {ENCAPSULATED_UNCOMPRESSED, "1.2.840.10008.1.2.8.1"}
_SOF: Final = {0xC0: "jpeg-baseline", 0xC1: "jpeg-extended", 0xC2: "jpeg-progressive", 0xC3: "jpeg-lossless", 0xF7: "jpeg-ls"}


def is_encapsulated(uid: str) -> bool:
    """Whether the standard defines the transfer syntax and it encapsulates pixel data."""
    return uid in _KNOWN_ENCAPSULATED


def codec_of(buffer: Buffer, pixel: PixelElement) -> tuple[str, str]:
    """Codec family of the first codestream and the transfer syntax it would be right under; empty where the octets do not say."""
    for fragment in pixel.fragments or ():
        if fragment.length >= 4:
            return _family(bytes(buffer[fragment.offset : fragment.offset + min(fragment.length, _HEAD)]))
    return "", ""


def _family(head: bytes) -> tuple[str, str]:
    if head[:3] == b"\xff\xd8\xff":
        return _jpeg(head)
    if head[:4] == b"\xff\x4f\xff\x51":
        return _jpeg_2000(head)
    if head[4:8] == b"jP  ":
        start = head.find(b"\xff\x4f\xff\x51")
        return _jpeg_2000(head[start:]) if start > 0 else ("jpeg-2000", _JPEG + "91")
    if head[:2] == b"\xff\x0a" or head[4:8] == b"JXL ":
        return "jpeg-xl", _JPEG + "112"
    if head[:4] == b"\x00\x00\x01\xb3":
        return "video", _JPEG + "100"
    if head[4:8] == b"ftyp":
        return "video", _JPEG + "102"
    if len(head) >= 64 and 1 <= head[0] <= 15 and head[1:4] == b"\0\0\0" and head[4:8] == b"\x40\0\0\0":
        used = 4 + 4 * head[0]
        return ("rle", "1.2.840.10008.1.2.5") if not any(head[used:64]) else ("", "")
    return "", ""


def _jpeg(head: bytes) -> tuple[str, str]:
    """Walk the marker segments to the start of frame (ITU-T T.81 B.1.1.4, T.87 C.1)."""
    position, family, predictor, near = 2, "", 1, 0
    while position + 4 <= len(head):
        if head[position] != 0xFF:
            break
        marker = head[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker == 0xDA:
            components = head[position + 4] if position + 4 < len(head) else 0
            where = position + 5 + 2 * components
            predictor = near = head[where] if where < len(head) else 0
            break
        family = _SOF.get(marker, family)
        position += 2 + int.from_bytes(head[position + 2 : position + 4], "big")
    uids = {
        "jpeg-baseline": _JPEG + "50",
        "jpeg-extended": _JPEG + "51",
        "jpeg-progressive": _JPEG + "55",
        "jpeg-lossless": _JPEG + ("70" if predictor == 1 else "57"),
        "jpeg-ls": _JPEG + ("80" if near == 0 else "81"),
    }
    return (family, uids[family]) if family else ("", "")


def _jpeg_2000(head: bytes) -> tuple[str, str]:
    """Reversible or not is told by the wavelet of the COD segment, high throughput by a CAP segment (ITU-T T.800 A.6.1, T.814 A.3)."""
    position, reversible, high_throughput = 2, False, False
    while position + 4 <= len(head) and head[position] == 0xFF:
        marker, length = head[position + 1], int.from_bytes(head[position + 2 : position + 4], "big")
        if marker == 0x50:
            high_throughput = True
        elif marker == 0x52 and position + 13 < len(head):
            reversible = head[position + 13] == 1
        elif marker in (0x90, 0x93):
            break
        position += 2 + length
    if high_throughput:
        return "htj2k", _JPEG + ("201" if reversible else "203")
    return "jpeg-2000", _JPEG + ("90" if reversible else "91")
