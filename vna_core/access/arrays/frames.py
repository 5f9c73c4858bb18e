"""What is known about each frame of an instance: its pixels' form, where it lies in the patient, what its numbers mean.

Read from the DICOM JSON header alone; no pixel is touched. Single-frame objects say it at the top level, multi-frame ones in
functional groups (PS3.3 C.7.6.16), dose grids in the Grid Frame Offset Vector (C.8.8.3.2).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from vna_core.access.arrays.header_values import Header, inside, integer, items, number, numbers, text, values
from vna_core.access.codec_names import NATIVE
from vna_core.access.decode_codecs import PixelDescription
from vna_core.access.sample_bits import SampleBits, high_bit_of
from vna_core.domain.instance import HeldInstance

Vector = tuple[float, ...]

_PER_FRAME, _SHARED = "52009230", "52009229"
_POSITION_PLANE, _ORIENTATION_PLANE, _MEASURES = "00209113", "00209116", "00289110"
_TRANSFORMATION, _CONTENT = "00289145", "00209111"
_KEYWORDS: Final = (("7FE00010", "PixelData"), ("7FE00008", "FloatPixelData"), ("7FE00009", "DoubleFloatPixelData"))


@dataclass(frozen=True, slots=True)
class Form:
    """Form of a frame's samples: frames of one array have the same.

    Attributes
    ----------
    plain
        Stored as the samples themselves: nobody needs a codec to read them.
    samples
        Which bits are the samples; None when all are.
    """

    description: PixelDescription
    transfer_syntax_uid: str
    plain: bool
    samples: SampleBits | None

    @property
    def bits(self) -> int:
        """Bits from one frame to the next where frames follow one another without anything between them; 0 where an index tells."""
        one = self.description
        packed = one.bits_allocated == 1 and self.transfer_syntax_uid in NATIVE
        return one.rows * one.columns * one.samples * one.bits_allocated if self.plain or packed else 0


@dataclass(frozen=True, slots=True)
class FrameFacts:
    """One frame of an instance.

    Attributes
    ----------
    index
        0-based place in the instance.
    position
        Image Position (Patient) in mm: the centre of the first pixel, in the LPS coordinate system. Empty when not told.
    orientation
        Image Orientation (Patient): direction cosines of the row and of the column. Empty when not told.
    spacing
        Pixel Spacing in mm: between rows, between columns. Empty when not told.
    thickness
        Spacing Between Slices, else Slice Thickness, in mm.
    rescale
        Slope and intercept from stored values to `units`.
    order
        What tells frames at one place apart, and orders frames without a place: time, temporal position, instance number, index.
    """

    held: HeldInstance
    index: int
    form: Form
    position: Vector
    orientation: Vector
    spacing: Vector
    thickness: float | None
    rescale: tuple[float, float] | None
    units: str
    order: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Instance:
    """One instance with pixels, and its parsed header."""

    held: HeldInstance
    header: Header
    form: Form
    number_of_frames: int


def instance_of(held: HeldInstance, json_header: bytes) -> Instance | None:
    """The instance, or None when it has no pixels that make an image."""
    header: Header = json.loads(json_header)
    form = _form(held, header)
    count = held.number_of_frames
    return Instance(held, header, form, count) if form is not None and count > 0 and held.pixel_data is not None else None


def _form(held: HeldInstance, header: Header) -> Form | None:
    keyword = next((name for tag, name in _KEYWORDS if tag in header), "PixelData")
    samples = integer(header, "00280002", 1)
    description = PixelDescription(
        rows=integer(header, "00280010"),
        columns=integer(header, "00280011"),
        samples=samples,
        bits_allocated={"FloatPixelData": 32, "DoubleFloatPixelData": 64}.get(keyword) or integer(header, "00280100", 8),
        bits_stored=integer(header, "00280101", integer(header, "00280100", 8)),
        pixel_representation=integer(header, "00280103"),
        photometric=text(header, "00280004", "MONOCHROME2"),
        planar_configuration=integer(header, "00280006") if samples > 1 else 0,
        keyword=keyword,
    )
    if description.rows < 1 or description.columns < 1 or samples not in (1, 3, 4):
        return None
    if description.bits_allocated not in (1, 8, 16, 32, 64):
        return None
    plain = held.transfer_syntax_uid in NATIVE and description.bits_allocated >= 8 and description.photometric != "YBR_FULL_422"
    high = high_bit_of(held.transfer_syntax_uid, integer(header, "00280102", -1))
    return Form(description, held.transfer_syntax_uid, plain, SampleBits.of(description, high))


def frames_of(instance: Instance) -> Iterator[FrameFacts]:
    """The frames of an instance, in their order."""
    header, held = instance.header, instance.held
    per_frame, shared = items(header, _PER_FRAME), items(header, _SHARED)
    offsets = numbers(header, "3004000C")
    for index in range(instance.number_of_frames):
        groups = [*per_frame[index : index + 1], *shared[:1]]
        measures = inside(groups, _MEASURES) or header
        orientation = numbers(inside(groups, _ORIENTATION_PLANE) or header, "00200037", 6)
        position = numbers(inside(groups, _POSITION_PLANE) or header, "00200032", 3)
        if len(offsets) == instance.number_of_frames and position and orientation:
            position = _moved(position, orientation, offsets[index] - (offsets[0] if offsets[0] else 0.0))
        rescale, units = _rescale(inside(groups, _TRANSFORMATION) or header, header)
        yield FrameFacts(
            held,
            index,
            instance.form,
            position,
            orientation,
            _spacing(measures, "00280030") or _spacing(header, "00181164"),
            number(measures, "00180088") or number(measures, "00180050"),
            rescale,
            units,
            _order(header, inside(groups, _CONTENT), index),
        )


def _spacing(header: Header, tag: str) -> Vector:
    found = numbers(header, tag, 2)
    return found if all(value > 0 for value in found) else ()


def _moved(position: Vector, orientation: Vector, distance: float) -> Vector:
    normal = normal_of(orientation)
    return tuple(start + distance * direction for start, direction in zip(position, normal, strict=True))


def normal_of(orientation: Vector) -> Vector:
    """Direction from one plane to the next: the cross product of the row's and the column's direction cosines."""
    a, b, c, d, e, f = orientation
    return (b * f - c * e, c * d - a * f, a * e - b * d)


def _rescale(transformation: Header, header: Header) -> tuple[tuple[float, float] | None, str]:
    slope, intercept = number(transformation, "00281053"), number(transformation, "00281052")
    units = text(transformation, "00281054") or text(header, "00541001")
    return (None if slope is None and intercept is None else (slope if slope is not None else 1.0, intercept or 0.0)), units


def _order(header: Header, content: Header, index: int) -> tuple[Any, ...]:
    """Times first, so that repetitions of a volume are one moment after the other; the numbers decide between equal times."""
    temporal = integer(content, "00209128", integer(header, "00200100"))
    dimensions = tuple(int(value) for value in values(content, "00209157") if isinstance(value, int))
    return (
        temporal,
        number(header, "00180081") or 0.0,
        number(header, "00189087") or 0.0,
        number(header, "00181060") or 0.0,
        text(header, "00080032"),
        integer(header, "00200013"),
        dimensions,
        index,
    )
