"""What a codestream says about itself: codec, bits, size and colour, from the marker segments before its first sample.

JPEG (ITU-T T.81), JPEG-LS (T.87), JPEG 2000 (T.800) with its JP2 boxes (annex I) and high throughput (T.814), RLE (PS3.5
annex G). Nothing is decoded, and no octet behind the header is looked at.
"""

from __future__ import annotations

from dataclasses import dataclass
from struct import unpack_from
from typing import Final

RGB: Final = "RGB"
YBR: Final = "YBR"

_SOF: Final = {
    0xC0: "jpeg-baseline",
    0xC1: "jpeg-extended",
    0xC2: "jpeg-progressive",
    0xC3: "jpeg-lossless",
    0xF7: "jpeg-ls",
}
_SOI, _SOC, _SIGNATURE_BOX = b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"jP  "
_SOS, _COM, _LSE, _APP0, _APP14, _APP15 = 0xDA, 0xFE, 0xF8, 0xE0, 0xEE, 0xEF
_DCT: Final = frozenset(("jpeg-baseline", "jpeg-extended", "jpeg-progressive"))


@dataclass(frozen=True, slots=True)
class CodestreamHeader:
    """The header of one codestream. Numbers are 0 where the codec does not tell them.

    Attributes
    ----------
    family
        Key of `vna_core.dicom.codestream.FAMILIES`.
    lossy
        Decoding gives other samples than were encoded: DCT, a JPEG-LS stream with NEAR, an irreversible wavelet.
    selection
        Predictor of a lossless JPEG stream.
    precision
        Bits per sample.
    signed
        The samples are signed (JPEG 2000 only).
    colour
        ``RGB`` or ``YBR`` where the stream proves what its three components are; empty otherwise.
    subsampled
        Not all components have as many samples as the image.
    transformed
        The multiple component transformation of JPEG 2000 is used.
    bare
        A JPEG-LS stream without preset parameters, application data and comments.
    segments
        Offsets of the segments of an RLE frame.
    complete
        The whole header was in the octets looked at.
    begin, length
        Where the codestream is in the octets looked at: behind JP2 boxes not at 0; `length` 0 says up to the end.
    """

    family: str
    lossy: bool = False
    selection: int = 1
    precision: int = 0
    components: int = 0
    rows: int = 0
    columns: int = 0
    signed: bool = False
    colour: str = ""
    subsampled: bool = False
    transformed: bool = False
    bare: bool = False
    segments: tuple[int, ...] = ()
    begin: int = 0
    length: int = 0
    complete: bool = True


def read_header(head: bytes) -> CodestreamHeader | None:
    """The header of the codestream that begins with `head`; None when it is of no codec that DICOM knows."""
    if head[:3] == _SOI:
        return _jpeg(head)
    if head[:4] == _SOC:
        return _jpeg_2000(head, 0, 0)
    if head[4:8] == _SIGNATURE_BOX:
        begin, length = codestream_box(head)
        return _jpeg_2000(head, begin, length) if begin else CodestreamHeader("jpeg-2000", complete=False)
    if head[:2] == b"\xff\x0a" or head[4:8] == b"JXL ":
        return CodestreamHeader("jpeg-xl")
    if head[:4] == b"\0\0\1\xb3":
        return CodestreamHeader("mpeg-2", lossy=True)
    if head[4:8] == b"ftyp":
        return CodestreamHeader("video", lossy=True)
    return _run_length(head)


def codestream_box(head: bytes) -> tuple[int, int]:
    """Offset and length of the content of the contiguous codestream box (T.800 I.5.4); length 0: to the end, offset 0: none."""
    position = 0
    while position + 8 <= len(head):
        length, name = unpack_from(">I4s", head, position)
        size = 8
        if length == 1 and position + 16 <= len(head):
            (length,), size = unpack_from(">Q", head, position + 8), 16
        if name == b"jp2c":
            return position + size, max(length - size, 0)
        if length < size:
            break
        position += length
    return 0, 0


def _run_length(head: bytes) -> CodestreamHeader | None:
    """The header of an RLE frame: the number of segments and their offsets, the first at 64 (PS3.5 section G.5)."""
    if len(head) < 64 or not 1 <= head[0] <= 15 or head[1:8] != b"\0\0\0\x40\0\0\0":
        return None
    count = head[0]
    offsets = unpack_from("<15I", head, 4)
    return None if any(offsets[count:]) else CodestreamHeader("rle", segments=offsets[:count])


@dataclass(slots=True)
class _Jpeg:
    """What the marker segments of a JPEG stream said so far."""

    family: str = ""
    frame: bytes = b""
    last: int = 0
    jfif: bool = False
    adobe: int = -1
    bare: bool = True
    complete: bool = False


