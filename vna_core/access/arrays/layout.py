"""Frames of a series become arrays: which frames lie in one array, along which axes, and what the axes mean.

Frames are put together when they have the same form, orientation and spacing. Those with a place in the patient are stacked, see `stacking`;
where every place occurs equally often there is a further axis in front, of repetitions in time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import log
from typing import Any, Final

from vna_core.access.arrays.frames import Form, FrameFacts, Vector
from vna_core.access.arrays.stacking import Stack, alike, places_of, positions, stacks_of
from vna_core.access.sample_bits import SampleBits
from vna_core.domain.instance import HeldInstance

_SAME_DIRECTION: Final = 2e-4
"""What direction cosines, and shares of the spacing, of parallel frames differ by at most: 0.1 mm over half a metre."""


@dataclass(frozen=True, slots=True)
class FramePlace:
    """A frame's octets: the instance and the 0-based frame in it; `bits` from one frame to the next, 0 where an index tells.

    Attributes
    ----------
    cells
        What the samples are taken out of before anybody sees them; None where the octets are given as they are stored.
    """

    held: HeldInstance
    index: int
    bits: int
    cells: SampleBits | None = None

    @classmethod
    def of(cls, form: Form, held: HeldInstance, index: int) -> FramePlace:
        """A frame of an instance whose frames have this form."""
        return cls(held, index, form.bits, form.samples if form.plain else None)

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
    kinds: dict[Any, list[FrameFacts]] = defaultdict(list)
    for frame in frames:
        kinds[(frame.form, len(frame.orientation), len(frame.spacing), bool(frame.position))].append(frame)
    made = [layout for kind in kinds.values() for group in _parallel(kind) for layout in _arrays(group)]
    return sorted(made, key=lambda one: -len(one.frames))


def _parallel(frames: Sequence[FrameFacts]) -> Iterable[list[FrameFacts]]:
    """Frames of the same orientation and spacing, in the order of their first ones; digits that devices round are no difference."""
    directions = [(*one.orientation, *map(log, one.spacing)) for one in frames]
    distinct = list(set(directions))
    group_of = {distinct[number]: group for group, numbers in enumerate(alike(distinct, _SAME_DIRECTION)) for number in numbers}
    groups: dict[int, list[FrameFacts]] = defaultdict(list)
    for frame, direction in zip(frames, directions, strict=True):
        groups[group_of[direction]].append(frame)
    return groups.values()


def _arrays(group: list[FrameFacts]) -> list[ArrayLayout]:
    if not (group[0].position and group[0].orientation):
        ordered = sorted(group, key=lambda one: one.order)
        several = len({one.held.pk for one in group}) > 1
        return [_array(ordered, [(Axis("n") if several else Axis("t", "time"), len(ordered))], {})]
    places = places_of(group)
    stacks = stacks_of(places)
    if stacks is None:
        ordered = [one for place in places for one in place.frames]
        known = {"image_orientation_patient": list(ordered[0].orientation), "positions": positions(iter(ordered))}
        return [_array(ordered, [(Axis("n"), len(ordered))], known)]
    return [_array(stack.ordered, _axes_of(stack), stack.geometry) for stack in stacks]


def _axes_of(stack: Stack) -> Lengths:
    z = (Axis("z", "space", "millimeter", stack.distance), len(stack.planes))
    return [z] if stack.repetitions == 1 else [(Axis("t", "time"), stack.repetitions), z]


def _array(ordered: Sequence[FrameFacts], leading: Lengths, more: Mapping[str, Any]) -> ArrayLayout:
    first = ordered[0]
    lengths = tuple(length for _, length in leading)
    frames = {
        (*_unravelled(number, lengths), 0, 0): FramePlace.of(first.form, one.held, one.index)
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
