"""How two canonical objects under one SOP Instance UID differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from vna_core.dicom.broken_off import broken_off, data_set_of
from vna_core.domain.errors import StorageError, Unarchivable
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.octets import ByteRange
from vna_core.domain.outcome import HELD_IS_CUT, NEW_IS_CUT

_LONGEST_HEADER: Final = 1 << 25
"""Octets of a data set before its pixels that are looked at; headers of large multi-frame images have a few million."""
_LONGEST_META: Final = 1 << 16
"""Octets in which the File Meta Information has to end."""


@dataclass(frozen=True, slots=True)
class ComparedObject:
    """What comparison needs of an object, stored or not yet.

    Attributes
    ----------
    chunks
        Octets of a range of the object.
    original
        The octets as received, of which no more is read than asked for.
    """

    patient: PatientKey
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    trailer_offset: int
    pixel_data: ByteRange | None
    chunks: Callable[[ByteRange], Iterator[bytes | memoryview]]
    original: Callable[[], Iterator[bytes | memoryview]]

    @property
    def place(self) -> tuple[PatientKey, str, str]:
        """Patient, study and series."""
        return self.patient, self.study_instance_uid, self.series_instance_uid

    @property
    def header(self) -> tuple[ByteRange, ByteRange]:
        """Octets of the data set before and after the value of the pixel data."""
        if self.pixel_data is None:
            before = ByteRange(self.data_set_offset, self.trailer_offset - self.data_set_offset)
            return before, ByteRange(self.trailer_offset, 0)
        before = ByteRange(self.data_set_offset, self.pixel_data.offset - self.data_set_offset)
        return before, ByteRange(self.pixel_data.end, self.trailer_offset - self.pixel_data.end)


def classify(held: ComparedObject, new: ComparedObject) -> str:
    """``cut-first`` or ``cut-second``, ``other-parent``, ``pixel``, ``header`` or ``encoding`` (the same data set, received in another form).

    That one of two objects was cut is asked first, as it is told by the octets as received alone: normalizing them once more
    changes nothing about it. An earlier object that cannot be read counts as different pixels: the cautious answer.
    """
    try:
        if is_cut_copy(held, new):
            return HELD_IS_CUT
        if is_cut_copy(new, held):
            return NEW_IS_CUT
    except (StorageError, Unarchivable):
        return "pixel" if held.place == new.place else "other-parent"
    if held.place != new.place:
        return "other-parent"
    try:
        if not _same_pixels(held, new):
            return "pixel"
        same_header = all(
            a.length == b.length and same_octets(held.chunks(a), new.chunks(b))
            for a, b in zip(held.header, new.header, strict=True)
        )
    except StorageError:
        return "pixel"
    return "encoding" if same_header else "header"


def is_cut_copy(cut: ComparedObject, whole: ComparedObject) -> bool:
    """Whether `cut` ends before its pixels and `whole` goes on to them: as received, its data set is how the other one begins.

    Nothing is proof where either is longer before its pixels than `_LONGEST_HEADER`.
    """
    if cut.pixel_data is not None or whole.pixel_data is None:
        return False
    received = bytearray()
    _read_on(cut.original(), received, _LONGEST_HEADER + 1)
    short = broken_off(bytes(received)) if len(received) <= _LONGEST_HEADER else None
    if short is None:
        return False
    received, original = bytearray(), whole.original()
    _read_on(original, received, _LONGEST_META)
    found = data_set_of(bytes(received))
    if found is None:
        return False
    begin, declared = found
    if short.transfer_syntax_uid and declared:
        same_syntax = short.transfer_syntax_uid == declared
    else:  # one of them was sent without File Meta Information
        same_syntax = cut.transfer_syntax_uid == whole.transfer_syntax_uid
    _read_on(original, received, begin + len(short.data_set))
    if not same_syntax or not received.startswith(short.data_set, begin):
        return False
    _read_on(original, received, begin + _LONGEST_HEADER)
    return short.is_continued_by(bytes(memoryview(received)[begin:]))


def _read_on(pieces: Iterator[bytes | memoryview], into: bytearray, size: int) -> None:
    """Append pieces until there are so many octets, or no more."""
    while len(into) < size and (piece := next(pieces, None)) is not None:
        into += piece


def _same_pixels(held: ComparedObject, new: ComparedObject) -> bool:
    old, fresh = held.pixel_data or ByteRange(0, 0), new.pixel_data or ByteRange(0, 0)
    if old.length != fresh.length or held.transfer_syntax_uid != new.transfer_syntax_uid:
        return False
    return not old.length or same_octets(held.chunks(old), new.chunks(fresh))


def same_octets(left: Iterator[bytes | memoryview], right: Iterator[bytes | memoryview]) -> bool:
    """Whether two streams carry the same octets, however they are cut into pieces."""
    a, b = memoryview(b""), memoryview(b"")
    while True:
        if not a:
            a = memoryview(next(left, b""))
        if not b:
            b = memoryview(next(right, b""))
        if not a or not b:
            return not a and not b
        size = min(len(a), len(b))
        if a[:size] != b[:size]:
            return False
        a, b = a[size:], b[size:]
