"""A series as a tree of Zarr arrays: a group for each picture, in it its levels ``0``, ``1``, ...; chunks are frames where they lie."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, Final

from vna_core.access.arrays.frames import Instance, frames_of, instance_of
from vna_core.access.arrays.layout import ArrayLayout, FramePlace, layouts
from vna_core.access.arrays.metadata import OME_VERSION, array_document, document, group_document, multiscales
from vna_core.access.arrays.slides import is_slide, slide_levels
from vna_core.access.retrieve import Retriever
from vna_core.access.view import CatalogueView
from vna_core.archival_storage.copies import SMALL, neighbours
from vna_core.catalogue import Catalogue
from vna_core.domain.errors import InvalidRequest, LimitExceeded, NotFound
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.instance import HeldInstance, Location
from vna_core.domain.numbers import whole_number
from vna_core.domain.octets import ByteRange

METADATA: Final = "zarr.json"
MOST_FRAMES: Final = 2_000_000
"""Most frames of one series that are laid out as arrays."""

_NOTHING: Final[Mapping[str, str]] = {}


@dataclass(frozen=True, slots=True)
class Picture:
    """One image of a series: its levels of resolution, the finest first."""

    levels: tuple[ArrayLayout, ...]


def pictures_of(instances: Sequence[Instance]) -> list[Picture]:
    """The images of a series, whole slides first, then the largest stacks."""
    slides = [one for one in instances if is_slide(one)]
    others = [one for one in instances if not is_slide(one)]
    pyramids: list[Picture] = []
    if slides:
        levels, single, loose = slide_levels(slides)
        fitting = [one for one in levels if len(one.axes) == len(levels[0].axes) and one.form.plain == levels[0].form.plain]
        pyramids = [Picture(tuple(fitting))] if fitting else []
        pyramids += [Picture((one,)) for one in (*(level for level in levels if level not in fitting), *single)]
        others += loose
    stacks = layouts(frame for one in others for frame in frames_of(one))
    return pyramids + [Picture((one,)) for one in stacks]


class SeriesArrays:
    """Keys of a Zarr v3 hierarchy to octets, read-only; nothing is copied or kept.

    Keys are ``zarr.json``, ``PICTURE/zarr.json``, ``PICTURE/LEVEL/zarr.json`` and ``PICTURE/LEVEL/c/I/J/...`` with indices of
    chunks from 0 on.

    Parameters
    ----------
    attributes
        Attributes of the root group.
    """

    def __init__(self, pictures: Sequence[Picture], retriever: Retriever, attributes: Mapping[str, Any]) -> None:
        self.pictures = tuple(pictures)
        self._retriever = retriever
        collection = {"ome": {"version": OME_VERSION, "bioformats2raw.layout": 3}} if self.pictures else {}
        self._documents = {
            METADATA: document(group_document({**collection, "dicom": {**attributes, "pictures": len(self.pictures)}}))
        }
        for number, picture in enumerate(self.pictures):
            self._documents[f"{number}/{METADATA}"] = document(group_document(multiscales(str(number), picture.levels)))
            for level, layout in enumerate(picture.levels):
                self._documents[f"{number}/{level}/{METADATA}"] = document(array_document(layout))

    @classmethod
    def of_series(
        cls,
        catalogue: Catalogue | CatalogueView,
        retriever: Retriever,
        study: str,
        series: str,
        more: Mapping[str, str] = _NOTHING,
        patient: PatientKey | None = None,
    ) -> SeriesArrays:
        """The arrays of a series' current instances; `more` are attributes of the root group.

        Raises NotFound, LimitExceeded, and InvalidRequest when several patients have it and none is named.
        """
        uids = {"study_instance_uid": study, "series_instance_uid": series, **more}
        return cls._of(retriever, uids, catalogue.headers(study=study, series=series), patient)

    @classmethod
    def of_instance(
        cls,
        catalogue: Catalogue | CatalogueView,
        retriever: Retriever,
        study: str,
        series: str,
        sop: str,
        patient: PatientKey | None = None,
    ) -> SeriesArrays:
        """The arrays of one instance. Raises as `of_series`."""
        uids = {"study_instance_uid": study, "series_instance_uid": series, "sop_instance_uid": sop}
        return cls._of(retriever, uids, catalogue.headers(study=study, series=series, sop=sop), patient)

    @classmethod
    def _of(
        cls,
        retriever: Retriever,
        uids: Mapping[str, str],
        headers: Iterable[tuple[HeldInstance, bytes]],
        patient: PatientKey | None,
    ) -> SeriesArrays:
        instances: list[Instance] = []
        frames = 0
        for held, header in headers:
            if patient is not None and held.patient != patient:
                continue
            frames += held.number_of_frames
            if frames > MOST_FRAMES:
                raise LimitExceeded("The series has too many frames.", limit="arrays.frames", maximum=MOST_FRAMES)
            instance = instance_of(held, header)
            if instance is not None:
                instances.append(instance)
        if len({one.held.patient for one in instances}) > 1:
            raise InvalidRequest(
                "Several patients have a series under these UIDs: name the one whose images are meant (`patient`, or --patient)."
            )
        if not instances:
            raise NotFound("Nothing with pixels is held under this UID.")
        return cls(pictures_of(instances), retriever, uids)

    @property
    def frames(self) -> int:
        """How many frames the arrays have."""
        return sum(len(level.frames) for picture in self.pictures for level in picture.levels)

    @property
    def octets(self) -> int:
        """Octets of all samples, decoded."""
        levels = (level for picture in self.pictures for level in picture.levels)
        return sum(prod(level.shape) * max(1, level.form.description.bits_allocated // 8) for level in levels)

    def documents(self) -> Mapping[str, bytes]:
        """Keys and octets of all metadata documents."""
        return self._documents

    def place(self, key: str) -> FramePlace | None:
        """The frame that the chunk of a key is; None for a key of no chunk, or of one without octets."""
        parts = key.split("/")
        if len(parts) < 4 or parts[2] != "c":
            return None
        told = [whole_number(part, 9) for part in parts[:2] + parts[3:]]
        numbers = [one for one in told if one is not None]
        if len(numbers) < len(told):
            return None
        picture, level, *chunk = numbers
        if picture >= len(self.pictures) or level >= len(self.pictures[picture].levels):
            return None
        return self.pictures[picture].levels[level].frames.get(tuple(chunk))

    def is_prompt(self, key: str) -> bool:
        """Whether reading a key costs no network."""
        place = None if key in self._documents else self.place(key)
        return place is None or self._retriever.is_local(place.held)

    def is_small(self, key: str) -> bool:
        """Whether a key is the only frame of a small object: such frames are read together, see `read_all`."""
        place = None if key in self._documents else self.place(key)
        return place is not None and not place.shift and place.held.number_of_frames == 1 and place.held.size <= SMALL

    def runs(self, keys: Sequence[str]) -> list[list[str]]:
        """Keys of which `is_small` is true, sorted into those whose frames one request gives."""
        places = {key: place.held for key in keys if (place := self.place(key)) is not None}
        placed = {key: held for key, held in places.items() if held.locations}
        order = sorted(placed, key=lambda key: _where(placed[key].locations[0]))
        found = iter(order)
        together = neighbours([placed[key] for key in order], [placed[key].locations[0] for key in order])
        return [[next(found) for _ in run] for run in together] + [[key] for key in places if key not in placed]

    def read_all(self, keys: Sequence[str]) -> list[memoryview]:
        """Keys of which `is_small` is true, in order; those of one of the `runs` by one range read. Raises as `read`."""
        places = [place for key in keys if (place := self.place(key)) is not None]
        frames = self._retriever.single_frames([place.held for place in places])
        return [
            frame if place.cells is None else place.cells.of_octets(frame) for place, frame in zip(places, frames, strict=True)
        ]

    def read(self, key: str, offset: int = 0, length: int | None = None) -> bytes | None:
        """Octets under a key, or a part of them; a negative offset counts from the end. None when there are none.

        Raises DigestMismatch, ObjectMissing, StoreUnavailable.
        """
        known = self._documents.get(key)
        if known is not None:
            return _part(known, offset, length)
        place = self.place(key)
        return None if place is None else self._frame(place, offset, length)

    def size(self, key: str) -> int | None:
        """How many octets are under a key; None when there are none."""
        known = self._documents.get(key)
        if known is not None:
            return len(known)
        place = self.place(key)
        if place is None:
            return None
        return place.bits + 7 >> 3 if place.shift else self._range(place).length

    def _frame(self, place: FramePlace, offset: int, length: int | None) -> bytes:
        whole = self._range(place)
        if place.shift:
            return _part(_realigned(self._retriever.range(place.held, whole), place), offset, length)
        start = max(0, whole.length + offset) if offset < 0 else min(offset, whole.length)
        taken = whole.length - start if length is None else min(length, whole.length - start)
        if not taken:
            return b""
        if place.cells is None:
            return self._retriever.range(place.held, ByteRange(whole.offset + start, taken))
        before, width = start % (place.cells.allocated >> 3), place.cells.allocated >> 3
        around = ByteRange(whole.offset + start - before, -(-(before + taken) // width) * width)
        return bytes(place.cells.of_octets(self._retriever.range(place.held, around))[before : before + taken])

    def _range(self, place: FramePlace) -> ByteRange:
        return self._retriever.frame_range(place.held, place.index, place.bits)


def _where(location: Location) -> tuple[str, str, int]:
    """What neighbours are found by."""
    return location.store, location.key, location.offset


def _part(octets: bytes, offset: int, length: int | None) -> bytes:
    start = max(0, len(octets) + offset) if offset < 0 else offset
    return octets[start:] if length is None else octets[start : start + length]


def _realigned(octets: bytes, place: FramePlace) -> bytes:
    """A frame of single bits that begins inside an octet, moved to the beginning of one; the first sample is the lowest bit."""
    moved = int.from_bytes(octets, "little") >> place.shift & (1 << place.bits) - 1
    return moved.to_bytes(place.bits + 7 >> 3, "little")
