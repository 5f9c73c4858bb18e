"""What a canonical object holds, read by pydicom."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

import imagecodecs
import numpy as np
import pydicom
from pydicom.charset import convert_encodings, decode_bytes
from pydicom.dataelem import RawDataElement
from pydicom.dataset import Dataset
from pydicom.encaps import generate_frames
from pydicom.pixels import pixel_array

UNSPLIT = ("LT", "ST", "UT", "UR")
NUMBERS = ("US", "SS", "UL", "SL", "FL", "FD", "AT", "SV", "UV")
BINARY = ("OB", "OD", "OF", "OL", "OV", "OW", "UN")
WITH_CHARACTER_SET = ("LO", "LT", "PN", "SH", "ST", "UC", "UT")
STEP = re.compile(r"([0-9A-F]{8})(?:\[(\d+)\])?")


def _inflated(frame: bytes, rows: int, columns: int) -> np.ndarray[Any, Any]:
    return np.frombuffer(zlib.decompress(frame, -15), "<u2").reshape(rows, columns)


def _jpeg(frame: bytes, _rows: int, _columns: int) -> np.ndarray[Any, Any]:
    return np.asarray(imagecodecs.jpeg_decode(frame))


DECODERS: Mapping[str, Callable[[bytes, int, int], np.ndarray[Any, Any]]] = {
    "1.2.840.10008.1.2.8.1": _inflated,
    **{f"1.2.840.10008.1.2.4.{last}": _jpeg for last in (51, 55, 57, 70)},
}


class Reading:
    """One object; every value is read from its octets, without pydicom's conversion of texts."""

    def __init__(self, octets: bytes) -> None:
        self.root = pydicom.dcmread(BytesIO(octets))

    def _parent(self, path: str) -> tuple[Dataset, int, list[str]] | None:
        *steps, last = path.split(".")
        data_set: Dataset = self.root.file_meta if last.startswith("0002") else self.root
        declared = self._declared(data_set, ["ISO_IR 6"])
        for step in steps:
            match = STEP.fullmatch(step)
            assert match
            tag, index = int(match[1], 16), int(match[2])
            if tag not in data_set or len(data_set[tag].value) <= index:
                return None
            data_set = data_set[tag].value[index]
            declared = self._declared(data_set, declared)
        return data_set, int(last, 16), declared

    @staticmethod
    def _declared(data_set: Dataset, inherited: list[str]) -> list[str]:
        told = data_set.get("SpecificCharacterSet", None)
        return inherited if not told else [told] if isinstance(told, str) else list(told)

    def octets(self, path: str) -> bytes | None:
        """The value's octets; None: absent."""
        found = self._parent(path)
        if found is None or found[1] not in found[0]:
            return None
        raw = found[0].get_item(found[1])
        value = raw.value
        if isinstance(raw, RawDataElement):
            return bytes(value or b"")
        if isinstance(value, bytes):
            return value
        return str(value).encode() if not isinstance(value, pydicom.multival.MultiValue) else "\\".join(map(str, value)).encode()

    def values(self, path: str) -> tuple[str, ...] | None:
        """The values as text; None: absent."""
        found = self._parent(path)
        if found is None or found[1] not in found[0]:
            return None
        data_set, tag, declared = found
        raw = self.octets(path)
        vr = str(data_set.get_item(tag).VR)
        if vr in NUMBERS:
            return numbers(data_set[tag].value)
        assert raw is not None
        if vr in BINARY:
            return (raw.hex().upper(),) if raw else ()
        codecs = convert_encodings(declared)
        text = decode_bytes(raw, codecs, {"\\", "^", "="}) if vr in WITH_CHARACTER_SET else raw.decode("latin-1")
        text = text.removesuffix("\0") if vr == "UI" else text.rstrip(" ")
        return () if not text else (text,) if vr in UNSPLIT else tuple(one.rstrip(" ") for one in text.split("\\"))

    def samples(self, syntax: str = "") -> np.ndarray[Any, Any]:
        """Stored values, masked to Bits Stored, of shape (frames, rows, columns[, samples]).

        With `syntax` by the decoder for that transfer syntax, which may turn colours where that for the real one does not.
        """
        decoder = DECODERS.get(syntax or self.root.file_meta.TransferSyntaxUID)
        found = pixel_array(self.root, raw=True) if decoder is None else self._decoded(decoder)
        expected = 3 if self.root.SamplesPerPixel == 1 else 4
        shaped = found[np.newaxis] if found.ndim < expected else found
        stored, allocated = self.root.get("BitsStored", 0), self.root.get("BitsAllocated", 0)
        if shaped.dtype.kind not in "iu" or not 1 < stored < allocated:
            return shaped
        unused = shaped.dtype.itemsize * 8 - stored
        return (shaped << unused) >> unused

    def _decoded(self, decoder: Callable[[bytes, int, int], np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
        """Frames of a transfer syntax that pydicom has no decoder for."""
        count = int(self.root.get("NumberOfFrames", 1))
        frames = generate_frames(self.root.PixelData, number_of_frames=count)
        return np.stack([decoder(one, self.root.Rows, self.root.Columns) for one in frames])


def numbers(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    many = value if isinstance(value, list | tuple | pydicom.multival.MultiValue) else [value]
    return tuple(map(str, many))
