"""Frames of a series become arrays: which frames lie in one array, along which axes, and what the axes mean.

Frames are put together when they have the same form, orientation and spacing. Along their common normal they are ordered by place; where
every place occurs equally often there is a further axis in front, of repetitions in time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from vna_core.access.arrays.frames import Form, FrameFacts, Vector, normal_of
from vna_core.domain.instance import HeldInstance

_SAME_PLACE: Final = 1e-3
_UNEVEN: Final = 0.02
"""Share of the mean distance by which distances of planes may differ in a volume that is called uniform."""


@dataclass(frozen=True, slots=True)
class FramePlace:
    """A frame's octets: the instance and the 0-based frame in it; `bits` from one frame to the next, 0 where an index tells."""

    held: HeldInstance
    index: int
    bits: int

    @property
    def shift(self) -> int:
        """Bits of the octet before that the frame begins in: native frames of one bit a sample are not padded (PS3.5 8.1.1)."""
        return self.index * self.bits & 7


@dataclass(frozen=True, slots=True)
class Axis:
    """One axis of an array: OME-Zarr's name, type and unit, and the distance of two indices along it."""

    name: str
    type: str | None = None
    unit: str | None = None
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class ArrayLayout:
    """One array.

    Attributes
    ----------
    axes
        In order: ``[t,] [c,] z, y, x`` for volumes, ``t`` or ``n`` in the place of z for frames without a place in the patient.
    shape, chunk
        Length of the array and of one chunk along each axis. A chunk is one frame.
    frames
        Index of a chunk, along all axes, to the frame that is it. A chunk that is not in it reads as the fill value.
    """

    form: Form
    axes: tuple[Axis, ...]
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    frames: Mapping[tuple[int, ...], FramePlace]
    attributes: Mapping[str, Any] = field(default_factory=dict)


def plane_axes(spacing: Vector) -> tuple[Axis, Axis]:
    """The axes of a plane; `spacing` in mm between rows, between columns, or empty."""
    down, across = spacing if spacing else (1.0, 1.0)
    unit = "millimeter" if spacing else None
    return Axis("y", "space", unit, down), Axis("x", "space", unit, across)


Lengths = Sequence[tuple[Axis, int]]


def assembled(form: Form, leading: Lengths, plane: Lengths, frames: Mapping[tuple[int, ...], FramePlace]) -> ArrayLayout:
    """An array in the order of axes that OME-Zarr wants: time or others, colours, space.

    Parameters
    ----------
    leading
        Axes before the plane and their lengths.
    plane
        The two axes of the plane and the lengths of the whole of it.
    frames
        Index along the leading axes, then row and column of the tile in the plane, to the frame.
    """
    description = form.description
    colour = [(Axis("c", "channel"), description.samples)] if description.samples > 1 else []
    front = [one for one in leading if one[0].type != "space"]
    deep = [one for one in leading if one[0].type == "space"]
    everything = [*front, *colour, *deep, *plane]
    own = len(front)
    return ArrayLayout(
        form,
        tuple(axis for axis, _ in everything),
        tuple(length for _, length in everything),
        (*(1 for _ in front), *(length for _, length in colour), *(1 for _ in deep), description.rows, description.columns),
        {(*index[:own], *(0 for _ in colour), *index[own:]): place for index, place in frames.items()},
    )


