"""Codestreams of one frame, by codecs that the archive does not use for this. Needs the ``codecs`` extra."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any, Final

import imagecodecs
import numpy as np
from PIL import Image

from vna_core.testing.quirks.quirk_file import Samples

_JPEG: Final = "1.2.840.10008.1.2.4."
BASELINE, EXTENDED, PROGRESSIVE = _JPEG + "50", _JPEG + "51", _JPEG + "55"
LOSSLESS, LOSSLESS_FIRST_ORDER = _JPEG + "57", _JPEG + "70"
JPEG_LS, JPEG_2000_LOSSLESS, JPEG_2000, JPEG_XL = _JPEG + "80", _JPEG + "90", _JPEG + "91", _JPEG + "110"
MPEG_4: Final = _JPEG + "102"
RLE: Final = "1.2.840.10008.1.2.5"


def jpeg_2000(samples: Samples, bits: int, *, multiple_component: bool = False, boxed: bool = False) -> bytes:
    """A reversible JPEG 2000 codestream, or the JP2 file around it."""
    kind = "jp2" if boxed else "j2k"
    colour = samples.ndim == 3
    return bytes(
        imagecodecs.jpeg2k_encode(
            samples, codecformat=kind, reversible=True, bitspersample=bits, mct=multiple_component if colour else False
        )
    )


def jpeg_ls(samples: Samples) -> bytes:
    """A lossless JPEG-LS codestream."""
    return bytes(imagecodecs.jpegls_encode(samples))


def jpeg_lossless(samples: Samples, bits: int) -> bytes:
    """A JPEG lossless codestream (SOF3) of one component."""
    return bytes(imagecodecs.ljpeg_encode(samples, bitspersample=bits))


def jpeg_lossless_rgb(samples: Samples) -> bytes:
    """A JPEG lossless codestream (SOF3) of red, green and blue, which its Adobe marker says."""
    return bytes(imagecodecs.jpeg8_encode(samples, lossless=True, colorspace="RGB", outcolorspace="RGB"))


def jpeg_12_bits(samples: Samples) -> bytes:
    """A JPEG extended codestream (SOF1) of 12 bits."""
    return bytes(imagecodecs.jpeg_encode(samples, level=100, bitspersample=12))


def decoded_12_bits(codestream: bytes) -> Samples:
    """What a codestream of `jpeg_12_bits` holds."""
    return np.asarray(imagecodecs.jpeg_decode(codestream))


def jpeg(samples: Samples, **options: Any) -> bytes:
    """A JPEG codestream by Pillow: luminance and chrominance with a JFIF marker unless ``keep_rgb``."""
    stream = BytesIO()
    Image.fromarray(samples).save(stream, "JPEG", quality=95, **options)
    return stream.getvalue()


def decoded(codestream: bytes, mode: str = "") -> Samples:
    """What Pillow reads from a JPEG codestream; `mode` ``YCbCr`` leaves the components as they are stored."""
    with Image.open(BytesIO(codestream)) as read:
        if mode:
            read.draft(mode, None)
        return np.array(read)


def packed_bits(row: bytes) -> bytes:
    """One row by the PackBits scheme (PS3.5 annex G.3.1)."""
    packed, at = bytearray(), 0
    while at < len(row):
        run = 1
        while run < 128 and row[at : at + 1] == row[at + run : at + run + 1]:
            run += 1
        packed += bytes((257 - run, row[at])) if run > 1 else bytes((0, row[at]))
        at += run
    return bytes(packed)


def segments(samples: Samples) -> list[bytes]:
    """The octet planes of a frame, most significant first, packed row by row (PS3.5 annex G.2)."""
    planes = samples[..., np.newaxis] if samples.ndim == 2 else samples
    size = samples.dtype.itemsize
    found = []
    for component in range(planes.shape[2]):
        plane = np.ascontiguousarray(planes[..., component]).astype(samples.dtype.newbyteorder(">"))
        octets = plane.view("u1").reshape(*plane.shape, size)
        found += [b"".join(packed_bits(row.tobytes()) for row in octets[..., place]) for place in range(size)]
    return found


def rle(samples: Samples, *, pad: int = 1, offset: int = 64, least_first: bool = False) -> bytes:
    """An RLE frame; `pad` octets fill a segment to even length, `offset` is where the first one begins."""
    parts = segments(samples)
    if least_first:
        parts.reverse()
    padded = [one + bytes(pad) * (len(one) & 1) for one in parts]
    begins = [offset + sum(map(len, padded[:index])) for index in range(len(padded))]
    table = struct.pack("<16I", len(begins), *begins, *[0] * (15 - len(begins)))
    frame = table + bytes(offset - 64) + b"".join(padded)
    return frame + bytes(len(frame) & 1)


def without_marker(codestream: bytes, marker: int) -> bytes:
    """A JPEG codestream without its first segment of this marker."""
    at = codestream.index(bytes((0xFF, marker)))
    return codestream[:at] + codestream[at + 2 + int.from_bytes(codestream[at + 2 : at + 4], "big") :]
