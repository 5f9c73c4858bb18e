"""Codestreams to samples and back. Runs in a decoding subprocess only: what crashes or swells here takes no server down.

Shapes: a frame is an array ``(rows, columns)`` or ``(rows, columns, samples)``, samples interleaved, little endian.
Native data and every lossless codec come back with the exact sample values; colour transforms that belong to the codestream
(JPEG YCbCr, JPEG 2000 RCT and ICT) are undone, so that the photometric interpretation may change (PS3.5 section 8.2).
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import numpy as np

from vna_core.access.codec_names import (
    ENCODABLE,
    JPEG_2000,
    JPEG_2000_LOSSLESS,
    JPEG_DCT,
    JPEG_LOSSLESS,
    JPEG_LS,
    JPEG_LS_LOSSLESS,
    JPEG_XL,
    NATIVE,
    RLE_LOSSLESS,
)
from vna_core.domain.errors import DecodeError, UnsupportedMediaType

Frame = np.ndarray[Any, np.dtype[Any]]

_SIDE_OF_ALL_RESOLUTIONS: Final = 32
"""Shortest side of a frame that has six resolutions."""


@dataclass(frozen=True, slots=True)
class PixelDescription:
    """The Image Pixel module of one instance (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples: int
    bits_allocated: int
    bits_stored: int
    pixel_representation: int
    photometric: str
    planar_configuration: int
    keyword: str = "PixelData"

    @property
    def dtype(self) -> np.dtype[Any]:
        """Sample type of a native frame."""
        if self.keyword != "PixelData":
            return np.dtype("<f8" if self.keyword == "DoubleFloatPixelData" else "<f4")
        kind = "i" if self.pixel_representation else "u"
        return np.dtype(f"<{kind}{max(1, self.bits_allocated // 8)}")

    def check(self, max_pixels: int) -> None:
        """Raises DecodeError for a description that names no image or one past the limit ``decode.max_pixels``."""
        if self.rows < 1 or self.columns < 1 or self.samples not in (1, 3, 4) or self.bits_allocated not in (1, 8, 16, 32, 64):
            raise DecodeError("The image's rows, columns, samples or bits are not those of an image.")
        if self.rows * self.columns * self.samples > max_pixels:
            raise DecodeError("A frame has more samples than the limit allows.", limit="decode.max_pixels", maximum=max_pixels)


def interleaved(description: PixelDescription) -> PixelDescription:
    """The description of the same frame as our arrays hold it: samples of a pixel side by side, none left out."""
    photometric = "YBR_FULL" if description.photometric == "YBR_FULL_422" else description.photometric
    return replace(description, photometric=photometric, planar_configuration=0)


def encoded_label(transfer_syntax_uid: str, description: PixelDescription) -> PixelDescription:
    """What `encode` makes of an interleaved frame, as the header must tell it: colours that went through the reversible transform
    of JPEG 2000 are YBR_RCT (PS3.5 section 8.2.4).
    """
    if transfer_syntax_uid == JPEG_2000_LOSSLESS and _is_transformed(description):
        return replace(description, photometric="YBR_RCT")
    return description


def decoded_label(transfer_syntax_uid: str, description: PixelDescription) -> PixelDescription:
    """What `decode` makes of a frame of this description, interleaved: colours of JPEG, JPEG 2000 and JPEG XL are RGB (PS3.5 8.2)."""
    if description.samples == 3 and (
        transfer_syntax_uid in JPEG_DCT
        or transfer_syntax_uid in JPEG_XL
        or (transfer_syntax_uid in JPEG_2000 and description.photometric in ("YBR_RCT", "YBR_ICT"))
    ):
        return replace(interleaved(description), photometric="RGB")
    return interleaved(description)


def _is_transformed(description: PixelDescription) -> bool:
    return description.samples == 3 and description.photometric in ("RGB", "YBR_RCT")


def decode(
    transfer_syntax_uid: str, codestream: bytes, description: PixelDescription, max_pixels: int
) -> tuple[Frame, PixelDescription]:
    """One frame's samples, and the description that fits them. Raises DecodeError."""
    description.check(max_pixels)
    if transfer_syntax_uid in NATIVE:
        return native_frame(codestream, description), description
    _check_dimensions(codestream, max_pixels)
    reader = _reader(transfer_syntax_uid)
    frame = reader(codestream, description)
    if frame.ndim == 3 and frame.shape[2] == 1:
        frame = frame[:, :, 0]
    samples = 1 if frame.ndim == 2 else frame.shape[2]
    if frame.shape[:2] != (description.rows, description.columns) or samples != description.samples:
        raise DecodeError("The codestream's size is not the size that the header declares.")
    bits = frame.dtype.itemsize * 8
    return frame, replace(decoded_label(transfer_syntax_uid, description), bits_allocated=bits)


def _reader(transfer_syntax_uid: str) -> Callable[[bytes, PixelDescription], Frame]:
    for family, reader in (
        (JPEG_DCT, _jpeg),
        (JPEG_LOSSLESS, _jpeg_lossless),
        (JPEG_LS, _jpeg_ls),
        (JPEG_2000, _jpeg_2000),
        (JPEG_XL, _jpeg_xl),
        (frozenset((RLE_LOSSLESS,)), _rle),
    ):
        if transfer_syntax_uid in family:
            return reader
    raise DecodeError("There is no decoder for this transfer syntax.", transfer_syntax_uid=transfer_syntax_uid)


def native_frame(octets: bytes, description: PixelDescription) -> Frame:
    """A native frame (PS3.5 section 8.1.1); 1-bit samples and YBR_FULL_422 are unpacked."""
    rows, columns, samples = description.rows, description.columns, description.samples
    count = rows * columns * samples
    if description.bits_allocated == 1:
        bits = np.unpackbits(np.frombuffer(octets, np.uint8), bitorder="little")
        return _at_least(bits, count)[:count].reshape(rows, columns)
    values = np.frombuffer(octets[: len(octets) // description.dtype.itemsize * description.dtype.itemsize], description.dtype)
    if description.photometric == "YBR_FULL_422" and samples == 3 and values.size < count:
        return _unpack_422(_at_least(values, rows * columns * 2), rows, columns)
    values = _at_least(values, count)[:count]
    if samples == 1:
        return values.reshape(rows, columns)
    if description.planar_configuration == 1:
        return np.ascontiguousarray(values.reshape(samples, rows, columns).transpose(1, 2, 0))
    return values.reshape(rows, columns, samples)


def _at_least(values: Frame, count: int) -> Frame:
    if values.size < count:
        raise DecodeError("The pixel data is shorter than rows, columns and samples say.")
    return values


def _unpack_422(values: Frame, rows: int, columns: int) -> Frame:
    if columns % 2:
        raise DecodeError("YBR_FULL_422 needs an even number of columns.")
    groups = values[: rows * columns * 2].reshape(rows, columns // 2, 4)
    full = np.empty((rows, columns, 3), values.dtype)
    full[:, ::2, 0], full[:, 1::2, 0] = groups[..., 0], groups[..., 1]
    full[:, ::2, 1:] = full[:, 1::2, 1:] = groups[..., 2:]
    return full


def _check_dimensions(codestream: bytes, max_pixels: int) -> None:
    """Refuse a codestream that declares more samples than allowed, before a decoder allocates for them."""
    size = _jpeg_2000_size(codestream) or _jpeg_size(codestream)
    if size is not None and size[0] * size[1] * max(1, size[2]) > max_pixels:
        raise DecodeError(
            "A codestream declares more samples than the limit allows.", limit="decode.max_pixels", maximum=max_pixels
        )


def _jpeg_2000_size(data: bytes) -> tuple[int, int, int] | None:
    """Columns, rows and components of the SIZ marker (ITU-T T.800 A.5.1)."""
    at = data.find(b"\xff\x4f\xff\x51", 0, 4096)
    if at < 0 or len(data) < at + 42:
        return None
    width, height, left, top = struct.unpack_from(">4I", data, at + 8)
    return width - left, height - top, int(struct.unpack_from(">H", data, at + 40)[0])


def _jpeg_size(data: bytes) -> tuple[int, int, int] | None:
    """Columns, rows and components of the start of frame (ITU-T T.81 B.2.2)."""
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 10 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker in (0xF7, *range(0xC0, 0xC4), *range(0xC5, 0xC8), *range(0xC9, 0xCC), *range(0xCD, 0xD0)):
            rows, columns, components = struct.unpack_from(">HHB", data, at + 5)
            return columns, rows, components
        at += 1 if marker == 0xFF else 2 + int(struct.unpack_from(">H", data, at + 2)[0])
    return None


def _signed(frame: Frame, description: PixelDescription, precision: int) -> Frame:
    """Samples with the sign that the header declares, extended from the codestream's precision."""
    bits = frame.dtype.itemsize * 8
    if not description.pixel_representation:
        return frame.view(f"u{bits // 8}") if frame.dtype.kind == "i" else frame
    if frame.dtype.kind == "u":
        frame = frame.view(f"i{bits // 8}")
    shift = bits - precision
    return (frame << shift) >> shift if 0 < shift < bits else frame


def _jpeg(data: bytes, description: PixelDescription) -> Frame:
    import imagecodecs  # heavy, and only needed where it is used: the subprocess starts faster

    if description.samples == 1:
        return np.asarray(imagecodecs.jpeg8_decode(data))
    plain = description.photometric == "RGB" and b"JFIF" not in data[:64] and b"\xff\xee\x00\x0eAdobe" not in data[:4096]
    return np.asarray(imagecodecs.jpeg8_decode(data, colorspace="RGB" if plain else None, outcolorspace="RGB"))


def _jpeg_lossless(data: bytes, description: PixelDescription) -> Frame:
    import imagecodecs

    try:
        frame = imagecodecs.jpegsof3_decode(data)
    except Exception:  # noqa: BLE001 - codec errors have no common type; the second decoder reads streams the first does not
        frame = imagecodecs.ljpeg_decode(data)
    return _signed(np.ascontiguousarray(frame), description, description.bits_stored)


def _jpeg_ls(data: bytes, description: PixelDescription) -> Frame:
    import jpeg_ls  # type: ignore[import-untyped]

    buffer, info = jpeg_ls.decode_pixel_data(data)
    components = int(info["components"])
    wide = int(info["bits_per_sample"]) > 8
    values = np.frombuffer(bytes(buffer), "<u2" if wide else "u1")
    if components > 1 and int(info["interleave_mode"]) == 0:
        frame = np.ascontiguousarray(values.reshape(components, int(info["height"]), int(info["width"])).transpose(1, 2, 0))
    else:
        frame = values.reshape(int(info["height"]), int(info["width"]), components)
    return _signed(frame, description, int(info["bits_per_sample"]))


def _jpeg_2000(data: bytes, description: PixelDescription) -> Frame:
    from openjpeg import utils as openjpeg

    frame = openjpeg.decode(data)
    precision = int(openjpeg.get_parameters(data)["precision"])
    return _signed(np.ascontiguousarray(frame), description, precision)


def _jpeg_xl(data: bytes, description: PixelDescription) -> Frame:
    import imagecodecs

    frame = imagecodecs.jpegxl_decode(data)
    return _signed(np.ascontiguousarray(frame), description, description.bits_stored)


def _rle(data: bytes, description: PixelDescription) -> Frame:
    """RLE Lossless (PS3.5 annex G): one PackBits segment per octet of each sample, most significant first."""
    width = description.bits_allocated // 8
    planes = width * description.samples
    count = description.rows * description.columns
    if len(data) < 64:
        raise DecodeError("The RLE codestream has no header.")
    segments, *offsets = struct.unpack_from("<16I", data)
    if segments != planes or segments > 15:
        raise DecodeError("The RLE codestream's number of segments does not fit the image.")
    ends = [*offsets[1:segments], len(data)]
    octets = np.empty((description.samples, width, count), np.uint8)
    for number, (begin, end) in enumerate(zip(offsets[:segments], ends, strict=True)):
        sample, octet = divmod(number, width)
        octets[sample, width - 1 - octet] = _unpack_bits(data[begin:end], count)
    values = np.ascontiguousarray(octets.transpose(2, 0, 1)).view(description.dtype)
    return values.reshape(description.rows, description.columns, description.samples)


def _unpack_bits(segment: bytes, count: int) -> Frame:
    """PackBits (PS3.5 G.3.2), never growing past `count` octets."""
    out = bytearray()
    at = 0
    while at < len(segment) and len(out) < count:
        control = segment[at]
        if control < 128:
            out += segment[at + 1 : at + 2 + control]
            at += control + 2
        elif control > 128:
            out += segment[at + 1 : at + 2] * (257 - control)
            at += 2
        else:
            at += 1
    if len(out) < count:
        raise DecodeError("An RLE segment ends before the frame is full.")
    return np.frombuffer(bytes(out[:count]), np.uint8)


def encode(transfer_syntax_uid: str, frame: Frame, description: PixelDescription) -> bytes:
    """A lossless codestream of a frame, proven by decoding it again.

    Raises UnsupportedMediaType where the codec cannot carry such samples, DecodeError where the proof fails.
    """
    if description.keyword != "PixelData" or description.bits_allocated not in (8, 16) or transfer_syntax_uid not in ENCODABLE:
        raise UnsupportedMediaType("These samples cannot be compressed losslessly to the transfer syntax asked for.")
    codestream = _encode(transfer_syntax_uid, np.ascontiguousarray(frame), description)
    again = _reader(transfer_syntax_uid)(codestream, description)
    if not np.array_equal(again.reshape(frame.shape), frame):
        raise DecodeError("The codec did not give the same samples back; nothing is sent.")
    return codestream


def _encode(transfer_syntax_uid: str, frame: Frame, description: PixelDescription) -> bytes:
    if transfer_syntax_uid == JPEG_2000_LOSSLESS:
        return _encode_jpeg_2000(frame, description)
    if transfer_syntax_uid == JPEG_LS_LOSSLESS:
        import jpeg_ls

        bits = _bits_needed(frame, description)
        unsigned = frame.view(f"u{frame.dtype.itemsize}") & np.array((1 << bits) - 1, f"u{frame.dtype.itemsize}")
        interleave = 2 if description.samples > 1 else 0
        return bytes(
            jpeg_ls.encode_buffer(
                unsigned.tobytes(),
                description.rows,
                description.columns,
                description.samples,
                bits,
                0,
                interleave_mode=interleave,
            )
        )
    from pydicom.pixels.encoders.base import RLELosslessEncoder

    encoded: bytes = RLELosslessEncoder.encode(
        np.ascontiguousarray(frame).tobytes(),
        rows=description.rows,
        columns=description.columns,
        samples_per_pixel=description.samples,
        bits_allocated=description.bits_allocated,
        bits_stored=description.bits_stored,
        pixel_representation=description.pixel_representation,
        photometric_interpretation=description.photometric,
        planar_configuration=0,
        number_of_frames=1,
        encoding_plugin="pydicom",
    )
    return encoded


def _encode_jpeg_2000(frame: Frame, description: PixelDescription) -> bytes:
    """Resolutions as the frame has room for: every one but the first halves both sides (ISO/IEC 15444-1 annex F)."""
    colour = _is_transformed(description)
    bits = _bits_needed(frame, description)
    shorter = min(description.rows, description.columns)
    if shorter >= _SIDE_OF_ALL_RESOLUTIONS:
        from openjpeg import utils as openjpeg

        return bytes(openjpeg.encode_array(frame, bits_stored=bits, photometric_interpretation=int(colour), use_mct=colour))
    import imagecodecs  # openjpeg's own interface always takes six resolutions

    return bytes(
        imagecodecs.jpeg2k_encode(
            frame, codecformat="j2k", reversible=True, bitspersample=bits, resolutions=shorter.bit_length(), mct=colour
        )
    )


def _bits_needed(frame: Frame, description: PixelDescription) -> int:
    """Bits Stored, or more where samples (overlays in unused bits) do not fit: a lossless codec must carry them all."""
    stored = description.bits_stored
    low, high = (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if description.pixel_representation else (0, (1 << stored) - 1)
    fits = low <= int(frame.min()) and int(frame.max()) <= high
    return stored if fits else description.bits_allocated
