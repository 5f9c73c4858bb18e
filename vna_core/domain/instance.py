"""The canonical object on its way through the rooms, and as the catalogue knows it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from vna_core.domain.identifiers import PatientKey
from vna_core.domain.octets import ByteRange, Octets, ReceivedInstance, Source
from vna_core.domain.renormalization import Renormalization
from vna_core.domain.transformation import Finding, Transformation

Segment = bytes | ByteRange | Octets
"""A piece of the canonical object: literal octets, a range of the octets as received, or a transformed payload spool."""


@dataclass(frozen=True, slots=True)
class FrameIndex:
    """Where the frames are inside the canonical object.

    Attributes
    ----------
    ranges
        One absolute byte range per frame, in frame order (index base 0 here; DICOM frame numbers are 1-based). For
        encapsulated pixel data the range of the codestream, without item headers. Empty when there are no pixels.
    """

    ranges: tuple[ByteRange, ...] = ()


@dataclass(frozen=True, slots=True)
class CanonicalInstance:
    """What `normalize` hands on: the canonical object as a list of segments, and everything known about it.

    Attributes
    ----------
    segments
        Their concatenation is the canonical Part 10 file, `size` octets long.
    data_set_offset
        First octet after the file meta information.
    pixel_data
        Range of the Pixel Data element's value in the canonical object (None: no pixel data at the top level).
    trailer_offset
        Offset of the (FFFC,FFFC) element: what is served ends here.
    attributes
        Decoded values of the top-level elements that are indexed: tag number to values (strings as PS3.18 JSON would carry
        them; PN as its alphabetic=ideographic=phonetic text). Absent and empty elements are left out.
    json_header
        DICOM JSON (PS3.18 annex F) of the data set without bulk data: one object, UTF-8. A BulkDataURI is written as
        ``@/bulkdata/<tag path>``, where ``@`` at the beginning stands for the instance's URL.
    """

    received: ReceivedInstance
    segments: tuple[Segment, ...]
    size: int
    data_set_offset: int
    trailer_offset: int
    pixel_data: ByteRange | None
    frames: FrameIndex
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    attributes: Mapping[int, tuple[str, ...]]
    json_header: bytes
    transformations: tuple[Transformation, ...] = ()
    findings: tuple[Finding, ...] = ()
    rule_set: str = ""

    def chunks(self) -> Iterator[bytes | memoryview]:
        """The canonical object's octets, in pieces of at most 1 MiB where they come from a spool."""
        for segment in self.segments:
            if isinstance(segment, ByteRange):
                yield from self.received.octets.chunks(segment.offset, segment.length)
            elif isinstance(segment, Octets):
                yield from segment.chunks()
            else:
                yield segment


@dataclass(frozen=True, slots=True)
class Location:
    """Where one copy is: an object of a store, or a range of a pack."""

    store: str
    key: str
    offset: int
    length: int


@dataclass(frozen=True, slots=True)
class IndexEntry:
    """Everything the catalogue records about one held version, in one transaction.

    Attributes
    ----------
    crc32c
        CRC-32C of the stored object, whose SHA-256 is `sha256`; None where it was not computed.
    """

    patient: PatientKey
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    attributes: Mapping[int, tuple[str, ...]]
    json_header: bytes
    location: Location
    sha256: str
    size: int
    data_set_offset: int
    trailer_offset: int
    pixel_data: ByteRange | None
    number_of_frames: int
    original_sha256: str
    original_size: int
    source: Source
    received_at: datetime
    transformations: tuple[Transformation, ...] = ()
    findings: tuple[Finding, ...] = ()
    rule_set: str = ""
    renormalization: Renormalization | None = None
    crc32c: int | None = None


@dataclass(frozen=True, slots=True)
class HeldInstance:
    """One version of an instance as the catalogue knows it: all that retrieval needs.

    Attributes
    ----------
    version
        1-based, in order of arrival under the same SOP Instance UID, series and study.
    current
        Whether this version answers queries and retrievals: the first to arrive, or the whole one of which that is a cut copy.
    crc32c
        CRC-32C of the stored object; None for what was recorded without one: its reads are checked by SHA-256.
    nearline
        Every good copy is in an archive tier: it must be recalled before it is read.
    """

    pk: int
    patient: PatientKey
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    version: int
    current: bool
    locations: tuple[Location, ...]
    sha256: str
    size: int
    data_set_offset: int
    trailer_offset: int
    pixel_data: ByteRange | None
    number_of_frames: int
    original_sha256: str
    original_size: int
    attributes: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    crc32c: int | None = None
    nearline: bool = False

    @property
    def place(self) -> tuple[PatientKey, str, str]:
        """Patient, study and series."""
        return self.patient, self.study_instance_uid, self.series_instance_uid

    def as_dict(self) -> dict[str, str | int]:
        """What the API and commands say about a version: identifiers, digests and sizes."""
        return {
            "version": self.version,
            "current": self.current,
            "issuer_of_patient_id": self.patient.issuer,
            "patient_id": self.patient.patient_id,
            "study_instance_uid": self.study_instance_uid,
            "series_instance_uid": self.series_instance_uid,
            "sop_instance_uid": self.sop_instance_uid,
            "sop_class_uid": self.sop_class_uid,
            "transfer_syntax_uid": self.transfer_syntax_uid,
            "sha256": self.sha256,
            "size": self.size,
            "original_sha256": self.original_sha256,
            "original_size": self.original_size,
            "frames": self.number_of_frames,
        }
