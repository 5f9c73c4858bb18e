"""Whole slide images: the levels of a pyramid, each instance one plane of tiles (PS3.3 C.8.12.4, C.7.6.17.3)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from math import ceil, prod
from typing import Final

from vna_core.access.arrays.frames import Instance
from vna_core.access.arrays.header_values import inside, integer, items, numbers, text, values
from vna_core.access.arrays.layout import ArrayLayout, Axis, FramePlace, assembled, plane_axes

WHOLE_SLIDE: Final = "1.2.840.10008.5.1.4.1.1.77.1.6"
_PLANE_POSITION, _COLUMN, _ROW = "0048021A", "0048021E", "0048021F"


def is_slide(instance: Instance) -> bool:
    """Whether an instance is a plane of tiles."""
    return (
        instance.held.sop_class_uid == WHOLE_SLIDE
        and integer(instance.header, "00480006") > 0
        and integer(instance.header, "00480007") > 0
    )


def slide_levels(instances: Iterable[Instance]) -> tuple[list[ArrayLayout], list[ArrayLayout], list[Instance]]:
    """Levels of the pyramid, the largest first; single pictures (label, overview, thumbnail); what could not be laid out as tiles."""
    planes: dict[str, list[Instance]] = defaultdict(list)
    for instance in instances:  # parts of a concatenation are one plane (C.7.6.16.2.2.4)
        planes[text(instance.header, "00209161") or instance.held.sop_instance_uid].append(instance)
    levels: list[ArrayLayout] = []
    others: list[ArrayLayout] = []
    loose: list[Instance] = []
    for parts in planes.values():
        parts.sort(key=lambda one: integer(one.header, "00209228"))
        made = _plane(parts)
        if made is None:
            loose += parts
        else:
            kinds = [str(value) for value in values(parts[0].header, "00080008")]
            (levels if "VOLUME" in kinds or len(kinds) < 3 else others).append(made)
    levels.sort(key=lambda one: -prod(one.shape))
    return levels, others, loose


def _plane(parts: Sequence[Instance]) -> ArrayLayout | None:
    """One plane of tiles, or None when its tiles lie on no grid."""
    header, form = parts[0].header, parts[0].form
    rows, columns = integer(header, "00480007"), integer(header, "00480006")
    grid = ceil(rows / form.description.rows), ceil(columns / form.description.columns)
    measures = inside(items(header, "52009229")[:1], "00289110") or header
    layers = max(1, integer(header, "00480302", 1)) * max(1, integer(header, "00480303", 1))
    frames = _tiles(parts, grid, layers > 1, text(header, "00209311") == "TILED_FULL")
    if frames is None:
        return None
    leading = [(Axis("layer"), layers)] if layers > 1 else []
    plane = list(zip(plane_axes(numbers(measures, "00280030", 2)), (rows, columns), strict=True))
    return assembled(form, leading, plane, frames)


def _tiles(
    parts: Sequence[Instance], grid: tuple[int, int], layered: bool, full: bool
) -> dict[tuple[int, ...], FramePlace] | None:
    """Place of each tile; None when one is on no place of the grid, or two are on the same."""
    frames: dict[tuple[int, ...], FramePlace] = {}
    number = 0
    for part in parts:
        for index in range(part.number_of_frames):
            layer, tile = divmod(number, grid[0] * grid[1])
            place = divmod(tile, grid[1]) if full else _told_place(part, index)
            if place is None:
                return None
            key = (layer if full else 0, *place) if layered else place
            if key in frames:
                return None
            frames[key] = FramePlace.of(part.form, part.held, index)
            number += 1
    return frames


def _told_place(part: Instance, index: int) -> tuple[int, int] | None:
    """Row and column in the grid of a tile that tells its place in the total pixel matrix (pixels from 1 on)."""
    position = inside(items(part.header, "52009230")[index : index + 1], _PLANE_POSITION)
    row, column = integer(position, _ROW) - 1, integer(position, _COLUMN) - 1
    rows, columns = part.form.description.rows, part.form.description.columns
    if row < 0 or column < 0 or row % rows or column % columns:
        return None
    return row // rows, column // columns
