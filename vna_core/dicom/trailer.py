"""What a stored canonical object tells about itself: the trailer, and everything the catalogue is rebuilt from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from vna_core.dicom.attribute_values import indexed_attributes
from vna_core.dicom.json_header import to_json
from vna_core.dicom.stored_object import StoredHeader, element_range, read_header
from vna_core.dicom.trailer_format import (
    TRAILER_TAG,
    Provenance,
    Read,
    Trailer,
    build_trailer,
    read_trailer,
)
from vna_core.domain.octets import ByteRange, Source
from vna_core.domain.renormalization import Renormalization
from vna_core.domain.transformation import Finding, Transformation

__all__ = [
    "TRAILER_TAG",
    "IndexEntryFields",
    "Provenance",
    "Read",
    "StoredHeader",
    "Trailer",
    "build_trailer",
    "element_range",
    "index_entry_fields",
    "read_header",
    "read_trailer",
]


@dataclass(frozen=True, slots=True)
class IndexEntryFields:
    """What an `IndexEntry` needs and the object alone knows: all but the patient's issuer by rule, the location and the digest.

    Names are those of `IndexEntry`.
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    attributes: Mapping[int, tuple[str, ...]]
    json_header: bytes
    size: int
    data_set_offset: int
    trailer_offset: int
    pixel_data: ByteRange | None
    number_of_frames: int
    original_sha256: str
    original_size: int
    source: Source
    received_at: datetime
    transformations: tuple[Transformation, ...]
    findings: tuple[Finding, ...]
    rule_set: str
    renormalization: Renormalization | None


def index_entry_fields(read: Read, size: int) -> IndexEntryFields:
    """Read back what the catalogue records about a stored object.

    Parameters
    ----------
    read, size
        Range reads of the stored object, and its size.

    Raises
    ------
    Malformed, Truncated, DigestMismatch
        The object is not one of ours, or it is damaged.
    """
    header = read_header(read, size)
    trailer, revised = header.trailer, header.revised
    provenance = trailer.provenance
    return IndexEntryFields(
        study_instance_uid=revised.text(0x0020000D),
        series_instance_uid=revised.text(0x0020000E),
        sop_instance_uid=revised.text(0x00080018),
        sop_class_uid=revised.text(0x00080016),
        transfer_syntax_uid=header.file_meta.get(0x00020010, ""),
        attributes=indexed_attributes(revised),
        json_header=to_json(revised),
        size=size,
        data_set_offset=trailer.data_set_offset,
        trailer_offset=trailer.offset,
        pixel_data=trailer.pixel_data,
        number_of_frames=len(trailer.frames),
        original_sha256=provenance.original_sha256,
        original_size=provenance.original_size,
        source=provenance.source,
        received_at=provenance.received_at,
        transformations=provenance.transformations,
        findings=provenance.findings,
        rule_set=provenance.rule_set,
        renormalization=provenance.renormalization,
    )
