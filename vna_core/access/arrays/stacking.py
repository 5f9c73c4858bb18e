"""Frames that have a place in the patient become stacks of planes: which lie at one place, which above one another, and how far apart.

A place is where the first pixel lies, not only how high: two slices side by side are no repetition of one another, and planes of a tilted
gantry are shifted against their normal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

from vna_core.access.arrays.frames import FrameFacts, Vector, normal_of

_SAME_PLACE: Final = 1e-3
"""Millimetres by which positions of one place differ at most."""
_UNEVEN: Final = 0.02
"""Share of the distance of two planes by which a plane may lie beside its place in a volume that is called uniform."""
_DECIMALS: Final = 6


@dataclass(frozen=True, slots=True)
class Place:
    """Frames at one place, in their order.

    Attributes
    ----------
    coordinates
        Millimetres along the normal, along the row, along the column.
    """

    coordinates: Vector
    frames: Sequence[FrameFacts]

    @property
    def position(self) -> Vector:
        """Image Position (Patient) of the first of them."""
        return self.frames[0].position


@dataclass(frozen=True, slots=True)
class Stack:
    """Planes above one another, ascending along their normal, each as often as the others."""

    planes: Sequence[Place]

    @property
    def repetitions(self) -> int:
        """How often each plane is there."""
        return len(self.planes[0].frames)

    @property
    def ordered(self) -> list[FrameFacts]:
        """Frames by repetition, then plane."""
        return [plane.frames[time] for time in range(self.repetitions) for plane in self.planes]

    @property
    def distance(self) -> float:
        """Mean distance of two planes along their normal, in mm; for a single one how thick it is."""
        heights = [plane.coordinates[0] for plane in self.planes]
        return (heights[-1] - heights[0]) / (len(heights) - 1) if len(heights) > 1 else self.planes[0].frames[0].thickness or 1.0

    @property
    def step(self) -> Vector:
        """From one plane's first pixel to the next one's, in mm: not along the normal where the gantry is tilted."""
        first, last, count = self.planes[0], self.planes[-1], len(self.planes)
        if count > 1:
            return tuple((end - begin) / (count - 1) for begin, end in zip(first.position, last.position, strict=True))
        return tuple(self.distance * direction for direction in normal_of(first.frames[0].orientation))

    @property
    def is_uniform(self) -> bool:
        """Whether every plane lies where the steps before it lead."""
        begin, step = self.planes[0].position, self.step
        allowed = max(_SAME_PLACE, _UNEVEN * sum(along * along for along in step) ** 0.5)
        return all(
            abs(begin[axis] + number * step[axis] - plane.position[axis]) <= allowed
            for number, plane in enumerate(self.planes)
            for axis in range(3)
        )

    @property
    def geometry(self) -> dict[str, Any]:
        """Attributes of the array; `affine` leads from indices (z, y, x, 1) to mm in LPS (PS3.3 equation C.7.6.2.1-1)."""
        first = self.planes[0].frames[0]
        down, across = first.spacing if first.spacing else (1.0, 1.0)
        row, column, step = first.orientation[:3], first.orientation[3:], self.step
        affine = [[step[axis], column[axis] * down, row[axis] * across, first.position[axis]] for axis in range(3)]
        return {
            "image_orientation_patient": list(first.orientation),
            "image_position_patient": list(first.position),
            "plane_positions": [round(plane.coordinates[0], _DECIMALS) for plane in self.planes],
            "positions": positions(plane.frames[0] for plane in self.planes),
            "uniform": self.is_uniform,
            "affine": [*affine, [0.0, 0.0, 0.0, 1.0]],
        }


def positions(frames: Iterator[FrameFacts]) -> list[list[float]]:
    """Image Position (Patient) of each."""
    return [[round(value, _DECIMALS) for value in frame.position] for frame in frames]


def alike(vectors: Sequence[Vector], tolerance: float) -> list[list[int]]:
    """Indices of the vectors that differ by at most `tolerance` in each component, in ascending order of the components.

    The order of the vectors does not matter, and no chain of small differences adds up to more than `tolerance`.
    """
    groups = [list(range(len(vectors)))] if vectors else []
    for axis in range(len(vectors[0]) if vectors else 0):
        groups = [run for group in groups for run in _runs(group, vectors, axis, tolerance)]
    return groups


def _runs(group: Sequence[int], vectors: Sequence[Vector], axis: int, tolerance: float) -> Iterator[list[int]]:
    run: list[int] = []
    for number in sorted(group, key=lambda one: vectors[one][axis]):
        if run and vectors[number][axis] - vectors[run[0]][axis] > tolerance:
            yield run
            run = []
        run.append(number)
    yield run


def places_of(frames: Sequence[FrameFacts]) -> list[Place]:
    """Frames of one orientation by their places, ascending along the normal, the row, the column."""
    orientation = frames[0].orientation
    directions = (normal_of(orientation), orientation[:3], orientation[3:])
    coordinates = [tuple(_along(one.position, direction) for direction in directions) for one in frames]
    return [
        Place(coordinates[group[0]], sorted((frames[number] for number in group), key=lambda one: one.order))
        for group in alike(coordinates, _SAME_PLACE)
    ]


def _along(position: Vector, direction: Vector) -> float:
    return sum(a * b for a, b in zip(position, direction, strict=True))


def stacks_of(places: Sequence[Place]) -> list[Stack] | None:
    """The stacks that places make; None when several lie beside one another and make none.

    Where places occur unequally often, what occurs everywhere is one stack, and the surplus is another one.
    """
    columns = _columns(places)
    return None if columns is None else [stack for column in columns for stack in _rounds(column)]


def _columns(places: Sequence[Place]) -> list[list[Place]] | None:
    """Places in which no two lie at the same height."""
    if all(above.coordinates[0] - below.coordinates[0] > _SAME_PLACE for below, above in pairwise(places)):
        return [list(places)]
    deepest = max(map(len, alike([place.coordinates[:1] for place in places], _SAME_PLACE)))
    columns = alike([place.coordinates[1:] for place in places], _SAME_PLACE)
    if len(columns) != deepest or min(map(len, columns)) < 2:
        return None
    return [[places[number] for number in sorted(column)] for column in columns]


def _rounds(places: list[Place]) -> Iterator[Stack]:
    while places:
        least = min(len(place.frames) for place in places)
        yield Stack([Place(place.coordinates, place.frames[:least]) for place in places])
        places = [Place(place.coordinates, place.frames[least:]) for place in places if len(place.frames) > least]
