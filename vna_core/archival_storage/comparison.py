"""How two canonical objects under one SOP Instance UID differ."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vna_core.domain.errors import StorageError
from vna_core.domain.identifiers import PatientKey
from vna_core.domain.octets import ByteRange


@dataclass(frozen=True, slots=True)
class ComparedObject:
    """What comparison needs of an object, stored or not yet.

    Attributes
    ----------
    chunks
        Octets of a range of the object.
    """

    patient: PatientKey
    study_instance_uid: str
    series_instance_uid: str
    transfer_syntax_uid: str
    data_set_offset: int
    trailer_offset: int
    pixel_data: ByteRange | None
    chunks: Callable[[ByteRange], Iterator[bytes | memoryview]]

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
    """``other-parent``, ``pixel``, ``header`` or ``encoding`` (the same data set, received in another form).

    An earlier object that cannot be read counts as different pixels: the cautious answer.
    """
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