def _jpeg(head: bytes) -> CodestreamHeader | None:
    """Walk the marker segments to the start of scan (T.81 B.1.1.4, T.87 C.1)."""
    found, position = _Jpeg(), 2
    while position + 4 <= len(head) and head[position] == 0xFF:
        marker = head[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        length = head[position + 2] << 8 | head[position + 3]
        segment = head[position + 4 : position + 2 + length]
        if marker == _SOS:
            where = 1 + 2 * segment[0] if segment else 0
            found.last = segment[where] if where < len(segment) else 0
            found.complete = where < len(segment)
            break
        _note_segment(found, marker, segment)
        position += 2 + length
    return _jpeg_header(found) if found.family else None


def _note_segment(found: _Jpeg, marker: int, segment: bytes) -> None:
    if marker in _SOF:
        found.family, found.frame = _SOF[marker], segment
    elif marker in (_LSE, _COM) or _APP0 <= marker <= _APP15:
        found.bare = False
        if marker == _APP0 and segment[:5] == b"JFIF\0":
            found.jfif = True
        elif marker == _APP14 and segment[:5] == b"Adobe" and len(segment) >= 12:
            found.adobe = segment[11]


def _jpeg_header(found: _Jpeg) -> CodestreamHeader:
    frame, family = found.frame, found.family
    if len(frame) < 6:
        return CodestreamHeader(family, lossy=family in _DCT, complete=found.complete)
    precision, rows, columns, components = unpack_from(">BHHB", frame)
    identities = frame[6::3][:components]
    sampling = frame[7::3][:components]
    return CodestreamHeader(
        family,
        lossy=family in _DCT or (family == "jpeg-ls" and found.last > 0),
        selection=found.last if family == "jpeg-lossless" and found.complete else 1,
        precision=precision,
        components=components,
        rows=rows,
        columns=columns,
        colour=_colour(found, identities, sampling) if components == 3 else "",
        subsampled=len(set(sampling)) > 1,
        bare=family == "jpeg-ls" and found.bare,
        complete=found.complete,
    )


def _colour(found: _Jpeg, identities: bytes, sampling: bytes) -> str:
    """What the three components are, where the stream proves it.

    The transform flag of an Adobe segment (T.872 section 6.5.3) says it, so do components named R, G and B. JFIF (T.871) is
    YCbCr by definition, and components with fewer samples than the first are chroma; both only count for a DCT, as writers
    of lossless streams put a JFIF segment before any samples.
    """
    if found.adobe in (0, 1):
        return YBR if found.adobe else RGB
    if found.family in _DCT and found.jfif:
        return YBR
    if identities == b"RGB":
        return RGB
    return YBR if found.family in _DCT and len(set(sampling)) > 1 else ""


def _jpeg_2000(head: bytes, begin: int, length: int) -> CodestreamHeader:
    """Walk the main header (T.800 A.5.1 SIZ, A.6.1 COD; T.814 A.3 CAP)."""
    position, high_throughput = begin + 2, False
    size = style = b""
    while position + 4 <= len(head) and head[position] == 0xFF:
        marker, segment_length = head[position + 1], head[position + 2] << 8 | head[position + 3]
        if marker == 0x51:
            size = head[position + 4 : position + 2 + segment_length]
        elif marker == 0x50:
            high_throughput = True
        elif marker == 0x52:
            style = head[position + 4 : position + 2 + segment_length]
        elif marker in (0x90, 0x93):
            break
        position += 2 + segment_length
    family = "htj2k" if high_throughput else "jpeg-2000"
    complete = len(style) > 9 and len(size) >= 39
    lossy, transformed = len(style) > 9 and style[9] != 1, len(style) > 4 and style[4] == 1
    if len(size) < 39:
        return CodestreamHeader(family, lossy, transformed=transformed, begin=begin, length=length, complete=False)
    right, lower, left, top = unpack_from(">4I", size, 2)
    depth = size[36]
    return CodestreamHeader(
        family,
        lossy=lossy,
        precision=(depth & 0x7F) + 1,
        components=int.from_bytes(size[34:36], "big"),
        rows=max(lower - top, 0),
        columns=max(right - left, 0),
        signed=depth > 0x7F,
        subsampled=any(value != 1 for value in size[37::3] + size[38::3]),
        transformed=transformed,
        begin=begin,
        length=length,
        complete=complete,
    )


def unpacked_run_length(segment: bytes, enough: int) -> int:
    """Octets that an RLE segment unpacks to (PS3.5 section G.3.2), counted up to `enough`."""
    position = count = 0
    while position < len(segment) and count < enough:
        control = segment[position]
        if control < 128:
            count += min(control + 1, len(segment) - position - 1)
            position += control + 2
        elif control > 128:
            count += 257 - control
            position += 2
        else:
            position += 1
    return count
