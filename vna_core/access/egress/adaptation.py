"""One held instance as a profile wants it: its new description, and a source that streams it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from vna_core.access.egress.attributes import adapt_attributes
from vna_core.access.egress.end_of_image import END_OF_IMAGE, SYNTAXES, CompletedPixels, Segment, complete, lacks_end
from vna_core.access.egress.headers import header_of
from vna_core.access.egress.profiles import EgressProfile
from vna_core.access.egress.splicing import spliced
from vna_core.access.retrieve import Retriever
from vna_core.dicom.canonical_writer import Written, size_of, write_data_set
from vna_core.dicom.elements import PixelElement
from vna_core.dicom.json_header import to_json
from vna_core.dicom.part10 import file_head
from vna_core.dicom.revision import RevisedDataSet
from vna_core.dicom.stored_object import StoredHeader
from vna_core.domain.instance import HeldInstance
from vna_core.domain.octets import ByteRange

_EXTENDED_TABLE: Final = (0x7FE00001, 0x7FE00002)


@dataclass(frozen=True, slots=True)
class AdaptedInstance:
    """Streams an adapted instance; a source for the transcoder like the retriever.

    Attributes
    ----------
    stored
        The instance as it is held.
    held
        The instance as it is sent: identifiers, SOP class, and offsets in the adapted object.
    """

    stored: HeldInstance
    held: HeldInstance
    profile: EgressProfile
    retriever: Retriever
    header: StoredHeader
    segments: tuple[Segment, ...]

    def part10(self, held: HeldInstance) -> Iterator[bytes]:
        """The adapted object as a Part 10 file. Raises DigestMismatch before the last piece when the stored copy is damaged."""
        yield file_head(self.held.sop_class_uid, self.held.sop_instance_uid, self.held.transfer_syntax_uid)
        yield from self.data_set(held)

    def data_set(self, held: HeldInstance) -> Iterator[bytes]:
        """The same without preamble and file meta information."""
        return spliced(self.retriever.part10(self.stored), self.segments, self.header)

    def frames(self, held: HeldInstance, numbers: Sequence[int]) -> Iterator[bytes]:
        """Frames by their 1-based numbers."""
        completes = self.profile.append_end_of_image and self.stored.transfer_syntax_uid in SYNTAXES
        for frame in self.retriever.frames(self.stored, numbers):
            yield frame + END_OF_IMAGE if completes and lacks_end(frame, frame) else frame


def adapt(held: HeldInstance, retriever: Retriever, profile: EgressProfile) -> AdaptedInstance:
    """Read the header of a held instance and make the adapted one. No pixel is read, but the last octets of codestreams.

    Raises
    ------
    NotAdaptable
        The profile cannot be fulfilled.
    LimitExceeded
        What stands around the pixels is too large to be rewritten in memory.
    DigestMismatch, ObjectMissing, StoreUnavailable
        As `Retriever.part10`.
    """
    header = header_of(held, retriever)
    revised = header.revised
    passed: tuple[Segment, ...] = (ByteRange(header.front, header.moved),) if header.moved else ()
    completed = _completed(held, retriever, profile)
    if completed is not None:
        passed = completed.segments
        _write_extended_table(revised, completed)
    adapt_attributes(revised, profile)
    return _assembled(held, retriever, profile, header, passed)


def adapted_metadata(held: HeldInstance, retriever: Retriever, profile: EgressProfile) -> bytes:
    """DICOM JSON of the adapted instance without bulk data. It is always UTF-8, whatever character set the profile names."""
    header = header_of(held, retriever)
    adapt_attributes(header.revised, replace(profile, character_set=("ISO_IR 192",)))
    return to_json(header.revised)


def _completed(held: HeldInstance, retriever: Retriever, profile: EgressProfile) -> CompletedPixels | None:
    if not profile.append_end_of_image or held.transfer_syntax_uid not in SYNTAXES or held.pixel_data is None:
        return None
    frames = retriever.frame_ranges(held)
    return complete(retriever.reader(held), held.pixel_data, frames) if frames else None


def _write_extended_table(revised: RevisedDataSet, completed: CompletedPixels) -> None:
    """Extended Offset Table and Lengths of the new codestreams, where the object has them (PS3.3 C.7.6.3.1.8)."""
    elements = revised.data_set.elements
    for tag, numbers in zip(_EXTENDED_TABLE, (completed.starts, completed.sizes), strict=True):
        for place, element in enumerate(elements):
            if element.tag == tag:
                elements[place] = revised.literal(tag, "OV", b"".join(number.to_bytes(8, "little") for number in numbers))


def _assembled(
    held: HeldInstance, retriever: Retriever, profile: EgressProfile, header: StoredHeader, passed: tuple[Segment, ...]
) -> AdaptedInstance:
    """Write the header, and put the element that passes through (`passed`, with its own header) into its place."""
    revised = header.revised
    passed_size = sum(len(one) if isinstance(one, bytes) else one.length for one in passed)
    # The marker stands for it among the writer's pieces, which are literals and ranges of the buffer.
    marker = ByteRange(len(revised.buffer), passed_size)
    element = next((one for one in reversed(revised.data_set.elements) if one.start == header.front), None)
    if passed and element is not None:
        revised.pixel = PixelElement(element.tag, element.vr, ByteRange(element.start, element.length))
    written = write_data_set(revised, (marker,))
    sop_class, sop, study, series = (revised.text(tag) for tag in (0x00080016, 0x00080018, 0x0020000D, 0x0020000E))
    begin = len(file_head(sop_class, sop, held.transfer_syntax_uid))
    placed = None
    if held.pixel_data is not None:
        before = held.pixel_data.offset - header.front
        overhead = header.moved - held.pixel_data.length  # element header, and a delimiter where there is one
        placed = ByteRange(begin + written.pixel_offset + before, passed_size - overhead)
    outgoing = replace(
        held,
        sop_class_uid=sop_class,
        sop_instance_uid=sop,
        study_instance_uid=study,
        series_instance_uid=series,
        data_set_offset=begin,
        trailer_offset=begin + sum(map(size_of, written.pieces)),
        pixel_data=placed,
    )
    return AdaptedInstance(held, outgoing, profile, retriever, header, _segments(revised, written, marker, passed))


def _segments(revised: RevisedDataSet, written: Written, marker: ByteRange, passed: tuple[Segment, ...]) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    literal = bytearray()
    for piece in written.pieces:
        if isinstance(piece, ByteRange) and piece == marker:
            segments += (bytes(literal), *passed)
            literal.clear()
        elif isinstance(piece, ByteRange):
            literal += revised.buffer[piece.offset : piece.end]
        else:
            assert isinstance(piece, bytes)  # stored objects are little endian, so nothing is swapped
            literal += piece
    segments.append(bytes(literal))
    return tuple(one for one in segments if one)
