"""Images with labels as wanted, offered and read back: what the tests of pixel labels share."""

from __future__ import annotations

import io

import numpy as np
import pydicom
import pytest

from tests.unit.normalize.handmade import (
    assert_reversible_and_stable,
    element,
    file,
    fragments,
    identification,
    number,
    offer,
    rules,
    stored,
)
from vna_core.access.decode_codecs import decode
from vna_core.access.transcode_header import describe
from vna_core.domain.instance import CanonicalInstance

imagecodecs = pytest.importorskip("imagecodecs")

Labels = dict[int, int | str | None]
JPEG = "1.2.840.10008.1.2.4."
GREY: Labels = {2: 1, 4: "MONOCHROME2", 0x10: 4, 0x11: 6, 0x100: 16, 0x101: 12, 0x102: 11, 0x103: 0}
COLOUR: Labels = {2: 3, 4: "RGB", 6: 0, 0x10: 16, 0x11: 16, 0x100: 8, 0x101: 8, 0x102: 7, 0x103: 0}
RAMP = np.arange(24, dtype="<u2") * 170
PICTURE = np.indices((16, 16, 3)).sum(0).astype(np.uint8) * 7
GREY_PICTURE = np.ascontiguousarray(PICTURE[..., 0])


def group(labels: Labels) -> bytes:
    """Group 0028: a number is US, text is CS (IS for Number of Frames), None is absent."""
    octets = b""
    for tag, value in sorted(labels.items()):
        if isinstance(value, int):
            octets += number(0x00280000 | tag, value)
        elif value is not None:
            raw = value.encode()
            octets += element(0x00280000 | tag, "IS" if tag == 8 else "CS", raw + b" " * (len(raw) & 1))
    return octets


def native(labels: Labels, samples: bytes, *, behind: bytes = b"") -> bytes:
    vr = "OB" if labels.get(0x100) == 8 else "OW"
    return file(identification() + group(labels) + behind + element(0x7FE00010, vr, samples))


def compressed(labels: Labels, parts: list[bytes], transfer_syntax: str) -> bytes:
    parts = [part + b"\0" * (len(part) & 1) for part in parts]
    offsets = [sum(8 + len(earlier) for earlier in parts[:index]) for index in range(len(parts))]
    return file(identification() + group(labels) + fragments(parts, offsets), transfer_syntax)


def read(canonical: CanonicalInstance) -> pydicom.Dataset:
    return pydicom.dcmread(io.BytesIO(stored(canonical)))


def frame(canonical: CanonicalInstance, index: int = 0) -> np.ndarray:
    """One frame as the archive decodes it."""
    octets, place = stored(canonical), canonical.frames.ranges[index]
    return decode(canonical.transfer_syntax_uid, octets[place.offset : place.end], describe(read(canonical)), 1 << 20)[0]


def labelled(octets: bytes, **expected: object) -> CanonicalInstance:
    """The canonical instance has these labels, gives the octets back, and is left alone the next time."""
    canonical = offer(octets)
    found = read(canonical)
    assert {name: found.get(name) for name in expected} == expected
    assert_reversible_and_stable(octets, canonical)
    return canonical


def kept(octets: bytes, rule: str) -> CanonicalInstance:
    """Nothing changes, and the finding is told."""
    canonical = offer(octets)
    assert rules(canonical) == []
    assert rule in [finding.rule for finding in canonical.findings]
    assert_reversible_and_stable(octets, canonical)
    return canonical


def jpeg(**options: object) -> bytes:
    return bytes(imagecodecs.jpeg8_encode(PICTURE, level=95, **options))


def without_segment(stream: bytes, marker: bytes) -> bytes:
    at = stream.find(marker)
    return stream[:at] + stream[at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big") :] if at > 0 else stream


def with_adobe(stream: bytes, transform: int) -> bytes:
    """The stream with an Adobe segment in place of JFIF."""
    plain = without_segment(stream, b"\xff\xe0")
    return plain[:2] + b"\xff\xee\0\x0eAdobe\0\x64\0\0\0\0" + bytes([transform]) + plain[2:]


JFIF = jpeg(colorspace="RGB", outcolorspace="YCBCR", subsampling="444")
ADOBE_RGB = with_adobe(without_segment(jpeg(colorspace="RGB", outcolorspace="RGB"), b"\xff\xee"), 0)
REVERSIBLE = bytes(imagecodecs.jpeg2k_encode(PICTURE, codecformat="j2k", reversible=True, level=0, mct=True))
UNTRANSFORMED = bytes(imagecodecs.jpeg2k_encode(PICTURE, codecformat="j2k", reversible=True, level=0, mct=False))
BOXED = bytes(imagecodecs.jpeg2k_encode(PICTURE, codecformat="jp2", reversible=True, level=0, mct=True))