def layouts(frames: Iterable[FrameFacts]) -> list[ArrayLayout]:
    """The arrays of a series, the one with most frames first."""
    groups: dict[Any, list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        spacing = tuple(round(value, 5) for value in frame.spacing)
        groups[(frame.form, frame.orientation, spacing, bool(frame.position))].append(frame)
    made = [_array(group) for group in groups.values()]
    return sorted(made, key=lambda one: -len(one.frames))


def _array(group: list[FrameFacts]) -> ArrayLayout:
    first = group[0]
    if first.position and first.orientation:
        leading, ordered, more = _by_place(group)
    else:
        ordered = sorted(group, key=lambda one: one.order)
        several = len({one.held.pk for one in group}) > 1
        leading, more = [(Axis("n") if several else Axis("t", "time"), len(ordered))], {}
    lengths = tuple(length for _, length in leading)
    frames = {
        (*_unravelled(number, lengths), 0, 0): FramePlace(one.held, one.index, first.form.bits)
        for number, one in enumerate(ordered)
    }
    description = first.form.description
    plane = list(zip(plane_axes(first.spacing), (description.rows, description.columns), strict=True))
    return replace(assembled(first.form, leading, plane, frames), attributes={**more, **_meaning(ordered)})


def _unravelled(number: int, lengths: Sequence[int]) -> tuple[int, ...]:
    index: list[int] = []
    for length in reversed(lengths):
        number, place = divmod(number, length)
        index.append(place)
    return tuple(reversed(index))


def _by_place(group: list[FrameFacts]) -> tuple[list[tuple[Axis, int]], list[FrameFacts], dict[str, Any]]:
    """Leading axes, frames in order, and attributes of frames that have a place in the patient."""
    normal = normal_of(group[0].orientation)
    planes = _planes(group, normal)
    heights = [height for height, _ in planes]
    steps = [after - before for before, after in zip(heights, heights[1:], strict=False)]
    mean = sum(steps) / len(steps) if steps else (group[0].thickness or 1.0)
    uniform = all(abs(step - mean) <= _UNEVEN * abs(mean) for step in steps)
    counts = {len(there) for _, there in planes}
    z = Axis("z", "space", "millimeter", mean)
    geometry = {
        "image_orientation_patient": list(group[0].orientation),
        "image_position_patient": list(planes[0][1][0].position),
        "plane_positions": [round(height, 6) for height in heights],
        "uniform": uniform,
    }
    if len(counts) > 1:
        ordered = [one for _, there in planes for one in there]
        return [(Axis("n"), len(ordered))], ordered, {key: geometry[key] for key in ("image_orientation_patient",)}
    repetitions = counts.pop()
    geometry["affine"] = _affine(group[0], planes[0][1][0].position, normal, mean)
    if repetitions == 1:
        return [(z, len(planes))], [there[0] for _, there in planes], geometry
    ordered = [there[time] for time in range(repetitions) for _, there in planes]
    return [(Axis("t", "time"), repetitions), (z, len(planes))], ordered, geometry


def _planes(group: list[FrameFacts], normal: Vector) -> list[tuple[float, list[FrameFacts]]]:
    """Frames by their place along the normal in mm, ascending; those of one place by their order."""
    placed = sorted((sum(a * b for a, b in zip(one.position, normal, strict=True)), number) for number, one in enumerate(group))
    planes: list[tuple[float, list[FrameFacts]]] = []
    for height, number in placed:
        if not planes or height - planes[-1][0] > _SAME_PLACE:
            planes.append((height, []))
        planes[-1][1].append(group[number])
    for _, there in planes:
        there.sort(key=lambda one: one.order)
    return planes


def _affine(frame: FrameFacts, position: Vector, normal: Vector, step: float) -> list[list[float]]:
    """From indices (z, y, x, 1) to millimetres in LPS (PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1)."""
    down, across = frame.spacing if frame.spacing else (1.0, 1.0)
    row, column = frame.orientation[:3], frame.orientation[3:]
    return [[normal[axis] * step, column[axis] * down, row[axis] * across, position[axis]] for axis in range(3)] + [
        [0.0, 0.0, 0.0, 1.0]
    ]


def _meaning(ordered: Sequence[FrameFacts]) -> dict[str, Any]:
    """What stored values mean: one rescale for all, or one for each frame in order."""
    said: dict[str, Any] = {}
    rescales = [one.rescale for one in ordered]
    if any(rescales):
        same = len(set(rescales)) == 1
        known = [one or (1.0, 0.0) for one in rescales]
        said["rescale_slope"] = known[0][0] if same else [one[0] for one in known]
        said["rescale_intercept"] = known[0][1] if same else [one[1] for one in known]
    units = {one.units for one in ordered if one.units}
    if len(units) == 1:
        said["units"] = units.pop()
    return said
